# SPDX-License-Identifier: Apache-2.0
"""What an engine is: one value that says how to speak to it and what is peculiar about it.

Rule 1: everything here is pure. No socket, no clock, no work at import time.
Rule 2: a dialect never drops bytes it does not understand: it raises `DialectError`, which becomes Outcome.PROTOCOL.
Rule 3: what is known of one engine is data or a pure function in its own file, never a branch elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from inferometer.engines.cache_told import CacheTold, Sources
from inferometer.engines.facts import Facts
from inferometer.engines.gauges import Gauges
from inferometer.engines.launch import Launch
from inferometer.kinds import ChunkKind
from inferometer.plan.request import Request

# As a value of an extra: put the request's own number of output tokens here.
OUTPUT_TOKENS_ASKED = "{output_tokens}"

Messages: TypeAlias = tuple[tuple[str, str], ...]  # (role, content), as in plan.request.Request


class DialectError(Exception):
    """An event or body is not of this dialect (bad JSON, wrong shape). `str(error)` is one line."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the server told them; None where it did not."""

    n_prompt_tokens: int | None = None
    n_output_tokens: int | None = None
    n_cached_tokens: int | None = None
    n_reasoning_tokens: int | None = None


class Timings(msgspec.Struct, frozen=True):
    """How long a request took by the server's own clock; None where it did not tell. A Struct for the same reason as
    Delta."""

    ttft_ns: int | None = None  # from its arrival to its first token
    queue_ns: int | None = None  # from its arrival until it was begun
    prefill_ns: int | None = None  # from its beginning to its first token
    decode_ns: int | None = None  # from its first token to its last


class Delta(msgspec.Struct, frozen=True):
    """One thing an event said. `n_tokens` is None where the event does not tell.

    A Struct, not a dataclass: one is made per event, in 0.1 us instead of 0.8.
    """

    kind: ChunkKind
    text: str = ""
    n_tokens: int | None = None
    finish: str | None = None
    usage: Usage | None = None
    timings: Timings | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request as bytes: everything the driver needs, decided before the request is due."""

    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Dialect:
    """A protocol spoken over HTTP. `name` is unique among all dialects: a run's manifest names its own by it.

    encode(request, model, extras) -> Encoded; `extras` are merged into the body, see `body.encoded`. Raises ValueError
    for what the route cannot carry (token ids in a chat, messages in a completion).
    start() -> the decoder's state before the first event.
    decode(state, event type, event data) -> (state, deltas). Raises DialectError.
    decode_body(body) -> deltas of an answer that did not come as a stream. Raises DialectError.
    error_text(body) -> one line out of an error answer, whatever its shape; "" out of nothing.
    """

    name: str
    path: str  # of a streamed request, with {model} where the model's name belongs
    streams_as: str  # content type of a streamed answer
    encode: Callable[[Request, str, Mapping[str, Any]], Encoded]
    start: Callable[[], Any]
    decode: Callable[[Any, str, bytes], tuple[Any, list[Delta]]]
    decode_body: Callable[[bytes], list[Delta]]
    error_text: Callable[[bytes], str]
    is_chat: bool = False  # takes messages, and puts the model's chat template around a text
    takes_text: bool = True  # False: nothing but token ids
    ends_with_body: bool = False  # a stream has no end marker but the end of the HTTP message


@dataclass(frozen=True, slots=True)
class Speech:
    """A dialect as one engine speaks it. All extras are fields for the body of a request, see `body.encoded`.

    length_extras: force the exact output length; none where the engine has no means for it.
    usage_extras: make the answer tell its counts, where neither engine nor dialect does so anyway.
    count_extras: make each event tell its tokens, where events do not by themselves.
    """

    dialect: Dialect
    length_extras: Mapping[str, Any] = field(default_factory=dict)
    count_extras: Mapping[str, Any] = field(default_factory=dict)
    usage_extras: Mapping[str, Any] = field(default_factory=dict)
    takes_token_ids: bool = False  # also as a prompt


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answered, out of the documents of its control plane. `evidence`, `notes`: for people, one line each."""

    evidence: tuple[str, ...]
    version: str = ""
    context_tokens: int | None = None  # of one request: prompt and output together
    prompt_tokens: int | None = None  # of a prompt, where it has a limit of its own
    n_slots: int | None = None  # requests served at a time, where the server says so
    notes: tuple[str, ...] = ()  # what cannot be known of this one


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text as the server's tokenizer sees it. Pieces may be written with the tokenizer's own marks for a space."""

    n_tokens: int
    ids: tuple[int, ...] = ()  # empty where the server only counts
    pieces: tuple[str, ...] = ()  # empty where it does not show them


@dataclass(frozen=True, slots=True)
class Call:
    """A POST to the control plane; `read` makes of its answer tokens, or the next call. Raises DialectError."""

    path: str
    body: Mapping[str, Any]
    read: Callable[[Any], Tokens | Call]


def _anything(document: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Reset:
    """How a server is told to forget the prompts that it has seen.

    path: of a POST; with {slot} where each slot is told by itself. is_done: whether the JSON of an answer with status
    200 (None where it is none) says that it was done. remedy: what makes the server have it.
    """

    path: str
    remedy: str
    is_done: Callable[[Any], bool] = _anything


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine.

    recognise(answers) -> who that is, or None if it is not this engine. `answers`: control path -> decoded JSON, of
    every path that answered 200.
    speaks: by the word for --api (kinds.APIS, kinds.NATIVE_APIS), what people want most first.
    gauges: where it publishes its metrics; None where it has none, or none that are known.
    reset: how its prefix cache is emptied; None where no way is known.
    cache_told(sources) -> what it says of its memory, None if nothing; None: no way is known. cache_format: of its keys
    and values unless it is told otherwise, as in model/formats.py; None: the model's own.
    launch: how it is started; None: only a running one is measured. facts: what is known of it.
    """

    name: str
    title: str
    recognise: Callable[[Mapping[str, Any]], Identity | None]
    speaks: Mapping[str, Speech]
    asks: tuple[str, ...] = ()  # control paths (GET) beside /v1/models that tell it apart
    tokenize_text: Callable[[str, str], Call] | None = None  # (model, text): as a completion's prompt is seen
    tokenize_bare: Callable[[str, str], Call] | None = None  # (model, text): no special tokens; with pieces if possible
    tokenize_chats: tuple[Callable[[str, Messages], Call], ...] = ()  # (model, messages): template applied; best first
    gauges: Gauges | None = None
    reset: Reset | None = None
    cache_told: Callable[[Sources], CacheTold | None] | None = None
    cache_format: str | None = None
    quirks: tuple[str, ...] = ()
    launch: Launch | None = None
    facts: Facts | None = None


def document(answers: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """The JSON object a control path answered with; an empty one where it did not."""
    found = answers.get(path)
    return found if isinstance(found, Mapping) else {}


def first_model(answers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first entry of /v1/models; an empty one where there is none."""
    entries = document(answers, "/v1/models").get("data")
    return entries[0] if isinstance(entries, list) and entries and isinstance(entries[0], Mapping) else {}


def whole_number(value: Any) -> int | None:
    """A positive int, or None for anything else a server may have put there."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
