# SPDX-License-Identifier: Apache-2.0
"""Answers of `text`, `output_ids` and `meta_info`: how SGLang's and LMDeploy's `/generate` look.

Rule 1: tokens of an event are the growth of `completion_tokens`, which stands in every event.
Rule 2: a text that begins with all that came before it is the whole so far (SGLang, as it comes); any other is a piece.
    SGLang sends pieces when started with --incremental-streaming-output, LMDeploy always.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from inferometer.engines.decoding import beside, growth, is_told, parser, possible
from inferometer.engines.engine import Delta, DialectError, Usage
from inferometer.engines.error_text import error_text
from inferometer.kinds import ChunkKind


class State(NamedTuple):
    """`n_tokens`: told of so far. `text`: the whole so far; None once texts turned out to be pieces."""

    n_tokens: int = 0
    text: str | None = ""


class _Finish(Struct):
    type: str | None = None


class _MetaInfo(Struct, gc=False):
    finish_reason: _Finish | str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None


class _Event(Struct, gc=False):
    text: str | UnsetType | None = UNSET
    meta_info: _MetaInfo | None = None
    error: Any = None
    object: Any = None
    message: Any = None


_parse = parser(_Event, "an answer of /generate")


def start_of_pieces() -> State:
    return State(text=None)


def start_of_wholes() -> State:
    return State()


def decode(state: State, event_type: str, data: bytes) -> tuple[State, list[Delta]]:
    """As Dialect.decode."""
    if (other := beside(event_type, data)) is not None:
        return state, other
    event = _parse(data)
    if _is_error(event):
        return state, [Delta(ChunkKind.ERROR, error_text(data))]
    state, delta = _delta(state, event)
    return state, [delta]


def decode_body(body: bytes) -> list[Delta]:
    """As Dialect.decode_body."""
    if not body.strip():
        raise DialectError("the answer is empty")
    event = _parse(body)
    if _is_error(event):
        return [Delta(ChunkKind.ERROR, error_text(body))]
    return [_delta(start_of_pieces(), event)[1], Delta(ChunkKind.DONE)]


def _is_error(event: _Event) -> bool:
    return is_told(event.error) or event.object == "error" or (event.text is UNSET and isinstance(event.message, str))


def _delta(state: State, event: _Event) -> tuple[State, Delta]:
    info = event.meta_info
    if info is None or event.text is UNSET:
        raise DialectError("an event of /generate without text, meta_info and error")
    text, whole = event.text or "", state.text
    if whole is not None and event.text is not None:
        if text.startswith(whole):
            whole, text = text, text[len(whole) :]
        else:
            whole = None
    n_before, n_tokens = growth(state.n_tokens, info.completion_tokens)
    finish = info.finish_reason.type if isinstance(info.finish_reason, _Finish) else info.finish_reason
    usage = None
    if finish:
        usage = Usage(possible(info.prompt_tokens), possible(info.completion_tokens), possible(info.cached_tokens))
    if text or n_tokens:
        delta = Delta(ChunkKind.CONTENT, text, n_tokens, finish, usage)
    else:
        delta = Delta(ChunkKind.EMPTY, "", None, finish, usage)
    return State(n_before, whole), delta
