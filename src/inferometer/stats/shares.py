# SPDX-License-Identifier: Apache-2.0
"""Shares k of n: Wilson's interval (default) and Clopper and Pearson's (never too short)."""

from __future__ import annotations

import math

from scipy.special import betaincinv

from inferometer.stats.estimate import LEVEL, Estimate, Missing, z_critical


def wilson(
    k: int, n: int, *, n_eff: float | None = None, level: float = LEVEL, of: str = "values"
) -> Estimate | Missing:
    """k/n with the score interval of Wilson 1927; `n_eff` in place of n where the values depend on each other."""
    if n == 0:
        return Missing(f"needs 1 of {of}, has 0", 0, "ratio")
    p = k / n
    worth = float(n) if n_eff is None else min(float(n), max(1.0, n_eff))
    z2 = z_critical(level) ** 2
    centre = (p + z2 / (2 * worth)) / (1 + z2 / worth)
    half = math.sqrt(z2 * (p * (1 - p) / worth + z2 / (4 * worth**2))) / (1 + z2 / worth)
    lo = 0.0 if k == 0 else max(0.0, centre - half)
    hi = 1.0 if k == n else min(1.0, centre + half)
    dependent = "" if worth > n - 0.5 else f", dependent: worth {worth:,.0f} of {n:,}"
    return Estimate(p, lo, hi, level, n, "ratio", f"share of {of}; Wilson interval{dependent}")


def clopper_pearson(k: int, n: int, *, level: float = LEVEL, of: str = "values") -> Estimate | Missing:
    """k/n with the exact interval of Clopper and Pearson 1934: covers at least as often as it says."""
    if n == 0:
        return Missing(f"needs 1 of {of}, has 0", 0, "ratio")
    tail = (1 - level) / 2
    lo = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))
    hi = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - tail))
    return Estimate(k / n, lo, hi, level, n, "ratio", f"share of {of}; Clopper-Pearson interval")
