# SPDX-License-Identifier: Apache-2.0
"""Means and ratios with t intervals: of dependent values, of batches of time, of trials."""

from __future__ import annotations

import math

import numpy as np

from inferometer.stats.dependence import (
    MIN_BATCHES,
    FloatArray,
    batch_time,
    effective_n,
    lag1,
    merged_until_independent,
    ranks,
    ratio_variance,
)
from inferometer.stats.estimate import LEVEL, Estimate, Missing, t_critical

ENOUGH_TIMES = 100.0  # as many values as that times what neighbours tell of dependence: below, most of it stays unseen
DOUBT_OF_MEAN = 10.0  # values worth n: t with n over this degrees of freedom; both numbers by simulation (benchmarks)


def mean_estimate(
    values: FloatArray, *, unit: str, n_eff: float | None = None, of: str = "values", level: float = LEVEL
) -> Estimate | Missing:
    """Mean with a t interval. `n_eff`: how many independent values they are worth, where that is known; by default it
    is estimated from their order.

    Shapes: values float64[n], finite. Fewer than 2 effective values carry no interval, and neither do values whose
    dependence is too strong for so few to show it whole: fewer than ENOUGH_TIMES times what their ranks, as an AR(1)
    series, say of it.
    """
    n = len(values)
    if n == 0:
        return Missing(f"needs 1 of {of}, has 0", 0, unit)
    mean = float(values.mean())
    worth, dof, enough = _worth(values) if n_eff is None else (min(float(n), n_eff), min(float(n), n_eff) - 1, 0.0)
    method = f"mean over {of}; t interval" + ("" if worth > n - 0.5 else f", dependent: worth {worth:,.0f} of {n:,}")
    if worth < 2 or n < enough:
        why = "too few for an interval" if worth < 2 else f"they depend on each other: an interval needs {enough:,.0f}"
        return Estimate(mean, -math.inf, math.inf, level, n, unit, f"mean over {of}; {why}")
    half = t_critical(max(dof, 1.0), level) * float(values.std()) / math.sqrt(worth - 1)
    return Estimate(mean, mean - half, mean + half, level, n, unit, method)


def _worth(values: FloatArray) -> tuple[float, float, float]:
    """How many independent values these are worth, degrees of freedom of an interval for their mean, and how many
    values that needs."""
    n, ordered = len(values), ranks(values)
    worth = min(effective_n(values), effective_n(ordered))
    if worth >= n:
        return float(n), n - 1.0, 0.0
    correlation = lag1(ordered)
    time = (1 + correlation) / (1 - correlation) if 2 / math.sqrt(n) < correlation < 1 else 1.0
    return worth, worth / DOUBT_OF_MEAN, ENOUGH_TIMES * time if time > 1 else 0.0


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
    batches: str = "slices of time",
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
    sums, counts = merged_until_independent(sums, counts)
    n_batches = len(counts)
    method = f"ratio over {of}; t interval over {n_batches} {batches}"
    if n_batches < MIN_BATCHES:
        method = f"ratio over {of}; too few {batches} for an interval"
        return Estimate(ratio, -math.inf, math.inf, level, n, unit, method)
    half = t_critical(n_batches - 1, level) * math.sqrt(ratio_variance(sums, counts) * batch_time(sums, counts))
    return Estimate(ratio, ratio - half, ratio + half, level, n, unit, method)
