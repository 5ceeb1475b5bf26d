# SPDX-License-Identifier: Apache-2.0
"""Colour is for terminals, and not for those who said NO_COLOR."""

from __future__ import annotations

import io

import pytest

from inferometer.cli.options import wants_colour


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "no_color", "expected"),
    [
        (Terminal(), None, True),
        (Terminal(), "", True),  # set to nothing is not set
        (Terminal(), "1", False),
        (Terminal(), "0", False),  # whatever it says
        (io.StringIO(), None, False),
    ],
)
def test_colour(stream, no_color, expected, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    assert wants_colour(stream) is expected
