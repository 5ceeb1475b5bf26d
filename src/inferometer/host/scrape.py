# SPDX-License-Identifier: Apache-2.0
"""Reading the gauges that a server publishes of itself, in our vocabulary, each reading timed.

Rule 1: a reading that failed is counted and timed like one that did not; it is never a gauge of zero.
Rule 2: why a server has no gauges is said before the run, with what to do about it.
Rule 3: nothing here runs in a process that measures: a page takes milliseconds to read, see experiment/scraping.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.clock import Clock
from inferometer.engines.engine import Engine
from inferometer.engines.gauges import Gauges, canonical
from inferometer.engines.prometheus import MetricsError
from inferometer.errors import EngineError
from inferometer.host.control import Control
from inferometer.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a server will tell: canonical names; none, and `not_measured` says why and what to do about it."""

    path: str = ""
    names: tuple[str, ...] = ()
    not_measured: str = ""


def look(control: Control, engine: Engine) -> Prospect:
    """Whether this server publishes gauges that we know, by reading them once."""
    gauges = engine.gauges
    if gauges is None:
        return Prospect(not_measured=f"no metrics of {engine.title} are known")
    remedy = f"; {gauges.remedy}" if gauges.remedy else ""
    try:
        found = _page(control, gauges)
    except (EngineError, MetricsError) as error:
        return Prospect(gauges.path, not_measured=f"{error}{remedy}")
    names = tuple(name for name in found if "_le_" not in name)
    if not names:
        return Prospect(
            gauges.path, not_measured=f"{gauges.path} has no metric of {engine.title} that is known{remedy}"
        )
    return Prospect(gauges.path, names)


def gauges_now(control: Control, engine: Engine) -> dict[str, float]:
    """What the server tells of itself at this moment, in our vocabulary; nothing if it publishes nothing we know.

    Raises: EngineError, MetricsError if its page cannot be had or read.
    """
    return {} if engine.gauges is None else _page(control, engine.gauges)


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the gauges. `t_ns`: its middle; the server's own instant lies within half of `scrape_s` of it."""

    t_ns: int
    gauges: tuple[tuple[str, float], ...]


class Scraper:
    """Reads the gauges of one server again and again, over a connection of its own.

    `first_page`, `last_page`: text of the first and the last good one, without secrets. `last_error`: of the last
    reading that failed, "" if none did.
    """

    source = "server"

    def __init__(self, control: Control, gauges: Gauges, clock: Clock) -> None:
        self._control = control
        self._gauges = gauges
        self._clock = clock
        self.n_scrapes = 0
        self.n_failures = 0
        self.last_error = ""
        self.first_page = self.last_page = ""

    def read(self) -> Reading:
        t_start_ns = self._clock.now_ns()
        found: dict[str, float] = {}
        try:
            text = _text(self._control, self._gauges)
            t_end_ns = self._clock.now_ns()
            found = canonical(self._gauges, text)
            self.first_page = self.first_page or text
            self.last_page = text
        except (EngineError, MetricsError) as error:
            t_end_ns = self._clock.now_ns()
            self.n_failures += 1
            self.last_error = str(error)
        self.n_scrapes += 1
        found["scrape_s"] = (t_end_ns - t_start_ns) / NS_PER_S
        found["n_scrapes"] = self.n_scrapes
        found["n_scrape_failures"] = self.n_failures
        return Reading((t_start_ns + t_end_ns) // 2, tuple(found.items()))


def _page(control: Control, gauges: Gauges) -> dict[str, float]:
    return canonical(gauges, _text(control, gauges))


def _text(control: Control, gauges: Gauges) -> str:
    """Raises: EngineError if the server does not give its page of metrics."""
    reply = control.get(gauges.path)
    if reply.status != 200:
        raise EngineError(f"{gauges.path} answered HTTP {reply.status}")
    return reply.body.decode("utf-8", errors="replace")
