# SPDX-License-Identifier: Apache-2.0
"""Estimates as text: digits that the interval deserves, units that a person would choose, nothing made up."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.report.figures import PLAIN, figure, figure_text, n_decimals, scale_of, value_text
from inferometer.stats import Estimate, Missing

INF = math.inf


def estimate(value, lo, hi, unit="s", n=100):
    return Estimate(value, lo, hi, 0.95, n, unit, "by hand")


@pytest.mark.parametrize(
    ("value", "lo", "hi", "text"),
    [
        (0.182, 0.176, 0.190, "182 [176, 190] ms"),
        (0.611, 0.540, 0.702, "611 [540, 702] ms"),
        (0.0214, 0.0212, 0.0216, "21.4 [21.2, 21.6] ms"),
        (0.0480, 0.0441, 0.0559, "48.0 [44.1, 55.9] ms"),
        (0.0200021, 0.0199998, 0.0200049, "20.0 [20.0, 20.0] ms"),
        (0.0200021, 0.01998, 0.02002, "20.00 [19.98, 20.02] ms"),
        (1.234, 1.2, 1.3, "1,234 [1,200, 1,300] ms"),
        (12.34, 12.0, 13.0, "12.3 [12.0, 13.0] s"),
        (43_210.0, 43_000.0, 43_400.0, "43,210 [43,000, 43,400] s"),
        (0.000_031, 0.000_030, 0.000_032, "31.0 [30.0, 32.0] us"),
        (0.0, 0.0, 0.0075, "0.0 [0.0, 7.5] ms"),
        (0.001, -0.004, 0.006, "1.0 [-4.0, 6.0] ms"),
        (0.0281, 0.0120, 0.0405, "28 [12, 40] ms"),
        (0.0081, 0.0052, 0.0113, "8.1 [5.2, 11.3] ms"),
        (0.00996, 0.0098, 0.0102, "9.96 [9.80, 10.20] ms"),
        (0.611, 0.540, INF, "611 [>= 540] ms"),
        (0.611, -INF, 0.702, "611 [<= 702] ms"),
        (0.611, -INF, INF, "611 [?] ms"),
        (0.611, 0.611, 0.611, "611 ms"),
        (INF, 0.540, INF, "failed [>= 540] ms"),
    ],
)
def test_durations(value, lo, hi, text):
    scale = None if math.isfinite(value) else scale_of([estimate(0.5, 0.5, 0.5)])
    assert figure_text(estimate(value, lo, hi), scale) == text


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("s/token", "182 [176, 190] ms/token"),
        ("1/s", "0.182 [0.176, 0.190]/s"),
        ("tokens/s", "0.182 [0.176, 0.190] tokens/s"),
        ("ratio", "18.2 [17.6, 19.0] %"),
        ("1/1000 tokens", "0.182 [0.176, 0.190] per 1,000 tokens"),
        ("requests", "0.182 [0.176, 0.190] requests"),
    ],
)
def test_units(unit, text):
    assert figure_text(estimate(0.182, 0.176, 0.190, unit)) == text


def test_what_is_missing_is_said_and_no_number_is():
    missing = Missing("needs 100 requests, has 57", 57, "s")
    assert figure_text(missing) == "- (needs 100 requests, has 57)"
    assert figure(missing, PLAIN) == ("-", "")
    assert value_text(missing) == "-"


def test_a_row_has_one_unit_that_of_its_largest_number():
    row = [estimate(0.0004, 0.00035, 0.00045), estimate(0.02, 0.01, 0.03), Missing("x", 0, "s")]
    scale = scale_of(row)
    assert [figure(cell, scale) for cell in row] == [("0.400", "[0.350, 0.450]"), ("20", "[10, 30]"), ("-", "")]
    assert scale.unit == " ms"
    assert scale_of([]) == PLAIN


def test_the_value_alone():
    assert value_text(estimate(0.0003, 0.0001, 0.0005)) == "300 us"
    assert value_text(estimate(0.0004012, 0.0004, 0.0005, "ratio")) == "0.04 %"
    assert value_text(estimate(1e-9, 1e-9, 1e-9, "ratio")) == "0.00 %"


finite = st.floats(-1e12, 1e12, allow_nan=False)


@given(finite, st.floats(0, 1e9), st.floats(0, 1e9))
def test_value_and_bounds_have_the_same_decimals_and_stay_in_order(value, below, above):
    lo, hi = value - below, value + above
    decimals = n_decimals(value, lo, hi)
    shown, interval = figure(estimate(value, lo, hi), PLAIN)
    assert len(shown.partition(".")[2]) == decimals
    if interval:
        low, high = interval.strip("[]").split(", ")
        assert {len(part.partition(".")[2]) for part in (low, high)} == {decimals}
        numbers = [float(part.replace(",", "")) for part in (low, shown, high)]
        assert numbers == sorted(numbers)
