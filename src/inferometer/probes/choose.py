# SPDX-License-Identifier: Apache-2.0
"""A choice with real servers: each candidate is started, asked at every load, and stopped, turn after turn.

    FOLDER/turns/01-2-NAME/points/w1-c4/   first round, second candidate, first workload: a run like any other
    FOLDER/turns/01-2-NAME/engine.log      output of the engine, when it was started for this turn
    FOLDER/choice.json                     what it came to so far, written after every turn

Rule 1: who is next, who is dropped and when it is enough is `elimination.py`'s; here turns are taken and written down.
Rule 2: in one round every candidate gets the same requests in the same order of loads; the next round has others.
Rule 3: a candidate that cannot be started, or whose server ends, has failed; the others go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from inferometer import experiment
from inferometer.analysis.candidate import Course, Entry
from inferometer.analysis.cells import Cell, cell_of, unlike
from inferometer.analysis.choice import FILE, Choice, Fact, LeftOut, LoadKind, Workload
from inferometer.analysis.conclude import Asked, conclude
from inferometer.analysis.contest import Terms
from inferometer.analysis.side import Member
from inferometer.analysis.turn import Point, Turn, points_of
from inferometer.clock import Clock, utc_now
from inferometer.config import Experiment, Warmup
from inferometer.drive.progress import Observer
from inferometer.errors import EngineError, InferometerError, RunError, UsageError
from inferometer.experiment.answers import greedy_answers
from inferometer.experiment.pace import Pace
from inferometer.experiment.subject import Subject
from inferometer.host.ask import ServerFacts
from inferometer.metrics.slo_presets import Objective
from inferometer.probes.elimination import Elimination
from inferometer.probes.points import Keep, Quietly, Stopped, carried_out, why_stopped
from inferometer.probes.results import write_result
from inferometer.run_folder import Run
from inferometer.units import NS_PER_S

TURNS, POINTS = "turns", "points"
N_ASKED_ROUNDS = 2  # in which greedy answers are taken: the first, and one more to see what differs by itself


@dataclass(frozen=True, slots=True)
class Contender:
    """A candidate with what measures it: `config` of one that is measured here, `members` of one that was elsewhere."""

    entry: Entry
    config: Experiment | None = None
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be chosen, and how. `facts_of`: what is known of an engine by its name, and the points of its ease."""

    objective: Objective
    workloads: tuple[Workload, ...]
    kind: LoadKind
    loads: tuple[float, ...]
    window_s: float
    warmup_s: float
    budget_s: float
    terms: Terms
    again: str
    out: str | None
    facts_of: Callable[[str], tuple[tuple[Fact, ...], dict[str, float]]]
    ignored: tuple[str, ...] = ()
    seed: int = 0


def run(
    contenders: Sequence[Contender], left_out: Sequence[LeftOut], order: Order, observer: Observer, keep: Keep
) -> tuple[Path, Choice, InferometerError | None]:
    """Choose; the folder, what it came to, and what ended it early, if anything did. `keep`: is given each run with its
    summary.

    Raises: UsageError if the folder cannot be made.
    """
    folder = Run.create(order.out, "choice").path
    observer.say(f"folder    {folder}")
    going = _Going(list(contenders), list(left_out), order, observer, folder, keep)
    stopped = going.go()
    return folder, going.result(), stopped


@dataclass(slots=True)
class _Going:
    """A choice on its way."""

    contenders: list[Contender]
    left_out: list[LeftOut]
    order: Order
    observer: Observer
    folder: Path
    keep: Keep
    entries: list[Entry] = field(init=False)
    configs: dict[int, Experiment] = field(init=False)  # of those that are measured here
    contest: Elimination = field(init=False)
    # Of each, runs by cell, to see whether they are comparable: those elsewhere, and of those here the first.
    seen: dict[int, dict[Cell, list[Member]]] = field(default_factory=dict)
    paces: dict[int, Pace] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    stopped: str = ""
    created: str = field(default_factory=lambda: utc_now().isoformat(timespec="seconds"))

    def __post_init__(self) -> None:
        self.entries = [contender.entry for contender in self.contenders]
        self.configs = {k: one.config for k, one in enumerate(self.contenders) if one.config is not None}
        self.contest = Elimination(
            self.order.terms,
            list(self.configs),
            self._take,
            self.order.budget_s,
            np.random.default_rng(self.order.seed),
            after_turn=self._keep_turn,
        )

    def go(self) -> InferometerError | None:
        cause = carried_out(self._work)
        if cause is not None:
            self.stopped = str(cause)
        self._write()
        return cause

    def _work(self) -> None:
        for k, contender in enumerate(self.contenders):
            if k not in self.configs:
                self.contest.turns += self._turns_of(k, contender.members)
        self._refuse_unlike()
        if self.configs:
            self.contest.run()

    # --- a turn ----------------------------------------------------------------------------------------------------

    def _take(self, k: int, number: int) -> Turn:
        folder = self.folder / TURNS / f"{number:02}-{k + 1}-{_slug(self.entries[k].name)}"
        clock = Clock()
        t_start_ns = clock.now_ns()
        points: list[Point] = []
        turn = Turn(k, number, ())
        try:
            turn = self._measured(k, number, folder, points)
        except (EngineError, UsageError) as error:
            turn = replace(turn, points=tuple(points), failed=str(error))
        self._refuse_unlike()
        return replace(turn, seconds=(clock.now_ns() - t_start_ns) / NS_PER_S)

    def _measured(self, k: int, number: int, folder: Path, points: list[Point]) -> Turn:
        """`points`: filled as they come, for who has to do with what there is. Raises: EngineError, UsageError."""
        config = self.configs[k]
        folder.mkdir(parents=True)
        greatest = self._loaded(config, longest_of(self.order.workloads, config), max(self.order.loads))
        quiet = Quietly(self.observer)
        pace = self.paces.setdefault(k, Pace())
        with experiment.serving(replace(greatest, out=str(folder / POINTS)), folder, quiet, pace) as subject:
            facts = experiment.facts_of(subject, config)
            answers = greedy_answers(facts, config) if number <= N_ASKED_ROUNDS else ()
            memory_bytes: float | None = None
            for cell in self._cells(number):
                run_ = self._run(subject, facts, config, cell, number, folder)
                points += self._points_of(k, run_, cell)
                memory_bytes = run_.manifest()["engine"].get("peak_memory_bytes") or memory_bytes
            start_s = subject.server.ready_s if subject.server is not None else None
            return Turn(k, number, tuple(points), start_s, memory_bytes, answers=answers)

    def _cells(self, number: int) -> list[Cell]:
        """Workload and load, in an order that is the same for all candidates of a round."""
        cells = [(i, load) for i in range(len(self.order.workloads)) for load in self.order.loads]
        shuffled = np.random.default_rng((self.order.seed, number)).permutation(len(cells))
        return [cells[i] for i in shuffled]

    def _run(
        self,
        subject: Subject,
        facts: ServerFacts,
        config: Experiment,
        cell: Cell,
        number: int,
        folder: Path,
    ) -> Run:
        """Raises: EngineError if the server is gone; Stopped if the user, or this machine, ended the run."""
        i, load = cell
        workload, order = self.order.workloads[i], self.order
        name = f"w{i + 1}-{'r' if order.kind == 'rate' else 'c'}{load:g}"
        config = replace(
            self._loaded(config, workload, load),
            for_s=order.window_s,
            warmup=Warmup(duration_s=order.warmup_s),
            draw=number * len(order.workloads) * len(order.loads) + i * len(order.loads) + order.loads.index(load),
            out=str(folder / POINTS / name),
        )
        try:
            run_ = experiment.run_against(subject, config, Quietly(self.observer), facts=facts)
        except RunError as error:
            raise Stopped(error) from error
        server = subject.server
        cause = why_stopped(run_, is_dead=server is not None and not server.is_running)
        if isinstance(cause, EngineError):
            raise EngineError(f"its server ended at {load:g} {self._unit()}", cause.remedy)
        if cause is not None:
            raise Stopped(cause)
        return run_

    def _loaded(self, config: Experiment, workload: Workload, load: float) -> Experiment:
        is_rate = self.order.kind == "rate"
        return replace(
            config,
            rate=load if is_rate else None,
            concurrency=None if is_rate else int(load),
            input_tokens=workload.input_tokens,
            output_tokens=workload.output_tokens,
            shared_prefix=workload.shared_prefix,
            requests=None,
            repeats=1,
        )

    def _unit(self) -> str:
        return "requests/s" if self.order.kind == "rate" else "in flight"

    # --- what runs say ---------------------------------------------------------------------------------------------

    def _points_of(self, k: int, run_: Run, cell: Cell) -> list[Point]:
        trace = run_.trace()
        folder = str(run_.path.relative_to(self.folder))
        member = Member.of(folder, trace)
        self.keep(run_, member.summary)
        self._learn(k, member, cell)
        limits = self.order.objective.limits
        found = points_of(trace, member.summary, limits, workload=cell[0], load=cell[1], folder=folder)
        return [self._kept(point) for point in found]

    def _kept(self, point: Point) -> Point:
        """A run in which the client was late counts for nothing, unless that is to be ignored."""
        return replace(point, is_spoiled=point.is_spoiled and "validity" not in self.order.ignored)

    def _learn(self, k: int, member: Member, cell: Cell) -> None:
        """Who it turned out to be, once it has answered."""
        is_first = k not in self.seen
        mine = self.seen.setdefault(k, {}).setdefault(cell, [])
        if not mine or k not in self.configs:
            mine.append(member)
        if not is_first:
            return
        engine = member.summary.engine
        facts, points = self.order.facts_of(str(engine.get("name") or ""))
        entry = self.entries[k]
        self.entries[k] = replace(
            entry,
            engine=str(engine.get("title") or engine.get("name") or ""),
            version=str(engine.get("version") or ""),
            model=str(engine.get("model") or ""),
            settings={name: str(value) for name, value in (engine.get("settings") or {}).items()},
            facts=entry.facts or facts,
            points=entry.points or points,
        )
        self.host = self.host or dict(member.summary.host)
        self.versions = self.versions or dict(member.summary.versions)

    def _turns_of(self, k: int, members: Sequence[Member]) -> list[Turn]:
        """Of runs measured elsewhere: each trial is a turn of its own, with a round that nobody else has."""
        turns: list[Turn] = []
        for member in members:
            trace = Run.open(member.path).trace()
            cell = cell_of(member, self.order.kind, self.order.loads, self.order.workloads)
            if cell is None:
                continue
            self._learn(k, member, cell)
            engine = member.summary.engine
            limits = self.order.objective.limits
            found = points_of(trace, member.summary, limits, workload=cell[0], load=cell[1], folder=member.path)
            for point in found:
                point = self._kept(point)
                turns.append(
                    Turn(k, -len(turns), (point,), engine.get("ready_s"), engine.get("peak_memory_bytes"), 0.0)
                )
        return turns

    # --- what it comes to ------------------------------------------------------------------------------------------

    def result(self) -> Choice:
        contest, order = self.contest, self.order
        course = Course(
            contest.turns,
            contest.dropped,
            contest.n_rounds,
            contest.spent_s,
            contest.round_s(),
            self.stopped or contest.stopped,
        )
        asked = Asked(
            order.workloads,
            order.kind,
            order.objective.limits.text,
            order.objective.preset,
            order.objective.source,
            order.window_s,
            order.warmup_s,
            order.budget_s,
            order.again,
            self.created,
        )
        return conclude(
            self.entries,
            self.left_out,
            order.terms,
            asked,
            course,
            host=self.host,
            versions=self.versions,
            notes=self._notes(),
        )

    def _notes(self) -> list[str]:
        """What stands between these numbers and the truth."""
        notes = self._unlike_here()
        points = [point for turn in self.contest.turns for point in turn.points]
        bad = [point for point in points if point.reasons]
        if bad:
            codes = ", ".join(dict.fromkeys(code for point in bad for code in point.reasons))
            notes.append(
                f"{len(bad)} of {len(points)} runs are invalid: {codes}; those in which the client was late count for "
                "nothing: choose on a quieter machine"
            )
        return notes

    def _unlike_here(self) -> list[str]:
        """Of candidates measured here: their figures stand, and who reads them is told."""
        live = sorted(self.seen.keys() & self.configs.keys())
        notes = []
        for k in live[1:]:
            found = unlike(self.seen[live[0]], self.seen[k], self.order.ignored)
            names = f"{self.entries[live[0]].name} and {self.entries[k].name}"
            notes += [f"{names} are not alike: {each.kind}: {each.text}" for each in found]
        return notes

    def _refuse_unlike(self) -> None:
        """Of those measured elsewhere: whoever cannot be compared with the first is out, and says why."""
        contest, live = self.contest, sorted(self.seen.keys() & self.configs.keys())
        reference = next(iter([*live, *sorted(self.seen)]), None)
        for k in [k for k in self.seen if k not in self.configs and k != reference]:
            found = [] if reference is None else unlike(self.seen[reference], self.seen[k], self.order.ignored)
            if found and not any(turn.failed for turn in contest.turns if turn.candidate == k):
                told = "; ".join(f"{each.kind}: {each.text}" for each in found)
                name = self.entries[reference or 0].name
                contest.turns = [turn for turn in contest.turns if turn.candidate != k]
                contest.turns.append(Turn(k, 0, (), failed=f"it cannot be compared with {name}: {told}"))

    def _keep_turn(self) -> None:
        """Told once it is written: whoever stops after that has it."""
        self._write()
        turn = self.contest.turns[-1]
        name = self.entries[turn.candidate].name
        self.observer.say(f"round {turn.round:<3} {name}: {_told(turn, self.order)}")

    def _write(self) -> None:
        write_result(self.folder / FILE, self.result())


def longest_of(workloads: Sequence[Workload], config: Experiment) -> Workload:
    """Whose requests need the most context, as an engine is given it."""

    def context(workload: Workload) -> int:
        lengths = replace(config, input_tokens=workload.input_tokens, output_tokens=workload.output_tokens)
        return experiment.longest_request(experiment.shape_of(replace(lengths, shared_prefix=workload.shared_prefix)))

    return max(workloads, key=context)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "candidate"


def _told(turn: Turn, order: Order) -> str:
    if turn.failed:
        return f"failed: {turn.failed}"
    of = "requests/s" if order.kind == "rate" else "in flight"
    usable = [point for point in turn.points if not point.is_spoiled]
    if len(usable) < len(turn.points):
        codes = ", ".join(dict.fromkeys(code for point in turn.points if point.is_spoiled for code in point.reasons))
        return f"{len(turn.points) - len(usable)} of {len(turn.points)} runs cannot be used: {codes}"
    within = [point for point in usable if point.workload == 0 and point.held[1.0].share >= order.terms.attainment]
    if not within:
        return "no load within the limits"
    best = max(within, key=lambda point: point.held[1.0].goodput_per_s)
    return f"{best.held[1.0].goodput_per_s:.3g} requests/s within the limits, at {best.load:g} {of}"
