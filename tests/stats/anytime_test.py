# SPDX-License-Identifier: Apache-2.0
"""The interval of a mean that may be looked at at any time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inferometer.stats import t_critical
from inferometer.stats.anytime import EFFECT_VARIANCE, always_interval, critical, n_to_settle


def factor(t, n):
    """The Bayes factor as it stands in the literature."""
    width = 1 + n * EFFECT_VARIANCE
    return ((1 + t * t / (n - 1)) / (1 + t * t / ((n - 1) * width))) ** (n / 2) / math.sqrt(width)


@pytest.mark.parametrize("n", [3, 5, 12, 100])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_interval_ends_where_the_factor_reaches_one_in_alpha(n, alpha):
    assert factor(critical(n, alpha), n) == pytest.approx(1 / alpha)


def test_two_values_say_nothing_and_many_cost_little_more_than_one_look():
    assert math.isinf(critical(1, 0.05))
    assert math.isinf(critical(2, 0.05))
    assert always_interval(np.array([1.0, 1.1]), 0.05) == (-math.inf, math.inf)
    assert critical(8, 0.05) < 2.5 * t_critical(7)
    assert critical(4, 0.05) > critical(8, 0.05) > critical(16, 0.05)


def test_a_mean_is_enclosed():
    lo, hi = always_interval(np.array([1.0, 1.1, 0.9, 1.0, 1.05, 0.95]), 0.05)
    assert lo < 1.0 < hi
    assert hi - lo == pytest.approx(2 * critical(6, 0.05) * np.std([1, 1.1, 0.9, 1, 1.05, 0.95], ddof=1) / math.sqrt(6))


def test_as_many_as_are_said_to_settle_do_so_in_nine_of_ten(rng):
    shift, spread, alpha = 0.1, 0.05, 0.025
    n = n_to_settle(shift, spread * np.array([-1.0, 1.0] * 100), alpha)
    found = [always_interval(rng.normal(shift, spread, n), alpha)[0] > 0 for _ in range(400)]
    assert np.mean(found) > 0.85
    assert n_to_settle(0.0, np.array([1.0, 2.0]), alpha) is None
    assert n_to_settle(1e-6, np.array([1.0, 2.0]), alpha) is None


@pytest.mark.slow
@pytest.mark.parametrize("law", ["normal", "heavy"])
def test_looking_after_every_value_is_wrong_as_seldom_as_promised(rng, law):
    n_series, n_most, alpha = 1_000, 60, 0.05
    drawn = rng.normal(size=(n_series, n_most)) if law == "normal" else rng.standard_t(5, size=(n_series, n_most))
    n_wrong = 0
    for series in drawn:
        looks = (always_interval(series[:n], alpha) for n in range(3, n_most + 1))
        n_wrong += any(lo > 0 or hi < 0 for lo, hi in looks)
    assert n_wrong / n_series <= alpha
