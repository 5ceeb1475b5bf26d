# SPDX-License-Identifier: Apache-2.0
"""An axis of a chart: from values to places along it, and the few round values that are written beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from inferometer.report.figures import Scale, scale_for
from inferometer.stats import FloatArray

_LOG_STEPS = ((1, 2, 5), (1, 3), (1,))  # within each power of ten, finest first
MIN_LOG_TICKS, MORE_LOG_TICKS = 3, 2  # the latter beside the steps that were asked for


@dataclass(frozen=True, slots=True)
class Axis:
    """`lo` and `hi` in base units; `ticks` are (value, text); `name`: what it shows, with its unit."""

    name: str
    lo: float
    hi: float
    is_log: bool
    ticks: tuple[tuple[float, str], ...]

    def at(self, values: FloatArray | float) -> FloatArray:
        """Places between 0 (lo) and 1 (hi); what lies outside is on the nearer end."""
        inside = np.clip(np.asarray(values, np.float64), self.lo, self.hi)
        if self.is_log:
            return np.asarray(np.log(inside / self.lo) / math.log(self.hi / self.lo))
        return np.asarray((inside - self.lo) / (self.hi - self.lo))


def axis(
    what: str,
    lo: float,
    hi: float,
    *,
    unit: str = "",
    is_log: bool = False,
    is_rounded: bool = False,
    n_steps: int = 5,
) -> Axis:
    """An axis over at least lo to hi, lo < hi; about `n_steps` steps. `unit`: as in an Estimate; `is_rounded`: ends
    are steps too."""
    scale = scale_for(unit, max(abs(lo), abs(hi)))
    lo, hi = lo * scale.factor, hi * scale.factor
    steps = _log_steps(lo, hi, n_steps) if is_log else _even_steps(lo, hi, is_rounded, n_steps)
    if is_rounded and not is_log:
        lo, hi = min(lo, steps[0]), max(hi, steps[-1])
    ticks = tuple((value / scale.factor, _text(value, steps)) for value in steps)
    return Axis(_named(what, scale), lo / scale.factor, hi / scale.factor, is_log, ticks)


def _named(what: str, scale: Scale) -> str:
    unit = scale.unit.strip().replace("us", "µs")
    return ", ".join(word for word in (what, unit) if word)


def _even_steps(lo: float, hi: float, is_rounded: bool, n_steps: int) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten: those inside, or with `is_rounded` one more at each end."""
    rough = (hi - lo) / n_steps
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= rough * (1 - 1e-9))
    first, last = lo / step, hi / step
    first = math.floor(first + 1e-9) if is_rounded else math.ceil(first - 1e-9)
    last = math.ceil(last - 1e-9) if is_rounded else math.floor(last + 1e-9)
    return [k * step for k in range(int(first), int(last) + 1)]


def _log_steps(lo: float, hi: float, n_steps: int) -> list[float]:
    powers = range(math.floor(math.log10(lo)), math.ceil(math.log10(hi)) + 1)
    for within in _LOG_STEPS:
        steps = [each * 10.0**power for power in powers for each in within]
        inside = [step for step in steps if lo <= step <= hi]
        if len(inside) <= n_steps + MORE_LOG_TICKS:
            break
    return inside if len(inside) >= MIN_LOG_TICKS else _even_steps(lo, hi, is_rounded=False, n_steps=4)


def _text(value: float, steps: list[float]) -> str:
    """With as many decimals as the steps need to be told apart; each power of its own on a logarithmic axis."""
    gap = min((b - a for a, b in pairwise(steps)), default=abs(value) or 1.0)
    is_even = len(steps) < 3 or math.isclose(steps[1] - steps[0], steps[-1] - steps[-2], rel_tol=1e-6)
    size = gap if is_even else abs(value)
    decimals = 0
    while decimals < 6 and abs(round(size, decimals) - size) > 1e-9 * max(size, 1e-9):
        decimals += 1
    return f"{value + 0.0:,.{decimals}f}"
