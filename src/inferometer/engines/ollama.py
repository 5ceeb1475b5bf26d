# SPDX-License-Identifier: Apache-2.0
"""Ollama, from its documentation (docs/api.md) and the types of its API (api/types.go); not seen running.

Its own routes stream lines of JSON, not server-sent events. The last line has `done` and the counts; which tokens an
event held is never told. There is no way to force a length beyond `num_predict`, which is a limit, and none to count
a prompt but to send it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from inferometer.engines.body import encoded
from inferometer.engines.decoding import is_told, parser, possible, times
from inferometer.engines.engine import (
    Delta,
    Dialect,
    DialectError,
    Encoded,
    Engine,
    Identity,
    Speech,
    Usage,
    document,
    first_model,
    whole_number,
)
from inferometer.engines.error_text import error_text
from inferometer.engines.openai import CHAT as OPENAI_CHAT
from inferometer.engines.openai import COMPLETIONS
from inferometer.engines.profiles import ollama as profile
from inferometer.kinds import ChunkKind
from inferometer.plan.request import Request
from inferometer.units import NS_PER_MS

GENERATE_PATH, CHAT_PATH = "/api/generate", "/api/chat"

# --- who is it -----------------------------------------------------------------------------------------------------


def _recognise(answers: Mapping[str, Any]) -> Identity | None:
    version, loaded = document(answers, "/api/version").get("version"), document(answers, "/api/ps").get("models")
    if not isinstance(version, str) or not isinstance(loaded, list):
        return None
    return Identity(
        evidence=(f"/api/version says {version}", f"/api/ps lists {len(loaded)} models in memory"),
        version=version,
        context_tokens=_context(loaded, first_model(answers).get("id")),
    )


def _context(loaded: list[Any], model: Any) -> int | None:
    """Of the model while it is in memory; newer versions tell it."""
    for entry in loaded:
        if isinstance(entry, Mapping) and model in (entry.get("model"), entry.get("name")):
            return whole_number(entry.get("context_length"))
    return None


# --- requests ------------------------------------------------------------------------------------------------------


def _encode_generate(request: Request, model: str, extras: Mapping[str, Any]) -> Encoded:
    """Raises: ValueError for messages and token ids."""
    if request.messages is not None or not isinstance(request.prompt, str):
        raise ValueError("/api/generate takes text, neither messages nor token ids")
    body = {"model": model, "prompt": request.prompt, "raw": True}  # raw: without the model's template
    return _encode(GENERATE_PATH, body, request, extras)


def _encode_chat(request: Request, model: str, extras: Mapping[str, Any]) -> Encoded:
    """Raises: ValueError for token ids."""
    if request.messages is None and not isinstance(request.prompt, str):
        raise ValueError("a chat takes text, not token ids")
    turns = request.messages if request.messages is not None else (("user", request.prompt),)
    messages = [{"role": role, "content": content} for role, content in turns]
    return _encode(CHAT_PATH, {"model": model, "messages": messages}, request, extras)


def _encode(path: str, body: dict[str, Any], request: Request, extras: Mapping[str, Any]) -> Encoded:
    options: dict[str, Any] = {"num_predict": request.max_output_tokens, "temperature": request.sampling.temperature}
    if request.sampling.seed is not None:
        options["seed"] = request.sampling.seed
    body |= {"stream": request.is_streamed, "options": options}
    return encoded(path, body, request, extras)


# --- answers -------------------------------------------------------------------------------------------------------


class _Function(Struct):
    name: str | None = None


class _ToolCall(Struct):
    function: _Function | None = None


class _Message(Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Line(Struct, gc=False):
    done: bool | UnsetType = UNSET
    response: str | None = None  # of /api/generate
    thinking: str | None = None  # of /api/generate
    message: _Message | None = None  # of /api/chat
    done_reason: str | None = None
    prompt_eval_count: int | None = None  # left out where the prompt was in the cache
    eval_count: int | None = None
    prompt_eval_duration: int | None = None  # these two in nanoseconds
    eval_duration: int | None = None
    error: Any = None


_parse = parser(_Line, "a line of Ollama's")


def _decode(state: None, event_type: str, data: bytes) -> tuple[None, list[Delta]]:
    line = _parse(data)
    if is_told(line.error):
        return None, [Delta(ChunkKind.ERROR, error_text(data))]
    if line.done is UNSET:
        raise DialectError("a line of Ollama's with neither done nor error")
    message = line.message or _Message()
    said: list[Delta] = []
    if thought := line.thinking or message.thinking:
        said.append(Delta(ChunkKind.REASONING, thought))
    if text := line.response or message.content:
        said.append(Delta(ChunkKind.CONTENT, text))
    for call in message.tool_calls or ():
        if call.function is not None and call.function.name:
            said.append(Delta(ChunkKind.TOOL, call.function.name))
    if line.done:
        usage = Usage(possible(line.prompt_eval_count), possible(line.eval_count))
        spent = times(prefill_ms=_ms(line.prompt_eval_duration), decode_ms=_ms(line.eval_duration))
        end = Delta(ChunkKind.EMPTY, finish=line.done_reason, usage=usage, timings=spent)
        said += [end, Delta(ChunkKind.DONE)]
    return None, said or [Delta(ChunkKind.EMPTY)]


def _ms(told_ns: int | None) -> float | None:
    return None if told_ns is None else told_ns / NS_PER_MS


def _decode_body(body: bytes) -> list[Delta]:
    if not body.strip():
        raise DialectError("the answer is empty")
    return _decode(None, "message", body)[1]


GENERATE = Dialect(
    name="ollama-generate",
    path=GENERATE_PATH,
    streams_as="application/x-ndjson",
    encode=_encode_generate,
    start=lambda: None,
    decode=_decode,
    decode_body=_decode_body,
    error_text=error_text,
)
CHAT = Dialect(
    name="ollama-chat",
    path=CHAT_PATH,
    streams_as="application/x-ndjson",
    encode=_encode_chat,
    start=lambda: None,
    decode=_decode,
    decode_body=_decode_body,
    error_text=error_text,
    is_chat=True,
)
ENGINE = Engine(
    name="ollama",
    title="Ollama",
    recognise=_recognise,
    speaks={
        "chat": Speech(OPENAI_CHAT),
        "completions": Speech(COMPLETIONS),
        "native": Speech(GENERATE),
        "native-chat": Speech(CHAT),
    },
    asks=("/api/version", "/api/ps"),
    quirks=(
        "a prompt longer than the context is shortened without a word, and the default context is small",
        "the first request loads the model, and an idle model is unloaded",
        "the count of a prompt that was in the cache is small or missing",
        "answers end where the model ends them: no field forces a length",
        "no metrics route",
    ),
    launch=profile.LAUNCH,
    facts=profile.FACTS,
)
