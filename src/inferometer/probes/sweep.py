# SPDX-License-Identifier: Apache-2.0
"""A sweep: one run at each load of a ladder, from the smallest up, until the server is saturated.

Rule 1: from small to large, so that saturation ends it; what the order may hide (a server that warms up, a machine that
slows down) is told by the first load, which is measured again in the end.
Rule 2: how long a point must be is reckoned from the point before; whether it was long enough is found afterwards, and
said of the point.
Rule 3: the result is written after every point: what was measured is not lost with the last one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from inferometer.analysis import curve
from inferometer.analysis.curve import Point, Sweep, is_failing, is_saturated, point_of
from inferometer.clock import utc_now
from inferometer.config import DEFAULT_FOR_S, Experiment
from inferometer.drive.progress import Observer
from inferometer.errors import EngineError, InferometerError, UsageError
from inferometer.metrics.summary import Summary
from inferometer.probes.points import MOST_ELSEWHERE, MOST_STARTED, Keep, Points, Stopped, carried_out, points
from inferometer.probes.results import write_result
from inferometer.stats import Missing
from inferometer.stats.usl import MIN_LOADS, MIN_SPAN

AUTO = "auto"
MAX_LOADS = 64
AUTO_SHARES = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95)  # of what it can do at most: denser where latency begins to rise
PLATEAU = 32  # requests in flight by which that is found
WARMUP_LATENCIES = 1.5  # that a warm-up lasts, for every slot to be in its second request
MARGIN = 1.2  # a point is planned longer than the least, for the reckoning is from the point before


@dataclass(frozen=True, slots=True)
class Ladder:
    """The loads of a sweep: those given, in ascending order, or none: find them."""

    kind: curve.Kind
    loads: tuple[float, ...] = ()

    @property
    def is_auto(self) -> bool:
        return not self.loads


def parse_ladder(concurrency: str | None, rate: str | None) -> Ladder:
    """`1,2,4,8` or `auto`, for one of both. Raises: UsageError."""
    if (concurrency is None) == (rate is None):
        raise UsageError(
            "a sweep is over one kind of load", "give --concurrency 1,2,4,8 or auto, or --rate 1,2,4 or auto"
        )
    if concurrency is not None:
        loads = _loads(concurrency, "--concurrency", r"\d{1,6}")
        return Ladder("concurrency", loads)
    return Ladder("rate", _loads(rate or "", "--rate", r"\d+(\.\d+)?|\.\d+"))


def _loads(text: str, flag: str, pattern: str) -> tuple[float, ...]:
    if text.strip() == AUTO:
        return ()
    parts = [part.strip() for part in text.split(",") if part.strip()]
    wrong = next((part for part in parts if not re.fullmatch(pattern, part) or not float(part) > 0), None)
    if wrong is not None or not parts:
        raise UsageError(f"{flag} {wrong or text!r} is no load", f"write {flag} 1,2,4,8 or {flag} {AUTO}")
    if len(set(parts)) > MAX_LOADS:
        raise UsageError(f"{flag} names {len(set(parts))} loads", f"give at most {MAX_LOADS}")
    return tuple(sorted({float(part) for part in parts}))


def run(
    config: Experiment, ladder: Ladder, observer: Observer, keep: Keep
) -> tuple[Path, Sweep, InferometerError | None]:
    """Carry the sweep out. Returns the folder, what came of it, and what ended it early, if anything did. `keep`: is
    given each run with its summary.

    Raises: UsageError, EngineError, RunError before the first point.
    """
    most = MOST_ELSEWHERE if config.url is not None else MOST_STARTED
    greatest = int(max(ladder.loads, default=most))
    needed = greatest if ladder.kind == "concurrency" else (PLATEAU if ladder.is_auto else None)
    largest = replace(config, rate=None, concurrency=needed) if needed is not None else config
    with points(config, observer, what="sweep", greatest=largest, keep=keep) as taker:
        going = _Going(config, ladder, taker, observer, most)
        stopped = going.go()
        return taker.folder, going.result(), stopped


@dataclass(slots=True)
class _Going:
    """A sweep on its way."""

    config: Experiment
    ladder: Ladder
    taker: Points
    observer: Observer
    most: int
    done: list[Point] = field(default_factory=list)
    again: list[Point] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    stopped: str = ""
    seconds: float = 0.0
    first: Summary | None = None
    created: str = field(default_factory=lambda: utc_now().isoformat(timespec="seconds"))

    def go(self) -> InferometerError | None:
        cause = carried_out(self._climb)
        if cause is not None:
            self.stopped = str(cause)
        self._write()
        return cause

    def _climb(self) -> None:
        for load in self._ladder():
            self._measure(load)
            self.stopped = self._why_enough()
            if self.stopped:
                break
        if len(self.done) > 1:
            self._measure(self.done[0].load, is_repeat=True)

    def _ladder(self) -> Iterator[float]:
        if not self.ladder.is_auto:
            self.loads = list(self.ladder.loads)
        elif self.ladder.kind == "rate":
            most = self._plateau()
            self.loads = [float(f"{share * most:.3g}") for share in AUTO_SHARES]
        else:
            load = 1
            while load <= self.most:
                self.loads.append(float(load))
                yield float(load)
                load *= 2
            return
        yield from self.loads

    def _plateau(self) -> float:
        """Requests per second in a closed loop of many: about what the server can do. A guess, and only used as one."""
        base_s = self.config.for_s or DEFAULT_FOR_S
        taken = self.taker.take(concurrency=PLATEAU, window_s=base_s, warmup_s=self._warmup_s(PLATEAU))
        self.seconds += taken.seconds
        found = taken.summarized()[1].metrics["request_throughput_per_s"]["value"]
        if isinstance(found, Missing) or found.value <= 0:
            reason = found.reason if isinstance(found, Missing) else "nothing was answered"
            remedy = f"see inferometer report {taken.run.path}"
            raise Stopped(EngineError(f"no request rate can be told: {reason}", remedy))
        self.observer.say(f"plateau   {found.value:.3g} requests/s with {PLATEAU} in flight")
        return found.value

    def _measure(self, load: float, *, is_repeat: bool = False) -> None:
        kind = self.ladder.kind
        load_of = {"concurrency": int(load)} if kind == "concurrency" else {"rate": load}
        taken = self.taker.take(**load_of, window_s=self._window_s(load), warmup_s=self._warmup_s(load))
        self.seconds += taken.seconds
        _, summary = taken.summarized()
        self.first = self.first or summary
        folder = str(taken.run.path.relative_to(self.taker.folder))
        point = point_of(summary, load, folder, kind=kind, is_repeat=is_repeat)
        (self.again if is_repeat else self.done).append(point)
        self._write()
        self.observer.say(_told(point, kind))

    def _window_s(self, load: float) -> float:
        """As asked, or as long as ten requests a slot and three latencies take at the speed of the point before."""
        base_s = self.config.for_s or DEFAULT_FOR_S
        if not self.done:
            return base_s
        throughput = self.done[-1].request_throughput.value or 0.0
        n_needed = curve.REQUESTS_PER_SLOT * load if self.ladder.kind == "concurrency" else 0.0
        needed_s = n_needed / throughput if throughput else 0.0
        return max(base_s, MARGIN * max(needed_s, curve.MIN_LATENCIES * self._latency_s(load)))

    def _warmup_s(self, load: float) -> float:
        """As asked, or long enough for every slot to be in its second request."""
        asked = self.config.warmup.duration_s if self.config.warmup is not None else 0.0
        return max(asked, WARMUP_LATENCIES * self._latency_s(load))

    def _latency_s(self, load: float) -> float:
        """What a request will take at most: in a closed loop by Little's law, if throughput rises no further."""
        if not self.done:
            return 0.0
        latency_s = self.done[-1].e2e_mean.value or 0.0
        return latency_s * max(1.0, load / self.done[-1].load) if self.ladder.kind == "concurrency" else latency_s

    def _why_enough(self) -> str:
        """Why no higher load is worth a run, "" if one is."""
        last = self.done[-1]
        if is_failing(last):
            return f"at {last.load:g} {last.limit}"
        if self.ladder.kind == "rate":
            return f"{last.load:g}/s is more than it sustains" if last.limit else ""
        spans = len(self.done) >= MIN_LOADS and last.load / self.done[0].load >= MIN_SPAN
        if self.ladder.is_auto and spans and is_saturated(self.done):
            return "two doublings brought next to nothing"
        return ""

    def result(self) -> Sweep:
        kind, first = self.ladder.kind, self.first
        done = curve.marked(self.done) if kind == "concurrency" else list(self.done)
        law = curve.law_of(done) if kind == "concurrency" else Missing(_NO_LAW, 0, "1/s")
        return Sweep(
            kind=kind,
            is_auto=self.ladder.is_auto,
            loads=self.loads,
            points=[*done, *self.again],
            slo=self.config.slo,
            seconds=self.seconds,
            created=self.created,
            engine=dict(first.engine) if first else {},
            plan=dict(first.plan) if first else {},
            host=dict(first.host) if first else {},
            versions=dict(first.versions) if first else {},
            stopped=self.stopped,
            law=None if isinstance(law, Missing) else law,
            no_law=law.reason if isinstance(law, Missing) else "",
            drift=curve.drift_of(done[0], self.again[0]) if done and self.again else None,
        )

    def _write(self) -> None:
        write_result(self.taker.folder / curve.FILE, self.result())


_NO_LAW = "it is one of requests in flight: sweep over --concurrency"


def _told(point: Point, kind: curve.Kind) -> str:
    load = f"{point.load:g} in flight" if kind == "concurrency" else f"{point.load:g} requests/s"
    throughput, ttft = point.request_throughput.value, point.ttft_p50.value
    parts = [
        f"{throughput:.3g} requests/s done" if throughput is not None else "no throughput",
        f"ttft {1000 * ttft:.3g} ms" if ttft is not None else "no ttft",
        *([point.limit] if point.limit else []),
    ]
    return f"{'again' if point.is_repeat else 'point':10}{load}: {', '.join(parts)}"
