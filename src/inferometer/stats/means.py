# SPDX-License-Identifier: Apache-2.0
"""Means and ratios with t intervals: of dependent values, of batches of time, of trials."""

from __future__ import annotations

import math

import numpy as np

from inferometer.stats.dependence import (
    MAX_BATCHES,
    MIN_BATCHES,
    FloatArray,
    batch_time,
    lag1,
    merged_until_independent,
    ranks,
    ratio_variance,
)
from inferometer.stats.estimate import LEVEL, Estimate, Missing, t_critical

# As many values as that times what neighbours tell of dependence: fewer leave most of it unseen, by simulation
# (benchmarks/coverage.py).
ENOUGH_TIMES = 100.0
SLICES = "slices of time"  # two of which are a slice again


def mean_estimate(
    values: FloatArray, *, unit: str, n_eff: float | None = None, of: str = "values", level: float = LEVEL
) -> Estimate | Missing:
    """Mean with a t interval. `n_eff`: how many independent values they are worth, where that is known; by default the
    interval is over consecutive batches, which shows how much they depend on each other.

    Shapes: values float64[n], finite. Fewer than 2 (effective) values carry no interval, and neither do values whose
    dependence is too strong for so few to show it whole: fewer than ENOUGH_TIMES times what their ranks, as an AR(1)
    series, say of it.
    Source: batch means (Law 2015, 9.5.3). Batches see a slow drift below much noise, which autocorrelations do not.
    """
    n = len(values)
    if n == 0:
        return Missing(f"needs 1 of {of}, has 0", 0, unit)
    mean, enough = float(values.mean()), _enough(values) if n_eff is None else 2.0
    worth = float(n) if n_eff is None else min(float(n), n_eff)
    if worth < 2 or n < enough:
        why = "too few for an interval" if worth < 2 else f"they depend on each other: an interval needs {enough:,.0f}"
        return Estimate(mean, -math.inf, math.inf, level, n, unit, f"mean over {of}; {why}")
    if n_eff is not None or n < 2 * MIN_BATCHES:
        how = "t interval" + ("" if worth > n - 0.5 else f", dependent: worth {worth:,.0f} of {n:,}")
        half = t_critical(worth - 1, level) * float(values.std()) / math.sqrt(worth - 1)
    else:
        sums, counts = merged_until_independent(*_batches(values))
        how = f"t interval over {len(counts)} batches"
        half = t_critical(len(counts) - 1, level) * math.sqrt(ratio_variance(sums, counts) * batch_time(sums, counts))
    return Estimate(mean, mean - half, mean + half, level, n, unit, f"mean over {of}; {how}")


def _enough(values: FloatArray) -> float:
    """How many values like these an interval of their mean needs."""
    correlation = lag1(ranks(values))
    if correlation <= 2 / math.sqrt(len(values)):
        return 2.0
    return ENOUGH_TIMES * (1 + correlation) / (1 - correlation)


def _batches(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sums and numbers of values of consecutive batches, as equal as can be, and no fewer than can be merged."""
    n_batches = min(2 * MAX_BATCHES, len(values))
    starts = np.arange(n_batches) * len(values) // n_batches
    return np.add.reduceat(values, starts), np.diff(starts, append=len(values)).astype(np.float64)


def over_trials(
    values: FloatArray, *, unit: str, statistic: str, n_trials: int | None = None, level: float = LEVEL
) -> Estimate | Missing:
    """Mean of one statistic per trial with a t interval over trials: covers what differs from start to start.

    Shapes: values float64[n], one per trial that carries the statistic; infinite where all of it failed. `n_trials`:
    how many trials there were, with those that do not carry it.
    """
    n = len(values)
    if n < 2:
        return Missing(f"needs 2 trials that carry it, has {n}", n, unit)
    which = f"{n}" if n_trials in (None, n) else f"{n} of {n_trials}"
    method = f"mean of {statistic} over {which} trials; t interval over trials"
    if not np.isfinite(values).all():
        return Estimate(math.inf, float(values.min()), math.inf, level, n, unit, method)
    mean = float(values.mean())
    half = t_critical(n - 1, level) * float(values.std(ddof=1)) / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, level, n, unit, method)


def batch_means(values: FloatArray, n_batches: int) -> FloatArray:
    """Means of consecutive batches of equal size; the remainder at the front is left out.

    Shapes: float64[n_values] -> float64[n_batches].
    """
    size = len(values) // n_batches
    return np.asarray(values[len(values) - size * n_batches :].reshape(n_batches, size).mean(axis=1))


def ratio_estimate(
    sums: FloatArray,
    counts: FloatArray,
    *,
    unit: str,
    n: int,
    of: str,
    batches: str = SLICES,
    event: float | None = None,
    level: float = LEVEL,
) -> Estimate | Missing:
    """sum(sums) / sum(counts) with a t interval over consecutive batches, e.g. tokens per second over slices of time.

    Shapes: sums, counts float64[n_batches], in the order of time. While there are more than 16, or neighbours correlate
    by more than 0.2, two batches become one; what correlation is left widens the interval. `n`: how many values went
    in; `of`, `batches`: what they and the batches are, for `method`. `event`: what a single event adds to `sums`, where
    none at all is possible: batches that are all 0 do not differ; a rate of up to -ln((1 - level) / 2) events per total
    of `counts` shows none often enough.
    Source: ratio estimator, Cochran 1977, 6.3; none seen: the exact Poisson bound ("rule of three" at two sides).
    """
    total = float(counts.sum())
    if total <= 0:
        return Missing(f"needs {of}, has none", n, unit)
    ratio = float(sums.sum()) / total
    if event is not None and not sums.any():
        bound = -math.log((1 - level) / 2) * event / total
        return Estimate(0.0, 0.0, bound, level, n, unit, f"ratio over {of}; none seen, Poisson bound")
    n_given = len(counts)
    sums, counts = merged_until_independent(sums, counts)
    n_batches = len(counts)
    which = batches if n_batches == n_given or batches == SLICES else f"batches of {batches}"
    method = f"ratio over {of}; t interval over {n_batches} {which}"
    if n_batches < MIN_BATCHES:
        method = f"ratio over {of}; too few {batches} for an interval"
        return Estimate(ratio, -math.inf, math.inf, level, n, unit, method)
    half = t_critical(n_batches - 1, level) * math.sqrt(ratio_variance(sums, counts) * batch_time(sums, counts))
    return Estimate(ratio, ratio - half, ratio + half, level, n, unit, method)
