# SPDX-License-Identifier: Apache-2.0
"""The summary of a run: everything a report prints, computed once, from the records alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from inferometer.kinds import Outcome, Phase
from inferometer.metrics.estimates import (
    ByTrial,
    Statistics,
    chunks_by_trial,
    combined,
    requests_by_trial,
    runs_by_trial,
)
from inferometer.metrics.fidelity import Numbers, answer_faults, fidelity_numbers
from inferometer.metrics.reason import Evidence
from inferometer.metrics.registry import METRICS, Metric
from inferometer.metrics.rows import UNFINISHED, in_due_order, is_counted, is_failed, is_ok
from inferometer.metrics.server import server_numbers
from inferometer.metrics.slo import Limit, Limits, RunLimitResult, judge, limits_of, meets, meets_all
from inferometer.metrics.stalls import share
from inferometer.metrics.tokens import indexed
from inferometer.metrics.trial import Trial, trials_of
from inferometer.metrics.verdict import Verdict, judge_metric, judge_run
from inferometer.metrics.window import N_SLICES, flights
from inferometer.records import Array, Trace
from inferometer.stats import Estimate, FloatArray, Missing
from inferometer.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class InFlight:
    """Mean number of requests in flight over equal slices of a trial's window. Shapes: float64[200] each."""

    trial: int
    t_s: FloatArray  # middle of the slice, seconds since the run's start
    n: FloatArray


@dataclass(frozen=True, slots=True)
class LimitResults:
    """How the limits came out. `attained`: share of the requests within each limit per request (all trials pooled).

    All of them together: metrics `attainment_ratio` and `goodput_per_s`.
    """

    per_request: tuple[tuple[Limit, Estimate | Missing], ...] = ()
    per_run: tuple[RunLimitResult, ...] = ()

    @property
    def is_failed(self) -> bool:
        """Some limit on the run is missed by its point estimate."""
        return any(result.is_met is False for result in self.per_run)


@dataclass(frozen=True, slots=True)
class Summary:
    """`metrics`: name -> statistic ("mean", "p50", ..., "p99_with_failures"; "value" for those per run) -> estimate.

    `counts`: requests of the main phase by what became of them ("planned" is all that became due), warm-up, trials.
    `by_trial`: the statistics of each trial alone, for whoever compares trials.
    """

    verdict: Verdict
    counts: dict[str, int]
    metrics: dict[str, Statistics]
    metric_verdicts: dict[str, Verdict]
    fidelity: Numbers
    limits: LimitResults
    in_flight: tuple[InFlight, ...]
    windows: tuple[dict[str, float], ...]
    by_trial: dict[str, ByTrial] = field(default_factory=dict)
    stamps: str = ""  # "kernel" or "user": where receive stamps came from
    is_cut_off: bool = False
    server: Numbers = field(default_factory=dict)  # what its own gauges say; empty: they were not read
    gauges: dict[str, Any] = field(default_factory=dict)  # how they were read, or why not
    plan: dict[str, Any] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)


def summarize(trace: Trace, limits: Limits | None = None) -> Summary:
    """Everything a report says about a run. `limits`: by default those the run was started with.

    Raises: UsageError if the run's own limits cannot be read.
    """
    if limits is None:
        limits = limits_of(trace)
    trace = indexed(trace)
    values = {name: metric.fn(trace) for name, metric in METRICS.items() if metric.per == "request"}
    trials = trials_of(trace, meets_all(limits, values, trace.requests))
    by_trial = {name: _by_trial(metric, trace, values.get(name), trials) for name, metric in METRICS.items()}
    metrics = {name: combined(metric, by_trial[name]) for name, metric in METRICS.items()}
    numbers = fidelity_numbers(trace, [trial.window for trial in trials])
    server = server_numbers(trace, [trial.window for trial in trials])
    verdict = judge_run(Evidence(trace, trials, metrics, numbers | server))
    return Summary(
        verdict=verdict,
        counts=_counts(trace, trials),
        metrics=metrics,
        metric_verdicts={name: judge_metric(name, verdict) for name in METRICS},
        fidelity=numbers,
        limits=LimitResults(
            tuple((limit, _attained(limit, values[limit.metric], trace.requests)) for limit in limits.per_request),
            tuple(judge(limit, metrics) for limit in limits.per_run),
        ),
        in_flight=tuple(_in_flight(trial) for trial in trials),
        windows=tuple(_window_facts(trial) for trial in trials),
        by_trial=by_trial,
        stamps=str(trace.meta.get("stamps") or ""),
        is_cut_off=bool(trace.meta.get("is_cut_off")),
        server=server,
        gauges=_facts(trace.meta, "gauges"),
        plan=_facts(trace.meta, "plan"),
        engine=_facts(trace.meta, "engine"),
        host=_facts(trace.meta, "host"),
        versions=_facts(trace.meta, "versions"),
    )


def _by_trial(metric: Metric, trace: Trace, values: FloatArray | None, trials: list[Trial]) -> ByTrial:
    if metric.per == "run":
        return runs_by_trial(metric, trials)
    if values is None:
        return chunks_by_trial(metric, metric.fn(trace), trace)
    return requests_by_trial(metric, values, trace)


def _attained(limit: Limit, values: FloatArray, requests: Array) -> Estimate | Missing:
    is_met = meets(limit, values, requests)
    if is_met is None:
        return Missing(f"no answer has {limit.metric}", 0, "ratio")
    order = in_due_order(requests)
    return share(is_met[order[is_counted(requests)[order]]], of="requests due in the window")


def _counts(trace: Trace, trials: list[Trial]) -> dict[str, int]:
    counted = trace.requests[is_counted(trace.requests)]
    counts = {
        "planned": len(counted),
        "ok": int(is_ok(counted).sum()),
        "failed": int(is_failed(counted).sum()),
        "unfinished": int(np.isin(counted["outcome"], UNFINISHED).sum()),
        "warmup": int((trace.requests["phase"] == Phase.WARMUP).sum()),
        "trials": len(trials),
        "retried": int((counted["attempt"] > 1).sum()),
    }
    numbers, times = np.unique(counted["outcome"][~is_ok(counted)], return_counts=True)
    counts |= {Outcome(number).name.lower(): int(n) for number, n in zip(numbers, times, strict=True)}
    counts |= {name: int(mask.sum()) for name, mask in answer_faults(trace.requests).items()}
    answered = counted[is_ok(counted)]
    for name in ("n_prompt_tokens", "n_output_tokens"):
        asked = answered[f"{name}_asked"]
        wrong = (answered[name] >= 0) & (asked > 0) & (answered[name] != asked)
        counts[name.removeprefix("n_").removesuffix("_tokens") + "_length_off"] = int(wrong.sum())
    return counts


def _in_flight(trial: Trial) -> InFlight:
    edges = trial.window.edges_ns(N_SLICES)
    means = flights(trial.requests, trial.window.t_end_ns).means(edges)
    return InFlight(trial.number, (edges[:-1] + edges[1:]) / 2 / NS_PER_S, means)


def _window_facts(trial: Trial) -> dict[str, float]:
    return {
        "trial": trial.number,
        "t_start_s": trial.window.t_start_ns / NS_PER_S,
        "t_end_s": trial.window.t_end_ns / NS_PER_S,
        "t_steady_s": trial.steady.t_start_ns / NS_PER_S,
    }


def _facts(meta: Mapping[str, Any], key: str) -> dict[str, Any]:
    return dict(meta.get(key) or {})
