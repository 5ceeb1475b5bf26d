# SPDX-License-Identifier: Apache-2.0
"""Intervals carried through: against simulated measurements, and where there is nothing to carry."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inferometer.stats import Estimate, Missing, difference, exact, product


def known(value, half, unit="s"):
    return Estimate(value, value - half, value + half, 0.95, 10, unit, "")


def test_a_quotient_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    a, b = rng.normal(100, 2, 4000), rng.normal(20, 1, 4000)
    n_in = 0
    for x, y in zip(a, b, strict=True):
        found = product([(known(x, 1.96 * 2), 1), (known(y, 1.96 * 1), -1)], unit="ratio", method="")
        n_in += found.lo <= 5.0 <= found.hi
    assert 0.935 < n_in / 4000 < 0.965


def test_what_is_exact_adds_no_doubt():
    found = product([(known(2.0, 0.2), 1), (exact(4.0, n=1, unit="B", method=""), 1)], unit="B", method="", scale=10.0)
    assert (found.value, found.lo, found.hi) == (80.0, pytest.approx(72.0), pytest.approx(88.0))


def test_division_turns_the_interval_round():
    found = product([(Estimate(2.0, 1.0, 3.0, 0.95, 5, "1/s", ""), -1)], unit="s", method="", scale=6.0)
    assert (found.lo, found.value, found.hi) == (pytest.approx(2.0), 3.0, pytest.approx(6.0))


def test_a_bound_that_one_does_not_have_is_not_made_up():
    found = product(
        [(Estimate(2.0, -math.inf, math.inf, 0.95, 1, "s", ""), -1), (known(4, 1), 1)], unit="1/s", method=""
    )
    assert (found.value, found.lo, found.hi) == (2.0, -math.inf, math.inf)


def test_what_is_missing_or_not_above_zero_gives_no_number():
    assert product([(Missing("why", 3, "s"), 1)], unit="ratio", method="") == Missing("why", 3, "ratio")
    assert isinstance(product([(known(0.0, 1.0), -1)], unit="ratio", method=""), Missing)
    assert difference(Missing("why", 3, "s"), known(1, 1), method="") == Missing("why", 3, "s")


def test_a_difference_adds_in_quadrature():
    found = difference(known(10, 3), known(4, 4), method="")
    assert (found.value, found.lo, found.hi) == (6, 1, 11)
