# SPDX-License-Identifier: Apache-2.0
"""Percentiles and their rank intervals against reference values and their own definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import bdtr

from inferometer.stats import Estimate, Missing, n_needed, quantile, quantile_estimate, rank_interval


def test_type_7_agrees_with_the_reference(reference):
    row = reference["percentile_methods"]
    data = np.array(row["data"], float)
    assert [quantile(data, q) for q in (0.5, 0.9, 0.99)] == pytest.approx(
        [row["linear_p50"], row["linear_p90"], row["linear_p99"]]
    )


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.sampled_from([0, 0.01, 0.5, 0.9, 0.95, 0.99, 1]))
def test_type_7_is_what_numpy_calls_linear(values, q):
    ordered = np.sort(np.array(values))
    assert quantile(ordered, q) == pytest.approx(float(np.quantile(ordered, q)), rel=1e-9, abs=1e-6)


def test_a_quantile_that_falls_on_a_value_is_that_value_in_spite_of_rounding():
    ordered = np.append(np.arange(100.0), math.inf)
    assert quantile(ordered, 0.99) == 99.0  # 100 * 0.99 is 99 exactly: no share of the infinite value above it


def test_a_quantile_among_infinite_values_is_infinite_and_never_nan():
    ordered = np.array([1.0, 2.0, math.inf, math.inf])
    assert quantile(ordered, 0.25) == 1.75
    assert quantile(ordered, 0.5) == math.inf
    assert quantile(ordered, 0.9) == math.inf


def test_rank_intervals_agree_with_the_reference(reference):
    for row in reference["percentile_rank_ci"]["rows"]:
        assert rank_interval(row["n"], row["q"]) == (row["lower_rank"], row["upper_rank"]), row


def test_the_smallest_sample_whose_maximum_bounds_a_quantile_agrees_with_the_reference(reference):
    for row in reference["min_n_upper_bound"]["rows"]:
        n, q = row["n_95_two_sided"], row["q"]
        assert rank_interval(n, q)[1] == n
        assert rank_interval(n - 1, q)[1] is None
        n = row["n_95_one_sided"]
        assert rank_interval(n, q, level=0.90)[1] == n  # one-sided 95 % is the upper end of two-sided 90 %
        assert rank_interval(n - 1, q, level=0.90)[1] is None


@given(st.integers(1, 3000), st.sampled_from([0.05, 0.5, 0.9, 0.95, 0.99, 0.999]), st.sampled_from([0.8, 0.95, 0.99]))
def test_ranks_are_the_tightest_with_the_tails_they_promise(n, q, level):
    tail = (1 - level) / 2
    low, high = rank_interval(n, q, level)
    assert bdtr((low or 1) - 1, n, q) <= tail or low is None  # P(B < low)
    assert bdtr(low or 0, n, q) > tail  # one rank more would promise too much
    if high is not None:
        assert 1 - bdtr(high - 1, n, q) <= tail * (1 + 1e-9)  # P(B >= high)
        assert high == 1 or 1 - bdtr(high - 2, n, q) > tail * (1 - 1e-9)
    else:
        assert 1 - bdtr(n - 1, n, q) > tail * (1 - 1e-9)


@pytest.mark.parametrize(("q", "n"), [(0.5, 2), (0.9, 10), (0.95, 20), (0.99, 100), (0.999, 1000)])
def test_a_percentile_needs_one_value_beyond_it(q, n):
    assert n_needed(q) == n
    assert quantile_estimate(np.zeros(n - 1), q, unit="s") == Missing(f"needs {n} values, has {n - 1}", n - 1, "s")
    assert isinstance(quantile_estimate(np.zeros(n), q, unit="s"), Estimate)


def test_p99_of_fewer_than_368_values_has_no_upper_bound():
    estimate = quantile_estimate(np.arange(300.0), 0.99, unit="s")
    assert estimate.value == pytest.approx(296.01)
    assert estimate.lo == 292.0  # rank 293, 1-based
    assert estimate.hi == math.inf
    assert not estimate.is_bounded
    assert quantile_estimate(np.arange(368.0), 0.99, unit="s").hi == 367.0


def test_the_interval_ends_on_order_statistics_and_says_so():
    estimate = quantile_estimate(np.arange(1.0, 1001.0), 0.5, unit="s", of="requests")
    assert (estimate.value, estimate.lo, estimate.hi) == (500.5, 469.0, 532.0)
    assert (estimate.n, estimate.unit, estimate.level) == (1000, "s", 0.95)
    assert estimate.method == "type 7 over requests; binomial rank interval"


def test_dependent_values_get_the_ranks_of_a_smaller_sample():
    ordered = np.arange(1.0, 1001.0)
    dependent = quantile_estimate(ordered, 0.5, unit="s", n_eff=100.0)
    # Ranks 40 and 61 of 100 stand at 40/101 and 61/101 of the whole.
    assert (dependent.lo, dependent.hi) == (math.floor(40 / 101 * 1001), math.ceil(61 / 101 * 1001))
    assert "worth 100 of 1,000" in dependent.method
    assert quantile_estimate(ordered, 0.5, unit="s", n_eff=5.9).hi == math.inf  # 6 is the least for a median


def test_an_effective_size_above_the_sample_changes_nothing():
    ordered = np.arange(1.0, 1001.0)
    assert quantile_estimate(ordered, 0.9, unit="s", n_eff=1e9) == quantile_estimate(ordered, 0.9, unit="s")
