# SPDX-License-Identifier: Apache-2.0
"""What `doctor` prints: the verdict first, the worst on top, a remedy for each."""

from __future__ import annotations

import json

import pytest

from inferometer.report.doctor import Check, render, to_json, verdict_of

GOOD = Check("kernel_stamps", "valid", "reads carry kernel receive stamps, 2.1 us after the send at the median")
STEAL = Check(
    "steal", "suspect", "2.3 % of CPU time stolen in the last second", "use a machine without noisy neighbours"
)
FILES = Check(
    "open_files",
    "invalid",
    "the limit of open files is 64, and 256 connections need 300",
    "ulimit -n 4096",
)


@pytest.mark.parametrize(
    ("checks", "level"),
    [([], "valid"), ([GOOD], "valid"), ([GOOD, STEAL], "suspect"), ([STEAL, FILES, GOOD], "invalid")],
)
def test_the_verdict_is_the_worst_level(checks, level):
    assert verdict_of(checks) == level
    assert render(checks).startswith(level.upper() + "  ")


@pytest.mark.parametrize("width", [80, 100])
def test_the_worst_comes_first_with_its_remedy(golden, width):
    text = render([GOOD, STEAL, FILES], width=width)
    golden(f"doctor-{width}.txt", text)
    assert all(len(line) <= width for line in text.splitlines())


def test_json_keeps_the_order_of_the_checks():
    document = json.loads(to_json([GOOD, FILES]))
    assert document["verdict"] == "invalid"
    assert [check["code"] for check in document["checks"]] == ["kernel_stamps", "open_files"]
    assert document["checks"][1] == {
        "code": "open_files",
        "level": "invalid",
        "text": FILES.text,
        "remedy": "ulimit -n 4096",
    }


def test_colour_changes_no_word():
    plain, coloured = render([STEAL]), render([STEAL], is_colour=True)
    assert coloured.replace("\x1b[33m", "").replace("\x1b[0m", "") == plain
