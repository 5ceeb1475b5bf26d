# SPDX-License-Identifier: Apache-2.0
"""Ratios of trials, Holm's correction, and whether as many trials as are recommended find what they should."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inferometer.stats.trials import (
    MAX_TRIALS,
    benjamini_hochberg,
    detectable,
    holm,
    likely_spread,
    n_to_find,
    n_to_resolve,
    ratio_of_trials,
)


def test_the_ratio_is_of_geometric_means(rng):
    found = ratio_of_trials(np.array([1.0, 2, 4, 2, 2]), np.array([2.0, 4, 8, 4, 4]), is_paired=False, rng=rng)
    assert found.estimate.value == pytest.approx(2)
    assert found.estimate.lo < 2 < found.estimate.hi
    assert (found.estimate.unit, found.estimate.n, found.dof) == ("ratio", 10, 8)


def test_pairs_remove_what_both_sides_share(rng):
    shared = np.exp(rng.normal(size=8))
    a, b = shared, 1.1 * shared
    assert ratio_of_trials(a, b, is_paired=True, rng=rng).estimate.lo == pytest.approx(1.1)
    assert ratio_of_trials(a, b, is_paired=False, rng=rng).estimate.lo < 1


def test_trials_among_failures_make_it_infinite(rng):
    found = ratio_of_trials(np.ones(5), np.full(5, math.inf), is_paired=False, rng=rng)
    assert (found.estimate.value, found.estimate.lo, found.spread) == (math.inf, math.inf, math.inf)
    assert found.p == pytest.approx(2 / 252)


def test_benjamini_and_hochberg_by_hand():
    """The paper's own table 1: of 15 p values four stay below 0.05, where Bonferroni leaves three."""
    p = np.array([0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719,
                  0.6528, 0.759, 1.0])  # fmt: skip
    assert (benjamini_hochberg(p) <= 0.05).sum() == 4
    assert benjamini_hochberg(np.array([0.04, 0.01, 0.02])) == pytest.approx([0.04, 0.03, 0.03])
    assert len(benjamini_hochberg(np.array([]))) == 0


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.04 times 3, 2, 1, none below the one before."""
    assert holm(np.array([0.04, 0.01, 0.02])) == pytest.approx([0.04, 0.03, 0.04])
    assert holm(np.array([0.6, 0.7])) == pytest.approx([1, 1])
    assert len(holm(np.array([]))) == 0


@pytest.mark.parametrize(
    ("n_tests", "is_paired", "needed"),
    [
        (1, False, 5),
        (6, False, 5),
        (7, False, 6),
        (23, False, 6),
        (24, False, 7),
        (1, True, 8),
        (6, True, 8),
        (7, True, 9),
    ],
)
def test_trials_that_resolve_a_family(n_tests, is_paired, needed):
    """5 against 5 give 2/252 = 0.0079, 6 times that is 0.048; 8 pairs give 2/256."""
    assert n_to_resolve(n_tests, is_paired=is_paired) == needed


def test_more_noise_and_smaller_changes_need_more_trials():
    n = [n_to_find(0.05, spread, n_tests=5, is_paired=False) for spread in (0.01, 0.03, 0.1)]
    assert n[0] == 5 < n[1] < n[2]
    assert n_to_find(0.01, 0.03, n_tests=5, is_paired=False) > n[1]
    assert n_to_find(0.0001, 0.1, n_tests=5, is_paired=False) is None
    assert n_to_find(0.05, math.inf, n_tests=5, is_paired=False) is None


def test_the_number_is_the_smallest_that_finds_it():
    n = n_to_find(0.05, 0.06, n_tests=5, is_paired=True)
    assert detectable(0.06, n, n_tests=5, is_paired=True) <= 0.05 < detectable(0.06, n - 1, n_tests=5, is_paired=True)
    assert n < MAX_TRIALS


@pytest.mark.parametrize("is_paired", [False, True])
def test_as_many_as_recommended_find_it_in_nine_of_ten(rng, is_paired):
    """The spread is known here; p must be below 0.05 / 3, as the first of three in Holm's order."""
    n = n_to_find(0.05, 0.022, n_tests=3, is_paired=is_paired)
    found = []
    for _ in range(150):
        a = np.exp(0.022 / (math.sqrt(2) if is_paired else 1) * rng.normal(size=n))
        b = 1.05 * np.exp(0.022 / (math.sqrt(2) if is_paired else 1) * rng.normal(size=n))
        found.append(ratio_of_trials(a, b, is_paired=is_paired, rng=rng).p <= 0.05 / 3)
    assert np.mean(found) >= 0.80  # four standard errors of 150 times below


def test_the_likely_spread_is_rarely_too_small(rng):
    told = []
    for _ in range(400):
        a, b = np.exp(0.1 * rng.normal(size=(2, 5)))
        told.append(likely_spread(ratio_of_trials(a, b, is_paired=False, rng=rng)))
    assert 0.72 <= np.mean(np.array(told) >= 0.1) <= 0.88
