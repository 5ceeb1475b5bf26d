# SPDX-License-Identifier: Apache-2.0
"""Least squares of at least 0 against planted coefficients, spikes, and columns that say nothing."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.stats import LEVEL
from inferometer.stats.nonnegative import fit_nonnegative

TRUTH = np.array([4.0, 0.06, 0.1])


def planted(n=400, *, noise=0.02, seed=0, truth=TRUTH):
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(n), rng.uniform(0, 100, n), rng.integers(1, 9, n)])
    target = design @ truth * np.exp(rng.normal(0, noise, n))
    return design, target, np.ones(n), np.arange(n) // 20


def test_what_has_no_noise_is_found_exactly():
    fit = fit_nonnegative(*planted(noise=0.0), rng=np.random.default_rng(1))
    assert fit.coefficients == pytest.approx(TRUTH, rel=1e-6)
    assert fit.spread == pytest.approx(0.0, abs=1e-6)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    n_in = 0
    for seed in range(40):
        fit = fit_nonnegative(*planted(seed=seed), rng=np.random.default_rng(seed), n_draws=200)
        lo, hi = fit.interval(np.array([0.0, 1.0, 0.0]), LEVEL)
        n_in += lo <= TRUTH[1] <= hi
    assert n_in >= 33  # 38 expected


def test_spikes_change_next_to_nothing():
    design, target, weights, blocks = planted()
    target[::25] *= 10
    fit = fit_nonnegative(design, target, weights, blocks, rng=np.random.default_rng(1))
    assert fit.coefficients == pytest.approx(TRUTH, rel=0.05)


def test_a_coefficient_that_would_be_negative_is_0():
    design, target, weights, blocks = planted(truth=np.array([4.0, 0.06, 0.0]))
    fit = fit_nonnegative(design, target - 0.01 * design[:, 2], weights, blocks, rng=np.random.default_rng(1))
    assert fit.coefficients[2] == 0.0
    assert (fit.draws >= 0).all()


def test_a_column_of_zeros_and_two_equal_ones_are_no_obstacle():
    design, target, weights, blocks = planted(noise=0.0)
    doubled = np.column_stack([design, np.zeros(len(design)), design[:, 1]])
    found = fit_nonnegative(doubled, target, weights, blocks, rng=np.random.default_rng(1)).coefficients
    assert found[3] == 0.0
    assert found[1] + found[4] == pytest.approx(TRUTH[1], rel=1e-4)
