# SPDX-License-Identifier: Apache-2.0
"""The bootstrap: closed forms, seeds, degenerate samples."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from inferometer.stats import Missing, bootstrap


def mean(x):
    return x.mean(axis=-1)


def median(x):
    return np.median(x, axis=-1)


@pytest.mark.parametrize("kind", ["percentile", "bca"])
def test_the_interval_of_a_normal_mean_is_the_z_interval(rng, kind):
    values = rng.normal(10, 2, 400)
    estimate = bootstrap(values, mean, unit="s", rng=rng, kind=kind, n_resamples=4000)
    half = 1.96 * values.std() / 20
    assert estimate.value == pytest.approx(values.mean())
    assert (estimate.hi - estimate.lo) / 2 == pytest.approx(half, rel=0.08)


def test_bca_leans_towards_the_long_tail_of_a_skewed_mean(rng):
    values = rng.lognormal(0, 1.2, 60)
    plain, corrected = (bootstrap(values, mean, unit="s", rng=rng, kind=kind) for kind in ("percentile", "bca"))
    assert corrected.lo > plain.lo
    assert corrected.hi > plain.hi


@pytest.mark.parametrize(("kind", "oracle"), [("percentile", "percentile"), ("bca", "BCa")])
def test_end_points_agree_with_scipy(kind, oracle):
    values = np.random.default_rng(5).lognormal(0, 1, 25)
    ours = bootstrap(values, mean, unit="s", rng=np.random.default_rng(3), kind=kind, n_resamples=50_000)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=50_000, method=oracle, rng=np.random.default_rng(4)
    ).confidence_interval
    assert (ours.lo, ours.hi) == pytest.approx((theirs.low, theirs.high), rel=0.02)


def test_the_same_generator_gives_the_same_interval():
    values = np.random.default_rng(1).exponential(size=50)
    first, second = (bootstrap(values, median, unit="s", rng=np.random.default_rng(7)) for _ in range(2))
    assert first == second


def test_equal_values_have_an_interval_of_no_width(rng):
    for kind in ("percentile", "bca"):
        estimate = bootstrap(np.full(20, 3.0), mean, unit="s", rng=rng, kind=kind)
        assert (estimate.lo, estimate.value, estimate.hi) == (3.0, 3.0, 3.0)


def test_one_value_cannot_be_resampled(rng):
    assert bootstrap(np.array([1.0]), mean, unit="s", rng=rng) == Missing("needs 2 values, has 1", 1, "s")


def test_large_samples_are_resampled_in_blocks_without_changing_the_result():
    values = np.random.default_rng(1).normal(size=30_000)
    estimate = bootstrap(values, mean, unit="s", rng=np.random.default_rng(2), n_resamples=300)
    assert (estimate.hi - estimate.lo) / 2 == pytest.approx(1.96 / np.sqrt(30_000), rel=0.2)
