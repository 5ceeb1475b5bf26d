# SPDX-License-Identifier: Apache-2.0
"""What an emulated engine is: one value that says which routes it has, how it answers there, and what its traps are.

Rule 1: written from what is known of the engine (its own answers, its source, its documentation), and from nothing that
    inferometer's adapters believe: they are what is to be found wrong.
Rule 2: pure. A route makes of a request either a refusal or parts with the token they are due with; when that is,
    batch.py knows, and server.py sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from inferometer.emulate.answer import Part, Reply
from inferometer.emulate.batch import Batch
from inferometer.emulate.gauges import Gauges
from inferometer.emulate.law import ServiceLaw
from inferometer.emulate.prefixes import PrefixCache
from inferometer.emulate.spoken import Spoken, Style


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one emulated engine is started. `traps`, `defects`: the names of those it has. `mind`: of mind.MINDS.
    `throttled_after_s`: of work, when a defect of this kind begins."""

    engine: str
    model: str
    context: int
    slots: int
    kv_tokens: int
    law: ServiceLaw
    traps: frozenset[str]
    seed: int
    defects: frozenset[str] = frozenset()
    mind: str = "words"
    throttled_after_s: float = 60.0


class Trap(NamedTuple):
    """Something that has spoiled measurements. `is_default`: the engine has it as it comes, not by an option only."""

    name: str
    says: str
    is_default: bool = True


@dataclass(slots=True)
class Live:
    """What pages and routes see of a running engine."""

    setting: Setting
    batch: Batch
    gauges: Gauges
    prefixes: PrefixCache
    t_now_ns: int = 0
    n_asked: int = 0  # generation requests so far
    drained: dict[str, int] = field(default_factory=dict)  # how far a page was read that is emptied by reading

    def has(self, trap: str) -> bool:
        return trap in self.setting.traps

    @property
    def n_in_flight(self) -> int:
        return len(self.batch.running) + len(self.batch.waiting)


class Refused(Exception):
    """A request that is not generated for; `reply` is what the client gets at once."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a generation request asks for, after the engine's own rules were applied to it.

    `n_prompt_tokens`: as the engine counts them, cut if it cuts. `words`: the prompt for the prefix cache.
    `n_most`: tokens at most; `ignores_end`, `n_least`: what keeps the model from ending earlier.
    `parts`: what to send, as a function of the tokens that came of it; `style`: how tokens come in events.
    `head`: "at_once", or "first_token" where the status line is held back.
    """

    n_prompt_tokens: int
    words: tuple[object, ...]
    n_most: int
    is_streamed: bool
    parts: Callable[[Spoken], list[Part]]
    style: Style = field(default_factory=Style)
    ignores_end: bool = False
    n_least: int = 0
    content_type: str = "text/event-stream; charset=utf-8"
    head: str = "at_once"
    load_ms: float = 0.0
    leaves_after_s: float = 0.0  # how long the engine does not notice that its client left, at most


Route = Callable[[bytes, Live], Wish]  # Raises: Refused; DecodeError, UnicodeDecodeError, RecursionError of JSON
Page = Callable[[bytes, Live], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulation:
    """One emulated engine. Paths may hold {model}, those of pages {slot} too. `context`, `port`: its defaults.

    `most_slots`: requests that it can serve at a time, whatever it is told.
    `exhausted`: the event of an answer that ends because the cache is full; None where it waits instead.
    `interrupted`: how a stream ends that is cut by whoever comes next, with the trap "interrupts"; None: no such trap.
    `malformed(what is wrong, whether it is JSON at all)`: the answer to a body of the wrong shape.
    `threads(setting)`: how many requests may be there at a time, waiting ones included, pages too; None: no limit.
    """

    name: str
    title: str
    port: int
    traps: tuple[Trap, ...]
    pages: Mapping[tuple[str, str], Page]
    routes: Mapping[str, Route]
    unknown: Page
    malformed: Callable[[str, bool], Reply]
    model: str = "emulated"
    context: int = 8192
    most_slots: int = 4096
    exhausted: Part | None = None
    interrupted: Part | None = None
    threads: Callable[[Setting], int | None] = lambda _: None

    @property
    def default_traps(self) -> frozenset[str]:
        return frozenset(trap.name for trap in self.traps if trap.is_default)
