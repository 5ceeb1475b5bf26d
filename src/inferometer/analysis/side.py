# SPDX-License-Identifier: Apache-2.0
"""One side of a comparison: its runs, and one value per trial of whatever is compared.

Rule: trials are what is compared, never requests. Several runs are several trials, one each; the trials of one run
alone share one start of the server, and what differs from start to start is then in no interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from inferometer.errors import UsageError
from inferometer.metrics.estimates import Statistics, or_worst
from inferometer.metrics.registry import METRICS, Metric, base_name
from inferometer.metrics.rows import is_counted, is_ok
from inferometer.metrics.slo import WITH_FAILURES, resolve
from inferometer.metrics.summary import Summary, summarize
from inferometer.metrics.tokens import indexed
from inferometer.records import Array, Trace
from inferometer.stats import Estimate, FloatArray, Missing


@dataclass(frozen=True, slots=True)
class Quantity:
    """A metric and one of its statistics; "value" for metrics per run."""

    metric: str
    statistic: str

    @property
    def of(self) -> Metric:
        return METRICS[self.metric]

    @property
    def name(self) -> str:
        """As people write it: `ttft_p99`, `output_throughput`."""
        return base_name(self.of) + ("" if self.statistic == "value" else f"_{self.statistic}")


def parse_quantity(name: str) -> Quantity:
    """`ttft_p99`, `output_throughput`. Raises: UsageError if that is no metric, or its statistic is not said."""
    metric, statistic = resolve(name.strip().lower(), name.strip())
    if not statistic:
        raise UsageError(
            f"{name.strip()!r} does not say which statistic", f"write {base_name(metric)}_p50, _p99 or _mean"
        )
    if statistic == "max":
        raise UsageError(f"{name.strip()!r}: the largest of one sample says little of the next", "compare a percentile")
    return Quantity(metric.name, statistic)


@dataclass(frozen=True, slots=True)
class Member:
    """One run. `facts`: its manifest. `filled`: tokens of "prompt" and "output" that came, per token asked for."""

    path: str
    summary: Summary
    facts: Mapping[str, Any]
    filled: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def of(path: str, trace: Trace) -> Member:
        """Raises: UsageError if the run's own limits cannot be read."""
        trace = indexed(trace)
        answered = trace.requests[is_counted(trace.requests) & is_ok(trace.requests)]
        return Member(path, summarize(trace), trace.meta, _filled(answered))

    @property
    def n_trials(self) -> int:
        return self.summary.counts["trials"]


@dataclass(frozen=True, slots=True)
class Side:
    """`title`: what the user called it."""

    title: str
    members: tuple[Member, ...]

    @property
    def are_runs(self) -> bool:
        """Whether a trial is a run, started anew, or one of several within a run."""
        return len(self.members) > 1

    @property
    def n_trials(self) -> int:
        return len(self.members) if self.are_runs else sum(member.n_trials for member in self.members)

    def values(self, quantity: Quantity) -> FloatArray | Missing:
        """One value per trial, all above 0, or why there is none. Percentiles count failures as worst: infinite."""
        per_run = [_values_of(member, quantity) for member in self.members]
        unit = quantity.of.unit
        for found in per_run:
            if isinstance(found, Missing):
                return found
        arrays = [found for found in per_run if not isinstance(found, Missing)]
        flat = np.concatenate(arrays)
        if not len(flat):
            return Missing("needs a trial, has none", 0, unit)
        if (flat <= 0).any():
            return Missing(f"a ratio needs values above 0; {int((flat <= 0).sum())} trials have none", len(flat), unit)
        if not self.are_runs:
            return flat
        return np.array([math.exp(float(np.log(values).mean())) for values in arrays])


def _filled(answered: Array) -> dict[str, float]:
    """Nothing of what the server did not count, or nobody asked for."""
    found = {}
    for name in ("prompt", "output"):
        came, asked = answered[f"n_{name}_tokens"], answered[f"n_{name}_tokens_asked"]
        is_known = (came >= 0) & (asked > 0)
        if is_known.any():
            found[name] = float(came[is_known].sum() / asked[is_known].sum())
    return found


def _values_of(member: Member, quantity: Quantity) -> FloatArray | Missing:
    """Of each trial of a run."""
    found = member.summary.by_trial.get(quantity.metric)
    values = []
    for each in found.each if found is not None else ():
        number = _statistic(each, quantity)
        if isinstance(number, Missing):
            return number
        values.append(number.value)
    return np.array(values, np.float64)


def _statistic(each: Statistics, quantity: Quantity) -> Estimate | Missing:
    if quantity.of.counts_failures and quantity.statistic != "mean":
        number = or_worst(quantity.statistic + WITH_FAILURES, each)
    else:
        number = each.get(quantity.statistic)
    return Missing(f"{quantity.statistic} is not carried by a trial", 0, quantity.of.unit) if number is None else number
