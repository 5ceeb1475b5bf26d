# SPDX-License-Identifier: Apache-2.0
"""A look: what one run says of one load, held against limits on every request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from inferometer.metrics.reasons_engine import growth
from inferometer.metrics.registry import METRICS
from inferometer.metrics.rows import Mask, in_due_order, is_counted
from inferometer.metrics.slo import Limit, Limits, meets
from inferometer.metrics.trial import trials_of
from inferometer.records import Trace
from inferometer.stats import FloatArray, autocorrelation_time

# How far beyond its limit a value still tells more: what is ten times too slow is as bad as what failed.
_FAR = math.log(10)


@dataclass(frozen=True, slots=True)
class Look:
    """Requests in the order in which they were due: `is_met`, all limits; `closeness`: of each to its nearest limit, in
    logarithms, above 0 beyond it. `misses`: of each limit, by its text. `growth`: how the queue grew, "" if it did not.
    `is_spoiled`: the client was in the way, so that it says nothing of the server.
    """

    load: float
    is_met: Mask
    closeness: FloatArray
    misses: Mapping[str, int]
    growth: str
    is_spoiled: bool = False

    @property
    def n(self) -> int:
        return len(self.is_met)

    @property
    def time(self) -> float:
        """How many requests are worth one independent one: as told by those that missed, and, as misses are few, by how
        close to the limits the others came."""
        if not self.n:
            return 1.0
        return max(autocorrelation_time(self.is_met.astype(np.float64)), autocorrelation_time(self.closeness))

    @property
    def n_worth(self) -> float:
        return self.n / self.time

    @property
    def share(self) -> float:
        return float(self.is_met.mean()) if self.n else math.nan


def look_at(trace: Trace, limits: Limits, load: float) -> Look:
    """What the records of one trial say. All limits must be on every request."""
    requests = trace.requests
    order = in_due_order(requests)
    order = order[is_counted(requests)[order]]
    counted = requests[order]
    is_met = np.ones(len(counted), bool)
    closeness = np.full(len(counted), -_FAR)
    misses: dict[str, int] = {}
    for limit in limits.per_request:
        values = np.asarray(METRICS[limit.metric].fn(trace))[order]
        is_within = meets(limit, values, counted)
        if is_within is None:  # no answer has this quantity: nothing meets it
            is_within = np.zeros(len(counted), bool)
        misses[limit.text] = int((~is_within).sum())
        is_met &= is_within
        closeness = np.maximum(closeness, _closeness(limit, values, is_within))
    trials = trials_of(trace)
    return Look(load, is_met, closeness, misses, next((sign for trial in trials if (sign := growth(trial))), ""))


def _closeness(limit: Limit, values: FloatArray, is_within: Mask) -> FloatArray:
    """log(value / limit), turned around where more is better; of a failure, and of what has no value, the end of it."""
    ends = np.where(is_within, -_FAR, _FAR)
    is_told = np.isfinite(values) & (values > 0) & (limit.value > 0)
    ratio = np.log(np.where(is_told, values, 1.0) / (limit.value or 1.0)) * (-1 if limit.op[0] == ">" else 1)
    return np.asarray(np.where(is_told, np.clip(ratio, -_FAR, _FAR), ends))
