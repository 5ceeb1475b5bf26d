# SPDX-License-Identifier: Apache-2.0
"""`explain latency`: prompts of chosen lengths alone, then together, long ones among them, then one load for long.

    alone: short, usual, long   what a prompt costs, and a request that nobody is beside
    N/2, 2N in flight           fewer and more at a time: a law that is to hold at N is fitted on both sides of it
    mixed                       lengths from short to long, so that prompts meet streams
    N in flight                 the load that is explained, for as long as the budget has time
    all but this one, again     is it still as fast as at the beginning? (in a short time: the usual one alone)

Rule 1: every load has its share of the budget, and what there was no time for is told.
Rule 2: loads take turns, half of these before the one that is explained and half after: a machine that is slow for a
while is so to all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import structs

from inferometer import experiment
from inferometer.analysis.latency import LatencyExamination
from inferometer.analysis.latency_examined import ALONE, Measured, again, examined, in_flight, usual_e2e
from inferometer.clock import utc_now
from inferometer.host.handshake import handshakes_s
from inferometer.metrics.company import prompt_tokens
from inferometer.metrics.rows import is_counted, is_ok
from inferometer.metrics.summary import Summary, summarize
from inferometer.probes.bench import Bench
from inferometer.probes.explain.latency_relief import relief_of
from inferometer.probes.explain.offered import offered
from inferometer.probes.points import Stopped
from inferometer.records import Trace
from inferometer.stats import Estimate, Missing
from inferometer.units import NS_PER_S, format_duration

BUDGET_S = 180.0
CONCURRENCY = 8  # that is explained where nobody says, and the server does not tell its slots
MOST_SLOTS = 16  # of those it tells, that are filled
N_HANDSHAKES = 20
_ALONE, _TOGETHER = 0.06, 0.07  # shares of the budget, of each load but the operating one
_LEAST_S, _MOST_S = 2.0, 20.0  # of a run of these
_LATENCIES = 4.0  # of a request alone, that such a run lasts at least
_TURN_S, _MOST_TURNS = 45.0, 12  # of the budget, for each turn that all loads take; with its runs short
_OVERHEAD_S = 1.5  # of a run, beside its window and warm-up; then as measured
TIMES_LONGER = 8  # a long prompt, against the usual one, where the server does not tell its context
_LONG_S = 0.8  # what the longest prompt may take alone
SPARE_TOKENS = 64  # for a template
_READ_EVERY_S = 0.5  # gauges: means over readings within a run need some
_SHORT = 16  # tokens
_LATENCY_S = 0.5  # of a request, before one was measured
_MIXED = 4  # in flight, of lengths from short to long


@dataclass(frozen=True, slots=True)
class _Around:
    """A load beside the one that is explained. `inputs`: lengths of the prompts, "": those that are explained."""

    name: str
    concurrency: int
    inputs: str


@dataclass(slots=True)
class _Going:
    """An examination on its way. `concurrency`: the load to explain."""

    bench: Bench
    concurrency: int
    budget_s: float
    t_start_s: float
    n_before: int
    taken: list[Measured] = field(default_factory=list)
    not_measured: list[str] = field(default_factory=list)
    facts: Summary | None = None
    connect_s: list[float] = field(default_factory=list)
    n_turns: int = 1
    lengths: str = ""  # from short to long, once these are known
    overhead_s: float = _OVERHEAD_S

    def left_s(self) -> float:
        return self.budget_s - (self.bench.used_s() - self.t_start_s)

    def go(self) -> None:
        bench = self.bench
        self.connect_s = handshakes_s(bench.facts.url, N_HANDSHAKES, is_insecure=bench.config.insecure)
        self.n_turns = max(1, min(_MOST_TURNS, int(self.budget_s / _TURN_S)))
        around = self._alone()
        # Now it is known what a request takes; the load that is explained has a fifth of the time at the least.
        while self.n_turns > 1 and 1.25 * self.n_turns * self._turn_lasts_s() > self.budget_s:
            self.n_turns -= 1
        around += self._together()
        n_before = math.ceil(self.n_turns / 2)
        n_after = max(1, self.n_turns - n_before)
        after = around if self.n_turns > 1 else [one for one in around if one.name == ALONE]
        for i in range(1, n_before):
            self._turn(around, i)
        if self.concurrency > 1:
            after_s = sum(self._slice_s(one.concurrency) + self._beside_s(one.concurrency) for one in after)
            rest_s = self.left_s() - n_after * after_s - self._beside_s(2)
            self._take(in_flight(self.concurrency), self.concurrency, max(_within(_TOGETHER * self.budget_s), rest_s))
        for i in range(n_before, n_before + n_after):
            self._turn(after, i)

    def _turn_lasts_s(self) -> float:
        """With three loads of one request at a time, and three of several."""
        return sum(3 * (self._slice_s(n) + self._beside_s(n)) for n in (1, self.concurrency))

    def _turn(self, around: Sequence[_Around], i: int) -> None:
        """Every other turn backwards, so that none is always the first."""
        for one in around if i % 2 == 0 else reversed(around):
            self._take(again(one.name, i), one.concurrency, self._slice_s(one.concurrency), one.inputs)

    def _alone(self) -> list[_Around]:
        """Take a short, the usual and a long prompt for the first time."""
        shape = experiment.shape_of(self.bench.config)
        usual = _Around(ALONE, 1, "")
        if "file" in (shape.inputs.kind, shape.outputs.kind):
            self.not_measured.append("prompts of other lengths: those that were given come out of a file")
            self._take(ALONE, 1, self._slice_s(1))
            return [usual]
        n_input, n_output = max(1, round(shape.inputs.mean)), math.ceil(shape.outputs.mean)
        n_short = max(1, min(_SHORT, n_input // 4))
        around = [_Around("alone, short", 1, str(n_short)), usual]
        self._turn(around, 0)
        n_longest = self._longest(n_input, n_output)
        if n_longest > 2 * n_input:
            around.append(_Around("alone, long", 1, str(n_longest)))
            self._turn(around[-1:], 0)
        else:
            n_longest = n_input
            self.not_measured.append(f"prompts longer than {n_input:,} tokens: the context or the time has no room")
        self.lengths = f"uniform:{n_short}-{n_longest}"
        return around

    def _together(self) -> list[_Around]:
        """Take fewer, if there is time more at a time, and lengths that are mixed, for the first time."""
        if self.concurrency == 1:
            return []
        half, mixed = self.concurrency // 2, min(_MIXED, self.concurrency)
        numbers = (half, 2 * self.concurrency) if self.n_turns > 1 else (half,)
        around = [_Around(in_flight(n), n, "") for n in numbers if n > 1]
        around += [_Around(f"{in_flight(mixed)}, mixed", mixed, self.lengths)] if self.lengths else []
        self._turn(around, 0)
        return around

    def _slice_s(self, concurrency: int) -> float:
        """Window of one run of a load that takes turns."""
        share = _ALONE if concurrency == 1 else _TOGETHER
        return _within(max(share * self.budget_s / self.n_turns, _LATENCIES * self._latency_s()))

    def _take(self, name: str, concurrency: int, window_s: float, inputs: str = "") -> None:
        """`inputs`: lengths of the prompts, "": those that are explained."""
        bench = self.bench
        begun_s = bench.used_s() - self.t_start_s
        word = name.translate({ord("("): None, ord(")"): None}).replace(" in flight", "").replace(", ", "-")
        word = word.replace(" ", "-")
        word = word if word.startswith("alone") else f"c{word}"
        warmup_s = min(window_s / 2, self._warmup_s(concurrency))
        changes: dict[str, Any] = {"input_tokens": inputs} if inputs else {}
        if bench.config.scrape_every_s:
            changes["scrape_every_s"] = min(bench.config.scrape_every_s, _READ_EVERY_S)
        run = bench.take(word, concurrency=concurrency, window_s=window_s, warmup_s=warmup_s, **changes)
        trace = run.trace()
        self.overhead_s = bench.used_s() - self.t_start_s - begun_s - window_s - warmup_s
        if self.facts is None or name == in_flight(self.concurrency):
            self.facts = summarize(trace)
        self.taken.append(Measured(name, concurrency, begun_s, str(run.path.relative_to(bench.folder)), trace, inputs))
        bench.say(f"{'load'.ljust(10)}{name}: {_said(trace)}")

    def _beside_s(self, concurrency: int) -> float:
        """What a run takes beside its window."""
        return self._warmup_s(concurrency) + self.overhead_s

    def _warmup_s(self, concurrency: int) -> float:
        return max(0.5, 1.5 * self._latency_s() * min(concurrency, 2))

    def _latency_s(self) -> float:
        """Of a usual request alone, as far as it is known."""
        alone = next((one for one in self.taken if one.name == ALONE), None)
        found = usual_e2e(alone.trace) if alone is not None else None
        return found.value if isinstance(found, Estimate) else _LATENCY_S

    def _longest(self, n_input: int, n_output: int) -> int:
        """Tokens of a long prompt: as fits, and does not take too long."""
        room = self.bench.facts.longest_prompt(n_output)
        most = n_input * TIMES_LONGER if room is None else room - SPARE_TOKENS
        found = [_first_tokens(one.trace) for one in self.taken]
        if any(one is None for one in found):
            return most
        (n_short, short_s), (n_usual, usual_s) = (one for one in found if one is not None)
        per_token_s = (usual_s - short_s) / max(n_usual - n_short, 1.0)
        return min(most, int(_LONG_S / per_token_s)) if per_token_s > 0 else most


def _first_tokens(trace: Trace) -> tuple[float, float] | None:
    """Mean length of the prompts, and median time to first token from sent; None where nothing was streamed."""
    rows = trace.requests
    rows = rows[is_counted(rows) & is_ok(rows) & (rows["t_first_content_ns"] > 0)]
    if not len(rows):
        return None
    first_ns = np.median(rows["t_first_content_ns"] - rows["t_sent_ns"])
    return float(prompt_tokens(rows).mean()), float(first_ns / NS_PER_S)


def examine(bench: Bench, budget_s: float = BUDGET_S, concurrency: int | None = None) -> LatencyExamination:
    """Carry it out; what could not be measured is in the row. `concurrency`: the load to explain; None: choose one.

    Raises: EngineError, RunError before the first run; Stopped if it ended with nothing to tell.
    """
    concurrency = concurrency or min(bench.facts.n_slots or CONCURRENCY, MOST_SLOTS)
    going = _Going(bench, concurrency, budget_s, bench.used_s(), bench.n_requests)
    try:
        going.go()
    except Stopped as stopped:
        if not going.taken:
            raise
        going.not_measured.append(f"what was to follow: {stopped}")
    facts = going.facts
    found = examined(
        going.taken,
        concurrency=concurrency,
        n_slots=bench.facts.n_slots,
        connect_s=np.array(going.connect_s),
        relief=relief_of(bench.engine, concurrency),
        not_measured=going.not_measured,
    )
    row = structs.replace(
        found.row,
        findings=offered(found.row.findings, bench),
        seconds=budget_s - going.left_s(),
        n_requests=bench.n_requests - going.n_before,
    )
    return structs.replace(
        found,
        row=row,
        doubts=[f"{one.level}: {one.text}" for one in facts.verdict.reasons] if facts else [],
        engine=dict(facts.engine) if facts else {},
        plan=dict(facts.plan) if facts else {},
        host=dict(facts.host) if facts else {},
        versions=dict(facts.versions) if facts else {},
        created=utc_now().isoformat(timespec="seconds"),
        budget_s=budget_s,
    )


def _within(seconds: float) -> float:
    return min(max(seconds, _LEAST_S), _MOST_S)


def _said(trace: Trace) -> str:
    found = usual_e2e(trace)
    return found.reason if isinstance(found, Missing) else f"{found.n} answers, {format_duration(found.value)} each"
