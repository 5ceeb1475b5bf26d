# SPDX-License-Identifier: Apache-2.0
"""llama-cpp-python's server 0.3.36, out of its recorded answers: the OpenAI routes and /extras, one request at a time.

As if started without --interrupt_requests False: whoever comes next cuts the stream that runs. It publishes no metrics.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from inferometer.emulate import openai, tokens
from inferometer.emulate.answer import Part, Reply, as_json, done
from inferometer.emulate.emulation import Emulation, Live, Refused, Trap, Wish
from inferometer.emulate.openai import Asked, Shape
from inferometer.emulate.spoken import Spoken

VERSION = "0.3.36+emulated"
_NEVER_S = 1e6  # longer than anybody waits: an answer in one piece runs to its end
_EXTRAS = ("/extras/tokenize", "/extras/tokenize/count", "/extras/detokenize")


def refusal(n_prompt: int, n_asked: int, context: int) -> Reply:
    message = (
        f"This model's maximum context length is {context} tokens. However, you requested {n_prompt + n_asked} tokens "
        f"({n_prompt} in the messages, {n_asked} in the completion). Please reduce the length of the messages or "
        "completion."
    )
    kind = {"type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}
    return as_json({"error": {"message": message, **kind}}, 400)


def _openai(is_chat: bool, data: bytes, live: Live) -> Wish:
    asked = openai.read(data, is_chat=is_chat)
    if isinstance(asked.body.prompt, list):  # token ids
        raise Refused(Reply(500, b"Internal Server Error", "text/plain; charset=utf-8"))
    n_prompt, context = asked.n_prompt_tokens, live.setting.context
    n_asked = asked.n_most if asked.n_most is not None else context if is_chat else 16
    if n_prompt >= context:
        if asked.body.stream and live.has("empty-stream"):
            raise Refused(Reply(200, b"", "text/event-stream; charset=utf-8"))
        raise Refused(refusal(n_prompt, n_asked, context))
    if n_prompt + n_asked > context and not live.has("shortened"):
        raise Refused(refusal(n_prompt, n_asked, context))
    if live.has("no-usage"):
        asked = asked._replace(body=msgspec.structs.replace(asked.body, stream_options=None))
    return Wish(
        n_prompt_tokens=n_prompt,
        words=asked.words,
        n_most=min(n_asked, context - n_prompt),
        n_least=asked.body.min_tokens,
        is_streamed=asked.body.stream,
        leaves_after_s=_NEVER_S if live.has("runs-on") and not asked.body.stream else 0.0,
        parts=partial(_parts, asked, asked.body.model or live.setting.model),
    )


def _parts(asked: Asked, model: str, spoken: Spoken) -> list[Part]:
    """`model`: an unknown one is served all the same, and the reply repeats its name."""
    return openai.parts(asked, spoken, Shape(role="alone", finish="own"), model)


class _Text(msgspec.Struct):
    input: str


def _tokenize(data: bytes, _: Live) -> Reply:
    """Raises: msgspec.DecodeError."""
    return as_json({"tokens": tokens.ids_of(tokens.pieces(msgspec.json.decode(data, type=_Text).input))})


def _count(data: bytes, _: Live) -> Reply:
    """Raises: msgspec.DecodeError."""
    return as_json({"count": tokens.count(msgspec.json.decode(data, type=_Text).input)})


def _models(_: bytes, live: Live) -> Reply:
    entry = {"id": live.setting.model, "object": "model", "owned_by": "me", "permissions": []}
    return as_json({"object": "list", "data": [entry]})


def _described(_: bytes, __: Live) -> Reply:
    paths = ("/v1/models", openai.CHAT_PATH, openai.COMPLETIONS_PATH, *_EXTRAS)
    routes: dict[str, Any] = {path: {} for path in paths}
    info = {"title": "\N{LLAMA} llama.cpp Python API", "version": VERSION}
    return as_json({"openapi": "3.1.0", "info": info, "paths": routes})


EMULATION = Emulation(
    name="llama-cpp-python",
    title="llama-cpp-python",
    port=8000,
    most_slots=1,
    traps=(
        Trap("interrupts", "a new request cuts the running stream: [DONE], status 200, and no finish reason"),
        Trap("no-usage", "a stream never tells usage, whether asked for or not"),
        Trap("empty-stream", "a streamed prompt that is too long gets status 200 and not one event"),
        Trap("shortened", "a prompt that fits together with an output that does not: 200, and a shorter answer"),
        Trap("runs-on", "an answer in one piece is generated to its end after its client has left; all others wait"),
    ),
    pages={
        ("GET", "/v1/models"): _models,
        ("GET", "/openapi.json"): _described,
        ("POST", "/extras/tokenize"): _tokenize,
        ("POST", "/extras/tokenize/count"): _count,
    },
    routes={
        openai.CHAT_PATH: partial(_openai, True),
        openai.COMPLETIONS_PATH: partial(_openai, False),
    },
    unknown=lambda _, __: as_json({"detail": "Not Found"}, 404),
    malformed=lambda _, __: Reply(500, b"Internal Server Error", "text/plain; charset=utf-8"),
    interrupted=done(0),
)
