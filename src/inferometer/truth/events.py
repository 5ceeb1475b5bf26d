# SPDX-License-Identifier: Apache-2.0
"""The OpenAI-compatible answers of the ground-truth server as bytes: events of a stream, whole answers, errors.

Rule 1: pure, and the same for every request of a kind, so that nothing is encoded while a stream is being sent.
Rule 2: a content event is about 220 bytes, as engines send them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from inferometer.kinds import ChunkKind

MODEL = "truth"
CHAT = "chat"
COMPLETIONS = "completions"
CONTEXT_TOKENS = 131_072

_CREATED = 1_700_000_000
_WORDS = (" alpha", " bravo", " delta", " gamma", " kappa", " omega", " sigma", " theta")
_LINE_ENDS = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}


class Usage(NamedTuple):
    """Token counts told so far."""

    n_prompt_tokens: int
    n_output_tokens: int
    n_reasoning_tokens: int = 0
    n_cached_tokens: int | None = None  # not told


class Style(NamedTuple):
    """How an event is written: the API it belongs to, its line end, and whether a space follows `data:`."""

    api: str = CHAT
    line_end: str = "lf"
    has_space: bool = True


def words(i_token: int, n_tokens: int) -> str:
    """Text of `n_tokens` made-up tokens, one word each, beginning with token `i_token` of the answer."""
    return "".join(_WORDS[i % len(_WORDS)] for i in range(i_token, i_token + n_tokens))


@lru_cache(maxsize=8192)
def token_event(
    style: Style,
    kind: ChunkKind,
    text: str,
    *,
    has_role: bool = False,
    finish: str | None = None,
    usage: Usage | None = None,
) -> bytes:
    """One event that carries text (or, with empty text, only a role or a finish reason)."""
    if style.api == COMPLETIONS:
        choice: dict[str, Any] = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    else:
        delta: dict[str, Any] = {"role": "assistant"} if has_role else {}
        if kind is ChunkKind.REASONING:
            delta["reasoning_content"] = text
        elif kind is not ChunkKind.EMPTY:
            delta["content"] = text
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return data_event(style, _envelope(style.api, [choice], usage))


@lru_cache(maxsize=1024)
def usage_event(style: Style, usage: Usage) -> bytes:
    """The event with empty choices that ends a stream when usage was asked for."""
    return data_event(style, _envelope(style.api, [], usage))


def done_event(style: Style) -> bytes:
    return _event(style, b"[DONE]")


def ping_event(style: Style) -> bytes:
    """An SSE comment, as engines send to keep a waiting connection alive."""
    line_end = _LINE_ENDS[style.line_end]
    return b": ping" + line_end + line_end


def error_event(style: Style, message: str, *, is_named: bool) -> bytes:
    """An error object in mid-stream; `is_named` puts `event: error` before it."""
    name = b"event: error" + _LINE_ENDS[style.line_end] if is_named else b""
    return name + data_event(style, error_body(message, 500))


def data_event(style: Style, body: Mapping[str, Any]) -> bytes:
    return _event(style, msgspec.json.encode(body))


def whole_answer(api: str, text: str, usage: Usage) -> bytes:
    """The body of an answer that does not stream."""
    if api == COMPLETIONS:
        choice: dict[str, Any] = {"index": 0, "text": text, "logprobs": None, "finish_reason": "length"}
    else:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "length"}
    return msgspec.json.encode(_envelope(api, [choice], usage, is_whole=True))


def error_body(message: str, status: int) -> dict[str, Any]:
    return {"error": {"message": message, "type": "truth_error", "param": None, "code": status}}


def model_list() -> bytes:
    model = {
        "id": MODEL,
        "object": "model",
        "created": _CREATED,
        "owned_by": "inferometer",
        "max_model_len": CONTEXT_TOKENS,
    }
    return msgspec.json.encode({"object": "list", "data": [model]})


def _event(style: Style, data: bytes) -> bytes:
    line_end = _LINE_ENDS[style.line_end]
    return (b"data: " if style.has_space else b"data:") + data + line_end + line_end


def _envelope(api: str, choices: list[Any], usage: Usage | None, *, is_whole: bool = False) -> dict[str, Any]:
    if api == COMPLETIONS:
        identity, kind = "cmpl-", "text_completion"
    else:
        identity, kind = "chatcmpl-", "chat.completion" if is_whole else "chat.completion.chunk"
    envelope = {
        "id": identity + "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "object": kind,
        "created": _CREATED,
        "model": MODEL,
        "choices": choices,
    }
    if usage is not None:
        envelope["usage"] = _usage_object(usage)
    return envelope


def _usage_object(usage: Usage) -> dict[str, Any]:
    told: dict[str, Any] = {
        "prompt_tokens": usage.n_prompt_tokens,
        "completion_tokens": usage.n_output_tokens,
        "total_tokens": usage.n_prompt_tokens + usage.n_output_tokens,
        "completion_tokens_details": {"reasoning_tokens": usage.n_reasoning_tokens},
    }
    if usage.n_cached_tokens is not None:
        told["prompt_tokens_details"] = {"cached_tokens": usage.n_cached_tokens}
    return told
