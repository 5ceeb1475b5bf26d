# SPDX-License-Identifier: Apache-2.0
"""A series of few numbers, each with its interval, as it is drawn and saved; and an axis that holds several of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from inferometer.report.html.axis import Axis, axis
from inferometer.report.html.chart import points, whiskers
from inferometer.report.html.element import Element
from inferometer.stats import Estimate, FloatArray, Missing

LOG_FROM = 8.0  # largest over smallest value from which an axis is logarithmic


@dataclass(frozen=True, slots=True)
class Series:
    """Shapes: float64[n] each, NaN where there is no number, infinite where an interval has no end."""

    values: FloatArray
    lo: FloatArray
    hi: FloatArray

    @staticmethod
    def of(figures: Iterable[Estimate | Missing]) -> Series:
        rows = [
            (told.value, told.lo, told.hi) if isinstance(told, Estimate) else (math.nan, math.nan, math.nan)
            for told in figures
        ]
        values, lo, hi = np.array(rows, np.float64).reshape(-1, 3).T
        return Series(values, lo, hi)

    @staticmethod
    def exact(values: FloatArray) -> Series:
        """What was chosen, not measured."""
        return Series(values, np.full(len(values), math.nan), np.full(len(values), math.nan))

    def where(self, is_in: Sequence[bool]) -> Series:
        """The same with nothing at the other places."""
        mask = np.asarray(is_in, bool)
        values, lo, hi = (np.where(mask, part, math.nan) for part in (self.values, self.lo, self.hi))
        return Series(values, lo, hi)

    @property
    def is_empty(self) -> bool:
        return not np.isfinite(self.values).any()

    @property
    def last(self) -> float:
        """The last number that is known: where a line ends. Raises: IndexError if none is."""
        return float(self.values[np.isfinite(self.values)][-1])

    @property
    def ends(self) -> FloatArray:
        """Every finite value and bound."""
        ends = np.concatenate([self.values, self.lo, self.hi])
        return np.asarray(ends[np.isfinite(ends)])

    def columns(self, name: str) -> tuple[tuple[str, FloatArray], ...]:
        """For a figure's data; a bound that the sample does not give is an empty cell."""
        lo, hi = (np.where(np.isfinite(bound), bound, math.nan) for bound in (self.lo, self.hi))
        return ((name, self.values), (f"{name}_lo", lo), (f"{name}_hi", hi))


def axis_over(
    name: str,
    series: Sequence[Series],
    unit: str,
    *,
    more: Sequence[float] = (),
    n_steps: int = 5,
    is_from_zero: bool = False,
) -> Axis:
    """From 0, or unless `is_from_zero` logarithmic where values lie far apart. `more`: other values that it has to
    hold."""
    ends = np.concatenate([np.array(more, np.float64), *(each.ends for each in series)])
    values = np.concatenate([each.values[np.isfinite(each.values)] for each in series])
    hi = float(ends.max(initial=0.0)) or 1.0
    is_wide = len(values) > 0 and values.min() > 0 and values.max() > LOG_FROM * values.min()
    if is_wide and not is_from_zero:
        lo = min(float(values.min()), *(float(end) for end in ends if end > values.min() / 2), hi)
        return axis(name, lo, hi, unit=unit, is_log=True, n_steps=n_steps)
    return axis(name, 0.0, hi, unit=unit, is_rounded=True, n_steps=n_steps)


def marks_of(x: Axis, y: Axis, xs: Series, ys: Series, colour: str) -> list[Element]:
    """A mark for each pair of numbers, with the intervals of both."""
    return [
        whiskers(x, y, xs.values, ys.values, ys.lo, ys.hi, colour, is_flat=False),
        whiskers(x, y, xs.values, ys.values, xs.lo, xs.hi, colour, is_flat=True),
        points(x, y, xs.values, ys.values, colour),
    ]
