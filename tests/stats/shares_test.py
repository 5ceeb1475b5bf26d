# SPDX-License-Identifier: Apache-2.0
"""Intervals of shares against reference values and their own definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import bdtr

from inferometer.stats import Missing, clopper_pearson, wilson


def test_wilson_agrees_with_the_reference(reference):
    for row in reference["wilson_95"]:
        estimate = wilson(row["k"], row["n"])
        assert [estimate.lo, estimate.hi] == pytest.approx(row["interval"], abs=1e-6)


def test_wilson_of_dependent_values_is_that_of_fewer():
    dependent, fewer = wilson(80, 100, n_eff=10.0), wilson(8, 10)
    assert (dependent.lo, dependent.hi) == pytest.approx((fewer.lo, fewer.hi))
    assert "worth 10 of 100" in dependent.method


@given(st.integers(1, 200), st.data())
def test_clopper_pearson_leaves_the_tails_it_promises(n, data):
    k = data.draw(st.integers(0, n))
    estimate = clopper_pearson(k, n)
    assert estimate.lo <= k / n <= estimate.hi
    if k > 0:
        assert 1 - bdtr(k - 1, n, estimate.lo) == pytest.approx(0.025, rel=1e-6)  # P(K >= k) at the lower end
    if k < n:
        assert bdtr(k, n, estimate.hi) == pytest.approx(0.025, rel=1e-6)  # P(K <= k) at the upper end


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_nothing_out_of_nothing_is_missing(interval):
    assert interval(0, 0, of="requests") == Missing("needs 1 of requests, has 0", 0, "ratio")
