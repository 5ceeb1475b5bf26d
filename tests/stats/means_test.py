# SPDX-License-Identifier: Apache-2.0
"""Means, ratios and trials: closed forms and degenerate samples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inferometer.stats import Missing, batch_means, mean_estimate, over_trials, ratio_estimate


def test_the_t_interval_of_five_values_by_hand():
    estimate = mean_estimate(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), unit="s")
    half = 2.776445 * math.sqrt(2.5 / 5)  # t(4) at 97.5 %
    assert (estimate.value, estimate.lo, estimate.hi) == pytest.approx((3.0, 3 - half, 3 + half))


def test_a_mean_of_dependent_values_counts_them_at_their_worth(rng):
    values = rng.normal(size=400)
    whole, quarter = (mean_estimate(values, unit="s", n_eff=n) for n in (400.0, 100.0))
    assert (quarter.hi - quarter.lo) / (whole.hi - whole.lo) == pytest.approx(2.0, rel=0.02)
    assert "worth 100 of 400" in quarter.method


def test_one_value_has_a_mean_and_no_interval():
    estimate = mean_estimate(np.array([3.0]), unit="s")
    assert (estimate.value, estimate.lo, estimate.hi) == (3.0, -math.inf, math.inf)
    assert estimate.method == "mean over values; too few for an interval"


def test_no_value_has_no_mean():
    assert mean_estimate(np.zeros(0), unit="s", of="requests") == Missing("needs 1 of requests, has 0", 0, "s")


def test_trials_are_the_unit_of_an_interval_over_trials():
    estimate = over_trials(np.array([10.0, 12.0, 11.0]), unit="s", statistic="p99")
    assert (estimate.value, estimate.n) == (11.0, 3)
    assert estimate.hi - estimate.value == pytest.approx(4.302653 / math.sqrt(3))  # t(2), standard deviation 1
    assert estimate.method == "mean of p99 over 3 trials; t interval over trials"


def test_one_trial_has_no_interval_over_trials():
    assert isinstance(over_trials(np.array([1.0]), unit="s", statistic="p50"), Missing)


def test_a_trial_whose_percentile_is_among_its_failures_makes_the_mean_infinite():
    estimate = over_trials(np.array([1.0, 2.0, math.inf]), unit="s", statistic="p99_with_failures")
    assert (estimate.value, estimate.lo, estimate.hi) == (math.inf, 1.0, math.inf)


def test_batch_means_leave_the_remainder_out_at_the_front():
    assert batch_means(np.arange(11.0), 5).tolist() == [1.5, 3.5, 5.5, 7.5, 9.5]


def test_a_ratio_over_slices_is_total_over_total():
    estimate = ratio_estimate(np.array([1.0, 9.0] * 10), np.array([1.0, 3.0] * 10), unit="s", n=40, of="gaps")
    assert estimate.value == 100 / 40
    assert estimate.lo < 2.5 < estimate.hi
    assert estimate.n == 40


def test_a_ratio_with_nothing_below_the_line_is_missing():
    assert isinstance(ratio_estimate(np.zeros(9), np.zeros(9), unit="s", n=0, of="gaps"), Missing)


def test_few_slices_carry_no_interval():
    estimate = ratio_estimate(np.ones(4), np.ones(4), unit="s", n=4, of="gaps")
    assert not estimate.is_bounded
    assert estimate.method == "ratio over gaps; too few slices of time for an interval"


def test_correlated_slices_are_joined_until_they_are_not(rng):
    slow = np.repeat(rng.normal(size=8), 8) + 0.01 * rng.normal(size=64)  # 64 slices that move in eights
    estimate = ratio_estimate(10 + slow, np.ones(64), unit="s", n=64, of="gaps")
    assert estimate.method.endswith("over 8 slices of time")


def test_joining_an_odd_number_of_slices_loses_none():
    slow = np.linspace(0.0, 1.0, 21)
    estimate = ratio_estimate(slow, np.ones(21), unit="s", n=21, of="gaps")
    assert estimate.value == pytest.approx(0.5)
    assert estimate.method.endswith("over 5 slices of time")
