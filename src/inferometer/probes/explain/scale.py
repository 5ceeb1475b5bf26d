# SPDX-License-Identifier: Apache-2.0
"""`explain scale`: loads from one upward, a surge beyond what it bears, and prompts that are equal or long.

Rule 1: each step has a share of the time, and what does not fit is listed as not measured.
Rule 2: what a step needs of an earlier one (how fast, how long) is what was measured there, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from inferometer import experiment
from inferometer.analysis import curve
from inferometer.analysis import scale as scaling
from inferometer.analysis.curve import Point
from inferometer.analysis.finding import worst_first
from inferometer.analysis.number import Number, number_of
from inferometer.analysis.overload import Overload, is_slower_machine, overload_of, ratio_to, sheds
from inferometer.analysis.scale import Context, Prefix, ScaleExamination
from inferometer.analysis.scale_findings import findings_of
from inferometer.clock import utc_now
from inferometer.metrics.summary import Summary, summarize
from inferometer.probes.bench import Bench
from inferometer.probes.explain.offered import offered
from inferometer.probes.points import MOST_ELSEWHERE, MOST_STARTED, Stopped
from inferometer.run_folder import Run
from inferometer.stats import Estimate, Missing
from inferometer.stats.usl import MIN_LOADS, MIN_SPAN

BUDGET_S = 180.0
_CLIMB = 0.5  # share of the budget
_OVERHEAD_S = 1.0  # of a run, beside its window and warm-up: the plan made, the tables written; then as measured
_SETTLED = 1.2  # latencies that a load is given before it is measured
_OVERDRAFT = 0.15  # share of the budget that the climb may take from what follows, for one load more
_N_POINTS = 7  # that the climb is planned for: 1 to 64
_LEAST_S, _MOST_S = 2.0, 20.0  # of a point
_GENTLE, _SURGE_FACTOR = 0.3, 2.0  # of the plateau: the load before and after a surge, and in it
_N_QUIET = 20  # requests before the surge
_TIMES_LONGER = 4  # a long prompt, against the usual one
_SHARED = 0.9  # of a long prompt, equal in all
_LONG_OUTPUT = 64
_AGAIN_S = 3.0  # of the first load, measured again


@dataclass(slots=True)
class _Going:
    """An examination on its way."""

    bench: Bench
    budget_s: float
    points: list[Point] = field(default_factory=list)
    running: float | None = None
    ended: str = ""
    not_measured: list[str] = field(default_factory=list)
    facts: Summary | None = None
    alone: Run | None = None
    n_before: int = 0
    overhead_s: float = _OVERHEAD_S
    drift: Number | None = None
    judge: Callable[..., Overload] | None = None  # what overload did, once there was one, held to a plateau
    after: Number | None = None  # the plateau after it
    sheds: bool = False  # at the last load, in words that a client understands
    _t_start_s: float = 0.0

    def __post_init__(self) -> None:
        self._t_start_s = self.bench.used_s()
        self.n_before = self.bench.n_requests

    def left_s(self) -> float:
        return self.budget_s - (self.bench.used_s() - self._t_start_s)

    # a growing load

    def climb(self) -> None:
        budget_s = _CLIMB * self.budget_s
        most = MOST_STARTED if self.bench.is_ours else MOST_ELSEWHERE
        load = 1
        while load <= most:
            latency_s = self._latency_s(load)
            left_s = budget_s - (self.budget_s - self.left_s())
            n_to_come = max(1, _N_POINTS - len(self.points))
            share_s = min(_MOST_S, max(_LEAST_S, left_s / n_to_come - self.overhead_s - _SETTLED * latency_s))
            window_s = max(share_s, 1.1 * curve.MIN_LATENCIES * latency_s)
            needed_s = window_s + _SETTLED * latency_s + self.overhead_s
            if len(self.points) > 2 and needed_s > left_s + _OVERDRAFT * self.budget_s:
                self.ended = (
                    f"{load} in flight would take {needed_s:.0f} s, {max(0.0, left_s):.0f} s were left for loads"
                )
                self.not_measured.append(f"more than {self.points[-1].load:g} in flight: {self.ended}")
                return
            self._measure(load, window_s, _SETTLED * latency_s)
            if curve.is_failing(self.points[-1]):
                self.ended = f"at {load} {self.points[-1].limit}"
                return
            spans = len(self.points) >= MIN_LOADS and load / self.points[0].load >= MIN_SPAN
            if spans and scaling.is_enough(self.points):
                self.ended = "two doublings brought less than a tenth each"
                return
            load *= self._step(budget_s - (self.budget_s - self.left_s()))
        self.ended = f"{most} in flight is the most that is tried"

    def _step(self, left_s: float) -> int:
        """Twice the load, or four times where there is no time for so many: to see the end of the curve comes first."""
        n_to_come = _N_POINTS - len(self.points)
        return 2 if left_s > n_to_come * (_LEAST_S + self.overhead_s) else 4

    def _latency_s(self, load: float) -> float:
        """What a request takes at most, by Little's law, if throughput rises no further."""
        last = self.points[-1] if self.points else None
        return 0.3 if last is None or not last.e2e_mean.value else last.e2e_mean.value * load / last.load

    def _measure(self, load: int, window_s: float, warmup_s: float) -> None:
        t_start_s = self.bench.used_s()
        run = self.bench.take(f"c{load}", concurrency=load, window_s=window_s, warmup_s=warmup_s)
        self.overhead_s = max(0.0, self.bench.used_s() - t_start_s - window_s - warmup_s)
        summary = summarize(run.trace())
        self.facts, self.alone = self.facts or summary, self.alone or run
        self.points.append(curve.point_of(summary, load, self._name(run), kind="concurrency"))
        self.sheds = curve.is_failing(self.points[-1]) and sheds(run.trace())
        running = summary.server.get("server_requests_running_max")
        if isinstance(running, Estimate):
            self.running = max(self.running or 0.0, running.value)
        told = self.points[-1].request_throughput.value
        self.bench.say(f"load      {load} in flight: {'no throughput' if told is None else f'{told:.3g} requests/s'}")

    def _name(self, run: Run) -> str:
        return str(run.path.relative_to(self.bench.folder))

    # more than it bears

    def surge(self, plateau: Number, load: float) -> Overload | None:
        most = plateau.value
        is_failing = bool(self.points) and curve.is_failing(self.points[-1])
        if not most or (is_failing and not self.sheds):
            reason = plateau.missing if not most else "it fails at a load that was to find what it bears"
            self.not_measured.append(f"overload: {reason}")
            return None
        rate, settle_s = _GENTLE * most, load / most
        quiet_s = max(2.0, _N_QUIET / rate)
        surge_s = min(10.0, max(3.0, 4 * settle_s, 40 / most))
        after_s = 2.0 * surge_s * (_SURGE_FACTOR - 1) / (1 - _GENTLE) + 2 * settle_s + 10 / rate
        needed_s = quiet_s + surge_s + after_s + _OVERHEAD_S
        if needed_s > self.left_s() and self.left_s() < needed_s / 2:
            self.not_measured.append(f"overload: needs {needed_s:.0f} s, {max(0.0, self.left_s()):.0f} s were left")
            return None
        is_plateau = is_failing or scaling.is_saturated(self.points, self.running)
        factor = _SURGE_FACTOR / _GENTLE
        law = f"surge:{factor:.4g},{quiet_s:.3f}s,{quiet_s + surge_s:.3f}s"
        window_s = quiet_s + surge_s + after_s
        run = self.bench.take("surge", rate=rate, window_s=window_s, arrivals=law)
        self.judge = partial(
            overload_of,
            run.trace(),
            rate=rate,
            surge_rate=rate * factor,
            from_s=quiet_s,
            until_s=quiet_s + surge_s,
            plateau_load=load,
            is_plateau=is_plateau,
            folder=self._name(run),
        )
        found = self.judge(plateau=plateau)
        self.bench.say(f"overload  {found.surge_rate:.3g} requests/s for {surge_s:.3g} s: it {found.word}")
        return found

    def plateau_again(self, load: float) -> None:
        """The plateau's load once more, right after the surge."""
        window_s = max(_LEAST_S, 1.2 * curve.MIN_LATENCIES * self._latency_s(load))
        warmup_s = _SETTLED * self._latency_s(load)
        if self.judge is None or window_s + warmup_s + self.overhead_s > self.left_s():
            return
        run = self.bench.take(f"c{load:g}-again", concurrency=int(load), window_s=window_s, warmup_s=warmup_s)
        point = curve.point_of(summarize(run.trace()), load, self._name(run), kind="concurrency", is_repeat=True)
        self.after = point.request_throughput

    def judged(self, overload: Overload | None, plateau: Number) -> Overload | None:
        """A machine that became slower meanwhile is no engine that collapses: held to what it does now."""
        figure = self.after.figure if self.after is not None else None
        if self.judge is None or not isinstance(figure, Estimate):
            return overload
        again = ratio_to(figure, plateau)
        if not is_slower_machine(again, self.drift):
            return overload
        return self.judge(plateau=self.after, again=number_of(again))

    def again(self) -> None:
        """The first load once more: is it still the engine that the climb was measured on?"""
        if not self.points or self.left_s() < _LEAST_S + self.overhead_s:
            self.not_measured.append("whether it is as fast as at the beginning: no time was left")
            return
        run = self.bench.take("c1-again", concurrency=1, window_s=_AGAIN_S, warmup_s=_SETTLED * self._latency_s(1))
        again = curve.point_of(summarize(run.trace()), 1, self._name(run), kind="concurrency", is_repeat=True)
        self.drift = curve.drift_of(self.points[0], again)

    # equal and long prompts

    def lengths(self, plateau_load: float) -> tuple[Prefix | None, Context | None]:
        short = scaling.samples_of(self.alone.trace()) if self.alone is not None else None
        if short is None or not short.n_prompt:
            self.not_measured.append("prefixes and long prompts: nothing was answered to one request alone")
            return None, None
        n_long = self._n_long(short.n_prompt)
        if n_long < 2 * short.n_prompt:
            self.not_measured.append("prefixes and long prompts: no prompt twice as long as the usual one fits")
            return None, None
        if self.left_s() < 2 * (_LEAST_S + _OVERHEAD_S):
            self.not_measured.append(f"prefixes and long prompts: {max(0.0, self.left_s()):.0f} s were left")
            return None, None
        window_s = min(_MOST_S, max(_LEAST_S, self.left_s() / 3 - _OVERHEAD_S))
        n_shared = int(_SHARED * n_long)
        plain, shared = (
            scaling.samples_of(self._long(f"{word}-c1", n_long, 1, window_s, shared_prefix=n).trace())
            for word, n in (("long", 0), ("shared", n_shared))
        )
        prefix = Prefix(
            n_long,
            n_shared,
            number_of(scaling.ratio_of_samples(plain.ttft_s, shared.ttft_s, of="requests")),
            number_of(scaling.cached_of(shared)),
        )
        context = Context(
            round(short.n_prompt),
            n_long,
            number_of(scaling.ratio_of_samples(short.ttft_s, plain.ttft_s, of="requests")),
            number_of(scaling.ratio_of_samples(short.tpot_s, plain.tpot_s, of="requests")),
            number_of(scaling.prefill_of(short.ttft_s, plain.ttft_s, plain.n_prompt - short.n_prompt)),
            number_of(self._under_load(n_long, int(plateau_load), window_s)),
        )
        return prefix, context

    def _n_long(self, n_short: float) -> int:
        """Tokens of a long prompt: so many times the usual, if it and its answer fit."""
        shape = experiment.shape_of(self.bench.config)
        most = self.bench.facts.longest_prompt(int(max(shape.outputs.mean, _LONG_OUTPUT)))
        wanted = round(_TIMES_LONGER * n_short)
        return wanted if most is None else min(wanted, most - 32)

    def _long(self, word: str, n_long: int, load: int, window_s: float, **fields: Any) -> Run:
        usual = next((point.e2e_mean.value for point in self.points if point.load == load), None)
        warmup_s = _SETTLED * (usual or self._latency_s(load))
        return self.bench.take(
            word, concurrency=load, window_s=window_s, warmup_s=warmup_s, input_tokens=str(n_long), **fields
        )

    def _under_load(self, n_long: int, load: int, window_s: float) -> Estimate | Missing:
        """Output tokens per second with long prompts over those with the usual ones, as many in flight."""
        usual = next((point.output_throughput for point in self.points if point.load == load), None)
        if usual is None or self.left_s() < _LEAST_S:
            self.not_measured.append("throughput with long prompts: no time was left")
            return Missing("no time was left", 0, "ratio")
        found = summarize(self._long(f"long-c{load}", n_long, load, window_s).trace())
        figure = found.metrics["output_throughput_tokens_per_s"]["value"]
        return ratio_to(figure, usual) if isinstance(figure, Estimate) else Missing(figure.reason, figure.n, "ratio")


def examine(bench: Bench, budget_s: float = BUDGET_S) -> ScaleExamination:
    """Carry it out; what could not be measured is in the row. Raises: EngineError, RunError before the first load;
    Stopped if the server or the user ended it before there was anything to say."""
    going = _Going(bench, budget_s)
    overload: Overload | None = None
    prefix: Prefix | None = None
    context: Context | None = None
    stopped = ""
    try:
        going.climb()
        plateau, load = scaling.plateau_of(going.points)
        overload = going.surge(plateau, load)
        going.plateau_again(load)
        going.again()
        overload = going.judged(overload, plateau)
        prefix, context = going.lengths(load)
    except Stopped as ended:
        if not going.points:
            raise
        stopped = str(ended)
        going.not_measured.append(f"what was to follow: {stopped}")
    return _result(going, overload, prefix, context, stopped)


def _result(
    going: _Going, overload: Overload | None, prefix: Prefix | None, context: Context | None, stopped: str
) -> ScaleExamination:
    points = curve.marked(going.points)
    plateau, load = scaling.plateau_of(points)
    speedup = scaling.speedup_of(points, plateau)
    law = curve.law_of(points)
    known = None if isinstance(law, Missing) else law
    findings = findings_of(
        points,
        known,
        speedup,
        plateau,
        load,
        going.running,
        overload,
        prefix,
        sheds=going.sheds,
        drift=going.drift,
        context=context,
    )
    found = offered(findings, going.bench)
    seconds = going.budget_s - going.left_s()
    row = scaling.row_of(
        plateau,
        load,
        overload,
        worst_first(found),
        going.not_measured,
        seconds=seconds,
        n_requests=going.bench.n_requests - going.n_before,
    )
    facts = going.facts
    return ScaleExamination(
        row=row,
        points=points,
        ended=going.ended,
        plateau=plateau,
        plateau_load=load,
        speedup=speedup,
        running=going.running,
        law=known,
        no_law=law.reason if isinstance(law, Missing) else "",
        overload=overload,
        drift=going.drift,
        prefix=prefix,
        context=context,
        seconds=seconds,
        created=utc_now().isoformat(timespec="seconds"),
        engine=dict(facts.engine) if facts else {},
        plan=dict(facts.plan) if facts else {},
        host=dict(facts.host) if facts else {},
        versions=dict(facts.versions) if facts else {},
        stopped=stopped,
    )
