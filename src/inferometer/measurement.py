# SPDX-License-Identifier: Apache-2.0
"""The measured part of an experiment: a plan driven against a target, with samples, windows and clock pairs noted.

Rule 1: everything written here goes through the flight recorder, so that a killed run has it too.
Rule 2: sampling and progress run in the loop's slack and their cost is itself a sample.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Protocol

from inferometer.clock import Clock, ClockPair
from inferometer.drive.answer import Answer
from inferometer.drive.arrivals import Window
from inferometer.drive.connection import Target
from inferometer.drive.decode import facts_of
from inferometer.drive.exchange import Finished
from inferometer.drive.loop import Loop, Options, Tick, without_collector
from inferometer.drive.progress import Observer, Progress
from inferometer.engines.engine import Dialect
from inferometer.kinds import Phase
from inferometer.plan.schedule import Schedule, Stage
from inferometer.recorder import Writer
from inferometer.units import NS_PER_MS, NS_PER_S

SAMPLE_PERIOD_NS = NS_PER_S
PROGRESS_PERIOD_NS = 250 * NS_PER_MS


class Sampler(Protocol):
    """Reads gauges of one source; see docs/reference/records.md for their names."""

    source: str

    def read(self) -> list[tuple[str, float]]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known when the last request has ended. `stop_reason` is empty if the plan was carried out."""

    windows: tuple[Window, ...]
    stop_reason: str
    is_interrupted: bool
    n_reads: int
    n_kernel_stamped: int
    n_clock_steps: int
    clock_start: ClockPair
    clock_end: ClockPair

    @property
    def stamps(self) -> str:
        """Where receive stamps came from: "kernel", or "user" as soon as one read in a hundred had none."""
        return "kernel" if self.n_reads and self.n_kernel_stamped >= 0.99 * self.n_reads else "user"


class Measurement:
    """One plan, one target, one recorder. `run()` once."""

    def __init__(
        self,
        target: Target,
        payloads: Sequence[bytes],
        schedule: Schedule,
        dialect: Dialect,
        recorder: Writer,
        clock: Clock,
        options: Options,
        samplers: Sequence[Sampler],
        observer: Observer | None,
    ) -> None:
        self._schedule = schedule
        self._dialect = dialect
        self._recorder = recorder
        self._clock = clock
        self._keeps_content = options.keeps_content
        self._samplers = samplers
        self._observer = observer
        self._sampling_ns = 0
        self._is_interrupted = False
        self._trial = 0
        self._t_trial_ns = 0
        self._n_done_before = 0  # in earlier trials
        self._first_offset_ns = 0
        ticks = [Tick(SAMPLE_PERIOD_NS, self._sample)]
        if observer is not None:
            ticks.append(Tick(PROGRESS_PERIOD_NS, self._tell))
        wants_answers = observer is not None or not options.keeps_content
        on_finished = self._on_finished if wants_answers else None
        self._loop = Loop(target, payloads, recorder, clock, options, ticks, on_finished)

    def run(self) -> Measured:
        """Drive all trials. Ctrl-C once ends the run with what is there; twice ends the process."""
        clock_start = min((self._clock.pair() for _ in range(8)), key=lambda pair: pair.width_ns)
        self._first_offset_ns = clock_start.offset_ns
        windows: list[Window] = []
        n_ready = max(stages[-1].concurrency or _n_first_burst(stages[-1]) for stages in self._schedule.trials)
        with self._interruptible():
            try:
                self._loop.open_connections(n_ready)
                for trial, stages in enumerate(self._schedule.trials):
                    if self._loop.stop_reason:
                        break
                    with without_collector():
                        self._trial, self._t_trial_ns = trial, self._clock.now_ns()
                        self._n_done_before = self._loop.n_done
                        self._sample(self._t_trial_ns)
                        windows.append(self._loop.run_trial(trial, stages))
                        self._sample(self._clock.now_ns())
                    self._note(windows[-1])
            finally:
                self._loop.close()
        return Measured(
            tuple(windows),
            self._loop.stop_reason,
            self._is_interrupted,
            self._loop.n_reads,
            self._loop.n_kernel_stamped,
            self._loop.n_clock_steps,
            clock_start,
            self._clock.pair(),
        )

    def _note(self, window: Window) -> None:
        self._recorder.note(self._clock.now_ns(), {"note": "window", "window": asdict(window)})

    def _sample(self, now_ns: int) -> None:
        loop = self._loop
        for sampler in self._samplers:
            self._note_gauges(now_ns, sampler.source, sampler.read())
        pair = self._clock.pair()
        # Against the first: a float cannot hold nanoseconds since 1970.
        drift_ns = pair.offset_ns - self._first_offset_ns
        self._note_gauges(pair.t_ns, "clock", [("offset_change_ns", drift_ns), ("bracket_ns", pair.width_ns)])
        gauges = [
            ("n_passes", loop.n_passes),
            ("n_reads", loop.n_reads),
            ("n_kernel_stamped", loop.n_kernel_stamped),
            ("n_stamps_rejected", loop.n_stamps_rejected),
            ("n_written_bytes", self._recorder.n_written_bytes),
            ("pass_max_s", loop.pass_max_ns / NS_PER_S),
            ("in_flight", len(loop.in_flight)),
            ("sample_cost_s", self._sampling_ns / NS_PER_S),
        ]
        self._note_gauges(now_ns, "client", [(name, float(value)) for name, value in gauges])
        loop.pass_max_ns = 0
        self._sampling_ns += self._clock.now_ns() - now_ns

    def _note_gauges(self, t_ns: int, source: str, gauges: list[tuple[str, float]]) -> None:
        self._recorder.note(t_ns, {"note": "samples", "source": source, "gauges": gauges})

    def _on_finished(self, finished: Finished) -> None:
        if not self._keeps_content:
            self._keep_facts(finished)
        if self._observer is not None:
            self._observer.on_finished(finished)

    def _keep_facts(self, finished: Finished) -> None:
        """Decode while the bytes are there; only sizes, stamps and counts are written."""
        if not finished.reads:
            return
        answer = Answer(self._dialect)
        for i, (data, _, _) in enumerate(finished.reads):
            answer.feed(data, i)
        answer.close(len(finished.reads) - 1)
        self._recorder.note(self._clock.now_ns(), facts_of(answer, finished.request_id))

    def _tell(self, now_ns: int) -> None:
        if self._observer is None:
            return
        loop = self._loop
        elapsed_ns = now_ns - self._t_trial_ns
        n_done = loop.n_done - self._n_done_before
        remaining_s = _remaining_s(self._schedule.trials[self._trial], elapsed_ns, n_done)
        is_draining = remaining_s is not None and remaining_s == 0
        self._observer.on_progress(
            Progress(
                "draining" if is_draining else "warm-up" if loop.phase is Phase.WARMUP else "measuring",
                self._trial,
                len(self._schedule.trials),
                elapsed_ns / NS_PER_S,
                remaining_s,
                len(loop.in_flight),
                n_done,
                loop.n_failed,
                loop.last_error if loop.n_failed else "",
            )
        )

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        def stop(number: int, frame: FrameType | None) -> None:
            if self._is_interrupted:
                os._exit(130)  # the second time means now; whole blocks are on disk, the engine's supervisor ends it
            self._is_interrupted = True
            self._loop.stop_reason = "stopped by the user"

        previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


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
