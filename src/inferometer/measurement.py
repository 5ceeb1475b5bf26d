# SPDX-License-Identifier: Apache-2.0
"""The measured part of an experiment: a plan driven against a target, with samples, windows and clock pairs noted.

Rule 1: everything written here goes through the flight recorder, so that a killed run has it too.
Rule 2: sampling and progress run in the loop's slack and their cost is itself a sample.
Rule 3: one process does it all (`Measurement`), or a `Part` of it each of several does (workers.py).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Protocol

from inferometer.clock import Clock, ClockPair
from inferometer.drive.answer import Answer
from inferometer.drive.arrivals import Window
from inferometer.drive.connection import Target
from inferometer.drive.decode import facts_of
from inferometer.drive.digest import ALL, Digest
from inferometer.drive.exchange import Finished
from inferometer.drive.glance import Glance, Latency, latency_of
from inferometer.drive.loop import MAX_FAILURES_AT_FIRST, Loop, Options, Tick, without_collector
from inferometer.drive.progress import Observer, Progress
from inferometer.engines.engine import Dialect
from inferometer.errors import BY_USER, RunError
from inferometer.kinds import Outcome, Phase
from inferometer.plan.schedule import Schedule, Stage
from inferometer.recorder import Writer
from inferometer.units import NS_PER_MS, NS_PER_S

SAMPLE_PERIOD_NS = NS_PER_S
PROGRESS_PERIOD_NS = 250 * NS_PER_MS
MAX_JUDGED_READS = 64  # of a first answer that is looked into at once


class Sampler(Protocol):
    """Reads gauges of one source; see docs/reference/records.md for their names."""

    @property
    def source(self) -> str: ...

    def read(self) -> list[tuple[str, float]]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known when the last request has ended. `stop_reason` is empty if the plan was carried out.

    `is_own_fault`: it ended early because we could not go on (disk full, a worker killed), not for what the server did.
    """

    windows: tuple[Window, ...]
    stop_reason: str
    is_interrupted: bool
    is_own_fault: bool
    n_reads: int
    n_kernel_stamped: int
    n_clock_steps: int
    clock_start: ClockPair
    clock_end: ClockPair

    @property
    def stamps(self) -> str:
        """Where receive stamps came from: "kernel", or "user" as soon as one read in a hundred had none."""
        return "kernel" if self.n_reads and self.n_kernel_stamped >= 0.99 * self.n_reads else "user"


@dataclass(slots=True)
class Counts:
    """Where one process stands. `latest`: latencies of requests that ended since the last counts."""

    is_main: bool = False  # past its warm-up
    n_in_flight: int = 0
    n_done: int = 0
    n_failed: int = 0
    last_error: str = ""
    latest: list[Latency] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be driven, at whom, and where it is written down. The payloads are whole HTTP requests."""

    target: Target
    payloads: Sequence[bytes]
    schedule: Schedule
    dialect: Dialect
    recorder: Writer
    clock: Clock
    options: Options
    samplers: Sequence[Sampler] = ()
    observer: Observer | None = None

    @property
    def is_watched(self) -> bool:
        """Somebody shows latencies while it lasts, so answers are decoded in slack."""
        return self.observer is not None and self.observer.wants_latencies


class Part:
    """What one process does of a job: its loop, its recorder, its gauges."""

    def __init__(
        self,
        job: Job,
        recorder: Writer,
        options: Options,
        samplers: Sequence[Sampler],
        ticks: Sequence[Tick] = (),
        *,
        source: str = "client",
    ) -> None:
        self._recorder = recorder
        self._clock = job.clock
        self._samplers = samplers
        self._source = source
        self._keeps_content = options.keeps_content
        self._glance = Glance() if job.is_watched else None
        self._latest: list[Latency] = []
        self._sampling_ns = 0
        self._is_judging = True  # until one answer is good
        self._n_bad = 0
        follows_all = job.is_watched or not options.keeps_content
        digest = Digest(
            job.dialect,
            self._n_wanted,
            self._on_answer,
            must_take_all=not options.keeps_content,
            n_followed=ALL if follows_all else MAX_FAILURES_AT_FIRST,
        )
        ticks = [Tick(SAMPLE_PERIOD_NS, self.sample), *ticks]
        self.loop = Loop(job.target, job.payloads, recorder, job.clock, options, ticks, digest)

    def sample(self, now_ns: int) -> None:
        note_samples(self._recorder, now_ns, self._samplers)
        loop = self.loop
        gauges = {
            "n_passes": loop.n_passes,
            "n_reads": loop.n_reads,
            "n_kernel_stamped": loop.n_kernel_stamped,
            "n_stamps_rejected": loop.n_stamps_rejected,
            "n_written_bytes": self._recorder.n_written_bytes,
            "pass_max_s": loop.pass_max_ns / NS_PER_S,
            "write_s": loop.write_ns / NS_PER_S,
            "in_flight": len(loop.in_flight),
            "sample_cost_s": self._sampling_ns / NS_PER_S,
        }
        _note_gauges(self._recorder, now_ns, self._source, gauges)
        loop.pass_max_ns = 0
        self._note_absences()
        self._sampling_ns += self._clock.now_ns() - now_ns

    def _note_absences(self) -> None:
        absences, self.loop.absences = self.loop.absences, []
        for away in absences:
            lengths_ns = {"away_s": away.t_end_ns - away.t_start_ns, "away_write_s": away.write_ns}
            lengths_s = {name: length_ns / NS_PER_S for name, length_ns in lengths_ns.items()}
            gauges = lengths_s | {"away_stopped": float(away.was_stopped)}
            _note_gauges(self._recorder, away.t_end_ns, self._source, gauges)

    def counts(self) -> Counts:
        loop = self.loop
        latest, self._latest = self._latest, []
        error = loop.last_error if loop.n_failed else ""
        return Counts(loop.phase is Phase.MAIN, len(loop.in_flight), loop.n_done, loop.n_failed, error, latest)

    def close(self) -> None:
        """Requests in flight end as CANCELLED. Raises: RunError if that cannot be written down."""
        self.loop.close()

    def _n_wanted(self, finished: Finished) -> int:
        n_reads = len(finished.reads or ())
        if self._is_judging and finished.outcome is Outcome.OK:
            self._is_judging = n_reads <= MAX_JUDGED_READS  # what has that much to say is no refusal
        if not self._keeps_content or (self._is_judging and finished.outcome is Outcome.OK):
            return n_reads
        return 0 if self._glance is None else self._glance.n_wanted(finished)

    def _on_answer(self, finished: Finished, answer: Answer) -> None:
        """Without content only sizes, stamps and counts of it are written, while the bytes are there."""
        if not self._keeps_content:
            self._recorder.note(self._clock.now_ns(), facts_of(answer, finished.request_id))
        if self._is_judging and finished.outcome is Outcome.OK:
            self._judge(answer)
        if self._glance is not None and (latency := latency_of(finished, answer)) is not None:
            self._latest.append(latency)

    def _judge(self, answer: Answer) -> None:
        """An answer can be whole, with status 200, and worthless: a run of nothing else ends as if they had failed."""
        # How long it was to be is not known here: one that ends as it should is good enough.
        outcome, error = answer.outcome(answer.n_output_tokens or 0)
        if not self._keeps_content:  # the server's words are content
            error = outcome.name.lower()
        self._is_judging = outcome is not Outcome.OK
        self._n_bad += self._is_judging
        if self._n_bad >= MAX_FAILURES_AT_FIRST:
            self.loop.give_up(self._n_bad, error)


class WallClock:
    """Samples how the wall clock moves against the run's axis."""

    source = "clock"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.first = min((clock.pair() for _ in range(8)), key=lambda pair: pair.width_ns)

    def read(self) -> list[tuple[str, float]]:
        pair = self._clock.pair()
        # Against the first: a float cannot hold nanoseconds since 1970.
        change_ns = pair.offset_ns - self.first.offset_ns
        return [("offset_change_ns", float(change_ns)), ("bracket_ns", float(pair.width_ns))]

    def close(self) -> None:
        pass


class Teller:
    """Tells an observer where a run stands."""

    def __init__(self, observer: Observer, schedule: Schedule) -> None:
        self._observer = observer
        self._trials = schedule.trials
        self._trial = 0
        self._t_start_ns = 0
        self._n_done_before = 0  # in earlier trials

    def begin(self, trial: int, t_start_ns: int, n_done: int) -> None:
        self._trial, self._t_start_ns, self._n_done_before = trial, t_start_ns, n_done

    def tell(self, now_ns: int, counts: Counts) -> None:
        elapsed_ns = now_ns - self._t_start_ns
        n_done = counts.n_done - self._n_done_before
        remaining_s = _remaining_s(self._trials[self._trial], elapsed_ns, n_done)
        is_draining = remaining_s is not None and remaining_s == 0
        self._observer.on_progress(
            Progress(
                "draining" if is_draining else "measuring" if counts.is_main else "warm-up",
                self._trial,
                len(self._trials),
                elapsed_ns / NS_PER_S,
                remaining_s,
                counts.n_in_flight,
                n_done,
                counts.n_failed,
                counts.last_error,
                tuple(counts.latest),
            )
        )


class Measurement:
    """A job, driven by this process. `run()` once."""

    def __init__(self, job: Job) -> None:
        self._schedule = job.schedule
        self._recorder = job.recorder
        self._clock = job.clock
        self._wall_clock = WallClock(job.clock)
        self._teller = None if job.observer is None else Teller(job.observer, job.schedule)
        ticks = [] if self._teller is None else [Tick(PROGRESS_PERIOD_NS, self._tell)]
        self._part = Part(job, job.recorder, job.options, [*job.samplers, self._wall_clock], ticks)

    def run(self) -> Measured:
        """Drive all trials. Ctrl-C once ends the run with what is there; twice ends the process."""
        loop, windows = self._part.loop, list[Window]()
        is_own_fault = False
        with stopping_gently(self._stop) as interrupts, noticing_stops(loop):
            try:
                loop.open_connections(n_due_at_start(self._schedule))
                for trial, stages in enumerate(self._schedule.trials):
                    if loop.stop_reason:
                        break
                    self._drive_trial(trial, stages, windows)
            except RunError as error:
                loop.stop_reason, is_own_fault = str(error), True
            try:
                self._part.close()
            except RunError as error:
                loop.stop_reason, is_own_fault = str(error), True
        return Measured(
            tuple(windows),
            loop.stop_reason,
            interrupts.is_interrupted,
            is_own_fault,
            loop.n_reads,
            loop.n_kernel_stamped,
            loop.n_clock_steps,
            self._wall_clock.first,
            self._clock.pair(),
        )

    def _drive_trial(self, trial: int, stages: Sequence[Stage], windows: list[Window]) -> None:
        loop = self._part.loop
        with without_collector():
            t_start_ns = self._clock.now_ns()
            if self._teller is not None:
                self._teller.begin(trial, t_start_ns, loop.n_done)
            self._part.sample(t_start_ns)
            windows.append(loop.run_trial(trial, stages))
            self._part.sample(self._clock.now_ns())
        note_window(self._recorder, self._clock.now_ns(), windows[-1])

    def _stop(self) -> None:
        self._part.loop.stop_reason = BY_USER

    def _tell(self, now_ns: int) -> None:
        if self._teller is not None:
            self._teller.tell(now_ns, self._part.counts())


# -- what one process and several have in common ----------------------------------------------------------------------


def note_samples(recorder: Writer, now_ns: int, samplers: Sequence[Sampler]) -> None:
    for sampler in samplers:
        _note_gauges(recorder, now_ns, sampler.source, dict(sampler.read()))


def _note_gauges(recorder: Writer, t_ns: int, source: str, gauges: Mapping[str, float]) -> None:
    facts = [(name, float(value)) for name, value in gauges.items()]
    recorder.note(t_ns, {"note": "samples", "source": source, "gauges": facts})


def note_window(recorder: Writer, now_ns: int, window: Window) -> None:
    recorder.note(now_ns, {"note": "window", "window": asdict(window)})


def n_due_at_start(schedule: Schedule) -> int:
    """Connections that the first instant of any trial's last stage asks for."""
    return max(stages[-1].concurrency or _n_first_burst(stages[-1]) for stages in schedule.trials)


@dataclass(slots=True)
class Interrupts:
    is_interrupted: bool = False


@contextmanager
def stopping_gently(stop: Callable[[], None], at_once: Callable[[], None] | None = None) -> Iterator[Interrupts]:
    """Ctrl-C (or SIGTERM) once calls `stop`; the second time it means now: `at_once`, and the process ends.

    Whole blocks are on disk by then, and the engine's supervisor ends the engine.
    """
    seen = Interrupts()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if seen.is_interrupted:
            if at_once is not None:
                at_once()
            os._exit(130)
        seen.is_interrupted = True
        stop()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def noticing_stops(loop: Loop) -> Iterator[None]:
    """The loop is told when this process goes on after a SIGSTOP or Ctrl-Z: nothing else shows a stop in mid-write."""
    previous = signal.signal(signal.SIGCONT, lambda *_: loop.on_continued())
    try:
        yield
    finally:
        signal.signal(signal.SIGCONT, previous)


def _remaining_s(stages: Sequence[Stage], elapsed_ns: int, n_done: int) -> float | None:
    """Until the trial ends: by the clock where time ends it, by the speed so far where a count does."""
    if stages[-1].duration_ns is not None:
        return max(0, sum(stage.duration_ns or 0 for stage in stages) - elapsed_ns) / NS_PER_S
    counts = [stage.n_planned for stage in stages]
    if not n_done or None in counts:
        return None
    return max(0, sum(count or 0 for count in counts) - n_done) * elapsed_ns / n_done / NS_PER_S


def _n_first_burst(stage: Stage) -> int:
    """Requests of an open stage that are due at its very start."""
    return 0 if stage.due_ns is None else int((stage.due_ns == stage.due_ns[:1]).sum())
