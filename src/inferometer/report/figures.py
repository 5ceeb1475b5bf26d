# SPDX-License-Identifier: Apache-2.0
"""One estimate as text: in a unit a person would choose, with as many digits as its interval deserves.

Rule 1: value and bounds have the same number of decimals. The interval decides it, by the rule of the Particle Data
Group (Review of Particle Physics, introduction, 5.3): of half its width two digits are shown if they lie below 3.55,
else one. Never fewer than two nor more than four significant digits of the value.
Rule 2: what cannot be told is `-`, never a number; a bound that the sample cannot give is not made up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from inferometer.stats import Estimate, Missing

MISSING = "-"


@dataclass(frozen=True, slots=True)
class Scale:
    """How numbers of one row are printed: multiplied by `factor`, called `unit`."""

    factor: float
    unit: str


PERCENT = Scale(100.0, "%")
_SECONDS = (Scale(1.0, "s"), Scale(1e3, "ms"), Scale(1e6, "us"))
_BYTES = (Scale(1e-9, "GB"), Scale(1e-6, "MB"), Scale(1e-3, "kB"), Scale(1.0, "B"))


def scale_of(figures: Iterable[Estimate | Missing]) -> Scale:
    """The unit for figures that stand in one row: the one that suits the largest value (10 s and more in s, 1 ms in ms)."""
    known = list(figures)
    unit = known[0].unit if known else ""
    sizes = [abs(figure.value) for figure in known if isinstance(figure, Estimate) and math.isfinite(figure.value)]
    largest = max(sizes, default=0.0)
    head, _, per = unit.partition("/")
    if head == "s":
        scale = _SECONDS[0 if largest >= 10 else 1 if largest >= 1e-3 or not largest else 2]
    elif head == "bytes":
        scale = next((scale for scale in _BYTES if largest * scale.factor >= 1), _BYTES[-1])
    else:
        scale = Scale(1.0, head)
    return Scale(scale.factor, f"{scale.unit}/{per}" if per else scale.unit)


def figure(estimate: Estimate | Missing, scale: Scale) -> tuple[str, str]:
    """Value and interval, without the unit: `("182", "[176, 190]")`; one-sided `("611", "[>= 540]")`; unknown `("-", "")`."""
    if isinstance(estimate, Missing) or math.isnan(estimate.value):
        return MISSING, ""
    value, lo, hi = (number * scale.factor for number in (estimate.value, estimate.lo, estimate.hi))
    decimals = n_decimals(value, lo, hi)
    return _fixed(value, decimals), _interval(lo, hi, decimals)


def figure_text(estimate: Estimate | Missing, scale: Scale | None = None) -> str:
    """Value, interval and unit in one string: `182 ms [176, 190]`; a unit-less ratio: `1.002 [0.998, 1.007]`."""
    scale = scale_of([estimate]) if scale is None else scale
    value, interval = figure(estimate, scale)
    unit = "" if scale.unit in ("", "ratio") or value == MISSING else scale.unit
    unit = unit if not unit or unit[0] in "/%" else f" {unit}"
    return f"{value}{unit} {interval}".rstrip()


def n_decimals(value: float, lo: float, hi: float) -> int:
    """Decimals for a value and its bounds, all in printed units; infinite bounds are no bounds."""
    if not math.isfinite(value):
        return 0
    distances = [abs(bound - value) for bound in (lo, hi) if math.isfinite(bound) and bound != value]
    exponent = _exponent(value) if value else _exponent(max(distances, default=1.0))
    if not distances:
        return max(2 - exponent, 0)
    half = sum(distances) / len(distances)
    wanted = (1 if half / 10.0 ** _exponent(half) < 3.55 else 0) - _exponent(half)
    return max(min(max(wanted, 1 - exponent), 3 - exponent), 0)


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def _fixed(value: float, decimals: int) -> str:
    if math.isinf(value):
        return "never" if value > 0 else "-inf"
    text = f"{value:,.{decimals}f}"
    return text.removeprefix("-") if not text.strip("-0.,") else text


def _interval(lo: float, hi: float, decimals: int) -> str:
    if math.isfinite(lo) and math.isfinite(hi):
        return f"[{_fixed(lo, decimals)}, {_fixed(hi, decimals)}]"
    if math.isfinite(lo):
        return f"[>= {_fixed(lo, decimals)}]"
    if math.isfinite(hi):
        return f"[<= {_fixed(hi, decimals)}]"
    return ""
