# SPDX-License-Identifier: Apache-2.0
"""A gate: conditions such as `ttft_p99>+5%` on a run against a baseline, judged by the same test as a comparison.

Rule 1: a gate fails only where the whole interval of the ratio lies beyond the tolerance, at 5 % over all conditions
together (Holm). Where the interval merely reaches beyond, it warns: more trials would tell.
Rule 2: it never fails by a verdict on the runs themselves; what is invalid or incomparable is refused before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from inferometer.analysis.compare import ALPHA, Comparison, Row
from inferometer.analysis.curve import Kind, Sweep, throughputs_by_law
from inferometer.analysis.side import Quantity, parse_quantity
from inferometer.errors import UsageError
from inferometer.stats import Estimate, Missing, exact
from inferometer.stats.trials import holm

_CONDITION = re.compile(r"\s*([A-Za-z0-9_.]+)\s*([<>])\s*([+-])\s*(\d+(?:\.\d+)?)\s*%\s*", re.ASCII)
_EXAMPLE = "write it like ttft_p99>+5% or output_throughput<-3%"
# Of the load at the knee. Beyond it the scatter from run to run is unbounded, and a gate fails by chance.
SAFE_SHARE_OF_KNEE = 0.9

Result = Literal["pass", "warn", "fail", "undecided"]


@dataclass(frozen=True, slots=True)
class Condition:
    """Fails where the quantity is above (`is_above`) or below the baseline by more than `change` (log of the ratio)."""

    text: str
    quantity: Quantity
    is_above: bool
    change: float

    @property
    def limit(self) -> float:
        """The ratio at which it begins to fail."""
        return math.exp(self.change)


@dataclass(frozen=True, slots=True)
class Judged:
    """One condition and how it came out. `p`: of "the limit is kept", over all conditions; NaN without a ratio."""

    condition: Condition
    row: Row
    result: Result
    p: float


@dataclass(frozen=True, slots=True)
class Gate:
    """`warnings`: what makes the gate itself doubtful."""

    comparison: Comparison
    judged: tuple[Judged, ...]
    warnings: tuple[str, ...] = ()

    @property
    def is_failed(self) -> bool:
        return any(each.result == "fail" for each in self.judged)

    @property
    def is_undecided(self) -> bool:
        """It did not fail, but some condition could not be judged: whether all of them hold is not known."""
        return not self.is_failed and any(each.result == "undecided" for each in self.judged)


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Conditions out of `ttft_p99>+5%,output_throughput<-3%`. Raises: UsageError with an example."""
    conditions = tuple(_parse_one(part) for part in text.split(",") if part.strip())
    if not conditions:
        raise UsageError("--fail names no condition", _EXAMPLE)
    return conditions


def _parse_one(part: str) -> Condition:
    match = _CONDITION.fullmatch(part)
    if match is None:
        raise UsageError(f"{part.strip()!r} is not a condition", _EXAMPLE)
    quantity, is_above = parse_quantity(match[1]), match[2] == ">"
    sign = 1 if match[3] == "+" else -1
    ratio = 1 + sign * float(match[4]) / 100
    if ratio <= 0:
        raise UsageError(f"{part.strip()!r}: nothing falls by more than 100 %", _EXAMPLE)
    if (sign > 0) != is_above:
        raise UsageError(f"{part.strip()!r} would fail without any change", f"turn the sign: {_EXAMPLE}")
    if quantity.of.better == ("higher" if is_above else "lower"):
        raise UsageError(f"{part.strip()!r} would fail on what gets better", f"turn it round: {_EXAMPLE}")
    return Condition(part.strip(), quantity, is_above, math.log(ratio))


def judge(comparison: Comparison, conditions: Sequence[Condition], warnings: Sequence[str] = ()) -> Gate:
    """`comparison`: of the baseline and the run, with every quantity of the conditions in its family."""
    rows = {row.quantity: row for row in comparison.rows}
    told = [(condition, rows[condition.quantity]) for condition in conditions]
    p = np.array([_p_kept(condition, row) for condition, row in told])
    is_known = ~np.isnan(p)
    p[is_known] = holm(p[is_known])
    judged = tuple(
        Judged(condition, row, _result(condition, row, p_family), p_family)
        for (condition, row), p_family in zip(told, p.tolist(), strict=True)
    )
    return Gate(comparison, judged, tuple(warnings))


def _p_kept(condition: Condition, row: Row) -> float:
    """One-sided p of "the ratio is within the limit", twice: beside two-sided ones, and beside 95 % intervals."""
    if row.found is None:
        return math.nan
    shifts = row.found.shifts
    one_sided = shifts.p_not_above(condition.change) if condition.is_above else shifts.p_not_below(condition.change)
    return min(1.0, 2 * one_sided)


def _result(condition: Condition, row: Row, p: float) -> Result:
    if isinstance(row.ratio, Missing):
        return "undecided"
    if p <= ALPHA:
        return "fail"
    return "warn" if _reaches_beyond(condition, row.ratio) else "pass"


def _reaches_beyond(condition: Condition, ratio: Estimate) -> bool:
    return ratio.hi > condition.limit if condition.is_above else ratio.lo < condition.limit


def knee_warning(load: float, knee: float, unit: str) -> str:
    """What to say of a gate at a load this close to the knee; "" if it is well below."""
    if load <= SAFE_SHARE_OF_KNEE * knee:
        return ""
    safe = SAFE_SHARE_OF_KNEE * knee
    return (
        f"the gate sits on the knee: {load:g} {unit} is {100 * load / knee:.0f} % of the {knee:.4g} at which this "
        f"server saturates; latencies there differ from run to run without cause. Gate at {safe:.3g} or less"
    )


def is_well_below(sweep: Sweep, load: float, kind: Kind) -> bool:
    """Whether a rate is safely below one that was sustained, so that the knee lies above, wherever it is."""
    borne = sweep.sustained
    return sweep.kind == kind == "rate" and borne is not None and load <= SAFE_SHARE_OF_KNEE * borne.load


def knee_of(sweep: Sweep, kind: Kind) -> Estimate | Missing:
    """Where a server saturates, as a load of that kind: the knee of a closed loop, in an open loop the throughput that
    the law has there; of a sweep over rates the highest rate that was sustained, if one was not."""
    unit = "requests" if kind == "concurrency" else "1/s"
    if sweep.kind == "rate":
        if kind != "rate":
            return Missing("it is over rates, and the gate is on requests in flight", 0, unit)
        borne, beyond, n = sweep.sustained, sweep.beyond, len(sweep.once)
        if borne is None or beyond is None or not beyond.limit:
            most = f"{borne.load:g}/s" if borne is not None else "any rate"
            return Missing(f"no saturation seen up to {most}", n, unit)
        return exact(borne.load, n=n, unit=unit, method="highest rate that was sustained")
    if sweep.law is None:
        return Missing(sweep.no_law or "it has no law", len(sweep.once), unit)
    knee = sweep.law.knee_load.figure
    if isinstance(knee, Missing) or kind == "concurrency":
        return knee
    lo, value, hi = throughputs_by_law(sweep.law, np.array([knee.lo, knee.value, knee.hi])).tolist()
    return Estimate(
        value, min(lo, value), max(hi, value), knee.level, knee.n, unit, f"throughput at the knee; {knee.method}"
    )


def unlike(sweep: Sweep, plan: Mapping[str, Any], engine: Mapping[str, Any]) -> str:
    """What a sweep has another way than a run, so that its knee is not the run's; "": nothing."""
    told = [(name, sweep.plan.get(name), plan.get(name)) for name in ("input_tokens", "output_tokens", "shared_prefix")]
    told.append(("model", sweep.engine.get("model"), engine.get("model")))
    return ", ".join(f"{name} {theirs} and {ours}" for name, theirs, ours in told if theirs != ours)
