# SPDX-License-Identifier: Apache-2.0
"""What a server does when a client leaves in mid-answer: it stops, or writes the answer to its end for nobody.

Requests that time out leave like this; a server that goes on is then under more load than the records show.

Rule 1: asked of an idle server that we started, before anything is measured, and only where its gauges can tell.
Rule 2: when this returns, the server is idle again, or it is said that it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from inferometer.clock import Clock, sleep_s
from inferometer.engines.engine import Dialect, Engine
from inferometer.engines.gauges import Gauges
from inferometer.errors import EngineError
from inferometer.host.ask import ServerFacts
from inferometer.host.control import Control
from inferometer.host.scrape import Scraper
from inferometer.plan.request import Request
from inferometer.units import NS_PER_S

NOT_OURS = "somebody else runs this server"
NOT_READ = "its gauges are not read"
SHARED = "this server is measured in many runs, and none is to begin with an answer that was left"
_MOST_TOKENS = 1024  # of the answer that is left
_USUAL_TOKENS = 256  # where nobody knows how fast they come
_FEWEST_TOKENS = 64  # a shorter one is over before anybody looks
_LASTS_S = 5.0  # the answer, where it is known how fast they come
_NOTICED_WITHIN_S = 1.0  # engines that look for clients that are gone do so once a second
_SEEN_WITHIN_S = 5.0  # some gauges follow steps behind
_FREE_WITHIN_S = 60.0  # an answer that is written to its end, by a slow engine
_LOOK_EVERY_S = 0.02
_SETTLED_AFTER_S = 0.2  # counters follow steps behind, too
_NEEDS = ("requests_running", "n_output_tokens")
_TEXT = "Tell a long story about a lighthouse, and do not stop."


@dataclass(frozen=True, slots=True)
class Departure:
    """`not_tested`: why, "" if it was. `is_freed`: whether the answer was given up, None where that cannot be told;
    `free_s`: from leaving until nothing ran; `n_generated` of `n_asked` tokens, by the server's own counter."""

    not_tested: str = ""
    is_freed: bool | None = None
    free_s: float | None = None
    n_asked: int | None = None
    n_generated: int | None = None

    def facts(self) -> dict[str, Any]:
        return asdict(self)

    def notes(self) -> list[str]:
        """For the report: what a person has to know of it."""
        if self.is_freed is not False:
            return []
        return [
            "an answer whose client had left was written to its end: after requests that time out, the server works "
            "for nobody"
        ]


def judged(free_s: float, n_asked: int, n_generated: int) -> Departure:
    """What its counters make of it. An answer that was soon over may have been whole before anybody left."""
    if n_generated <= 0:  # it counts answers that ended well, and no others
        return Departure(free_s=free_s, n_asked=n_asked)
    is_freed = True if n_generated < n_asked else False if free_s > _NOTICED_WITHIN_S else None
    return Departure("", is_freed, free_s, n_asked, n_generated)


def leave(
    control: Control,
    engine: Engine,
    facts: ServerFacts,
    dialects: Mapping[str, Dialect],
    *,
    tokens_per_s: float | None = None,
) -> Departure:
    """Try it. `tokens_per_s`: of one request alone, where that is known.

    Raises: EngineError if the server does not answer, or is still busy long after.
    """
    gauges = engine.gauges
    if gauges is None or not set(_NEEDS) <= set(_read(control, gauges)):
        return Departure("its gauges do not tell what runs and what was generated")
    if _until(control, gauges, is_running=False, within_s=_SEEN_WITHIN_S) is None:
        return Departure("it was busy")
    n_long = _USUAL_TOKENS if tokens_per_s is None else max(_FEWEST_TOKENS, round(_LASTS_S * tokens_per_s))
    n_asked = min(n_long, _MOST_TOKENS, (facts.context_tokens or 2 * _MOST_TOKENS) // 2)
    if n_asked < _FEWEST_TOKENS or not facts.streams or not facts.is_length_forced:
        return Departure("its answers are too short, no streams, or end by themselves: none is left in the middle")
    dialect = dialects[facts.api]
    before = _read(control, gauges)
    request = Request(0, _TEXT if dialect.takes_text else facts.sample_ids, 0, n_asked)
    encoded = dialect.encode(request, facts.model, facts.extras)
    with control.begun(encoded.path, encoded.body, control.timeout_s + _FREE_WITHIN_S) as status:
        if status != 200:
            return Departure(f"it answered HTTP {status}")
        seen_s = _until(control, gauges, is_running=True, within_s=_SEEN_WITHIN_S)
    free_s = _until(control, gauges, is_running=False, within_s=_FREE_WITHIN_S)
    if free_s is None:
        raise EngineError(
            f"a request whose client had left still runs after {_FREE_WITHIN_S:g} s", "see the server's own log"
        )
    if seen_s is None:
        return Departure("its gauges did not show the request before it was over")
    sleep_s(_SETTLED_AFTER_S)
    n_before, n_after = (read.get("n_output_tokens", 0.0) for read in (before, _read(control, gauges)))
    return judged(free_s, n_asked, round(n_after - n_before))


def _read(control: Control, gauges: Gauges) -> dict[str, float]:
    return dict(Scraper(control, gauges, Clock()).read().gauges)


def _until(control: Control, gauges: Gauges, *, is_running: bool, within_s: float) -> float | None:
    """How long it took until the gauges said so; None if they did not in time."""
    clock = Clock()
    while clock.now_ns() < within_s * NS_PER_S:
        n_running = _read(control, gauges).get("requests_running")
        if n_running is not None and (n_running > 0) == is_running:
            return clock.now_ns() / NS_PER_S
        sleep_s(_LOOK_EVERY_S)
    return None
