# SPDX-License-Identifier: Apache-2.0
"""The screening of all other metrics: what differs is named, what is in the family is not, equals are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.analysis.compare import HEADLINE
from inferometer.analysis.screen import hints_of, quantities, screen
from inferometer.analysis.side import Quantity
from inferometer.stats import Missing


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def test_a_slower_server_stands_out_in_what_the_headline_leaves_out(side, rng):
    found = screen([side("A"), side("B", factor=1.2, first_seed=11)], HEADLINE, rng=rng, is_paired=False)
    told = {hint.quantity.name: hint.ratio.value for hint in found.hints}
    assert told["gap_p50"] == pytest.approx(1.2, rel=0.05)
    assert told["request_throughput"] == pytest.approx(1 / 1.2, rel=0.05)
    assert not {quantity.name for quantity in HEADLINE} & set(told)
    assert found.n_tests < len(quantities())  # what these runs do not have is not counted


def test_of_equals_hardly_one_stands_out(rng):
    """Twenty metrics that vary together by half, 200 times: any hint at all in about 1 of 20."""
    named = quantities()[:20]
    n_told = 0
    for _ in range(200):
        sides = [{q: np.exp(0.05 * (shared + rng.normal(size=8))) for q in named}
                 for shared in rng.normal(size=(2, 8))]  # fmt: skip
        n_told += bool(hints_of(sides, rng, is_paired=True).hints)
    assert n_told <= 20


def test_what_cannot_be_compared_is_no_hint(rng):
    one = {Quantity("gap_s", "p50"): Missing("needs chunks, has none", 0, "s")}
    assert hints_of([one, one], rng, is_paired=False) == hints_of([{}, {}], rng, is_paired=False)
