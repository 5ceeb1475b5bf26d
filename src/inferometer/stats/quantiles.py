# SPDX-License-Identifier: Apache-2.0
"""Percentiles: type 7 (linear interpolation) with distribution-free intervals from order statistics.

Rule 1: a percentile q of fewer than 1/(1-q) values is Missing. Rule 2: infinite values are allowed (failures counted as
worst); a percentile that reaches them is infinite, never interpolated.
"""

from __future__ import annotations

import math

from scipy.special import bdtr, bdtrik

from inferometer.stats.dependence import FloatArray
from inferometer.stats.estimate import LEVEL, Estimate, Missing


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


def _method(n: int, n_worth: int, of: str) -> str:
    worth = "" if n_worth == n else f", dependent: worth {n_worth:,} of {n:,}"
    return f"type 7 over {of}; binomial rank interval{worth}"
