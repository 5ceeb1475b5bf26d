# SPDX-License-Identifier: Apache-2.0
"""TensorRT-LLM behind Triton, out of Triton's documentation and the backend's `ensemble`: generate and generate_stream.

As if in decoupled mode. No finish reason, no end marker, no list of models; the model's name is part of the path.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from inferometer.emulate import openai
from inferometer.emulate.answer import Moment, Part, Reply, as_json, sse
from inferometer.emulate.emulation import Emulation, Live, Refused, Trap, Wish
from inferometer.emulate.spoken import Event, Spoken, Style
from inferometer.kinds import ChunkKind

VERSION = "2.61.0+emulated"


class _Generate(msgspec.Struct):
    text_input: str
    max_tokens: int
    min_tokens: int = 0
    stream: bool = False
    return_num_input_tokens: bool = False
    return_num_output_tokens: bool = False


_GENERATE = msgspec.json.Decoder(_Generate)


def refusal(message: str) -> Reply:
    return as_json({"error": message}, 400)


def _generate(is_streamed: bool, data: bytes, live: Live) -> Wish:
    body = _GENERATE.decode(data)
    if live.has("no-counts") and (body.return_num_input_tokens or body.return_num_output_tokens):
        name = "return_num_input_tokens" if body.return_num_input_tokens else "return_num_output_tokens"
        raise Refused(refusal(f"unexpected inference input '{name}' for model '{live.setting.model}'"))
    if is_streamed and not body.stream:
        raise Refused(refusal("generate_stream needs the parameter stream to be true"))
    asked = openai.counted(openai.Body(), body.text_input, is_chat=False)
    n_prompt, context = asked.n_prompt_tokens, live.setting.context
    if n_prompt + body.max_tokens > context:
        message = f"Prompt length ({n_prompt}) plus max_tokens ({body.max_tokens}) exceeds maximum ({context})"
        raise Refused(refusal(message))
    return Wish(
        n_prompt_tokens=n_prompt,
        words=asked.words,
        n_most=body.max_tokens,
        n_least=body.min_tokens,
        is_streamed=is_streamed,
        style=Style(merges=live.has("tokens-per-event")),
        parts=partial(_generated, body, live.setting.model, is_streamed),
    )


def _generated(body: _Generate, model: str, is_streamed: bool, spoken: Spoken) -> list[Part]:
    def value(event: Event) -> dict[str, Any]:
        told: dict[str, Any] = {"model_name": model, "model_version": "1", "text_output": event.text}
        if body.return_num_input_tokens:
            told["num_input_tokens"] = spoken.n_prompt_tokens
        if body.return_num_output_tokens:
            told["num_output_tokens"] = event.n_tokens
        return told

    n_output = spoken.n_output_tokens
    if not is_streamed:
        whole = msgspec.json.encode(value(Event(n_output, spoken.tokens)))
        return [Part(n_output, whole, ChunkKind.CONTENT, n_output)]

    def write(said: Event, _: Moment) -> bytes:
        return sse(value(said))

    return [Part(said.n_done, partial(write, said), ChunkKind.CONTENT, said.n_tokens) for said in spoken.events]


EMULATION = Emulation(
    name="triton",
    title="TensorRT-LLM behind Triton",
    port=8000,
    model="ensemble",
    traps=(
        Trap("tokens-per-event", "some events hold two tokens"),
        Trap("no-counts", "a request to count tokens is refused, as older backends do", is_default=False),
    ),
    pages={
        ("GET", "/v2"): lambda _, __: as_json({"name": "triton", "version": VERSION, "extensions": ["generate"]}),
        ("GET", "/v2/health/live"): lambda _, __: Reply(200, b"", ""),
        ("GET", "/v2/health/ready"): lambda _, __: Reply(200, b"", ""),
        ("GET", "/v2/models/{model}"): lambda _, live: as_json({"name": live.setting.model, "platform": "ensemble"}),
        ("GET", "/v2/models/{model}/ready"): lambda _, __: Reply(200, b"", ""),
    },
    routes={
        "/v2/models/{model}/generate": partial(_generate, False),
        "/v2/models/{model}/generate_stream": partial(_generate, True),
    },
    unknown=lambda _, __: Reply(400, b"", ""),
    malformed=lambda message, _: refusal(message),
)
