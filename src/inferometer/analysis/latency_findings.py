# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a latency, and why: rules over what was measured, each with the figures that make it so.

Rule 1: a rule asks for a harm (a share of the time, a stall that a reader notices) and for a sign of its cause; where
only the harm is there, no cause is named.
Rule 2: `relief` says how this engine is told to do otherwise; how much that would help is reckoned here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from inferometer.analysis.finding import Bound, Fields, Finding, Level, Remedy, Trial
from inferometer.analysis.latency import LoadRow
from inferometer.analysis.latency_parts import Split
from inferometer.analysis.number import Number
from inferometer.analysis.slowdown import MIN_STEP, Slowdown
from inferometer.analysis.stalls import MIN_EVENTS, HoldUp, Stalls
from inferometer.analysis.waiting import Waiting
from inferometer.metrics.pauses import STALL_S
from inferometer.metrics.reason import percent
from inferometer.units import format_duration

MIN_SHARE = 0.2  # of the time to first token, from which on a wait is a harm
CLIENT_SHARE = 0.1  # the client's own part of it: what makes a metric invalid (docs/concepts/fidelity.md)
UNSEEN_SHARE, MIN_UNSEEN = 0.15, 0.5  # requests of those in flight that the server does not count; and how many
WHOLE = 0.8  # of the time that a prompt takes: others had no token for as good as all of it
MIN_LOST = 0.01  # share of the streams' time in stalls, below which nobody would notice

# A prompt that is longer is computed in several pieces by engines that do so (vLLM and llama.cpp by default: 2,048
# tokens between two of others; some start vLLM with more). Who computes it whole lets others wait as long as it takes.
LONGEST_PIECE = 2_048

Relief = Mapping[str, Remedy]  # by code of a finding
_STALL = Bound(STALL_S, "s", "the laxest limit of MLPerf Inference on a token", "docs/concepts/latency.md")


@dataclass(frozen=True, slots=True)
class Standing:
    """Stalls of some runs, of which the load `most` has most. `is_explained`: with the lengths that are explained."""

    stalls: Stalls
    most: LoadRow
    is_explained: bool


def is_unheard(load: LoadRow, alone: LoadRow | None) -> bool:
    """Requests wait where the server does not count them: by its gauges, or by its clock and free slots.

    `alone`: of a request that nobody is beside some part is always unseen, for it is on its way.
    """
    ttft = load.ttft
    if ttft is None or not ttft.measured.value:
        return False
    waits = ttft.part("queue").share + max(ttft.residual.value or 0.0, 0.0) / ttft.measured.value
    return waits >= MIN_SHARE and (_by_gauges(load.waiting, alone) or _by_records(load))


def _by_gauges(waiting: Waiting, alone: LoadRow | None) -> bool:
    unseen, in_flight = waiting.unseen, waiting.in_flight.value
    if unseen.value is None or not in_flight:
        return False
    usual = 0.0
    if alone is not None and alone.waiting.unseen.value is not None and alone.waiting.in_flight.value:
        usual = max(alone.waiting.unseen.value, 0.0) / alone.waiting.in_flight.value * in_flight
    more, surely = unseen.value - usual, (unseen.lo or 0.0) - usual
    return more >= UNSEEN_SHARE * in_flight and surely >= MIN_UNSEEN


def _by_records(load: LoadRow) -> bool:
    """Only where no gauge tells: a wait with free slots has other causes too."""
    idle, ttft = load.waiting.idle_wait, load.ttft
    if load.waiting.unseen.value is not None or idle.value is None or ttft is None:
        return False
    return (idle.lo or 0.0) >= MIN_SHARE * (ttft.measured.value or 0.0) > 0


def findings_of(
    operating: LoadRow | None,
    alone: LoadRow | None,
    standing: Sequence[Standing],
    held_up: HoldUp | None,
    slowdown: Slowdown | None,
    relief: Relief,
) -> list[Finding]:
    """`standing`: the lengths that are explained first."""
    found: list[Finding] = []
    if operating is not None and operating.ttft is not None:
        found += [*_waiting(operating, alone, operating.ttft, relief), *_client(operating, operating.ttft, relief)]
    stalled: list[Finding] = []
    for each in standing:
        known = {finding.code for finding in stalled}  # what is there anyway needs no other lengths to show
        stalled += [
            finding
            for finding in _stalls(each, held_up, relief)
            if finding.code not in known and not (known and finding.code == "stalls")
        ]
    found += stalled
    if slowdown is not None and slowdown.is_told:
        found += _slower(slowdown, relief)
    return found


def _finding(
    code: str,
    claim: str,
    cause: str,
    shown_by: str,
    figure: Number,
    bound: Bound | None = None,
    remedy: Remedy | None = None,
    trial: Trial | None = None,
    level: Level = "bad",
) -> Finding:
    return Finding(code, "latency", level, claim, cause, shown_by, figure, bound, remedy, trial)


def _trial(load: LoadRow, metric: str, statistic: str) -> Trial:
    fields: Fields = {"input_tokens": load.inputs} if load.inputs else {}
    return Trial(metric, statistic, load.concurrency, fields, load.e2e.value or 0.0)


def _helped(relief: Relief, code: str, expected: str) -> Remedy | None:
    remedy = relief.get(code)
    return None if remedy is None else msgspec.structs.replace(remedy, expected=expected)


def _waiting(load: LoadRow, alone: LoadRow | None, ttft: Split, relief: Relief) -> Iterator[Finding]:
    """Before the server, or in its queue."""
    queue, waiting = ttft.part("queue"), load.waiting
    wait_s, code = queue.figure.value or 0.0, "slots"
    figure, where = queue.figure, "for its turn"
    if is_unheard(load, alone):
        wait_s, code = wait_s + max(ttft.residual.value or 0.0, 0.0), "unheard"
        where = "before the server knows of it"
        cause = "fewer HTTP threads or connections than requests: the rest stand before the server's own queue"
        if waiting.unseen.value is not None:
            figure = waiting.unseen
            counted = f"{_count(waiting.running)} running and {_count(waiting.queued)} waiting"
            sign = f"its gauges: they count {counted} while {_count(waiting.in_flight)} are in flight"
        else:
            figure = waiting.idle_wait
            idle = format_duration(figure.value or 0.0)
            sign = f"its own clock: a request waits {idle} while one of its {waiting.n_slots} slots is free"
    elif _is_queued(ttft, waiting):
        cause = (
            f"the server works on {_count(waiting.running)} at a time, and {_count(waiting.queued)} wait in its queue"
        )
        sign = "its gauges of running and waiting requests"
    else:
        return
    share = percent(wait_s / (ttft.measured.value or wait_s))
    claim = f"{load.name}: a request waits {format_duration(wait_s)} {where}, {share} of its time to first token"
    expected = f"first tokens up to {format_duration(wait_s)} sooner"
    trial = _trial(load, "ttft_s", "p50")
    yield _finding(code, claim, cause, sign, figure, remedy=_helped(relief, code, expected), trial=trial)


def _is_queued(ttft: Split, waiting: Waiting) -> bool:
    """Longer than for an iteration under way, which takes about as long as its own prompt does; and others are seen to
    wait as well."""
    queue = ttft.part("queue")
    is_long = queue.share >= MIN_SHARE and (queue.figure.value or 0.0) > ttft.seconds("prefill", "first decode")
    return is_long and (waiting.queued.lo or 0.0) >= MIN_UNSEEN


def _count(number: Number) -> str:
    return "-" if number.value is None else f"{number.value:.3g}"


def _client(load: LoadRow, ttft: Split, relief: Relief) -> Iterator[Finding]:
    client = ttft.part("client")
    if not (client.figure.lo or 0.0) >= CLIENT_SHARE * (ttft.measured.value or 0.0) > 0:
        return
    claim = f"{load.name}: {percent(client.share)} of the time to first token is ours: requests leave late"
    expected = f"figures that are {format_duration(client.figure.value or 0.0)} nearer to the server's"
    remedy = _helped(relief, "client", expected)
    yield _finding("client", claim, "the measuring client", "its stamps: due and sent", client.figure, remedy=remedy)


# Coincidence -> code, cause, and whose gauge or record shows it.
_CAUSES: Mapping[str, tuple[str, str, str]] = {
    "prefill": (
        "prefill_stalls",
        "prompts of others are computed{how}, and nobody gets a token meanwhile",
        "instants of all requests: somebody's prompt was being computed",
    ),
    "preemption": (
        "preemption_stalls",
        "the cache for keys and values is full: running requests lose their place and are computed again",
        "its gauges: the counter of preemptions rose",
    ),
    "client": ("client", "the measuring client", "our own gauges: our process waited for a core"),
}


def _stalls(standing: Standing, held_up: HoldUp | None, relief: Relief) -> Iterator[Finding]:
    """By what coincides with them; without that only that they are there. They are bad where the lengths that are
    explained have them; else worth knowing, unless nothing limits them: prompts of any length are computed whole."""
    stalls, most = standing.stalls, standing.most
    level: Level = "bad" if standing.is_explained else "fair"
    if stalls.lost < MIN_LOST or stalls.n_events < MIN_EVENTS or stalls.length.value is None:
        return
    length = format_duration(stalls.length.value)
    lost = percent(stalls.lost)
    where = "" if standing.is_explained else f", {most.concurrency} in flight"
    where = f"with prompts of up to {most.n_longest:,.0f} tokens{where}"
    claim = f"streams stand still {where}: {stalls.n_events} times for {length} (median), {lost} of their time"
    code, how, expected = "stalls", "", f"stalls of {length} gone"
    if stalls.cause in _CAUSES:
        code, cause, sign = _CAUSES[stalls.cause]
        told = next(one for one in stalls.coincidences if one.name == stalls.cause)
        sign += f" during {percent(told.share)} of them, and {percent(told.share_else)} of all other time"
        is_known = held_up is not None and held_up.n_tokens <= most.n_longest  # else it is told of other prompts
        if stalls.cause == "prefill" and is_known and held_up is not None and held_up.length.value is not None:
            if held_up.share >= WHOLE and held_up.n_tokens > LONGEST_PIECE:
                level = "bad"
            how = " whole" if held_up.share >= WHOLE else " in large pieces"
            wait, usual = format_duration(held_up.length.value), format_duration(held_up.usual_s)
            sign += f"; beside prompts of {held_up.n_tokens:,} tokens and more a stream waits {wait}, usually {usual}"
            expected = f"longest waits of about the time of one piece, not {wait}"
        cause = cause.format(how=how)
    elif stalls.cause == "period" and stalls.period_s is not None:
        code, sign = "periodic_stalls", "even distances between them"
        who = "the whole engine" if stalls.whole_engine >= WHOLE else "streams"
        cause = f"something stops {who} every {format_duration(stalls.period_s)}"
    else:
        sign = "the instants of their tokens"
        who = "in most of them nobody got a token" if stalls.whole_engine >= WHOLE else "others went on meanwhile"
        cause = f"not known: no prompt, preemption or pause of the client coincides with them; {who}"
    remedy, trial = _helped(relief, code, expected), _trial(most, "gap_max_s", "mean")
    yield _finding(code, claim, cause, sign, stalls.length, _STALL, remedy, trial, level)


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
        remedy=_helped(relief, "throttled", f"latencies as at the beginning: {percent(1 - 1 / factor.value)} less"),
    )
