# SPDX-License-Identifier: Apache-2.0
"""Limits: what the user asks of every request (`ttft<500ms`) and of the run as a whole (`ttft_p99<500ms`).

Rule 1: a failed or unfinished request misses every limit; percentiles of a limit on the run count failures as worst.
Rule 2: a limit on the run has three results: pass and fail need the whole interval on one side, everything else is
undecided. A gate (exit code 5) fails only where the point estimate is on the wrong side (`is_met` is False).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from inferometer.errors import UsageError
from inferometer.metrics.registry import METRICS, Metric, base_name
from inferometer.metrics.rows import Mask, is_ok, plan_of
from inferometer.records import Array, Trace
from inferometer.stats import Estimate, FloatArray, Missing
from inferometer.units import parse_duration_s

STATISTICS = {"mean": None, "p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999, "max": None}
WITH_FAILURES = "_with_failures"
_LIMIT = re.compile(r"\s*([a-z0-9_.]+)\s*(<=|>=|<|>)\s*([^\s<>=]+)\s*", re.ASCII)
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(.*)", re.ASCII)
_WRITTEN_UNITS = {"ratio": ("", "%"), "1/s": ("", "/s"), "tokens/s": ("", "/s", "tokens/s", "tok/s")}
_EXAMPLE = "write it like ttft<500ms (every request), ttft_p99<500ms or error<1% (the run)"


@dataclass(frozen=True, slots=True)
class Limit:
    """`metric statistic op value`. `statistic`: "" for a limit on every request, "value" for a metric per run."""

    text: str
    metric: str
    statistic: str
    op: Literal["<", "<=", ">", ">="]
    value: float  # in the metric's unit

    def holds(self, value: float) -> bool:
        """Is a number within the limit?"""
        match self.op:
            case "<":
                return value < self.value
            case "<=":
                return value <= self.value
            case ">":
                return value > self.value
            case ">=":
                return value >= self.value


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of a run, in the order given."""

    per_request: tuple[Limit, ...] = ()
    per_run: tuple[Limit, ...] = ()

    @property
    def text(self) -> str:
        return ",".join(limit.text for limit in (*self.per_request, *self.per_run))


@dataclass(frozen=True, slots=True)
class RunLimitResult:
    """How a limit on the run came out. `is_met`: by the point estimate; None where there is none."""

    limit: Limit
    observed: Estimate | Missing
    result: Literal["pass", "fail", "undecided"]
    is_met: bool | None


def parse_limits(text: str) -> Limits:
    """Limits out of `ttft<500ms,tpot<50ms,ttft_p99<1s,error<1%`.

    Raises: UsageError with the nearest known name, or an example.
    """
    limits = [_parse_one(part) for part in text.split(",") if part.strip()]
    per_request = tuple(limit for limit in limits if not limit.statistic)
    return Limits(per_request, tuple(limit for limit in limits if limit.statistic))


def limits_of(trace: Trace) -> Limits:
    """The limits a run was started with.

    Raises: UsageError if they cannot be read.
    """
    return parse_limits(str(plan_of(trace).get("slo") or ""))


def _parse_one(part: str) -> Limit:
    match = _LIMIT.fullmatch(part.lower())
    if match is None:
        raise UsageError(f"{part.strip()!r} is not a limit", _EXAMPLE)
    name, op, number = match.groups()
    metric, statistic = resolve(name, part.strip())
    if (op[0] == "<" and metric.better == "higher") or (op[0] == ">" and metric.better == "lower"):
        better = "less" if metric.better == "lower" else "more"
        raise UsageError(f"{part.strip()!r} asks for a bad {base_name(metric)}", f"{better} is better: turn the sign")
    value = _parse_value(number, metric, part.strip())
    return Limit(part.strip(), metric.name, statistic, op, value)  # type: ignore[arg-type]


def resolve(name: str, part: str) -> tuple[Metric, str]:
    """The metric and statistic that a name such as `ttft`, `ttft_s`, `ttft_p99`, `p99_ttft` or `error` means.

    `part`: what the user wrote. Raises: UsageError with the nearest known name.
    """
    names = _known_names()
    name = name.replace("p99.9", "p99_9")
    if name in names:
        return names[name]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    remedy = f"did you mean {near[0]}?" if near else _EXAMPLE
    raise UsageError(f"{part!r}: {name} is not a metric", remedy)


def _known_names() -> dict[str, tuple[Metric, str]]:
    names: dict[str, tuple[Metric, str]] = {}
    for metric in METRICS.values():
        base = base_name(metric)
        if metric.per == "run":
            names[base] = names[metric.name] = names[f"{base}_value"] = (metric, "value")
            continue
        # A limit on every gap of a request is one on its longest.
        each = METRICS["gap_max_s"] if metric.name == "gap_s" else metric
        if each.per == "request":
            names.setdefault(base, (each, ""))  # gap_max is the largest gap of the run; gap_max_s that of each request
            names[metric.name] = (each, "")
        for statistic in STATISTICS:
            for written in (f"{base}_{statistic}", f"{metric.name}_{statistic}", f"{statistic}_{base}"):
                names.setdefault(written, (metric, statistic))
    return names


def _parse_value(text: str, metric: Metric, part: str) -> float:
    if metric.unit in ("s", "s/token"):
        return parse_duration_s(text)
    match = _NUMBER.fullmatch(text)
    if match is None or match[2] not in _WRITTEN_UNITS.get(metric.unit, ("",)):
        raise UsageError(f"{part!r}: {text!r} is not a number of {metric.unit}", _EXAMPLE)
    value = float(match[1]) / (100 if match[2] == "%" else 1)
    if metric.unit == "ratio" and value > 1:
        raise UsageError(f"{part!r}: a share is at most 1", f"write {match[1]}%")
    return value


def meets(limit: Limit, values: FloatArray, requests: Array) -> Mask | None:
    """Which requests are within one limit; None if no success has this quantity at all.

    Shapes: values (of the limit's metric) float64[n_requests] -> bool[n_requests].

    A metric that an answer of one token cannot have (tpot, gaps) does not count against it; any other undefined value
    of a successful answer does.
    """
    ok = is_ok(requests)
    if ok.any() and np.isnan(values[ok]).all():
        return None
    is_short = (requests["n_output_tokens"] <= 1) & (requests["n_output_tokens"] >= 0)
    excused = np.isnan(values) & is_short & (limit.metric in _NEED_TWO_TOKENS)
    compare = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}[limit.op]
    return np.asarray(ok & (compare(values, limit.value) | excused))


_NEED_TWO_TOKENS = ("tpot_s", "user_speed_tokens_per_s", "gap_max_s")


def meets_all(limits: Limits, values: Mapping[str, FloatArray], requests: Array) -> Mask | None:
    """Which requests are within all limits per request; None where that cannot be told. Shapes: bool[n_requests]."""
    all_met: Mask | None = None
    for limit in limits.per_request:
        is_met = meets(limit, values[limit.metric], requests)
        if is_met is None:
            return None
        all_met = is_met if all_met is None else all_met & is_met
    return all_met


def judge(limit: Limit, metrics: Mapping[str, Mapping[str, Estimate | Missing]]) -> RunLimitResult:
    """One limit on the run against the summary's metrics; percentiles and the maximum count failures as worst."""
    statistics = metrics[limit.metric]
    observed = statistics.get(limit.statistic + WITH_FAILURES) or statistics.get(limit.statistic)
    if observed is None:
        observed = Missing(f"{limit.statistic} is not carried by this sample", 0, METRICS[limit.metric].unit)
    if isinstance(observed, Missing):
        return RunLimitResult(limit, observed, "undecided", None)
    is_met = limit.holds(observed.value)
    ends = (limit.holds(observed.lo), limit.holds(observed.hi))
    if is_met and all(ends):
        return RunLimitResult(limit, observed, "pass", True)
    if not is_met and not any(ends):
        return RunLimitResult(limit, observed, "fail", False)
    return RunLimitResult(limit, observed, "undecided", is_met)
