# SPDX-License-Identifier: Apache-2.0
"""Hugging Face Text Generation Inference, read in the source of 3.x (router/src); not seen running.

Its own route is `/generate_stream`: every event is one token, with its id. The last has `generated_text`, and `details`
with the counts; no [DONE]. `/generate` answers in one piece, and tells the length of the prompt in a header only.
A stream always has status 200: what the validator refuses comes as an error event.
There is no way to force an output length: end-of-sequence is never ignored (router/src/validation.rs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from inferometer.engines.body import encoded
from inferometer.engines.decoding import beside, is_told, parser, possible
from inferometer.engines.engine import (
    Call,
    Delta,
    Dialect,
    DialectError,
    Encoded,
    Engine,
    Identity,
    Messages,
    Speech,
    Tokens,
    Usage,
    document,
    whole_number,
)
from inferometer.engines.error_text import error_text
from inferometer.engines.gauges import Gauges
from inferometer.engines.openai import CHAT, COMPLETIONS
from inferometer.engines.profiles import tgi as profile
from inferometer.kinds import ChunkKind
from inferometer.plan.request import Request

STREAM_PATH, WHOLE_PATH = "/generate_stream", "/generate"

# --- who is it -----------------------------------------------------------------------------------------------------

# The longest prompt, by version: 2.0 and newer, 1.x.
_INPUT_NAMES = ("max_input_tokens", "max_input_length")


def _recognise(answers: Mapping[str, Any]) -> Identity | None:
    info = document(answers, "/info")
    router, version = info.get("router"), info.get("version")
    input_name = next((name for name in _INPUT_NAMES if name in info), None)
    if router != "text-generation-router" and not (input_name and "max_total_tokens" in info):
        return None
    evidence = ["/info names the router text-generation-router"] if router == "text-generation-router" else []
    evidence += [f"/info tells {input_name} and max_total_tokens"] if input_name else []
    return Identity(
        evidence=tuple(evidence),
        version=version if isinstance(version, str) else "",
        context_tokens=whole_number(info.get("max_total_tokens")),
        prompt_tokens=whole_number(info.get(input_name)) if input_name else None,
    )


# --- tokenizer -----------------------------------------------------------------------------------------------------


def _tokenize_text(model: str, text: str) -> Call:
    return Call("/tokenize", {"inputs": text}, _read_tokens)


def _tokenize_chat(model: str, messages: Messages) -> Call:
    turns = [{"role": role, "content": content} for role, content in messages]
    return Call("/chat_tokenize", {"model": model, "messages": turns}, _read_chat)


def _read_tokens(answer: Any) -> Tokens:
    match answer:
        case [{"id": int()}, *_] if all(isinstance(token, Mapping) and "id" in token for token in answer):
            return Tokens(len(answer), tuple(token["id"] for token in answer))
        case _:
            raise DialectError("/tokenize gave no tokens")


def _read_chat(answer: Any) -> Tokens:
    return _read_tokens(document({"answer": answer}, "answer").get("tokenize_response"))


# --- /generate_stream ----------------------------------------------------------------------------------------------


def _encode(request: Request, model: str, extras: Mapping[str, Any]) -> Encoded:
    """Raises: ValueError for messages and token ids."""
    if request.messages is not None or not isinstance(request.prompt, str):
        raise ValueError("/generate_stream takes text, neither messages nor token ids")
    parameters: dict[str, Any] = {"max_new_tokens": request.max_output_tokens, "details": True, "do_sample": False}
    if request.sampling.temperature > 0:  # zero is refused; not to sample means the same
        parameters |= {"do_sample": True, "temperature": request.sampling.temperature}
    if request.sampling.seed is not None:
        parameters["seed"] = request.sampling.seed
    path = STREAM_PATH if request.is_streamed else WHOLE_PATH
    return encoded(path, {"inputs": request.prompt, "parameters": parameters}, request, extras)


class _Token(Struct, gc=False):
    id: int
    text: str | None = None
    special: bool = False


class _Details(Struct):
    finish_reason: str | None = None  # length, eos_token or stop_sequence
    generated_tokens: int | None = None
    input_length: int | None = None


class _Event(Struct, gc=False):
    token: _Token | None = None
    generated_text: str | None = None
    details: _Details | None = None
    error: Any = None


_parse = parser(_Event, "an answer of TGI")
_parse_list = parser(list[_Event], "an answer of TGI")


def _decode(state: None, event_type: str, data: bytes) -> tuple[None, list[Delta]]:
    if (other := beside(event_type, data)) is not None:
        return None, other
    event = _parse(data)
    if is_told(event.error):
        return None, [Delta(ChunkKind.ERROR, error_text(data))]
    if event.token is None:
        raise DialectError("an event of TGI with neither token nor error")
    text = "" if event.token.special else event.token.text or ""  # special ones are no part of the answer's text
    if event.generated_text is None:
        return None, [Delta(ChunkKind.CONTENT, text, 1)]
    finish, usage = _ending(event)
    return None, [Delta(ChunkKind.CONTENT, text, 1, finish, usage), Delta(ChunkKind.DONE)]


def _ending(event: _Event) -> tuple[str | None, Usage | None]:
    if event.details is None:
        return None, None
    details = event.details
    return details.finish_reason, Usage(possible(details.input_length), possible(details.generated_tokens))


def _decode_body(body: bytes) -> list[Delta]:
    if not body.strip():
        raise DialectError("the answer is empty")
    if body.lstrip().startswith(b"["):  # the route "/" wraps its answer
        events = _parse_list(body)
        event = events[0] if events else _Event()
    else:
        event = _parse(body)
    if is_told(event.error):
        return [Delta(ChunkKind.ERROR, error_text(body))]
    if event.generated_text is None:
        raise DialectError("an answer of TGI with neither generated_text nor error")
    finish, usage = _ending(event)
    return [Delta(ChunkKind.CONTENT, event.generated_text, None, finish, usage), Delta(ChunkKind.DONE)]


GENERATE = Dialect(
    name="tgi-generate",
    path=STREAM_PATH,
    streams_as="text/event-stream",
    encode=_encode,
    start=lambda: None,
    decode=_decode,
    decode_body=_decode_body,
    error_text=error_text,
)
# No histogram of first tokens, no KV cache, no preemptions, no prefix hits. Counters are the sums of histograms.
_GAUGES = Gauges(
    path="/metrics",
    names={
        "requests_running": (("tgi_batch_current_size",),),
        "requests_waiting": (("tgi_queue_size",),),
        "n_prompt_tokens": (("tgi_request_input_length_sum",),),
        "n_output_tokens": (("tgi_request_generated_tokens_sum",),),
    },
    histograms={
        "tpot": ("tgi_request_mean_time_per_token_duration",),
        "queue": ("tgi_request_queue_duration",),
    },
    counts_at_end=True,
)
ENGINE = Engine(
    name="tgi",
    title="Text Generation Inference",
    recognise=_recognise,
    speaks={"chat": Speech(CHAT), "completions": Speech(COMPLETIONS), "native": Speech(GENERATE)},
    asks=("/info",),
    tokenize_text=_tokenize_text,
    tokenize_chats=(_tokenize_chat,),
    gauges=_GAUGES,
    quirks=(
        "output lengths cannot be forced: answers end where the model ends them",
        "a stream has status 200 whatever happens: refusals, also of too long prompts, are events",
        "beyond --max-concurrent-requests (128) requests are refused, not queued",
        "prompts beyond --payload-limit (2 MB) are refused by size",
        "a prompt that fits together with an output that does not is refused",
    ),
    launch=profile.LAUNCH,
    facts=profile.FACTS,
)
