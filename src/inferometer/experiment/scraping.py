# SPDX-License-Identifier: Apache-2.0
"""The server's own gauges while a run lasts: what there is to read, and the process that reads it (scraper.py).

Rule 1: the first reading is over before the first request is sent, the last begins when the last has ended: what a
counter rose by in between is what these requests did.
Rule 2: if the process fails, the measurement goes on; the manifest says what became of it.
"""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import IO, Any

import msgspec

from inferometer.engines.engine import Engine
from inferometer.host.control import Control
from inferometer.host.gpu import why_not
from inferometer.host.scrape import Prospect, look
from inferometer.scraper import Order

_READY_WITHIN_S = 15.0
_DONE_WITHIN_S = 15.0
_OFF = "it was turned off by --scrape-every off"


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
        prospect, told = asdict(self.prospect), asdict(self)
        del told["prospect"]
        return prospect | told


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
        [sys.executable, "-P", "-m", "inferometer.scraper"],
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
        ready = _line(process.stdout, _READY_WITHIN_S)
        _take(beside, ready)
        if not ready:
            process.kill()  # what it might still read would begin in the middle of the load
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
    said: dict[str, Any] = msgspec.json.decode(line) if line else {}
    return said


def _take(beside: Beside, said: dict[str, Any]) -> None:
    for name, value in said.items():
        setattr(beside, name, tuple(value) if isinstance(value, list) else value)
