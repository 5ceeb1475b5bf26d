# SPDX-License-Identifier: Apache-2.0
"""Has a series settled? Where its warm-up ends (MSER-5), and whether it drifts (trend with dependent residuals)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from inferometer.stats.dependence import FloatArray, autocorrelation_time
from inferometer.stats.estimate import LEVEL, Estimate, Missing, t_critical

DOUBT_OF_RESIDUALS = 5.0  # residuals worth n: t with n over this degrees of freedom, by simulation (benchmarks)
BATCH = 5  # Spratt 1998: MSER over means of five is steadier than over single values


@dataclass(frozen=True, slots=True)
class Cut:
    """`n_cut` values to leave out at the front; `statistic` the minimum found; `is_settled`: it lies before the middle.

    When the series never settled, `n_cut` is 0: there is no steady part to cut to.
    """

    n_cut: int
    statistic: float
    is_settled: bool


def mser5(values: FloatArray) -> Cut | Missing:
    """Where the warm-up of a series ends: the cut that minimises the squared standard error of the rest's mean.

    Batches of five give Z_1..Z_k; g(d) = sum over j > d of (Z_j - mean)^2 / (k - d)^2 for d = 0..k/2; the smallest g
    wins, the earliest of equals. A minimum at k/2 says that the series never settled.
    Source: White 1997; Spratt 1998. Hazard: assumes one mean; a steady drift fools it, so ask `trend` too.
    """
    n_batches = len(values) // BATCH
    if n_batches < 4:
        return Missing(f"needs {4 * BATCH} values in order, has {len(values)}", len(values), "values")
    means = values[: n_batches * BATCH].reshape(n_batches, BATCH).mean(axis=1)
    # Sums over the tail j > d for every d at once; centred first, so that the difference of squares keeps its digits.
    centred = (means - means.mean())[::-1]
    n_left = np.arange(1, n_batches + 1)
    squares = np.cumsum(np.square(centred)) - np.square(np.cumsum(centred)) / n_left
    statistic = (np.maximum(squares, 0.0) / np.square(n_left))[::-1]
    n_half = n_batches // 2
    # Differences below rounding are ties; the earliest wins.
    least = float(statistic[: n_half + 1].min())
    best = int(np.flatnonzero(statistic[: n_half + 1] <= least * (1 + 1e-9) + 1e-300)[0])
    is_settled = best < n_half
    return Cut(best * BATCH if is_settled else 0, float(statistic[best]), is_settled)


def trend(t: FloatArray, values: FloatArray, *, unit: str, level: float = LEVEL) -> Estimate | Missing:
    """How much a series rises from the first instant to the last: least-squares slope times the span.

    Shapes: t, values float64[n], t ascending. The interval counts the residuals at their effective number, so that a
    slow swing is not mistaken for a drift.
    """
    n = len(values)
    span = float(t[-1] - t[0]) if n else 0.0
    if n < 8 or span <= 0:
        return Missing(f"needs 8 values at different instants, has {n}", n, unit)
    x = (t - t.mean()) / span
    spread = float(np.square(x).sum())
    rise = float((x * values).sum()) / spread
    residuals = values - values.mean() - rise * x
    time = autocorrelation_time(residuals)
    n_worth = n / time
    method = f"least squares; t interval, dependent: worth {n_worth:,.0f} of {n:,}"
    if n_worth <= 3:
        return Estimate(rise, -math.inf, math.inf, level, n, unit, method)
    variance = float(np.square(residuals).sum()) / (n - 2) * time / spread
    # The dependence was estimated from the same residuals: fewer degrees of freedom than values that they are worth.
    dof = n_worth - 2 if time == 1 else max(1.0, n_worth / DOUBT_OF_RESIDUALS)
    half = t_critical(dof, level) * math.sqrt(variance)
    return Estimate(rise, rise - half, rise + half, level, n, unit, method)
