# SPDX-License-Identifier: Apache-2.0
"""What a latency is made of: the time to first token, and the time per output token, in parts that add up.

Every part is reckoned request by request and says how it was had; what no part claims is the residual, and is shown.

    TTFT  connect         a connection that had to be opened on the way       by probes alone
          client          from due to sent, without that                      our clock
          http            there and back, and reading the prompt              what is outside of its work, alone
          queue           until it is begun                                   the server's clock, or by difference
          prefill         the prompt is computed                              the server's clock, or by fit
          first decode    the iteration that ends it, without the prompt      by fit
    TPOT  floor           an iteration for one sequence                       by fit
          batch           for those that decode beside it                     by fit
          context         reading what all of them keep                       by fit
          interference    prompts of others, computed meanwhile               by fit
          stalls          what gaps beyond a stall's limit took too long      measured less the fit
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from inferometer.analysis.iteration_model import TERMS, Fitted, design_of, part_of
from inferometer.analysis.number import Number, number_of
from inferometer.metrics import company
from inferometer.metrics.company import Spans
from inferometer.metrics.latency import tpot, ttft
from inferometer.metrics.pauses import STALL_OVER_MEDIAN, STALL_S
from inferometer.metrics.rows import Mask, elapsed_s, in_due_order, is_counted, is_ok
from inferometer.records import Array, Trace
from inferometer.stats import LEVEL, Estimate, FloatArray, Missing, mean_estimate
from inferometer.units import NS_PER_S

OUR_CLOCK, SERVER_CLOCK = "by our clock", "by the server's clock"
BY_PROBE, BY_FIT, BY_DIFFERENCE = "by probes alone", "by fit", "by difference"


class Part(msgspec.Struct, frozen=True):
    """A part of a mean latency. `how` it was had; `share` of the whole."""

    name: str
    figure: Number
    share: float
    how: str


class Split(msgspec.Struct, frozen=True):
    """A mean latency over the requests of one load. measured = sum of the parts + residual, exactly."""

    metric: str
    load: str
    n_requests: int
    measured: Number
    parts: list[Part]
    residual: Number

    def part(self, name: str) -> Part:
        return next(part for part in self.parts if part.name == name)

    def seconds(self, *names: str) -> float:
        return sum(part.figure.value or 0.0 for part in self.parts if part.name in names)


@dataclass(frozen=True, slots=True)
class Alone:
    """What a request costs outside of the server's work, told by requests that nobody was beside.

    `http_s`: there and back; `connect_s`: a new connection, NaN where none was tried.
    """

    http_s: float
    connect_s: float = math.nan


def http_alone_s(traces: Sequence[Trace], model: Fitted) -> float:
    """Median of what is left of the time to first token from sent, less the server's own time, else less what the
    fit says of the prompt. NaN where nothing was streamed."""
    found = [np.zeros(0)]
    for trace in traces:
        times = _Times.of(trace, model)
        found.append(
            (times.ttft_s - times.late_s - times.queue_told_s - times.prefill_s - times.first_s)[times.counted]
        )
    left = np.concatenate(found)
    left = left[np.isfinite(left)]
    return float(np.median(left)) if len(left) else math.nan


def split_ttft(load: str, trace: Trace, model: Fitted, alone: Alone) -> Split | Missing:
    """In parts, over the counted successes."""
    times = _Times.of(trace, model)
    counted = times.counted & np.isfinite(times.ttft_s)
    if not counted.any():
        return Missing("no answer was streamed", 0, "s")
    n = len(trace.requests)
    connect_s = np.zeros(n)
    if math.isfinite(alone.connect_s):
        connect_s = np.where(times.is_new, np.minimum(times.late_s, alone.connect_s), 0.0)
    http_s = np.full(n, alone.http_s if math.isfinite(alone.http_s) else 0.0)
    told = np.isfinite(times.queue_told_s) & times.has_queue
    rest_s = times.ttft_s - times.late_s - times.prefill_s - times.first_s - http_s
    is_told = bool(told[counted].all())
    queue_s = times.queue_told_s if is_told else np.maximum(rest_s, 0.0)
    prefill_how = SERVER_CLOCK if times.is_told[counted].all() else BY_FIT
    parts = {
        "connect": (connect_s, BY_PROBE),
        "client": (times.late_s - connect_s, OUR_CLOCK),
        "http": (http_s, BY_PROBE),
        "queue": (queue_s, SERVER_CLOCK if is_told else BY_DIFFERENCE),
        "prefill": (times.prefill_s, prefill_how),
        "first decode": (times.first_s, BY_FIT),
    }
    return _split("ttft_s", load, times.ttft_s, parts, times.order[counted[times.order]], {}, model)


def split_tpot(load: str, trace: Trace, model: Fitted) -> Split | Missing:
    """In parts, over the counted successes whose tokens have instants."""
    each = company.gaps(trace)
    n = len(trace.requests)
    n_tokens = np.bincount(each.rows, each.n_tokens, n)
    measured = np.asarray(tpot(trace))
    counted: Mask = is_counted(trace.requests) & is_ok(trace.requests) & (n_tokens > 0) & np.isfinite(measured)
    if not counted.any():
        return Missing("no answer has two tokens with instants of their own", 0, "s/token")

    def per_token(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(each.rows, values, n) / np.maximum(n_tokens, 1.0))

    whole = np.column_stack([per_token(column) for column in design_of(each).T])
    alone = part_of(whole, "floor", "sequence")
    alone[:, TERMS.index("sequence")] = alone[:, TERMS.index("floor")]  # of one sequence
    designs = {
        "floor": alone,
        "batch": part_of(whole, "floor", "sequence", "doubling") - alone,
        "context": part_of(whole, "context"),
        "interference": part_of(whole, "prefill", "attention", "arrival"),
    }
    too_long_s = np.where(_stalled(each), each.seconds - design_of(each) @ model.law, 0.0)
    parts = {name: (design @ model.law, BY_FIT) for name, design in designs.items()}
    parts["stalls"] = (per_token(np.maximum(too_long_s, 0.0)), "measured less the fit")
    order = in_due_order(trace.requests)
    return _split("tpot_s", load, measured, parts, order[counted[order]], designs, model)


def stall_limits(each: Spans) -> FloatArray:
    """From which length on a gap is a stall, of each gap: as everywhere, max(200 ms, 5 medians of its stream)."""
    order = np.lexsort((each.seconds, each.rows))
    rows, seconds = each.rows[order], each.seconds[order]
    starts = np.flatnonzero(np.append(True, np.diff(rows) != 0)) if len(rows) else np.zeros(0, np.int64)
    n_each = np.diff(np.append(starts, len(rows)))
    medians = (seconds[starts + (n_each - 1) // 2] + seconds[starts + n_each // 2]) / 2
    limits = np.empty(len(rows))
    limits[order] = np.repeat(np.maximum(STALL_S, STALL_OVER_MEDIAN * medians), n_each)
    return limits


def _stalled(each: Spans) -> Mask:
    return np.asarray(each.seconds > stall_limits(each))


@dataclass(frozen=True, slots=True)
class _Times:
    """Of each request, in seconds, NaN where it has none. `is_told`: prefill is by the server's clock; `has_queue`: so
    is the wait; `queue_told_s`: that, 0 where it was not told. `is_new`: nobody used its connection before."""

    order: Array
    counted: Mask
    ttft_s: FloatArray
    late_s: FloatArray
    queue_told_s: FloatArray
    has_queue: Mask
    prefill_s: FloatArray
    first_s: FloatArray
    is_told: Mask
    is_new: Mask

    @classmethod
    def of(cls, trace: Trace, model: Fitted) -> _Times:
        requests, n = trace.requests, len(trace.requests)
        done = company.prefills(trace)
        before_ns = done.t_first_ns - 1
        beside, kept = company.decoding(trace).at(before_ns), company.context(trace).at(before_ns)
        first_s, prefill_s = np.full(n, np.nan), np.full(n, np.nan)
        is_told = np.zeros(n, bool)
        is_told[done.rows] = done.is_told
        told_s = np.where(done.is_told, (done.t_first_ns - done.t_begun_ns) / NS_PER_S, np.nan)
        law = dict(zip(TERMS, model.law.tolist(), strict=True))
        ending_s = law["floor"] + law["sequence"] * beside + law["context"] * kept
        ending_s += law["doubling"] * np.log2(np.maximum(beside, 1.0))
        prompt_s = law["prefill"] * done.n_tokens + law["attention"] * done.n_attended
        first_s[done.rows] = np.where(done.is_told, np.minimum(ending_s, told_s), ending_s)
        prefill_s[done.rows] = np.where(done.is_told, told_s - first_s[done.rows], prompt_s)
        queue_ns = requests["server_queue_ns"]
        _, used_first = np.unique(requests["conn"], return_index=True)
        is_new = np.zeros(n, bool)
        is_new[used_first] = True
        return cls(
            in_due_order(requests),
            is_counted(requests) & is_ok(requests),
            np.asarray(ttft(trace)),
            elapsed_s(requests, "t_due_ns", "t_sent_ns"),
            np.where(queue_ns >= 0, queue_ns / NS_PER_S, 0.0),
            np.asarray(queue_ns >= 0),
            prefill_s,
            first_s,
            is_told,
            is_new,
        )


def _split(
    metric: str,
    load: str,
    measured: FloatArray,
    parts: Mapping[str, tuple[FloatArray, str]],
    rows: Array,
    designs: Mapping[str, FloatArray],
    model: Fitted,
) -> Split:
    """Means over `rows`, in the order of due instants. `designs`: parts that the law gives, as what it is applied to:
    its own uncertainty is then in their intervals."""
    unit = "s/token" if metric == "tpot_s" else "s"
    whole = _mean(measured[rows], unit)
    mean = float(measured[rows].mean())
    found = []
    for name, (values, how) in parts.items():
        figure = _mean(values[rows], unit)
        if name in designs:
            figure = _widened(figure, designs[name][rows].mean(axis=0), model)
        found.append(Part(name, number_of(figure), figure.value / mean if mean else 0.0, how))
    left = measured[rows] - sum(values[rows] for values, _ in parts.values())
    return Split(metric, load, len(rows), number_of(whole), found, number_of(_mean(left, unit)))


def _mean(values: FloatArray, unit: str) -> Estimate:
    found = mean_estimate(values, unit=unit, of="requests")
    assert isinstance(found, Estimate)  # there is at least one
    return found


def _widened(figure: Estimate, part: FloatArray, model: Fitted) -> Estimate:
    """By what the coefficients are not known: both errors are independent of one another."""
    lo, hi = model.fit.interval(part, LEVEL)
    below, above = figure.value - min(lo, figure.value), max(hi, figure.value) - figure.value
    lo = figure.value - math.hypot(figure.value - figure.lo, below)
    hi = figure.value + math.hypot(figure.hi - figure.value, above)
    return Estimate(figure.value, max(0.0, lo), hi, figure.level, figure.n, figure.unit, f"{figure.method}; law fitted")
