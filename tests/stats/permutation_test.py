# SPDX-License-Identifier: Apache-2.0
"""The permutation test against other implementations, its interval against itself, and what both hold by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import permutation_test

from inferometer.stats import permutation
from inferometer.stats.permutation import Shifts, n_labellings, shifts, smallest_p


def difference(a, b):
    return np.mean(b) - np.mean(a)


@pytest.mark.parametrize(("n_a", "n_b"), [(5, 5), (4, 6), (5, 7)])
def test_the_unpaired_test_is_the_known_one(rng, n_a, n_b):
    for _ in range(5):
        a, b = rng.normal(size=n_a), rng.normal(0.8, 1, size=n_b)
        for name, p in (("greater", "p_not_above"), ("less", "p_not_below")):
            known = permutation_test((a, b), difference, alternative=name, n_resamples=np.inf)
            assert getattr(shifts(a, b, is_paired=False, rng=rng), p)() == pytest.approx(known.pvalue)


def test_the_paired_test_is_the_known_one(rng):
    a = rng.normal(size=8)
    b = a + rng.normal(0.5, 1, size=8)
    known = permutation_test((a, b), difference, permutation_type="samples", alternative="greater", n_resamples=np.inf)
    assert shifts(a, b, is_paired=True, rng=rng).p_not_above() == pytest.approx(known.pvalue)


def test_five_against_five_that_do_not_overlap(rng):
    found = shifts(np.arange(5.0), np.arange(10.0, 15.0), is_paired=False, rng=rng)
    assert (found.n_labellings, found.is_exact) == (252, True)
    assert found.p() == pytest.approx(2 / 252) == pytest.approx(smallest_p(5, 5, is_paired=False))


def test_eight_pairs_that_all_rose(rng):
    found = shifts(np.arange(8.0), np.arange(8.0) + 1 + 0.1 * np.arange(8.0), is_paired=True, rng=rng)
    assert found.p() == pytest.approx(2 / 256) == pytest.approx(smallest_p(8, 8, is_paired=True))


@pytest.mark.parametrize("is_paired", [False, True])
def test_the_interval_holds_what_the_test_does_not_reject(rng, is_paired):
    n = 8 if is_paired else 5
    a, b = rng.normal(size=n), rng.normal(0.5, 1, size=n)
    found = shifts(a, b, is_paired=is_paired, rng=rng)
    lo, hi = found.interval(0.95)
    assert found.p(lo + 1e-6) > 0.05 > found.p(lo - 1e-6)
    assert found.p(hi - 1e-6) > 0.05 > found.p(hi + 1e-6)
    assert lo <= difference(a, b) <= hi


def test_shifting_a_side_shifts_the_interval(rng):
    a, b = rng.normal(size=5), rng.normal(size=6)
    lo, hi = shifts(a, b, is_paired=False, rng=rng).interval()
    assert shifts(a, b + 3, is_paired=False, rng=rng).interval() == pytest.approx((lo + 3, hi + 3))
    assert shifts(b, a, is_paired=False, rng=rng).interval() == pytest.approx((-hi, -lo))


def test_too_few_labellings_bound_nothing(rng):
    assert shifts(rng.normal(size=3), rng.normal(size=3), is_paired=False, rng=rng).interval() == (-math.inf, math.inf)


def test_no_difference_at_all_is_no_evidence(rng):
    assert shifts(np.ones(5) / 3, np.ones(5) / 3, is_paired=False, rng=rng).p() == 1
    assert shifts(np.ones(8) / 3, np.ones(8) / 3, is_paired=True, rng=rng).p() == 1


def test_failures_are_the_largest_there_is(rng):
    found = shifts(np.ones(5), np.full(5, math.inf), is_paired=False, rng=rng)
    assert found.p() == pytest.approx(2 / 252)
    one_of_five = shifts(np.arange(5.0), np.array([0, 1, 2, 3, math.inf]), is_paired=False, rng=rng)
    assert one_of_five.p() > 0.05


@pytest.mark.parametrize("is_paired", [False, True])
def test_drawn_labellings_agree_with_all_of_them(rng, is_paired):
    n = 12 if is_paired else 8
    a, b = rng.normal(size=n), rng.normal(0.8, 1, size=n)
    whole = shifts(a, b, is_paired=is_paired, rng=rng)
    make = permutation._drawn_subset_means(b - a, rng) if is_paired else permutation._drawn_swaps(a, b, rng)
    drawn = Shifts(np.sort(make), len(make) + 1, is_exact=False)
    assert drawn.p() == pytest.approx(whole.p(), abs=0.025)  # four standard errors of 20,000 draws
    assert drawn.interval() == pytest.approx(whole.interval(), abs=0.1)


def test_many_trials_are_drawn_from(rng):
    found = shifts(rng.normal(size=40), rng.normal(size=40), is_paired=False, rng=rng)
    assert not found.is_exact
    assert n_labellings(10, 10, is_paired=False) == 184_756 <= permutation.MAX_EXACT


@pytest.mark.parametrize(("n", "is_paired"), [(5, False), (8, True)])
def test_intervals_hold_the_truth_as_often_as_they_say(rng, n, is_paired):
    """12 of 252 and 12 of 256 labellings are rejected: 95.2 and 95.3 %."""
    held = []
    for _ in range(1500):
        lo, hi = shifts(rng.exponential(size=n), rng.exponential(size=n), is_paired=is_paired, rng=rng).interval()
        held.append(lo <= 0 <= hi)
    assert 0.93 <= np.mean(held) <= 0.975
