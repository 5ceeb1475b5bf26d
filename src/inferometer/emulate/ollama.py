# SPDX-License-Identifier: Apache-2.0
"""Ollama, out of its documentation (docs/api.md): /api/generate and /api/chat as lines of JSON, OpenAI routes.

No metrics route, no tokenizer, no field that forces a length. Durations are in nanoseconds.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from inferometer.emulate import openai, tokens
from inferometer.emulate.answer import Moment, Part, Reply, as_json, line
from inferometer.emulate.emulation import Emulation, Live, Refused, Trap, Wish
from inferometer.emulate.openai import Asked, Shape
from inferometer.emulate.spoken import Event, Spoken
from inferometer.kinds import ChunkKind

VERSION = "0.13.5+emulated"
LOAD_MS = 400.0
_LINES = "application/x-ndjson"
_CREATED = "2026-01-01T00:00:00.000000000Z"


class _Options(msgspec.Struct):
    num_predict: int = -1
    num_ctx: int | None = None


class _Request(msgspec.Struct):
    """Of both its own routes."""

    model: str
    prompt: str = ""
    raw: bool = False
    messages: list[openai.Message] | None = None
    stream: bool = True
    options: _Options = msgspec.field(default_factory=_Options)


_REQUEST = msgspec.json.Decoder(_Request)


def _wish(live: Live, *, asked: Asked, n_asked: int | None, context: int, **more: Any) -> Wish:
    """Raises: Refused."""
    n_prompt, words = asked.n_prompt_tokens, asked.words
    if n_prompt >= context:  # without a word; its beginning goes
        if not live.has("truncated-prompt"):
            raise Refused(as_json({"error": f"the prompt of {n_prompt} tokens exceeds the context of {context}"}, 400))
        n_prompt = context - 1
        words = words[-n_prompt:]
    n_left = context - n_prompt
    return Wish(
        n_prompt_tokens=n_prompt,
        words=words,
        n_most=max(1, n_left if n_asked is None or n_asked < 0 else min(n_asked, n_left)),
        ignores_end=not live.has("no-exact-length"),
        load_ms=LOAD_MS if live.has("load-first") and live.n_asked == 0 else 0.0,
        **more,
    )


def _openai(is_chat: bool, data: bytes, live: Live) -> Wish:
    asked = openai.read(data, is_chat=is_chat)
    return _wish(
        live,
        asked=asked,
        n_asked=asked.n_most,
        context=live.setting.context,
        is_streamed=asked.body.stream,
        content_type="text/event-stream",
        parts=partial(_openai_parts, asked, live.setting.model),
    )


def _openai_parts(asked: Asked, model: str, spoken: Spoken) -> list[Part]:
    shape = Shape(role="every", finish="own", extra={"system_fingerprint": "fp_ollama"})
    return openai.parts(asked, spoken, shape, model)


def _own(is_chat: bool, data: bytes, live: Live) -> Wish:
    body = _REQUEST.decode(data)
    if is_chat:
        text = tokens.chat_text((one.role, one.text) for one in body.messages or ())
    else:
        text = body.prompt if body.raw else tokens.chat_text([("user", body.prompt)])
    asked = openai.counted(openai.Body(), text, is_chat=is_chat)
    return _wish(
        live,
        asked=asked,
        n_asked=body.options.num_predict,
        context=min(live.setting.context, body.options.num_ctx or live.setting.context),
        is_streamed=body.stream,
        content_type=_LINES,
        parts=partial(_parts, body, is_chat, hides=live.has("no-prompt-count")),
    )


def _parts(body: _Request, is_chat: bool, spoken: Spoken, *, hides: bool) -> list[Part]:
    def value(text: str, *, is_done: bool) -> dict[str, Any]:
        said = {"message": {"role": "assistant", "content": text}} if is_chat else {"response": text}
        return {"model": body.model, "created_at": _CREATED, **said, "done": is_done}

    def last(text: str, moment: Moment) -> dict[str, Any]:
        told = value(text, is_done=True) | {"done_reason": ("stop", "length")[spoken.is_cut]}
        told["total_duration"] = moment.t_ns - moment.t_arrival_ns
        told["load_duration"] = moment.t_admitted_ns - moment.t_arrival_ns
        if not (hides and moment.n_cached_tokens):  # a prompt that was in the cache is not counted
            told["prompt_eval_count"] = spoken.n_prompt_tokens
        told["prompt_eval_duration"] = moment.t_first_ns - moment.t_admitted_ns
        return told | {"eval_count": spoken.n_output_tokens, "eval_duration": moment.t_ns - moment.t_first_ns}

    n_output = spoken.n_output_tokens
    if not body.stream:
        return [
            Part(
                n_output,
                lambda moment: msgspec.json.encode(last(spoken.text, moment)),
                ChunkKind.CONTENT,
                n_output,
            )
        ]

    def write(said: Event, _: Moment) -> bytes:
        return line(value(said.text, is_done=False))

    found = [Part(said.n_done, partial(write, said), ChunkKind.CONTENT, said.n_tokens) for said in spoken.events]
    return [*found, Part(n_output, lambda moment: line(last("", moment)), ChunkKind.USAGE)]


# --- control plane -------------------------------------------------------------------------------------------------


def _ps(_: bytes, live: Live) -> Reply:
    """What is in memory: nothing before the first request."""
    entry = {"name": live.setting.model, "model": live.setting.model, "size": 1, "digest": "e0"}
    is_loaded = live.n_asked > 0 or not live.has("load-first")
    return as_json({"models": [entry | {"context_length": live.setting.context}] if is_loaded else []})


def _tags(_: bytes, live: Live) -> Reply:
    return as_json({"models": [{"name": live.setting.model, "model": live.setting.model, "size": 1, "digest": "e0"}]})


def _show(_: bytes, live: Live) -> Reply:
    details = {"format": "gguf", "family": "llama", "parameter_size": "8.0B", "quantization_level": "Q4_K_M"}
    return as_json({"details": details, "model_info": {"llama.context_length": 131_072}})


EMULATION = Emulation(
    name="ollama",
    title="Ollama",
    port=11434,
    context=4096,
    traps=(
        Trap("no-exact-length", "no field forces a length: answers end where the model ends them"),
        Trap("truncated-prompt", "a prompt longer than the context is cut without a word, and the context is small"),
        Trap("load-first", f"the first request waits {LOAD_MS / 1000:g} s until the model is loaded"),
        Trap("no-prompt-count", "the count of a prompt that was in the cache is missing"),
        Trap("prefix-cache", "a prompt that begins like an earlier one is computed in part only"),
    ),
    pages={
        ("GET", "/"): lambda _, __: Reply(200, b"Ollama is running", "text/plain; charset=utf-8"),
        ("GET", "/api/version"): lambda _, __: as_json({"version": VERSION}),
        ("GET", "/api/ps"): _ps,
        ("GET", "/api/tags"): _tags,
        ("POST", "/api/show"): _show,
        ("GET", "/v1/models"): lambda _, live: as_json(openai.model_list(live.setting.model, "library")),
    },
    routes={
        openai.CHAT_PATH: partial(_openai, True),
        openai.COMPLETIONS_PATH: partial(_openai, False),
        "/api/generate": partial(_own, False),
        "/api/chat": partial(_own, True),
    },
    unknown=lambda _, __: Reply(404, b"404 page not found", "text/plain"),
    malformed=lambda message, _: as_json({"error": message}, 400),
)
