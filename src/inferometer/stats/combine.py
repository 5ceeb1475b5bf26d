# SPDX-License-Identifier: Apache-2.0
"""Products, quotients and differences of estimates that were measured apart: their intervals, carried through.

Each side of an interval is carried by itself, in quadrature: errors of measurements made apart do not help each other.
A bound that one of them does not have, the result does not have either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from inferometer.stats.estimate import LEVEL, Estimate, Missing

Factor = tuple[Estimate | Missing, float]  # and its power: 1 multiplies, -1 divides


def product(factors: Sequence[Factor], *, unit: str, method: str, scale: float = 1.0) -> Estimate | Missing:
    """scale times each value to its power. Values must be > 0, else there is no such number.

    Source: first-order propagation of errors, on logarithms.
    """
    value, up2, down2, n, level = scale, 0.0, 0.0, [], LEVEL
    for factor, power in factors:
        if isinstance(factor, Missing):
            return Missing(factor.reason, factor.n, unit)
        if not 0 < factor.value < math.inf:
            return Missing(f"{factor.value:g} {factor.unit} cannot be reckoned with", factor.n, unit)
        up = math.log(factor.hi / factor.value) if math.isfinite(factor.hi) else math.inf
        down = math.log(factor.value / factor.lo) if factor.lo > 0 else math.inf
        if power < 0:
            up, down = down, up
        value *= factor.value**power
        up2, down2 = up2 + (power * up) ** 2, down2 + (power * down) ** 2
        n.append(factor.n)
        level = factor.level
    hi = value * math.exp(math.sqrt(up2)) if math.isfinite(up2) else math.inf
    lo = value * math.exp(-math.sqrt(down2)) if math.isfinite(down2) else 0.0
    if not math.isfinite(up2) and not math.isfinite(down2):
        lo = -math.inf  # nothing is known: that it is not below 0 is no interval
    return Estimate(value, lo, hi, level, min(n, default=0), unit, method)


def difference(a: Estimate | Missing, b: Estimate | Missing, *, method: str) -> Estimate | Missing:
    """a less b, of one unit."""
    for each in (a, b):
        if isinstance(each, Missing):
            return each
    assert isinstance(a, Estimate)
    assert isinstance(b, Estimate)
    value = a.value - b.value
    up, down = math.hypot(a.hi - a.value, b.value - b.lo), math.hypot(a.value - a.lo, b.hi - b.value)
    return Estimate(value, value - down, value + up, a.level, min(a.n, b.n), a.unit, method)
