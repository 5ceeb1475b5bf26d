# SPDX-License-Identifier: Apache-2.0
"""MSER-5 and the trend test."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.stats import Cut, Missing, mser5, trend

WARM = np.array([100.0] * 20 + [10.0, 11.0, 9.0, 10.0] * 20)
STEADY = np.array([10.0, 11.0, 9.0, 10.0] * 25)


def test_mser5_agrees_with_the_reference(reference):
    for series, row in zip((WARM, STEADY), reference["mser5"], strict=True):
        cut = mser5(series)
        assert cut.n_cut == row["truncate_first"]
        assert cut.statistic == pytest.approx(row["statistic"])
        assert cut.is_settled


def test_mser5_is_its_definition(rng):
    values = rng.exponential(size=203) + np.linspace(3, 0, 203)
    means = values[:200].reshape(40, 5).mean(axis=1)
    by_hand = [float(np.square(means[d:] - means[d:].mean()).sum()) / (40 - d) ** 2 for d in range(21)]
    cut = mser5(values)
    best = int(np.argmin(by_hand))
    assert cut.statistic == pytest.approx(min(by_hand))
    assert cut == Cut(best * 5 if best < 20 else 0, cut.statistic, best < 20)


def test_a_series_that_never_settles_is_not_cut():
    cut = mser5(np.linspace(0.0, 100.0, 200))
    assert not cut.is_settled
    assert cut.n_cut == 0


def test_a_constant_series_is_not_cut():
    assert mser5(np.full(100, 0.1)) == Cut(0, pytest.approx(0.0, abs=1e-20), True)


def test_a_short_series_cannot_tell():
    assert isinstance(mser5(np.ones(19)), Missing)


def test_scale_and_origin_do_not_move_the_cut(rng):
    values = np.concatenate([rng.normal(5, 1, 40), rng.normal(0, 1, 160)])
    assert mser5(values).n_cut == mser5(1e-3 * values + 7).n_cut >= 40


def test_a_trend_is_the_rise_over_the_span():
    t = np.arange(0.0, 50.0)
    rise = trend(t, 2 + 0.1 * t + np.tile([0.01, -0.01], 25), unit="s")
    assert rise.value == pytest.approx(4.9, rel=0.01)
    assert rise.lo > 4.8


def test_noise_has_no_trend_in_nineteen_of_twenty_series(rng):
    t = np.arange(60.0)
    found = [trend(t, rng.normal(size=60), unit="s") for _ in range(400)]
    assert np.mean([rise.lo > 0 or rise.hi < 0 for rise in found]) < 0.08


def test_a_slow_swing_is_not_taken_for_a_drift(rng, ar1):
    found = [trend(np.arange(400.0), series, unit="s") for series in ar1(rng, 0.9, 400, 200)]
    assert np.mean([rise.lo > 0 or rise.hi < 0 for rise in found]) < 0.15  # 0.45 if the values counted as independent


def test_a_real_drift_under_dependent_noise_is_seen(rng, ar1):
    drift = np.linspace(0, 8, 400)
    found = [trend(np.arange(400.0), series + drift, unit="s") for series in ar1(rng, 0.8, 400, 50)]
    assert np.mean([rise.lo > 0 for rise in found]) > 0.95


@pytest.mark.parametrize("t", [np.arange(7.0), np.zeros(20), np.zeros(0)])
def test_a_trend_needs_eight_values_at_different_instants(t):
    assert isinstance(trend(t, t, unit="s"), Missing)
