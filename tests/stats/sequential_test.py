# SPDX-License-Identifier: Apache-2.0
"""The sequential test of a share: how much is enough, and that peeking does not make it wrong more often."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from inferometer.stats.sequential import evidence


def n_without_a_miss(target, alpha):
    return next(n for n in range(1, 10_000) if evidence(n, n, target).verdict(alpha) == "above")


def test_nothing_is_known_of_nothing():
    assert (evidence(0, 0, 0.9).log_above, evidence(0, 0, 0.9).log_below) == pytest.approx((0, 0))
    assert evidence(0, 0, 0.9).verdict(0.05) == "undecided"


@pytest.mark.parametrize("n", [1, 20, 300])
@pytest.mark.parametrize("target", [0.5, 0.95])
def test_at_the_target_itself_evidence_is_one_on_average(n, target):
    """What makes it a martingale, whatever the weights; anything more would be wrong too often."""
    chances = binom.logpmf(np.arange(n + 1), n, target)
    found = [evidence(k, n, target) for k in range(n + 1)]
    assert np.exp(chances + [each.log_above for each in found]).sum() == pytest.approx(1)
    assert np.exp(chances + [each.log_below for each in found]).sum() == pytest.approx(1)


def test_the_price_of_peeking_is_small():
    """One look at the end needs log(alpha) / log(target): 59 and 90 successes (MLPerf's early stopping)."""
    assert 59 < n_without_a_miss(0.95, 0.05) < 2 * 59
    assert 459 < n_without_a_miss(0.99, 0.01) < 1.5 * 459


def test_misses_speak_against_it():
    assert evidence(80, 100, 0.95).verdict(0.01) == "below"
    assert evidence(95, 100, 0.95).verdict(0.05) == "undecided"
    assert evidence(0, 1_000_000, 0.95).verdict(1e-9) == "below"
    assert evidence(1_000_000, 1_000_000, 0.95).verdict(1e-9) == "above"


def test_counts_need_not_be_whole():
    below, middle, above = (evidence(k, 50.0, 0.9).log_above for k in (49.0, 49.5, 50.0))
    assert below < middle < above
    assert math.isfinite(middle)


@pytest.mark.slow
@pytest.mark.parametrize("target", [0.9, 0.95])
def test_looking_after_every_request_is_wrong_as_seldom_as_promised(rng, target):
    """At the target itself, where it is hardest, over 1,000 looks each."""
    n_runs, n_most, alpha = 400, 1_000, 0.05
    n_wrong = 0
    for _ in range(n_runs):
        hits = (rng.random(n_most) < target).cumsum()
        n_wrong += any(evidence(hits[n - 1], n, target).verdict(alpha) == "above" for n in range(1, n_most + 1))
    assert n_wrong / n_runs <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / n_runs)
