# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from inferometer.stats import Estimate, Missing
from inferometer.stats.paired import mcnemar, n_items_needed, paired, rate, rate_ratio


@pytest.mark.parametrize(("lost", "won", "p"), [(10, 2, 0.0225), (15, 5, 0.0266), (5, 5, 1.0), (0, 0, 1.0)])
def test_mid_p_is_that_of_the_handbook(lost, won, p):
    assert mcnemar(lost, won) == pytest.approx(p, abs=5e-5)
    assert mcnemar(won, lost) == mcnemar(lost, won)


def test_seven_to_none_is_below_one_percent_and_six_is_not():
    assert mcnemar(7, 0) == pytest.approx(2**-7)
    assert mcnemar(6, 0) > 0.01


def test_the_interval_of_a_difference_covers_it():
    rng = np.random.default_rng(1)
    n, p_lost, p_won, covered = 200, 0.06, 0.02, 0
    for _ in range(400):
        lost, won, _ = rng.multinomial(n, [p_lost, p_won, 1 - p_lost - p_won])
        estimate = paired(n, int(lost), int(won)).difference
        covered += estimate.lo <= p_won - p_lost <= estimate.hi
    assert covered / 400 > 0.93


def test_nothing_judged_twice_tells_nothing():
    assert isinstance(paired(0, 0, 0).difference, Missing)
    same = paired(100, 0, 0).difference
    assert (same.value, same.lo < 0 < same.hi) == (0.0, True)


def test_half_a_point_on_two_hundred_questions_is_no_finding():
    assert n_items_needed(0.01, 0.08) == 6280
    assert n_items_needed(0.005, 0.02) > 200


def test_a_rate_has_its_exact_interval_also_where_nothing_happened():
    none = rate(0, 1000, unit="1/token", of="tokens")
    assert (none.value, none.lo) == (0.0, 0.0)
    assert none.hi == pytest.approx(-math.log(0.025) / 1000)
    ten = rate(10, 1000, unit="1/token", of="tokens")
    assert (ten.lo * 1000, ten.hi * 1000) == (pytest.approx(4.795, abs=1e-3), pytest.approx(18.39, abs=1e-2))
    assert isinstance(rate(0, 0, unit="1/token", of="tokens"), Missing)


def test_a_ratio_of_rates_is_told_as_far_as_the_counts_carry():
    found = rate_ratio(10, 1000, 40, 2000)
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(2.0)
    assert found.lo < 1.05 < 2.0 < found.hi
    floor = rate_ratio(0, 1000, 8, 1000)
    assert isinstance(floor, Missing)
    assert "at least 1.7" in floor.reason
    assert rate_ratio(5, 1000, 0, 1000).value == 0.0
    assert isinstance(rate_ratio(0, 10, 0, 10), Missing)
