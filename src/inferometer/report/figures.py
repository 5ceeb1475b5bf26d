# SPDX-License-Identifier: Apache-2.0
"""One estimate as text: in a unit a person would choose, with as many digits as its interval deserves.

Rule 1: value and bounds have the same number of decimals: three significant digits, a fourth where only that one shows
the interval, two where the interval is wide.
Rule 2: what cannot be told is `-`, never a number, and a bound that the sample cannot give is not made up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from inferometer.stats import Estimate, Missing

UNKNOWN = "-"
MAX_DECIMALS = 6  # below a millionth of the smallest unit lies nothing that anybody measures
MAX_PERCENT_DECIMALS = 2
WIDE = 0.25  # half-width over value from which the third digit says nothing
MIN_SEEN = 0.1  # of the third digit: a half-width below it stays invisible with four digits, so three are enough
BEYOND = "failed"  # a percentile that counts failures as worst and falls among them


@dataclass(frozen=True, slots=True)
class Scale:
    """How numbers are printed: multiplied by `factor`, followed by `unit` (with its leading blank, if it wants one)."""

    factor: float
    unit: str


PLAIN = Scale(1.0, "")
PERCENT = Scale(100.0, " %")
_SECONDS = (Scale(1.0, " s"), Scale(1e3, " ms"), Scale(1e6, " us"))
_BYTES = ((1e9, Scale(1e-9, " GB")), (1e6, Scale(1e-6, " MB")), (1e3, Scale(1e-3, " kB")), (0.0, Scale(1.0, " bytes")))
_RATES = {"1/s": "/s", "1/1000 tokens": " per 1,000 tokens"}


def scale_of(figures: Iterable[Estimate | Missing]) -> Scale:
    """The unit for figures that stand in one row: that of the largest value (s from 10 s on, ms from 1 ms on; GB, MB
    and kB of 1,000)."""
    known = list(figures)
    sizes = [abs(figure.value) for figure in known if isinstance(figure, Estimate) and math.isfinite(figure.value)]
    return scale_for(known[0].unit if known else "", max(sizes, default=0.0))


def scale_for(unit: str, largest: float) -> Scale:
    """The unit for numbers of which this is the largest; `unit`: as in an Estimate."""
    if unit == "ratio":
        return PERCENT
    if unit in ("s", "s/token"):
        scale = _SECONDS[0 if largest >= 10 else 1 if largest >= 1e-3 or not largest else 2]
        return Scale(scale.factor, scale.unit + unit[1:])
    if unit == "bytes":
        return next(scale for least, scale in _BYTES if largest >= least)
    return Scale(1.0, _RATES.get(unit, f" {unit}".rstrip()))


def figure(estimate: Estimate | Missing, scale: Scale) -> tuple[str, str]:
    """Value and interval without the unit: `("182", "[176, 190]")`, one-sided `("611", "[>= 540]")`, `("-", "")`.

    No bracket: known exactly. `[?]`: the sample gives no interval at all.
    """
    if isinstance(estimate, Missing) or math.isnan(estimate.value):
        return UNKNOWN, ""
    value, lo, hi = (number * scale.factor for number in (estimate.value, estimate.lo, estimate.hi))
    decimals = min(n_decimals(value, lo, hi), MAX_PERCENT_DECIMALS if scale == PERCENT else MAX_DECIMALS)
    return _fixed(value, decimals), _interval(value, lo, hi, decimals)


def figure_text(estimate: Estimate | Missing, scale: Scale | None = None) -> str:
    """Value, interval and unit: `182 [176, 190] ms`; what is missing says so: `- (needs 100 requests, has 57)`."""
    if isinstance(estimate, Missing):
        return f"{UNKNOWN} ({estimate.reason})"
    scale = scale_of([estimate]) if scale is None else scale
    value, interval = figure(estimate, scale)
    return f"{value}{' ' if interval else ''}{interval}{scale.unit}"


def value_text(estimate: Estimate | Missing, scale: Scale | None = None) -> str:
    """The value and its unit alone, where an interval beside it would be noise: `0.30 ms`, `0.04 %`."""
    scale = scale_of([estimate]) if scale is None else scale
    if isinstance(estimate, Missing):
        return UNKNOWN
    value, _ = figure(replace(estimate, lo=estimate.value, hi=estimate.value), scale)
    return f"{value}{scale.unit}"


def n_decimals(value: float, lo: float, hi: float) -> int:
    """Decimals for a value and its bounds, all in printed units; infinite bounds are no bounds."""
    bounds = [bound for bound in (lo, hi) if math.isfinite(bound) and bound != value]
    if not math.isfinite(value):
        value, bounds = max(map(abs, bounds), default=0.0), []
    half = sum(abs(bound - value) for bound in bounds) / len(bounds) if bounds else 0.0
    size = max(abs(value), half)
    if not size:
        return 0
    three = min(max(2 - _exponent(size), 0), MAX_DECIMALS)
    if half > WIDE * size:
        return max(three - 1, 0)
    return three + 1 if MIN_SEEN <= half * 10.0**three < 1 and three < MAX_DECIMALS else three


def _exponent(value: float) -> int:
    return math.floor(math.log10(value))


def _fixed(value: float, decimals: int) -> str:
    if math.isinf(value):
        return BEYOND
    text = f"{value:,.{decimals}f}"
    return text.removeprefix("-") if not text.strip("-0.,") else text


def _interval(value: float, lo: float, hi: float, decimals: int) -> str:
    if lo == hi == value:
        return ""
    if math.isfinite(lo) and math.isfinite(hi):
        return f"[{_fixed(lo, decimals)}, {_fixed(hi, decimals)}]"
    if math.isfinite(lo):
        return f"[>= {_fixed(lo, decimals)}]"
    if math.isfinite(hi):
        return f"[<= {_fixed(hi, decimals)}]"
    return "[?]"
