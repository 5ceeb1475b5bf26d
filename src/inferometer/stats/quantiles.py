# SPDX-License-Identifier: Apache-2.0
"""Percentiles: type 7 (linear interpolation) with distribution-free intervals from order statistics.

Rule 1: a percentile q of fewer than 1/(1-q) values is Missing. Rule 2: infinite values are allowed (failures counted as
worst); a percentile that reaches them is infinite, never interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr, bdtrik

from inferometer.stats.dependence import FloatArray, autocorrelation_time, careful_n, effective_n, ranks
from inferometer.stats.estimate import LEVEL, Estimate, Missing

TAIL = 0.25  # of the values on one side of a percentile, or fewer: busy times are not seen in these alone


def quantile(ordered: FloatArray, q: float) -> float:
    """Type 7, as numpy's default. `ordered`: float64[n], n >= 1, ascending; may end in inf."""
    at = (len(ordered) - 1) * q
    below = math.floor(at + 1e-9)  # 0.99 * 100 is 99.00000000000001 or 98.99999999999999 by luck of rounding
    share = max(at - below, 0.0)
    low = float(ordered[below])
    if share < 1e-9 or low == math.inf:
        return low
    return low + share * (float(ordered[below + 1]) - low)


def n_needed(q: float) -> int:
    """Fewest values of which a percentile is printed: one of them is expected beyond it."""
    return math.ceil(1 / (1 - q) - 1e-9)


def rank_interval(n: int, q: float, level: float = LEVEL) -> tuple[int | None, int | None]:
    """Ranks (1-based) of the order statistics that enclose quantile q of independent values; None: no such bound.

    With B ~ Binomial(n, q) the number of values at or below the quantile, the lower rank is the largest l with
    P(B < l) <= (1 - level) / 2, the upper the smallest u with P(B >= u) <= (1 - level) / 2.
    Source: David & Nagaraja 2003, Order Statistics, 7.1.
    """
    tail = (1 - level) / 2
    lower = _largest_rank(n, q, tail)
    mirrored = _largest_rank(n, 1 - q, tail)
    return (lower or None, n + 1 - mirrored if mirrored else None)


def _largest_rank(n: int, q: float, tail: float) -> int:
    """Largest l with P(Binomial(n, q) < l) <= tail; 0 if there is none."""
    if bdtr(0, n, q) > tail:
        return 0
    rank = int(bdtrik(tail, n, q)) + 1
    while rank > 1 and bdtr(rank - 1, n, q) > tail:
        rank -= 1
    while rank < n and bdtr(rank, n, q) <= tail:
        rank += 1
    return rank


def quantile_estimate(
    ordered: FloatArray, q: float, *, unit: str, n_eff: float | None = None, of: str = "values", level: float = LEVEL
) -> Estimate | Missing:
    """Quantile q with its rank interval.

    Shapes: ordered float64[n], ascending. `n_eff`: effective sample size where the values depend on each other; the
    ranks are then those of a sample that large, stretched to this one. `of`: what the values are, for `method`.
    """
    n = len(ordered)
    if n < n_needed(q):
        return Missing(f"needs {n_needed(q)} {of}, has {n}", n, unit)
    n_worth = n if n_eff is None else max(1, min(n, math.floor(n_eff)))
    low, high = rank_interval(n_worth, q, level)
    lo, hi = -math.inf, math.inf
    if low is not None and (rank := low * (n + 1) // (n_worth + 1)) >= 1:
        lo = float(ordered[rank - 1])
    if high is not None and (rank := -(-high * (n + 1) // (n_worth + 1))) <= n:
        hi = float(ordered[rank - 1])
    value = quantile(ordered, q)
    # Stretched ranks of a very small effective sample may fall on one side of the interpolated value.
    return Estimate(value, min(lo, value), max(hi, value), level, n, unit, _method(n, n_worth, of))


def effective_n_of_quantiles(values: FloatArray, ordered: FloatArray, qs: Sequence[float]) -> list[float]:
    """How many independent values an ordered series is worth for each of these percentiles: `n_eff` of their intervals.

    By how the share of it at or below the percentile repeats itself. Of a tail that tells too little: its few values
    come in busy times, of which a run meets a handful, but the ranks of all values show how long these last. There the
    time is the geometric mean of both, and what is left is counted carefully; by simulation (benchmarks/coverage.py).
    Shapes: values float64[n], as they came, inf allowed; `ordered`: the same, ascending.
    """
    n = len(values)
    of_all = autocorrelation_time(ranks(values)) if any(_is_tail(q) for q in qs) else 1.0
    worth = []
    for q in qs:
        below = (values <= quantile(ordered, q)).astype(np.float64)
        if _is_tail(q):
            time = autocorrelation_time(below)
            worth.append(careful_n(n / math.sqrt(time * max(time, of_all)), n))
        else:
            worth.append(effective_n(below))
    return worth


def _is_tail(q: float) -> bool:
    return min(q, 1 - q) <= TAIL


def _method(n: int, n_worth: int, of: str) -> str:
    worth = "" if n_worth == n else f", dependent: worth {n_worth:,} of {n:,}"
    return f"type 7 over {of}; binomial rank interval{worth}"
