# SPDX-License-Identifier: Apache-2.0
"""Stalls of streams, and what coincides with them more often than with all other gaps.

A stall is a gap longer than max(200 ms, 5 times its stream's median). Stalls of many streams at one time are one event:
what stopped them was one thing.

    prefill      the prompt of somebody else was computed for most of it
    preemption   the counter of preempted requests rose about then
    client       the client's own process waited for a core, or collected garbage, for most of it
    period       events follow one another at even distances

Rule: a coincidence is told only where most events have it, and where by chance, at the rate of all other gaps, they
would so at most once in a hundred times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from scipy.special import bdtrc

from inferometer.analysis.latency_parts import stall_limits
from inferometer.analysis.number import Number, number_of
from inferometer.metrics import company
from inferometer.metrics.company import Course, Spans
from inferometer.metrics.rows import Mask, is_ok
from inferometer.metrics.samples import series, sources_of
from inferometer.records import Array, Trace
from inferometer.stats import FloatArray, Missing, quantile_estimate
from inferometer.units import NS_PER_S

MIN_EVENTS = 3  # of which anything is told
MOST = 0.6  # share of the events that must have a coincidence
COVERED = 0.5  # of a gap, for something to have gone on during it
MAX_CHANCE = 0.01
MIN_PERIODIC, MAX_UNEVEN = 3, 0.15  # distances between events; their standard deviation over the mean
MAX_CHANCE_EVEN = 0.002  # that distances which follow no rule are as even as that
SILENT = 0.9  # of the streams that decode have no token within an event: the engine stood still
COINCIDENCES = ("prefill", "preemption", "client")


class Coincidence(msgspec.Struct, frozen=True):
    """`share`: of the events; `share_else`: of the time in other gaps; `chance`: of so many at that rate."""

    name: str
    share: float
    share_else: float
    chance: float
    is_told: bool


class Stalls(msgspec.Struct, frozen=True):
    """`n_stalls` of single streams in `n_events`; `lost`: share of the streams' time; `longest_s`: of the events.
    `cause`: the strongest coincidence, "period", or "". `period_s`: between events, where they are even.
    `whole_engine`: share of the events in which nobody got a token."""

    n_stalls: int
    n_events: int
    lost: float
    length: Number
    coincidences: list[Coincidence]
    cause: str
    period_s: float | None
    whole_engine: float


class HoldUp(msgspec.Struct, frozen=True):
    """While one of the longer prompts was computed, of at least `n_tokens`: how long the stream beside it that waited
    longest had no token; `share`: of the time that the prompt took; `usual_s`: median gap of all."""

    length: Number
    share: float
    n_tokens: int
    usual_s: float


def find_stalls(traces: Sequence[Trace], slower: Sequence[float] = ()) -> Stalls:
    """In all runs together. `slower`: by which factor the machine was slower in each: what would have been no stall
    before is that factor's doing."""
    found = [_Gaps.of(trace, factor) for trace, factor in zip(traces, slower or [1.0] * len(traces), strict=True)]
    events = [event for each in found for event in each.events()]
    lengths = np.sort([event.seconds for event in events])
    stalled_s = sum(float(each.spans.seconds[each.is_stall].sum()) for each in found)
    whole_s = sum(float(each.spans.seconds.sum()) for each in found)
    coincidences = [_coincidence(name, found, events) for name in COINCIDENCES]
    told = [one for one in coincidences if one.is_told]
    period_s = _period_s([each.events() for each in found])
    cause = min(told, key=lambda one: one.chance).name if told else "period" if period_s is not None else ""
    return Stalls(
        n_stalls=sum(int(each.is_stall.sum()) for each in found),
        n_events=len(events),
        lost=stalled_s / whole_s if whole_s else 0.0,
        length=number_of(quantile_estimate(lengths, 0.5, unit="s", of="events")),
        coincidences=coincidences,
        cause=cause,
        period_s=period_s,
        whole_engine=float(np.mean([event.is_silent for event in events])) if events else 0.0,
    )


def hold_up(traces: Sequence[Trace]) -> HoldUp | Missing:
    """Of prompts that were computed while somebody else decoded."""
    found = [_waits(trace) for trace in traces]
    n_tokens, waits, shares = (np.concatenate(column) for column in zip(*found, strict=True)) if found else _NOBODY
    if len(waits) < 3 * MIN_EVENTS:
        return Missing(f"needs {3 * MIN_EVENTS} prompts computed beside streams, has {len(waits)}", len(waits), "s")
    longest = n_tokens >= n_tokens.max() / 2
    usual = np.concatenate([company.gaps(trace).seconds for trace in traces])
    return HoldUp(
        number_of(quantile_estimate(np.sort(waits[longest]), 0.5, unit="s", of="prompts")),
        float(np.median(shares[longest])),
        int(n_tokens[longest].min()),
        float(np.median(usual)),
    )


_NOBODY = (np.zeros(0), np.zeros(0), np.zeros(0))


def _waits(trace: Trace) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Of each prompt computed beside streams: its length, the longest gap of one of these, in s, and how much of the
    prompt's own time that gap covers. Shapes: float64[n] each."""
    each = company.gaps(trace)
    each = each.of(np.argsort(each.t_end_ns, kind="stable"))
    longest_ns = int((each.t_end_ns - each.t_start_ns).max(initial=0))
    done = company.prefills(trace)
    firsts = np.searchsorted(each.t_end_ns, done.t_begun_ns, side="right")
    lasts = np.searchsorted(each.t_end_ns, done.t_first_ns + longest_ns, side="left")
    found = []
    for i, (first, last) in enumerate(zip(firsts.tolist(), lasts.tolist(), strict=True)):
        near = each.of(slice(first, last))
        begun, ended = done.t_begun_ns[i], done.t_first_ns[i]
        inside = np.minimum(near.t_end_ns, ended) - np.maximum(near.t_start_ns, begun)
        inside = np.where(near.rows == done.rows[i], 0, inside)
        at = int(np.argmax(inside)) if len(inside) else 0
        if len(inside) and inside[at] > 0:
            found.append((done.n_tokens[i], float(near.seconds[at]), float(inside[at] / (ended - begun))))
    n_tokens, waits, shares = (
        (np.array(column, np.float64) for column in zip(*found, strict=True)) if found else _NOBODY
    )
    return n_tokens, waits, shares


class _Event(msgspec.Struct):
    """Stalls that overlap. `has`: its coincidences."""

    t_start_ns: int
    t_end_ns: int
    has: frozenset[str]
    is_silent: bool

    @property
    def seconds(self) -> float:
        return (self.t_end_ns - self.t_start_ns) / NS_PER_S


class _Gaps:
    """The gaps of one run, which of them are stalls, and what each coincides with."""

    def __init__(self, each: Spans, is_stall: Mask, has: dict[str, Mask], is_silent: Mask) -> None:
        self.spans, self.is_stall, self.has, self.is_silent = each, is_stall, has, is_silent

    @classmethod
    def of(cls, trace: Trace, slower: float) -> _Gaps:
        each = company.gaps(trace)
        each = each.of(is_ok(trace.requests)[each.rows])
        is_stall = np.asarray(each.seconds > slower * stall_limits(each))
        done = company.prefills(trace)
        lasting = np.maximum(each.t_end_ns - each.t_start_ns, 1)
        computing = _any_of(done.t_begun_ns, done.t_first_ns)
        has = {
            "prefill": computing.between(each.t_start_ns, each.t_end_ns) > COVERED * lasting,
            "preemption": _rises(trace.samples, ("server",), ("n_preemptions",), each) > 0,
            "client": _rises(trace.samples, sources_of(trace.samples, "client"), ("run_delay_s", "gc_pause_s"), each)
            > COVERED * each.seconds,
        }
        return cls(each, is_stall, has, _silent(each))

    def events(self) -> list[_Event]:
        """In the order of time; a coincidence that most of its stalls have, an event has."""
        at = np.flatnonzero(self.is_stall)
        at = at[np.argsort(self.spans.t_start_ns[at], kind="stable")]
        groups: list[list[int]] = []
        until = -1
        for i in at.tolist():
            if self.spans.t_start_ns[i] >= until or not groups:
                groups.append([])
            groups[-1].append(i)
            until = max(until, int(self.spans.t_end_ns[i]))
        return [self._event(np.array(group)) for group in groups]

    def _event(self, group: Array) -> _Event:
        has = frozenset(name for name, mask in self.has.items() if mask[group].mean() >= COVERED)
        start, end = self.spans.t_start_ns[group].min(), self.spans.t_end_ns[group].max()
        return _Event(int(start), int(end), has, bool(self.is_silent[group].mean() >= COVERED))


def _silent(each: Spans) -> Mask:
    """Gaps within which next to nobody else got a token: fewer than a tenth of those that decode."""
    ends = np.sort(each.t_end_ns)
    edge = np.maximum((each.t_end_ns - each.t_start_ns) // 10, 1)  # what came just before, or just after, is no sign
    n_inside = np.searchsorted(ends, each.t_end_ns - edge) - np.searchsorted(ends, each.t_start_ns + edge)
    return np.asarray(n_inside <= (1 - SILENT) * each.n_decoding)


def _any_of(t_start_ns: Array, t_end_ns: Array) -> Course:
    """1 while at least one of these goes on, else 0."""
    t_ns = np.concatenate([t_start_ns, t_end_ns])
    steps = np.concatenate([np.ones(len(t_start_ns)), -np.ones(len(t_end_ns))])
    order = np.lexsort((-steps, t_ns))
    level = np.minimum(np.cumsum(steps[order]), 1.0)
    return Course(t_ns[order], np.diff(level, prepend=0.0))


def _rises(samples: Array, sources: Sequence[str], gauges: Sequence[str], each: Spans) -> FloatArray:
    """By how much cumulative gauges rose between the readings about each gap, as far as it could be within the gap."""
    total = np.zeros(len(each.rows))
    for source in sources:
        for gauge in gauges:
            t_ns, values = series(samples, source, gauge)
            if len(t_ns) >= 2:
                before = np.clip(np.searchsorted(t_ns, each.t_start_ns, side="right") - 1, 0, len(t_ns) - 1)
                after = np.clip(np.searchsorted(t_ns, each.t_end_ns, side="left"), 0, len(t_ns) - 1)
                total += np.maximum(values[after] - values[before], 0.0)
    return total


def _coincidence(name: str, found: Sequence[_Gaps], events: Sequence[_Event]) -> Coincidence:
    n_with = sum(name in event.has for event in events)
    else_s = sum(float(each.spans.seconds[~each.is_stall].sum()) for each in found)
    with_s = sum(float(each.spans.seconds[~each.is_stall & each.has[name]].sum()) for each in found)
    share_else = with_s / else_s if else_s else 0.0
    # At least one in so many seconds might have been: a rate of 0 would make a single event proof.
    rate = max(share_else, 1 / (1 + sum(len(each.spans.rows) for each in found)))
    chance = float(bdtrc(n_with - 1, len(events), rate)) if n_with else 1.0
    share = n_with / len(events) if events else 0.0
    is_told = len(events) >= MIN_EVENTS and share >= MOST and chance <= MAX_CHANCE
    return Coincidence(name, share, share_else, chance, is_told)


def _period_s(runs: Sequence[Sequence[_Event]]) -> float | None:
    """The even distance between the beginnings of events, None if they are not even.

    Few distances must be very even to say so: of events that come at random, each further distance lies within a share
    `w` of the mean, above or below, with a chance of about 2 w / e, the exponential's density there.
    """
    distances = [np.diff([event.t_start_ns for event in events]) / NS_PER_S for events in runs if len(events) > 1]
    found: FloatArray = np.concatenate([np.zeros(0), *distances])
    if len(found) < MIN_PERIODIC:
        return None
    uneven = float(found.std(ddof=1) / found.mean())
    chance = (2 * math.sqrt(3) * uneven / math.e) ** (len(found) - 1)  # w: of evenly spread ones with that deviation
    if uneven > MAX_UNEVEN or chance > MAX_CHANCE_EVEN:
        return None
    return float(found.mean())
