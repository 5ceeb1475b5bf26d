# SPDX-License-Identifier: Apache-2.0
"""Autocorrelation and effective sample size against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.stats import (
    autocorrelation,
    autocorrelation_time,
    careful_n,
    effective_n,
    effective_n_of_share,
    lag1,
    ratio_variance,
)
from inferometer.stats.dependence import MAX_BATCH_TIME, N_LONG, batch_time, merged_until_independent, ranks


def test_autocorrelation_is_its_definition(rng):
    values = rng.normal(size=37)
    centred = values - values.mean()
    by_hand = [float((centred[: 37 - k] * centred[k:]).sum() / np.square(centred).sum()) for k in range(37)]
    assert autocorrelation(values) == pytest.approx(by_hand)


def test_a_constant_series_depends_on_nothing():
    assert autocorrelation(np.full(10, 0.1)).tolist() == [1.0] + [0.0] * 9
    assert autocorrelation_time(np.full(100, 1e9 + 0.1)) == 1.0
    assert lag1(np.full(100, 3.0)) == 0.0


@pytest.mark.parametrize("phi", [0.3, 0.6, 0.9])
def test_the_time_of_an_ar1_series_is_its_closed_form(rng, ar1, phi):
    (series,) = ar1(rng, phi, 20_000, 1)
    assert autocorrelation_time(series) == pytest.approx((1 + phi) / (1 - phi), rel=0.15)


@pytest.mark.parametrize("phi", [0.0, 0.6, 0.99])
def test_one_value_more_does_not_change_the_way_it_is_found(rng, ar1, phi):
    """From N_LONG values on lags are computed one by one, while these are few."""
    (series,) = ar1(rng, phi, N_LONG, 1)
    by_fft = autocorrelation_time(series[1:])
    assert autocorrelation_time(series) == pytest.approx(by_fft, rel=2e-3)
    assert autocorrelation_time(np.sign(series)) == pytest.approx(autocorrelation_time(np.sign(series[1:])), rel=2e-3)


def test_a_long_constant_series_depends_on_nothing():
    assert autocorrelation_time(np.full(N_LONG, 0.1)) == 1.0


def test_independent_values_are_worth_their_number(rng):
    assert np.mean([effective_n(rng.exponential(size=500)) for _ in range(50)]) > 460


def test_anticorrelated_values_are_worth_no_more_than_their_number():
    assert effective_n(np.tile([1.0, -1.0], 100)) == 200


def test_a_ramp_is_worth_next_to_nothing():
    assert effective_n(np.arange(200.0)) < 5


def test_the_time_is_at_most_half_the_series():
    assert autocorrelation_time(np.arange(12.0)) <= 6


def test_time_does_not_depend_on_scale_or_origin(rng, ar1):
    (series,) = ar1(rng, 0.7, 500, 1)
    assert autocorrelation_time(1e-3 * series + 5) == pytest.approx(autocorrelation_time(series))


CAREFUL = 0.75  # of 16 batches: t instead of z, and the bias of a correlation of neighbours put back


def test_the_share_of_independent_values_is_worth_their_number_counted_carefully(rng):
    counts = np.full(32, 1000.0)
    worth = [effective_n_of_share(rng.binomial(1000, 0.9, 32).astype(float), counts) for _ in range(200)]
    assert np.median(worth) == pytest.approx(CAREFUL * 32_000, rel=0.15)


def test_the_share_of_values_that_come_in_blocks_is_worth_the_number_of_blocks(rng):
    # 32 slices of 50 blocks of 20 equal values each
    counts = np.full(32, 1000.0)
    worth = [effective_n_of_share(20.0 * rng.binomial(50, 0.5, 32), counts) for _ in range(200)]
    assert np.median(worth) == pytest.approx(CAREFUL * 1600, rel=0.2)


def test_values_whose_number_was_estimated_count_for_less_than_it():
    assert careful_n(500.0, 500) == 500
    assert careful_n(400.0, 500) == pytest.approx(400 * (1.9600 / 2.0086) ** 2, rel=1e-3)  # t with 50 degrees
    assert careful_n(4.0, 500) == pytest.approx(4 * (1.9600 / 12.706) ** 2, rel=1e-3)


def test_equal_values_share_a_rank():
    assert ranks(np.array([3.0, 1.0, 3.0, np.inf])).tolist() == [2.5, 1.0, 2.5, 4.0]


def test_batches_that_correlate_widen_and_ones_that_alternate_do_not_cancel(rng, ar1):
    counts = np.ones(16)
    (correlated,) = ar1(rng, 0.95, 16, 1)
    assert 1 < batch_time(correlated, counts) <= MAX_BATCH_TIME
    alternating = np.array([1.0, -1.0] * 16)
    assert len(merged_until_independent(alternating, np.ones(32))[0]) == 32
    assert batch_time(alternating, np.ones(32)) == 1


def test_slices_of_equal_share_cannot_be_told_from_independent_values():
    assert effective_n_of_share(np.full(10, 5.0), np.full(10, 10.0)) == 100
    assert effective_n_of_share(np.array([5.0]), np.array([10.0])) == 1


def test_ratio_variance_is_that_of_a_mean_for_equal_counts(rng):
    sums = rng.normal(10, 1, 40)
    assert ratio_variance(sums, np.ones(40)) == pytest.approx(float(np.var(sums, ddof=1)) / 40)
