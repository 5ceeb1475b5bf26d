# SPDX-License-Identifier: Apache-2.0
"""The server's own gauges, and those of GPUs, read beside the load by a process of its own.

Rule 1: it shares nothing with the process that measures but the run's clock and folder: a page of metrics takes
milliseconds to read, and a thread would take them from the driving loop. It also stands back (nice) for a core.
Rule 2: the first reading is over before the first request is sent, the last begins when the last has ended: what a
counter rose by in between is what these requests did.
Rule 3: if it fails, the measurement goes on; the manifest says what became of it.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import msgspec

from inferometer.clock import Clock, process_cpu_ns, sleep_s
from inferometer.engines.engine import Engine
from inferometer.engines.registry import engines
from inferometer.host.control import Control
from inferometer.host.gpu import GpuSampler, NoGpu, why_not
from inferometer.host.scrape import Prospect, Scraper, look
from inferometer.host.supervise import die_with_parent
from inferometer.recorder import Writer, gauges_path
from inferometer.run_folder import RECORDER, write_atomically
from inferometer.units import NS_PER_S

FIRST_PAGE, LAST_PAGE = "server-metrics-first.txt", "server-metrics-last.txt"
NICENESS = 5  # a third of the weight of who measures and who is measured, where all want the same core
SETTLE_S = 0.2  # after the last answer: servers close their books behind it, some of them one engine step later
_READY_WITHIN_S = 15.0
_DONE_WITHIN_S = 15.0
_OFF = "it was turned off by --scrape-every off"


class Order(msgspec.Struct):
    """What the process is told, over a pipe: the headers may hold a key."""

    folder: str
    url: str
    engine: str
    headers: list[tuple[str, str]]
    is_insecure: bool
    is_scraped: bool  # the server has gauges that are known
    has_gpus: bool  # there are some in this machine, and the server is on it
    period_ns: int
    origin_ns: int


@dataclass(slots=True)
class Beside:
    """What is read beside the load, for the manifest. Empty reasons: it is measured."""

    prospect: Prospect
    every_s: float
    gpus: tuple[str, ...] = ()
    no_gpus: str = ""
    n_scrapes: int = 0
    n_failures: int = 0
    last_error: str = ""

    def facts(self) -> dict[str, Any]:
        """The prospect's fields, and ours beside them."""
        told = asdict(self)
        return told.pop("prospect") | told


def found(engine: Engine, control: Control, every_s: float, *, is_local: bool) -> Beside:
    """What there is to read, and why not more. `every_s`: 0 to read nothing."""
    if not every_s:
        return Beside(Prospect(not_measured=_OFF), every_s, no_gpus=_OFF)
    no_gpus = why_not() if is_local else "the server is not on this machine"
    return Beside(look(control, engine), every_s, no_gpus=no_gpus)


@contextmanager
def scraping(order: Order, beside: Beside) -> Iterator[Beside]:
    """Have it read while the block runs; `beside` then says what came of it. Nothing is started for nothing."""
    if not order.is_scraped and not order.has_gpus:
        yield beside
        return
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "inferometer.experiment.scraping"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # a line that was read ahead would not wake a select
        start_new_session=True,  # Ctrl-C in the terminal is ours to handle
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        with suppress(BrokenPipeError):  # it has died; what it said of that is read below
            process.stdin.write(msgspec.json.encode(order) + b"\n")
        _take(beside, _line(process.stdout, _READY_WITHIN_S))
        yield beside
    finally:
        process.stdin.close()  # this is what tells it to stop
        said = _line(process.stdout, _DONE_WITHIN_S)
        _take(beside, said)
        if not said:
            process.kill()
            errors = process.stderr.read().decode(errors="replace").strip().splitlines() or ["it did not answer"]
            beside.last_error = f"the process that reads gauges failed: {errors[-1][:200]}"
        process.stdout.close()
        process.stderr.close()
        process.wait()


def _line(stream: IO[bytes], within_s: float) -> dict[str, Any]:
    """One line of JSON; empty if none comes."""
    ready, _, _ = select.select([stream], [], [], within_s)
    line = stream.readline() if ready else b""
    return json.loads(line) if line else {}


def _take(beside: Beside, said: dict[str, Any]) -> None:
    for name, value in said.items():
        setattr(beside, name, tuple(value) if isinstance(value, list) else value)


# --- the process ---------------------------------------------------------------------------------------------------


def main() -> int:
    """Read until standard input ends, then once more. Standard output: a line when it is ready, one when it is done."""
    die_with_parent()
    line = sys.stdin.buffer.readline()
    if not line:
        return 0  # our starter died before it said what to do
    order = msgspec.json.decode(line, type=Order)
    with suppress(OSError):  # not everywhere; it is a courtesy
        os.nice(NICENESS)
    folder, clock = Path(order.folder), Clock(order.origin_ns)
    with ExitStack() as stack:
        scraper = stack.enter_context(_scraper(order, clock)) if order.is_scraped else None
        gpus, news = _gpus(order)
        if gpus is not None:
            stack.callback(gpus.close)
        recorder = Writer(gauges_path(folder / RECORDER))
        reader = _Reader(recorder, clock, scraper, gpus)
        reader.read()
        _say({"n_scrapes": 1, **news})
        _read_until_told(reader, clock, order.period_ns)
        sleep_s(SETTLE_S)
        reader.read()
        recorder.close()
        if scraper is not None:
            for name, page in ((FIRST_PAGE, scraper.first_page), (LAST_PAGE, scraper.last_page)):
                write_atomically(folder / name, page.encode())
            _say({name: getattr(scraper, name) for name in ("n_scrapes", "n_failures", "last_error")})
        else:
            _say({"n_scrapes": 0})
    return 0


class _Reader:
    """Reads all there is, and writes it down at once: a kill loses nothing that was read."""

    def __init__(self, recorder: Writer, clock: Clock, scraper: Scraper | None, gpus: GpuSampler | None) -> None:
        self._recorder, self._clock, self._scraper, self._gpus = recorder, clock, scraper, gpus

    def read(self) -> None:
        if self._scraper is not None:
            reading = self._scraper.read()
            self._note(reading.t_ns, self._scraper.source, reading.gauges)
        if self._gpus is not None:
            for source, gauges in self._gpus.read():
                self._note(self._clock.now_ns(), source, gauges)
        self._note(self._clock.now_ns(), "scraper", [("cpu_s", process_cpu_ns() / NS_PER_S)])
        self._recorder.flush()

    def _note(self, t_ns: int, source: str, gauges: Sequence[tuple[str, float]]) -> None:
        self._recorder.note(t_ns, {"note": "samples", "source": source, "gauges": list(gauges)})


def _read_until_told(reader: _Reader, clock: Clock, period_ns: int) -> None:
    """At whole periods from now on; of those that a slow reading covered, none is made up for."""
    t_start_ns, n_periods = clock.now_ns(), 1
    while True:
        wait_ns = t_start_ns + n_periods * period_ns - clock.now_ns()
        told, _, _ = select.select([sys.stdin], [], [], max(wait_ns, 0) / NS_PER_S)
        if told:
            return
        reader.read()
        n_periods = (clock.now_ns() - t_start_ns) // period_ns + 1


@contextmanager
def _scraper(order: Order, clock: Clock) -> Iterator[Scraper]:
    gauges = next(engine.gauges for engine in engines() if engine.name == order.engine)
    assert gauges is not None
    with Control(order.url, headers=order.headers, is_insecure=order.is_insecure) as control:
        yield Scraper(control, gauges, clock)


def _gpus(order: Order) -> tuple[GpuSampler | None, dict[str, Any]]:
    """The sampler, and what is new about it."""
    if not order.has_gpus:
        return None, {}
    try:
        gpus = GpuSampler()
    except NoGpu as error:
        return None, {"no_gpus": str(error)}
    return gpus, {"gpus": gpus.names}


def _say(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)  # noqa: T201 - this process's line to its starter


if __name__ == "__main__":
    sys.exit(main())
