# SPDX-License-Identifier: Apache-2.0
"""A turn of one candidate: what its runs say at each load, within the limits asked for and within others.

Rule: a run gives one number of each kind per trial; runs, not requests, are what candidates are told apart by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from inferometer.metrics.registry import METRICS
from inferometer.metrics.slo import Limit, Limits, meets_all
from inferometer.metrics.summary import Summary
from inferometer.metrics.trial import Trial, trials_of
from inferometer.records import Trace
from inferometer.stats import Missing, autocorrelation_time

TIGHT, ASKED, LOOSE = 0.5, 1.0, 2.0
SCALES = (TIGHT, ASKED, LOOSE)  # times the limits asked for: where the answer might be another
_MEASURES = {  # name -> metric and statistic
    "ttft": ("ttft_s", "p50"),
    "ttft_p99": ("ttft_s", "p99"),
    "tpot": ("tpot_s", "p50"),
    "e2e": ("e2e_s", "p50"),
    "output_throughput": ("output_throughput_tokens_per_s", "value"),
}
# Reasons for which a run says nothing of the server: the load was not the one asked for, or its stamps are not true.
SPOILED_BY = ("late_sends", "not_delivered", "client_stalled", "client_starved")


@dataclass(frozen=True, slots=True)
class Held:
    """Of a run, within some limits: requests per second, and how many of how many; `n_worth` independent ones."""

    goodput_per_s: float
    n: int
    n_met: int
    n_worth: float

    @property
    def share(self) -> float:
        return self.n_met / self.n if self.n else math.nan


@dataclass(frozen=True, slots=True)
class Point:
    """One run (or one trial of it). `held`: by the scale of the limits. `measures`: those that could be told.
    `is_spoiled`: the client was in the way, so that it says nothing of the server."""

    workload: int
    load: float
    held: Mapping[float, Held]
    measures: Mapping[str, float]
    folder: str = ""
    reasons: tuple[str, ...] = ()
    is_spoiled: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """`round`: from 1 on; what was measured elsewhere has numbers below 1 and no round in common with anything.
    `answers`: to the prompts that all candidates were asked. `failed`: what ended it, "": nothing."""

    candidate: int
    round: int
    points: tuple[Point, ...]
    start_s: float | None = None
    memory_bytes: float | None = None
    seconds: float = 0.0
    answers: tuple[str, ...] = ()
    failed: str = ""


def scaled(limits: Limits, scale: float) -> Limits:
    """Limits twice as wide, or half: a limit from below becomes half of it where one from above becomes twice."""
    return Limits(tuple(_scaled(limit, scale) for limit in limits.per_request))


def _scaled(limit: Limit, scale: float) -> Limit:
    value = limit.value * scale if limit.op[0] == "<" else limit.value / scale
    return replace(limit, value=value)


def points_of(
    trace: Trace, summary: Summary, limits: Limits, *, workload: int, load: float, folder: str
) -> list[Point]:
    """One per trial of the run. `summary`: of the same trace; all limits on every request."""
    names = {limit.metric for limit in limits.per_request}
    values = {name: np.asarray(METRICS[name].fn(trace)) for name in names}
    by_scale: dict[float, list[Held]] = {}
    for scale in SCALES:
        is_met = meets_all(scaled(limits, scale), values, trace.requests)
        if is_met is None:  # no answer has the quantity: none is within the limit
            is_met = np.zeros(len(trace.requests), bool)
        by_scale[scale] = [_held(trial) for trial in trials_of(trace, is_met)]
    codes = tuple(dict.fromkeys(reason.code for reason in summary.verdict.reasons if reason.level == "invalid"))
    return [
        Point(
            workload,
            load,
            {scale: held[i] for scale, held in by_scale.items()},
            _measures(summary, i),
            folder,
            codes,
            any(code in SPOILED_BY for code in codes),
        )
        for i in range(len(by_scale[ASKED]))
    ]


def _held(trial: Trial) -> Held:
    found = METRICS["goodput_per_s"].fn(trial)
    goodput = 0.0 if isinstance(found, Missing) else float(found.value)
    if trial.is_met is None:
        raise AssertionError("a trial was made without its limits")
    is_met = trial.is_met[trial.is_counted]
    time = autocorrelation_time(is_met.astype(np.float64)) if len(is_met) else 1.0
    return Held(goodput, len(is_met), int(is_met.sum()), len(is_met) / time)


def _measures(summary: Summary, i: int) -> dict[str, float]:
    found = {}
    for name, (metric, statistic) in _MEASURES.items():
        each = summary.by_trial[metric].each
        number = each[i].get(statistic) if i < len(each) else None
        if number is not None and not isinstance(number, Missing) and math.isfinite(number.value):
            found[name] = float(number.value)
    return found
