# SPDX-License-Identifier: Apache-2.0
"""What `ab` says is next, out of comparisons made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferometer.analysis.compare import Comparison, Row
from inferometer.analysis.side import Quantity, Side
from inferometer.cli.turns import Order, next_command
from inferometer.config import Experiment
from inferometer.stats import Missing

TTFT, E2E = Quantity("ttft_s", "p50"), Quantity("e2e_s", "p50")
ORDER = Order(("a", "b"), (Experiment(), Experiment()), 10, (), (), 0.05)


def compared(**needed):
    """Undecided rows, with how many trials would settle each."""
    none = Missing("", 0, "ratio")
    rows = tuple(
        Row(1, {"ttft": TTFT, "e2e": E2E}[name], none, none, none, 0.3, 0.3, "undecided", n)
        for name, n in needed.items()
    )
    return Comparison((Side("a", ()), Side("b", ())), rows, 0.05, True, 2)


@pytest.mark.parametrize(
    ("needed", "told"),
    [
        ({"ttft": 40, "e2e": 25}, "the same with --repeats 40 settles what is open"),
        ({"ttft": 40, "e2e": None}, "the same with --repeats 40 settles ttft_p50"),
        ({"ttft": None, "e2e": None}, "inferometer report runs"),
    ],
)
def test_only_what_more_rounds_settle_is_said_to_be_settled_by_them(needed, told):
    assert next_command(compared(**needed), ORDER, Path("runs")) == told
