# SPDX-License-Identifier: Apache-2.0
"""The process that reads a server's gauges, and those of GPUs, beside the load. `python -m inferometer.scraper`.

Rule 1: it shares nothing with the process that measures but the run's clock and folder: a page of metrics takes
milliseconds to read, and a thread would take them from the driving loop. It also stands back (nice) for a core.
Rule 2: it is told what to do over standard input, for that may hold a key; and to stop by the end of it.
Rule 3: what was read is on disk at once, in a recorder file of its own: a kill loses nothing.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from inferometer.clock import Clock, process_cpu_ns, sleep_s
from inferometer.engines.registry import engines
from inferometer.host.control import Control
from inferometer.host.gpu import GpuSampler, NoGpu
from inferometer.host.scrape import Scraper
from inferometer.host.supervise import die_with_parent
from inferometer.recorder import Writer
from inferometer.units import NS_PER_S

FIRST_PAGE, LAST_PAGE = "server-metrics-first.txt", "server-metrics-last.txt"
NICENESS = 5  # a third of the weight of who measures and who is measured, where all want the same core
SETTLE_S = 0.2  # after the last answer: servers close their books behind it, some of them one engine step later


class Order(msgspec.Struct):
    """What the process is told, over a pipe: the headers may hold a key."""

    recorder: str  # path of the file to write; pages go beside it
    url: str
    engine: str
    headers: list[tuple[str, str]]
    is_insecure: bool
    is_scraped: bool  # the server has gauges that are known
    has_gpus: bool  # there are some in this machine, and the server is on it
    period_ns: int
    origin_ns: int


def main() -> int:
    """Read until standard input ends, then once more. Standard output: a line when it is ready, one when it is done."""
    die_with_parent()
    line = sys.stdin.buffer.readline()
    if not line:
        return 0  # our starter died before it said what to do
    order = msgspec.json.decode(line, type=Order)
    with suppress(OSError):  # not everywhere; it is a courtesy
        os.nice(NICENESS)
    clock = Clock(order.origin_ns)
    with ExitStack() as stack:
        scraper = stack.enter_context(_scraper(order, clock)) if order.is_scraped else None
        gpus, news = _gpus(order)
        if gpus is not None:
            stack.callback(gpus.close)
        recorder = Writer(Path(order.recorder))
        reader = _Reader(recorder, clock, scraper, gpus)
        reader.read()
        _say({"n_scrapes": 1, **news})
        _read_until_told(reader, clock, order.period_ns)
        sleep_s(SETTLE_S)
        reader.read()
        recorder.close()
        if scraper is not None:
            for name, page in ((FIRST_PAGE, scraper.first_page), (LAST_PAGE, scraper.last_page)):
                Path(order.recorder).with_name(name).write_text(page, encoding="utf-8")
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
