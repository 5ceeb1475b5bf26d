# SPDX-License-Identifier: Apache-2.0
"""Points: the ordinary runs that a probe is made of, in one folder, against a server that is started once.

FOLDER/points/001-c4/   a run like any other: `inferometer report FOLDER/points/001-c4`
FOLDER/engine.log       output of the engine, when it was started for this
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inferometer import experiment
from inferometer.clock import Clock
from inferometer.config import Experiment, Warmup
from inferometer.drive.progress import Observer
from inferometer.errors import BY_USER, Cancelled, EngineError, InferometerError, RunError
from inferometer.experiment.subject import Subject
from inferometer.host.ask import ServerFacts
from inferometer.metrics.slo import Limits
from inferometer.metrics.summary import Summary, summarize
from inferometer.records import Trace
from inferometer.run_folder import Run
from inferometer.units import NS_PER_S

POINTS = "points"
# Of a server that is started here without a word on how many it serves at a time; more than any two cores need.
MOST_STARTED, MOST_ELSEWHERE = 64, 1_024


Keep = Callable[[Run, Summary], None]  # what is done with each run once it is summarised


class Stopped(Exception):
    """A run ended early, so no further one makes sense. `cause`: what the command line is to end with."""

    def __init__(self, cause: InferometerError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def carried_out(work: Callable[[], None]) -> InferometerError | None:
    """Do it; what ended it early, None if nothing did. A run that Ctrl-C meets has its own way of ending; what comes
    here is one between two runs."""
    try:
        work()
    except Stopped as stopped:
        return stopped.cause
    except KeyboardInterrupt:
        return Cancelled(BY_USER)
    return None


@dataclass(frozen=True, slots=True)
class Taken:
    """A run that was carried out, and how long it took, all in all. `keep`: is given it once it is summarised."""

    run: Run
    seconds: float
    keep: Keep | None = None

    def summarized(self, limits: Limits | None = None) -> tuple[Trace, Summary]:
        """Its records and what they say, which is kept."""
        trace = self.run.trace()
        summary = summarize(trace, limits)
        if self.keep is not None:
            self.keep(self.run, summary)
        return trace, summary


@dataclass(slots=True)
class Points:
    """Takes one run after the other. `config`: what they have in common."""

    config: Experiment
    folder: Path
    subject: Subject
    observer: Observer
    keep: Keep | None = None
    n_taken: int = 0

    def take(
        self, *, window_s: float, warmup_s: float, concurrency: int | None = None, rate: float | None = None
    ) -> Taken:
        """One run under that load.

        Raises: Stopped if it ended early, or could not begin although others had; EngineError, RunError if the first
        could not begin.
        """
        config = replace(
            self.config,
            concurrency=concurrency,
            rate=rate,
            requests=None,
            for_s=window_s,
            warmup=Warmup(duration_s=warmup_s),
        )
        return self.carry_out(config, f"c{concurrency}" if concurrency is not None else f"r{rate:.4g}")

    def carry_out(
        self, config: Experiment, word: str, *, facts: ServerFacts | None = None, is_staggered: bool = True
    ) -> Taken:
        """One run as `config` says, in a folder named by `word`. `facts`, `is_staggered`: see experiment.run_against.
        Raises: as `take`."""
        config = replace(config, repeats=1, draw=self.n_taken)
        name = f"{self.n_taken + 1:03}-{word}"
        self.n_taken += 1
        clock = Clock()
        t_start_ns = clock.now_ns()
        config = replace(config, out=str(self.folder / POINTS / name))
        quietly = Quietly(self.observer)
        try:
            run = experiment.run_against(self.subject, config, quietly, facts=facts, is_staggered=is_staggered)
        except (EngineError, RunError) as error:  # the load before may have been the server's last
            if self.n_taken == 1:
                raise
            raise Stopped(error) from error
        seconds = (clock.now_ns() - t_start_ns) / NS_PER_S
        server = self.subject.server
        if (stopped := why_stopped(run, is_dead=server is not None and not server.is_running)) is not None:
            raise Stopped(stopped)
        return Taken(run, seconds, self.keep)


def why_stopped(run: Run, *, is_dead: bool) -> InferometerError | None:
    """Not a run that ended for nothing but failures: more than the server bears looks like that, and is a result."""
    manifest: dict[str, Any] = run.manifest()
    if manifest.get("is_interrupted"):
        return Cancelled(BY_USER)
    if not is_dead and not manifest.get("is_own_fault"):
        return None
    kind = EngineError if is_dead else RunError
    reason = manifest.get("stop_reason") or "the engine ended"
    return kind(f"the run {run.path.name} ended early: {reason}", f"see inferometer report {run.path}")


class Quietly:
    """Passes on how a run goes, but not what is the same for every one of many."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.on_start = observer.on_start
        self.on_progress = observer.on_progress

    @property
    def wants_latencies(self) -> bool:
        return self._observer.wants_latencies

    def say(self, text: str) -> None:
        pass


@contextmanager
def points(
    config: Experiment, observer: Observer, *, what: str, greatest: Experiment, keep: Keep | None = None
) -> Iterator[Points]:
    """The folder made, the server started for the `greatest` load that may come, and stopped in the end.

    `what`: a word for the name of the folder; `keep`: is given each run with its summary.
    Raises: UsageError, EngineError.
    """
    experiment.check(config)
    folder = Run.create(config.out, f"{experiment.name_of(config).rpartition('-')[0]}-{what}").path
    observer.say(f"folder    {folder}")
    with experiment.serving(replace(greatest, out=str(folder / POINTS)), folder, observer) as subject:
        yield Points(config, folder, subject, observer, keep)
