# SPDX-License-Identifier: Apache-2.0
"""Do intervals at 95 % hold the truth in 95 % of simulated samples? Independent and dependent ones.

The fast tests would notice a wrong formula, the slow ones a bias of two points. Bounds are four standard errors of the
simulation away from what is promised, or from what a short dependent series can give, which is written beside it.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from inferometer.stats import (
    bootstrap,
    clopper_pearson,
    effective_n_of_quantiles,
    mean_estimate,
    over_trials,
    quantile_estimate,
    ratio_estimate,
    wilson,
)

SIGMA = 0.5  # of the lognormal values, about as skewed as a TTFT


def holds(estimate, truth):
    return estimate.lo <= truth <= estimate.hi


def quantile_coverage(series, q):
    """Share of lognormal series whose interval for quantile q, with n_eff of the indicator, holds the truth."""
    truth = np.exp(SIGMA * ndtri(q))
    hits = []
    for values in np.exp(SIGMA * series):
        ordered = np.sort(values)
        (n_eff,) = effective_n_of_quantiles(values, ordered, [q])
        hits.append(holds(quantile_estimate(ordered, q, unit="s", n_eff=n_eff), truth))
    return np.mean(hits)


def mean_coverage(series, least_told=0.9):
    """Share of the intervals of means, where there are any, that hold the truth."""
    told = [each for s in series if (each := mean_estimate(np.exp(SIGMA * s), unit="s")).is_bounded]
    assert len(told) >= least_told * len(series)
    return np.mean([holds(each, np.exp(SIGMA**2 / 2)) for each in told])


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_rank_intervals_of_independent_values_cover(rng, q):
    assert quantile_coverage(rng.normal(size=(300, 400)), q) >= 0.90


@pytest.mark.parametrize("q", [0.5, 0.9])
def test_rank_intervals_of_dependent_values_cover(rng, ar1, q):
    assert quantile_coverage(ar1(rng, 0.8, 600, 300), q) >= 0.90
    ordered = [np.sort(s) for s in ar1(rng, 0.8, 600, 300)]
    naive = [holds(quantile_estimate(s, q, unit="s"), ndtri(q)) for s in ordered]
    assert np.mean(naive) < 0.75  # what pretending independence would have promised as 95 %


def test_intervals_of_means_cover(rng, ar1):
    assert mean_coverage(rng.normal(size=(300, 100))) >= 0.90
    assert mean_coverage(ar1(rng, 0.8, 1200, 300)) >= 0.89


def test_values_too_few_to_show_how_they_depend_have_no_interval_of_their_mean(rng, ar1):
    found = [mean_estimate(np.exp(SIGMA * s), unit="s", of="requests") for s in ar1(rng, 0.8, 200, 100)]
    assert not any(each.is_bounded for each in found)
    assert "they depend on each other: an interval needs" in found[0].method


def test_the_tail_of_a_queue_is_not_taken_for_better_known_than_it_is(rng):
    """Waits at one server at 70 % load: what lies beyond p99 comes in a few busy times."""
    wait, waits = np.zeros(200), np.empty((200, 1000))
    for i in range(-400, 1000):
        wait = np.maximum(0.0, wait + rng.exponential(0.7, 200) - rng.exponential(1.0, 200))
        if i >= 0:
            waits[:, i] = wait
    truth = np.log(0.7 / 0.01) * 0.7 / 0.3  # P(W > t) = rho exp(-t (1 - rho) / s)
    hits = []
    for values in waits:
        ordered = np.sort(values)
        (n_eff,) = effective_n_of_quantiles(values, ordered, [0.99])
        hits.append(holds(quantile_estimate(ordered, 0.99, unit="s", n_eff=n_eff), truth))
    assert np.mean(hits) >= 0.88


def test_a_rate_over_slices_of_a_poisson_stream_covers(rng):
    hits = [holds(ratio_estimate(rng.poisson(8, 20).astype(float), np.ones(20), unit="1/s", n=160, of="x"), 8.0)
            for _ in range(400)]  # fmt: skip
    assert np.mean(hits) >= 0.91


def test_intervals_over_trials_cover(rng):
    hits = [holds(over_trials(rng.normal(3, 1, 5), unit="s", statistic="p50"), 3.0) for _ in range(1000)]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.028)


def test_intervals_of_shares_cover(rng):
    ks = rng.binomial(80, 0.9, 1000)
    assert np.mean([holds(wilson(int(k), 80), 0.9) for k in ks]) >= 0.92
    assert np.mean([holds(clopper_pearson(int(k), 80), 0.9) for k in ks]) >= 0.94


def test_bootstrap_intervals_of_a_skewed_mean_cover(rng):
    samples = rng.lognormal(0, 0.5, (200, 80))
    truth = np.exp(0.125)
    for kind in ("percentile", "bca"):
        hits = [
            holds(bootstrap(s, lambda x: x.mean(axis=-1), unit="s", rng=rng, kind=kind, n_resamples=500), truth)
            for s in samples
        ]
        assert np.mean(hits) >= 0.87


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 1000, 5000])
@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_rank_intervals_of_independent_values_cover_as_promised(rng, q, n):
    assert quantile_coverage(rng.normal(size=(2000, n)), q) >= 0.95 - 4 * np.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phi", "n", "least"), [(0.5, 200, 0.92), (0.8, 200, 0.87), (0.8, 1000, 0.92), (0.95, 4000, 0.91)]
)
def test_intervals_of_dependent_series_cover_when_the_series_is_long_against_its_memory(rng, ar1, phi, n, least):
    series = ar1(rng, phi, n, 1500)
    for q in (0.5, 0.9):
        assert quantile_coverage(series, q) >= least


@pytest.mark.slow
@pytest.mark.parametrize(("phi", "n"), [(0.5, 600), (0.8, 1500), (0.95, 6000)])
def test_intervals_of_means_cover_where_there_are_enough_values(rng, ar1, phi, n):
    assert mean_coverage(ar1(rng, phi, n, 1000)) >= 0.92
