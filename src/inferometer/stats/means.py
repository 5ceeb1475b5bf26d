# SPDX-License-Identifier: Apache-2.0
"""Means and ratios with t intervals: of dependent values, of batches of time, of trials."""

from __future__ import annotations

import math

import numpy as np

from inferometer.stats.dependence import MIN_BATCHES, FloatArray, effective_n, merged_until_independent, ratio_variance
from inferometer.stats.estimate import LEVEL, Estimate, Missing, t_critical


def mean_estimate(
    values: FloatArray, *, unit: str, n_eff: float | None = None, of: str = "values", level: float = LEVEL
) -> Estimate | Missing:
    """Mean with a t interval. `n_eff`: effective sample size of dependent values, by default that of `values` in order.

    Shapes: values float64[n], finite. Fewer than 2 effective values carry no interval.
    """
    n = len(values)
    if n == 0:
        return Missing(f"needs 1 of {of}, has 0", 0, unit)
    mean = float(values.mean())
    worth = min(float(n), effective_n(values) if n_eff is None else n_eff)
    method = f"mean over {of}; t interval" + ("" if worth > n - 0.5 else f", dependent: worth {worth:,.0f} of {n:,}")
    if worth < 2:
        method = f"mean over {of}; too few for an interval"
        return Estimate(mean, -math.inf, math.inf, level, n, unit, method)
    half = t_critical(worth - 1, level) * float(values.std()) / math.sqrt(worth - 1)
    return Estimate(mean, mean - half, mean + half, level, n, unit, method)


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

    Shapes: sums, counts float64[n_batches], in the order of time. While neighbours correlate by more than 0.2, two
    batches become one. `n`: how many values went in; `of`, `batches`: what they and the batches are, for `method`.
    `event`: what a single event adds to `sums`, where none at all is possible: batches that are all 0 do not differ;
    a rate of up to -ln((1 - level) / 2) events per total of `counts` shows none often enough.
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
    half = t_critical(n_batches - 1, level) * math.sqrt(ratio_variance(sums, counts))
    return Estimate(ratio, ratio - half, ratio + half, level, n, unit, method)
