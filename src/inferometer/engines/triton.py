# SPDX-License-Identifier: Apache-2.0
"""TensorRT-LLM behind NVIDIA's Triton: its generate extension, with the fields of the backend's `ensemble` model.

From Triton's documentation (protocol/extension_generate.md) and the backend's model configuration
(all_models/inflight_batcher_llm/ensemble/config.pbtxt); not seen running. `generate_stream` sends pieces of text; that
`num_output_tokens` of an event counts its own tokens is how Triton's OpenAI front end reads it. No [DONE], no finish
reason: an answer that has the length asked for is known to be whole, any other is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from msgspec import UNSET, Struct, UnsetType

from inferometer.engines.body import encoded
from inferometer.engines.decoding import COUNT_UNKNOWN, MAX_CHUNK_TOKENS, beside, is_told, parser, possible
from inferometer.engines.engine import (
    OUTPUT_TOKENS_ASKED,
    Delta,
    Dialect,
    DialectError,
    Encoded,
    Engine,
    Identity,
    Speech,
    Usage,
    document,
)
from inferometer.engines.error_text import error_text
from inferometer.engines.profiles import triton as profile
from inferometer.kinds import ChunkKind
from inferometer.plan.request import Request

PATH = "/v2/models/{model}/generate_stream"


def _recognise(answers: Mapping[str, Any]) -> Identity | None:
    server = document(answers, "/v2")
    if server.get("name") != "triton":
        return None
    version = server.get("version")
    return Identity(
        evidence=("/v2 names the server triton",),
        version=version if isinstance(version, str) else "",
        notes=(
            "Triton tells neither which backend serves the model nor its context length: the fields of the "
            "TensorRT-LLM ensemble are tried",
        ),
    )


def _encode(request: Request, model: str, extras: Mapping[str, Any]) -> Encoded:
    """Raises: ValueError for messages and token ids."""
    if request.messages is not None or not isinstance(request.prompt, str):
        raise ValueError("the ensemble takes text, neither messages nor token ids")
    path = PATH.replace("{model}", quote(model, safe=""))
    body: dict[str, Any] = {"text_input": request.prompt, "max_tokens": request.max_output_tokens}
    body |= {"temperature": request.sampling.temperature, "stream": request.is_streamed}
    body["exclude_input_in_output"] = True
    if request.sampling.temperature == 0:
        body |= {"temperature": 1.0, "top_k": 1}  # greedy; a temperature of zero is not allowed everywhere
    if request.sampling.seed is not None:
        body["seed"] = request.sampling.seed
    return encoded(path if request.is_streamed else path.removesuffix("_stream"), body, request, extras)


class _Event(Struct, gc=False):
    text_output: str | list[str] | UnsetType = UNSET
    num_input_tokens: int | None = None
    num_output_tokens: int | None = None  # of this event
    error: Any = None


_parse = parser(_Event, "an answer of Triton's generate extension")


def _decode(state: int, event_type: str, data: bytes) -> tuple[int, list[Delta]]:
    """`state`: tokens told of so far."""
    if (other := beside(event_type, data)) is not None:
        return state, other
    event = _parse(data)
    if is_told(event.error):
        return state, [Delta(ChunkKind.ERROR, error_text(data))]
    if event.text_output is UNSET:
        raise DialectError("an event of Triton's with neither text_output nor error")
    text = event.text_output if isinstance(event.text_output, str) else "".join(event.text_output)
    n_tokens = possible(event.num_output_tokens)
    if n_tokens is None or n_tokens > MAX_CHUNK_TOKENS or state == COUNT_UNKNOWN:
        state, n_tokens = COUNT_UNKNOWN, None
    else:
        state += n_tokens
    usage = None
    if event.num_input_tokens is not None or n_tokens is not None:
        usage = Usage(possible(event.num_input_tokens), possible(state))
    kind = ChunkKind.CONTENT if text or n_tokens else ChunkKind.EMPTY
    return state, [Delta(kind, text, n_tokens if kind is ChunkKind.CONTENT else None, None, usage)]


def _decode_body(body: bytes) -> list[Delta]:
    if not body.strip():
        raise DialectError("the answer is empty")
    return [*_decode(0, "message", body)[1], Delta(ChunkKind.DONE)]


GENERATE = Dialect(
    name="triton-generate",
    path=PATH,
    streams_as="text/event-stream",
    encode=_encode,
    start=lambda: 0,
    decode=_decode,
    decode_body=_decode_body,
    error_text=error_text,
    ends_with_body=True,
)
ENGINE = Engine(
    name="triton",
    title="TensorRT-LLM behind Triton",
    recognise=_recognise,
    speaks={
        "native": Speech(
            GENERATE,
            length_extras={"min_tokens": OUTPUT_TOKENS_ASKED},
            usage_extras={"return_num_input_tokens": True, "return_num_output_tokens": True},
        )
    },
    asks=("/v2",),
    quirks=(
        "the model's name is part of the path, and is not listed: give --model, for example ensemble",
        "no finish reason and no end marker",
        "older backends do not count tokens, and refuse to be asked",
        "streams need the backend in decoupled mode",
    ),
    facts=profile.FACTS,
)
