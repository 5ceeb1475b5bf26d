# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a latency, and why: rules over what was measured, each with the figures that make it so.

Rule 1: a rule asks for a harm (a share of the time, a stall that a reader notices) and for a sign of its cause; where
only the harm is there, no cause is named.
Rule 2: `relief` says how this engine is told to do otherwise; how much that would help is reckoned here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from inferometer.analysis.finding import Bound, Finding, Remedy
from inferometer.analysis.latency import LoadRow
from inferometer.analysis.number import Number
from inferometer.analysis.slowdown import MIN_STEP, Slowdown
from inferometer.analysis.stalls import HoldUp, Stalls
from inferometer.analysis.waiting import Waiting
from inferometer.metrics.pauses import STALL_S
from inferometer.units import format_duration

MIN_SHARE = 0.2  # of the time to first token, from which on a wait is a harm
CLIENT_SHARE = 0.1  # the client's own part of it: what makes a metric invalid (docs/concepts/fidelity.md)
UNSEEN_SHARE, MIN_UNSEEN = 0.15, 0.5  # requests of those in flight that the server does not count; and how many
WHOLE = 0.8  # of the time that a prompt takes: others had no token for as good as all of it
MIN_LOST = 0.01  # share of the streams' time in stalls, below which nobody would notice

Relief = Mapping[str, Remedy]  # by code of a finding
_STALL = Bound(STALL_S, "s", "the laxest limit of MLPerf Inference on a token", "docs/concepts/latency.md")


def is_unheard(load: LoadRow) -> bool:
    """Requests wait where the server does not count them: by its gauges, or by its clock and free slots."""
    ttft = load.ttft
    if ttft is None or not ttft.measured.value:
        return False
    waits = ttft.share("queue") + max(ttft.residual.value or 0.0, 0.0) / ttft.measured.value
    return waits >= MIN_SHARE and (_by_gauges(load.waiting) or _by_records(load))


def _by_gauges(waiting: Waiting) -> bool:
    unseen, in_flight = waiting.unseen, waiting.in_flight.value
    if unseen.value is None or not in_flight:
        return False
    return unseen.value >= UNSEEN_SHARE * in_flight and (unseen.lo or 0.0) >= MIN_UNSEEN


def _by_records(load: LoadRow) -> bool:
    """Only where no gauge tells: a wait with free slots has other causes too."""
    idle, ttft = load.waiting.idle_wait, load.ttft
    if load.waiting.unseen.value is not None or idle.value is None or ttft is None:
        return False
    return (idle.lo or 0.0) >= MIN_SHARE * (ttft.measured.value or 0.0) > 0


def findings_of(
    operating: LoadRow | None,
    stalls: Stalls | None,
    held_up: HoldUp | None,
    slowdown: Slowdown | None,
    relief: Relief,
) -> list[Finding]:
    found: list[Finding] = []
    if operating is not None and operating.ttft is not None:
        found += [*_waiting(operating, relief), *_client(operating, relief)]
    if stalls is not None:
        found += _stalls(stalls, held_up, relief)
    if slowdown is not None and slowdown.is_told:
        found += _slower(slowdown, relief)
    return found


def _finding(code: str, claim: str, cause: str, shown_by: str, figure: Number, **more: object) -> Finding:
    return Finding(code, "latency", "bad", claim, cause, shown_by, figure, **more)  # type: ignore[arg-type]


def _helped(relief: Relief, code: str, expected: str) -> Remedy | None:
    remedy = relief.get(code)
    return None if remedy is None else msgspec.structs.replace(remedy, expected=expected)


def _waiting(load: LoadRow, relief: Relief) -> Iterator[Finding]:
    """Before the server, or in its queue."""
    ttft, waiting = load.ttft, load.waiting
    assert ttft is not None
    queue = next(part for part in ttft.parts if part.name == "queue")
    whole_s = ttft.measured.value or 0.0
    if is_unheard(load):
        wait_s = (queue.figure.value or 0.0) + max(ttft.residual.value or 0.0, 0.0)
        unseen, gauges = waiting.unseen, waiting.unseen.value is not None
        figure = unseen if gauges else waiting.idle_wait
        sign = (
            f"its gauges count {_count(waiting.running)} running and {_count(waiting.queued)} waiting while "
            f"{_count(waiting.in_flight)} are in flight"
            if gauges
            else f"its own clock: requests wait {format_duration(figure.value or 0.0)} while one of its "
            f"{waiting.n_slots} slots is free"
        )
        claim = (
            f"{load.name}: a request waits {format_duration(wait_s)} before the server knows of it, "
            f"{wait_s / whole_s:.0%} of its time to first token"
        )
        yield _finding(
            "unheard",
            claim,
            "fewer HTTP threads or connections than requests: the rest stand before the server's own queue",
            sign,
            figure,
            remedy=_helped(relief, "unheard", _sooner(wait_s)),
        )
    elif queue.share >= MIN_SHARE and (waiting.queued.value or 0.0) >= MIN_UNSEEN:
        wait_s = queue.figure.value or 0.0
        claim = f"{load.name}: a request waits {format_duration(wait_s)} for its turn, {queue.share:.0%} of its ttft"
        yield _finding(
            "slots",
            claim,
            f"the server works on {_count(waiting.running)} at a time, and {_count(waiting.queued)} wait in its queue",
            "its gauges of running and waiting requests",
            queue.figure,
            remedy=_helped(relief, "slots", _sooner(wait_s)),
        )


def _count(number: Number) -> str:
    return "-" if number.value is None else f"{number.value:.3g}"


def _sooner(seconds: float) -> str:
    return f"first tokens up to {format_duration(seconds)} sooner"


def _client(load: LoadRow, relief: Relief) -> Iterator[Finding]:
    ttft = load.ttft
    assert ttft is not None
    client = next(part for part in ttft.parts if part.name == "client")
    share, seconds = client.share, client.figure.value or 0.0
    if (client.figure.lo or 0.0) >= CLIENT_SHARE * (ttft.measured.value or 0.0) > 0:
        claim = f"{load.name}: {share:.0%} of the time to first token is ours: requests leave late"
        expected = f"figures that are {format_duration(seconds)} nearer to the server's"
        remedy = _helped(relief, "client", expected)
        yield _finding(
            "client", claim, "the measuring client", "its stamps: due and sent", client.figure, remedy=remedy
        )


def _stalls(stalls: Stalls, held_up: HoldUp | None, relief: Relief) -> Iterator[Finding]:
    """By what coincides with them; without that only that they are there."""
    if stalls.lost < MIN_LOST or stalls.length.value is None or not stalls.n_events:
        return
    length = format_duration(stalls.length.value)
    claim = f"streams stand still: {stalls.n_events} times for {length} (median), {stalls.lost:.1%} of their time"
    told = {one.name: one for one in stalls.coincidences}
    if stalls.cause == "prefill":
        sign = f"{_coincident(told['prefill'].share, told['prefill'].share_else)} somebody's prompt was being computed"
        cause, expected = "prompts of others are computed while streams wait", ""
        if held_up is not None and held_up.length.value is not None:
            how = "whole" if held_up.share >= WHOLE else "in large pieces"
            cause = f"prompts of others are computed {how}, and nobody gets a token meanwhile"
            wait = format_duration(held_up.length.value)
            usual = format_duration(held_up.usual_s)
            sign += f"; beside prompts of {held_up.n_tokens:,} tokens and more a stream waits {wait}, usually {usual}"
            expected = f"longest waits of about the time of one piece, not {wait}"
        remedy = _helped(relief, "prefill_stalls", expected)
        yield _finding("prefill_stalls", claim, cause, sign, stalls.length, bound=_STALL, remedy=remedy)
    elif stalls.cause == "preemption":
        sign = f"{_coincident(told['preemption'].share, told['preemption'].share_else)} its counter of preemptions rose"
        cause = "the cache for keys and values is full: running requests lose their place and are computed again"
        remedy = _helped(relief, "preemption_stalls", f"stalls of {length} gone")
        yield _finding("preemption_stalls", claim, cause, sign, stalls.length, bound=_STALL, remedy=remedy)
    elif stalls.cause == "client":
        sign = f"{_coincident(told['client'].share, told['client'].share_else)} our own process had no core"
        remedy = _helped(relief, "client", f"stalls of {length} gone")
        yield _finding("client_stalls", claim, "the measuring client", sign, stalls.length, bound=_STALL, remedy=remedy)
    elif stalls.cause == "period" and stalls.period_s is not None:
        who = "the whole engine" if stalls.whole_engine >= WHOLE else "streams"
        cause = f"something stops {who} every {format_duration(stalls.period_s)}"
        yield _finding("periodic_stalls", claim, cause, "even distances between them", stalls.length, bound=_STALL)
    else:
        who = "in most of them nobody got a token" if stalls.whole_engine >= 0.5 else "others went on meanwhile"
        cause = f"not known: no prompt, preemption or pause of the client coincides with them; {who}"
        finding = _finding("stalls", claim, cause, "the instants of their tokens", stalls.length, bound=_STALL)
        yield finding


def _coincident(share: float, share_else: float) -> str:
    return f"during {share:.0%} of them, and {share_else:.0%} of all other time,"


def _slower(slowdown: Slowdown, relief: Relief) -> Iterator[Finding]:
    factor = slowdown.factor
    assert factor.value is not None
    when = "" if slowdown.at_s is None else f" from {format_duration(slowdown.at_s)} on"
    claim = f"the same work takes {factor.value:.2f} times as long{when}"
    yield _finding(
        "throttled",
        claim,
        "the machine computes slower than at the beginning: its clock, its power or a quota",
        f"iterations against their own law: {slowdown.shown_by}",
        factor,
        bound=Bound(MIN_STEP, "ratio", "more than an idle machine wanders", "docs/evidence/default-runs.md"),
        remedy=_helped(relief, "throttled", f"latencies as at the beginning: {1 - 1 / factor.value:.0%} less"),
    )
