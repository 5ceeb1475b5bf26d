# SPDX-License-Identifier: Apache-2.0
"""From aligned values to statistics: mean, percentiles and maximum of a metric, each with its interval.

Rule 1: within one trial values depend on each other (shared queues and batches), so intervals use the effective sample
size: of each request series by autocorrelation, of chunk series by how slices of time differ.
Rule 2: with several trials a statistic is taken per trial, and the interval is over trials.
Rule 3: `p99` is over the successes; `p99_with_failures` counts failed and unfinished requests as the worst there is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from inferometer.metrics.registry import Metric
from inferometer.metrics.rows import Mask, in_due_order, is_counted, is_ok
from inferometer.metrics.slo import STATISTICS, WITH_FAILURES
from inferometer.metrics.tokens import row_of_id
from inferometer.metrics.trial import Trial
from inferometer.records import NEVER, Array, Trace
from inferometer.stats import (
    LEVEL,
    Estimate,
    FloatArray,
    Missing,
    effective_n_of_quantiles,
    effective_n_of_share,
    mean_estimate,
    n_needed,
    over_trials,
    quantile,
    quantile_estimate,
    ratio_estimate,
)

Statistics = dict[str, Estimate | Missing]
N_SLICES = 32  # batches of time for chunk series; merged by ratio_estimate while neighbours correlate
QUANTILES = {name: q for name, q in STATISTICS.items() if q is not None}
ONLY_WHERE_CARRIED = ("p99_9",)
_NO_SHARES = ("little_law_ratio",)  # a quotient that may exceed 1


class ByTrial(NamedTuple):
    """Statistics of a metric, trial by trial; `n_answers`: requests they cover, over all trials."""

    each: tuple[Statistics, ...]
    n_answers: int


def request_statistics(metric: Metric, values: FloatArray, trace: Trace) -> Statistics:
    """All statistics of a metric per request. Shapes: values float64[n_requests]."""
    return combined(metric, requests_by_trial(metric, values, trace))


def requests_by_trial(metric: Metric, values: FloatArray, trace: Trace) -> ByTrial:
    """The same for each trial alone."""
    requests = trace.requests
    order = in_due_order(requests)
    order = order[is_counted(requests)[order]]
    is_in = is_ok(requests) if metric.over == "successes" else requests["t_sent_ns"] != NEVER
    values, trials, is_in = values[order], requests["trial"][order], is_in[order]
    each = tuple(_of_series(metric, values[trials == t], is_in[trials == t]) for t in np.unique(trials))
    return ByTrial(each, int(is_in.sum()))


def _of_series(metric: Metric, values: FloatArray, is_in: Mask) -> Statistics:
    """Statistics of one trial's requests in the order of their due instants."""
    series = values[is_in & np.isfinite(values)]
    found: Statistics = {"mean": mean_estimate(series, unit=metric.unit, of="requests")}
    ordered = _ordered(series)
    found |= _quantiles(ordered, metric.unit, "requests")
    found["max"] = _largest(series, len(series), metric.unit, "requests")
    if metric.counts_failures:
        # Where no success has the quantity, failures are not the worst of it: there is nothing to be worse than.
        is_told = len(series) > 0 or not is_in.any()
        attempted = np.where(is_in, values, math.inf) if is_told else series
        attempted = attempted[~np.isnan(attempted)]
        if len(attempted) > len(series):
            ordered = _ordered(attempted)
        worst = _quantiles(ordered, metric.unit, "requests, failures as worst")
        worst["max"] = _largest(attempted, len(attempted), metric.unit, "requests, failures as worst")
        found |= {name + WITH_FAILURES: estimate for name, estimate in worst.items()}
    return found


@dataclass(frozen=True, slots=True)
class _Ordered:
    """A series in ascending order, and what it was worth for each percentile that it carries when it was in its own."""

    values: FloatArray
    n_eff: dict[str, float]


def _ordered(series: FloatArray) -> _Ordered:
    values = np.sort(series)
    carried = {name: q for name, q in QUANTILES.items() if len(series) >= n_needed(q)}
    worth = effective_n_of_quantiles(series, values, list(carried.values()))
    return _Ordered(values, dict(zip(carried, worth, strict=True)))


def _quantiles(ordered: _Ordered, unit: str, of: str) -> Statistics:
    found: Statistics = {}
    for name, q in QUANTILES.items():
        if name in ordered.n_eff or name not in ONLY_WHERE_CARRIED:
            found[name] = quantile_estimate(ordered.values, q, unit=unit, n_eff=ordered.n_eff.get(name), of=of)
    return found


def _largest(values: FloatArray, n: int, unit: str, of: str) -> Estimate | Missing:
    if n == 0:
        return Missing(f"needs 1 of {of}, has 0", 0, unit)
    value = float(values.max())
    return Estimate(value, value, math.inf, LEVEL, n, unit, f"largest of {of}; no upper bound")


def chunk_statistics(metric: Metric, values: FloatArray, trace: Trace) -> Statistics:
    """All statistics of a metric per chunk, over the successful requests. Shapes: values float64[n_chunks]."""
    return combined(metric, chunks_by_trial(metric, values, trace))


def chunks_by_trial(metric: Metric, values: FloatArray, trace: Trace) -> ByTrial:
    """The same for each trial alone."""
    requests = trace.requests
    is_in = is_counted(requests) & is_ok(requests)
    row_of = row_of_id(trace)
    trial_of = np.where(is_in, requests["trial"], -1)[row_of][trace.chunks["request_id"]]
    trial_of[np.isnan(values)] = -1
    each = []
    for trial in np.unique(requests["trial"][is_in]):
        mine = trial_of == trial
        each.append(_of_chunks(metric, values[mine], trace.chunks["t_recv_ns"][mine]))
    return ByTrial(tuple(each), int(is_in.sum()))


def _of_chunks(metric: Metric, values: FloatArray, t_ns: Array) -> Statistics:
    """Statistics of one trial's chunks; how slices of time differ tells how much they depend on each other."""
    n = len(values)
    if n == 0:
        return {}
    ordered = np.sort(values)
    n_slices = max(2, min(N_SLICES, n // 10))
    start, span = int(t_ns.min()), int(np.ptp(t_ns)) + 1
    of_slice = ((t_ns - start) * (n_slices / span)).astype(np.int64)
    counts = np.bincount(of_slice, minlength=n_slices).astype(np.float64)
    sums = np.bincount(of_slice, values, n_slices).astype(np.float64)
    found: Statistics = {"mean": ratio_estimate(sums, counts, unit=metric.unit, n=n, of="chunks")}
    carried = {name: q for name, q in QUANTILES.items() if n >= n_needed(q)}
    hits = _hits(values, [quantile(ordered, q) for q in carried.values()], of_slice, n_slices)
    for i, (name, q) in enumerate(QUANTILES.items()):  # ascending, so the carried ones come first
        if name in carried:
            n_eff = effective_n_of_share(hits[i], counts)
            found[name] = quantile_estimate(ordered, q, unit=metric.unit, n_eff=n_eff, of="chunks")
        elif name not in ONLY_WHERE_CARRIED:
            found[name] = quantile_estimate(ordered, q, unit=metric.unit, of="chunks")
    return found | {"max": _largest(ordered[-1:], n, metric.unit, "chunks")}


def _hits(values: FloatArray, thresholds: Sequence[float], of_slice: Array, n_slices: int) -> FloatArray:
    """How many values of each slice lie at or below each threshold (ascending). Shapes: float64[k, n_slices]."""
    level = np.zeros(len(values), np.int64)
    for threshold in thresholds:
        level += values > threshold
    k = len(thresholds) + 1
    table = np.bincount(of_slice * k + level, minlength=n_slices * k).reshape(n_slices, k)
    return np.cumsum(table, axis=1).T.astype(np.float64)


def runs_by_trial(metric: Metric, trials: Sequence[Trial]) -> ByTrial:
    """The value of a metric per run, of each trial with its interval there."""
    if not trials:
        return ByTrial(
            ({"value": Missing("needs a trial with requests that became due, has none", 0, metric.unit)},), 0
        )
    return ByTrial(tuple({"value": metric.fn(trial)} for trial in trials), 1)


def combined(metric: Metric, found: ByTrial) -> Statistics:
    """Statistics of the only trial, or over trials; statistics that nothing defines say what they would need."""
    names = list(dict.fromkeys(name for each in found.each for name in each)) or ["mean", *QUANTILES, "max"]
    return {name: _within_unit(_over(name, found.each, metric, found.n_answers), metric) for name in names}


def _within_unit(estimate: Estimate | Missing, metric: Metric) -> Estimate | Missing:
    """The same, its interval without what the unit cannot be: nothing below 0, no share above 1.

    An infinite end stays: it says that the sample has no such bound. A symmetric interval knows no unit.
    """
    if isinstance(estimate, Missing):
        return estimate
    lo, hi = estimate.lo, estimate.hi
    if math.isfinite(lo):
        lo = min(max(lo, 0.0), estimate.value)
    if metric.unit == "ratio" and metric.name not in _NO_SHARES and math.isfinite(hi):
        hi = max(min(hi, 1.0), estimate.value)
    return dataclasses.replace(estimate, lo=lo, hi=hi)


def or_worst(name: str, found: Statistics) -> Estimate | Missing | None:
    """A trial's statistic; where failures count as worst and too few requests came before them to carry it, that."""
    estimate, worst = found.get(name), found.get("max" + WITH_FAILURES)
    if isinstance(estimate, Missing) and name.endswith(WITH_FAILURES) and isinstance(worst, Estimate):
        return worst if worst.value == math.inf else estimate
    return estimate


def _over(name: str, trials: Sequence[Statistics], metric: Metric, n_answers: int) -> Estimate | Missing:
    per_trial = [found.get(name) for found in trials]
    if any(isinstance(estimate, Estimate) for estimate in per_trial):
        per_trial = [or_worst(name, found) for found in trials]
    estimates = [estimate for estimate in per_trial if isinstance(estimate, Estimate)]
    missing = [estimate for estimate in per_trial if isinstance(estimate, Missing)]
    if not estimates and not any(m.n for m in missing) and metric.per != "run":
        needs = "a successful request" if n_answers == 0 and metric.over == "successes" else metric.needs
        return Missing(
            f"needs {needs}; {f'none of {n_answers} is that' if n_answers else 'there is none'}", 0, metric.unit
        )
    if len(per_trial) == 1:
        return estimates[0] if estimates else missing[0]
    if not estimates:
        return Missing(f"{missing[0].reason} in each trial", missing[0].n, metric.unit)
    if metric.is_largest or name.removesuffix(WITH_FAILURES) == "max":
        return max(estimates, key=lambda estimate: estimate.value)
    values = np.array([estimate.value for estimate in estimates])
    return over_trials(values, unit=metric.unit, statistic=name, n_trials=len(per_trial))
