# SPDX-License-Identifier: Apache-2.0
"""Where requests wait that are not yet worked on: in the server's queue, or before it, where nobody counts them.

Two independent signs of requests that wait before the server knows of them (few HTTP threads, a proxy's limit):
gauges: fewer requests run and wait, by the server's own count, than are under way by ours;
records: requests wait although fewer than the server's slots are busy, by its own clock of each request.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from inferometer.analysis.number import Number, number_of
from inferometer.metrics import company
from inferometer.metrics.company import Course
from inferometer.metrics.rows import is_counted, is_ok
from inferometer.metrics.samples import series
from inferometer.metrics.window import windows_of
from inferometer.records import NEVER, Trace
from inferometer.stats import Estimate, FloatArray, Missing, mean_estimate
from inferometer.units import NS_PER_S

SOURCE = "server"


class Waiting(msgspec.Struct, frozen=True):
    """Means over the readings of a run: `in_flight` by our records at those instants; `running`, `queued` by the
    server's gauges; `unseen`: in flight less both. `idle_wait`: of each request, waiting while a slot was free;
    `n_slots`: that were reckoned with, None where they are not known."""

    in_flight: Number
    running: Number
    queued: Number
    unseen: Number
    idle_wait: Number
    n_slots: int | None


def waiting(trace: Trace, n_slots: int | None, http_s: float) -> Waiting:
    """`http_s`: what a request is on its way anyway."""
    t_ns, running = series(trace.samples, SOURCE, "requests_running")
    t_queued_ns, queued = series(trace.samples, SOURCE, "requests_waiting")
    inside = np.zeros(len(t_ns), bool)
    for window in windows_of(trace):  # a reading after it, when nobody comes any more, tells nothing
        inside |= (t_ns > window.t_start_ns) & (t_ns <= window.t_end_ns)
    requests = trace.requests[trace.requests["t_sent_ns"] != NEVER]
    ends = np.where(requests["t_end_ns"] == NEVER, np.iinfo(np.int64).max // 2, requests["t_end_ns"])
    ones = np.ones(len(requests))
    ours = Course(np.concatenate([requests["t_sent_ns"], ends]), np.concatenate([ones, -ones]))
    told = len(t_queued_ns) == len(t_ns) and bool(inside.any())
    none = Missing("the server does not tell", 0, "requests")
    figures: tuple[FloatArray | None, ...] = (None,) * 4
    if told:
        in_flight, running, queued = ours.at(t_ns[inside]), running[inside], queued[inside]
        figures = in_flight, running, queued, in_flight - running - queued
    means = [number_of(none if one is None else mean_estimate(one, unit="requests", of="readings")) for one in figures]
    in_flight_, running_, queued_, unseen = means
    return Waiting(in_flight_, running_, queued_, unseen, number_of(_idle_wait(trace, n_slots, http_s)), n_slots)


def _idle_wait(trace: Trace, n_slots: int | None, http_s: float) -> Estimate | Missing:
    if n_slots is None:
        return Missing("how many the server serves at a time is not known", 0, "s")
    done = company.prefills(trace)
    if not len(done.rows) or not done.is_told.all():
        return Missing("the server does not tell when it begins a request", len(done.rows), "s")
    requests = trace.requests[done.rows]
    ones = np.ones(len(done.rows))
    t_ns = np.concatenate([done.t_begun_ns, requests["t_last_content_ns"]])
    busy = np.concatenate([ones, -ones])
    order = np.argsort(t_ns, kind="stable")
    has_room = (np.cumsum(busy[order]) < n_slots).astype(np.float64)
    room = Course(t_ns[order], np.diff(has_room, prepend=0.0))
    sent = requests["t_sent_ns"].astype(np.int64)
    free_s = room.between(sent, done.t_begun_ns) / NS_PER_S
    # An iteration under way takes nobody in, and the way there is no wait.
    next_s = (company.next_token_ns(trace, done) - sent) / NS_PER_S
    idle_s = np.maximum(free_s - next_s - (http_s if math.isfinite(http_s) else 0.0), 0.0)
    counted = (is_counted(requests) & is_ok(requests)).astype(bool)
    return mean_estimate(idle_s[counted], unit="s", of="requests")
