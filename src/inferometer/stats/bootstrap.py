# SPDX-License-Identifier: Apache-2.0
"""The bootstrap, percentile and BCa, for statistics without a formula. The random generator is the caller's.

Hazard: poor for p99 of fewer than about 1,000 values (few distinct order statistics); use the rank interval there.
Hazard: the values are resampled one by one, so they must be independent: trials, not requests of one trial.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from scipy.special import ndtr, ndtri

from inferometer.stats.dependence import FloatArray
from inferometer.stats.estimate import LEVEL, Estimate, Missing

N_RESAMPLES = 2_000
_BLOCK = 4_000_000  # values drawn at a time: 32 MB

Statistic = Callable[[FloatArray], Any]  # reduces the last axis: float64[..., n] -> float64[...]


def bootstrap(
    values: FloatArray,
    statistic: Statistic,
    *,
    unit: str,
    rng: np.random.Generator,
    kind: Literal["percentile", "bca"] = "percentile",
    n_resamples: int = N_RESAMPLES,
    level: float = LEVEL,
) -> Estimate | Missing:
    """`statistic(values)` with a bootstrap interval.

    Shapes: values float64[n], independent; `statistic` reduces the last axis (`lambda x: x.mean(axis=-1)`).
    Source: Efron & Tibshirani 1993, ch. 13 (percentile) and 14 (BCa).
    """
    n = len(values)
    if n < 2:
        return Missing(f"needs 2 values, has {n}", n, unit)
    value = float(statistic(values))
    replicates = _replicates(values, statistic, rng, n_resamples)
    tail = (1 - level) / 2
    ends = (tail, 1 - tail) if kind == "percentile" else _bca_ends(values, statistic, value, replicates, tail)
    lo, hi = np.quantile(replicates, ends)
    method = f"{'BCa' if kind == 'bca' else 'percentile'} bootstrap, {n_resamples:,} resamples of {n:,} values"
    return Estimate(value, float(lo), float(hi), level, n, unit, method)


def _replicates(values: FloatArray, statistic: Statistic, rng: np.random.Generator, n_resamples: int) -> FloatArray:
    n = len(values)
    per_block = max(1, _BLOCK // n)
    parts = [
        np.asarray(statistic(values[rng.integers(0, n, (min(per_block, n_resamples - done), n))]))
        for done in range(0, n_resamples, per_block)
    ]
    return np.concatenate(parts)


def _bca_ends(
    values: FloatArray, statistic: Statistic, value: float, replicates: FloatArray, tail: float
) -> tuple[float, float]:
    """The two probabilities of the replicates' distribution at which the BCa interval ends."""
    below = np.mean(replicates < value) + np.mean(replicates == value) / 2
    n = len(replicates)
    bias = float(
        ndtri(min(max(below, 0.5 / n), 1 - 0.5 / n))
    )  # all on one side: the most extreme n replicates can tell
    jackknife = np.array([float(statistic(np.delete(values, i))) for i in range(len(values))])
    residuals = jackknife.mean() - jackknife
    spread = float(np.square(residuals).sum())
    skew = float(np.power(residuals, 3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0

    def end(p: float) -> float:
        shifted = bias + float(ndtri(p))
        room = 1 - skew * shifted
        return float(ndtr(bias + shifted / room)) if room > 0 else math.copysign(0.5, shifted) + 0.5

    return end(tail), end(1 - tail)
