# SPDX-License-Identifier: Apache-2.0
"""The load at which a share falls to a target: found again, invariant, and unsure where it should be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inferometer.stats.threshold import find_threshold


def share(load, limit, target=0.95, slope=20.0):
    lapse = 0.2 * (1 - target)
    at_target = math.log(target / (1 - lapse - target))
    return (1 - lapse) / (1 + np.exp(-(at_target + slope * (math.log(limit) - np.log(load)))))


def find(loads, hits, counts, target=0.95):
    loads, hits, counts = (np.asarray(values, float) for values in (loads, hits, counts))
    return find_threshold(loads, hits, counts, target, unit="1/s", n=int(counts.sum()))


def test_it_finds_where_the_curve_crosses():
    loads = np.array([8.0, 9, 10, 11, 12])
    found = find(loads, 2_000 * share(loads, 10.0), [2_000] * 5)
    assert found.value.value == pytest.approx(10, rel=0.01)
    assert found.value.lo < 10 < found.value.hi
    assert found.half_width < 0.08


def test_only_ratios_of_loads_matter():
    loads = np.array([8.0, 9, 10, 11, 12])
    hits = 300 * share(loads, 10.0)
    near, far = find(loads, hits, [300] * 5), find(1_000 * loads, hits, [300] * 5)
    assert far.value.value == pytest.approx(1_000 * near.value.value)


def test_looks_that_differ_more_than_their_counts_explain_widen_the_interval():
    loads = np.array([9.5, 9.5, 10, 10, 10.5, 10.5])
    hits = 1_000 * share(loads, 10.0)
    scattered = np.minimum(hits + np.array([20, -60, 40, -90, 60, -120]), 1_000)
    assert find(loads, scattered, [1_000] * 6).half_width > 2 * find(loads, hits, [1_000] * 6).half_width


def test_looks_without_a_miss_only_bound_it_from_below():
    found = find([5.0, 10.0], [50, 50], [50, 50])
    assert found.value.lo > 8
    assert found.half_width > 0.2


@pytest.mark.slow
def test_the_interval_covers(rng):
    """Shares that scatter from look to look as beta does, at loads beside the limit."""
    n, n_in = 150, 0
    loads = np.array([0.94, 1.05, 0.96, 1.03, 0.97, 1.02, 0.95, 1.04]) * 10
    for _ in range(n):
        means = share(loads, 10.0)
        hits = rng.binomial(300, rng.beta(means * 25, (1 - means) * 25))
        found = find(loads, hits, [300] * 8)
        n_in += found.value.lo <= 10 <= found.value.hi
    assert n_in / n >= 0.9
