# SPDX-License-Identifier: Apache-2.0
"""Two verdicts on each of the same items, and rare events counted over two lengths.

Source: McNemar 1947, mid-p after Fagerland et al. 2013; Bonett & Price 2012 for the difference; Przyborowski & Wilenski
1940 for the ratio of two rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import bdtr, betaincinv, gammaincinv

from inferometer.stats.estimate import LEVEL, Estimate, Missing, z_critical

_POWER_FACTOR = 7.85  # (z of 0.975 + z of 0.8) squared: found in four of five such comparisons, at 5 %


@dataclass(frozen=True, slots=True)
class Paired:
    """Items judged twice. `n_lost`: right the first time only, `n_won`: the second time only. `difference`: of the
    shares that are right, second less first. `p`: two-sided, of "one is lost as easily as won"."""

    n: int
    n_lost: int
    n_won: int
    difference: Estimate | Missing
    p: float


def paired(n: int, n_lost: int, n_won: int, *, level: float = LEVEL) -> Paired:
    return Paired(n, n_lost, n_won, _difference(n, n_lost, n_won, level), mcnemar(n_lost, n_won))


def mcnemar(n_lost: int, n_won: int) -> float:
    """Two-sided mid-p of McNemar's exact test."""
    n, k = n_lost + n_won, min(n_lost, n_won)
    if n_lost == n_won:
        return 1.0
    at_most = float(bdtr(k, n, 0.5))
    below = float(bdtr(k - 1, n, 0.5)) if k else 0.0
    return min(1.0, at_most + below)


def _difference(n: int, n_lost: int, n_won: int, level: float) -> Estimate | Missing:
    if not n:
        return Missing("no item was judged twice", 0, "ratio")
    lost, won, worth = (n_lost + 1) / (n + 2), (n_won + 1) / (n + 2), n + 2
    centre = won - lost
    half = z_critical(level) * math.sqrt((won + lost - centre * centre) / worth)
    method = f"difference of shares over {n:,} items judged twice; Bonett-Price interval"
    return Estimate((n_won - n_lost) / n, max(-1.0, centre - half), min(1.0, centre + half), level, n, "ratio", method)


def n_items_needed(difference: float, discordant_ratio: float) -> int:
    """Items with which a difference of shares is found in four of five comparisons, if that share of them differs."""
    return math.ceil(_POWER_FACTOR * max(discordant_ratio, abs(difference)) / (difference * difference))


def rate(n_events: int, length: float, *, unit: str, of: str, level: float = LEVEL) -> Estimate | Missing:
    """Events per length, with the exact interval for a Poisson count (Garwood 1936)."""
    if not length:
        return Missing(f"no {of} to count over", 0, unit)
    tail = (1 - level) / 2
    lo = float(gammaincinv(n_events, tail)) / length if n_events else 0.0
    hi = float(gammaincinv(n_events + 1, 1 - tail)) / length
    method = f"{n_events:,} in {length:,.0f} {of}; exact Poisson interval"
    return Estimate(n_events / length, lo, hi, level, n_events, unit, method)


def rate_ratio(n_a: int, length_a: float, n_b: int, length_b: float, *, level: float = LEVEL) -> Estimate | Missing:
    """Rate of b over that of a, given how many there were together; where a had none, what it is at least."""
    n = n_a + n_b
    if not n or not length_a or not length_b:
        return Missing("there was none to compare", n, "times")
    tail, scale = (1 - level) / 2, length_a / length_b
    lo = float(betaincinv(n_b, n_a + 1, tail)) if n_b else 0.0
    lo = scale * lo / (1 - lo) if lo < 1 else math.inf
    if not n_a:
        return Missing(f"none in the first, at least {lo:.2g} times", n, "times")
    hi = float(betaincinv(n_b + 1, n_a, 1 - tail))
    method = "ratio of two rates, given their sum; exact interval"
    return Estimate(scale * n_b / n_a, lo, scale * hi / (1 - hi), level, n, "times", method)
