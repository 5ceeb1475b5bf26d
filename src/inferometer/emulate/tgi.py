# SPDX-License-Identifier: Apache-2.0
"""Hugging Face TGI 3.3, out of its source (router/src) and its own test data: /generate_stream, OpenAI routes, metrics.

An answer that the model ends itself ends with a token that is special: it is counted, and is no text.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from inferometer.emulate import gauges, openai, tokens
from inferometer.emulate.answer import DONE, Moment, Part, Reply, as_json
from inferometer.emulate.emulation import Emulation, Live, Refused, Trap, Wish
from inferometer.emulate.openai import Asked, Shape
from inferometer.emulate.spoken import Event, Spoken, Style
from inferometer.kinds import ChunkKind

VERSION = "3.3.5+emulated"
MOST_IN_FLIGHT = 128  # --max-concurrent-requests
_SSE = "text/event-stream"
_REASONS = ("eos_token", "length")


def _event(value: object, *, has_space: bool) -> bytes:
    return (b"data: " if has_space else b"data:") + msgspec.json.encode(value) + b"\n\n"


def refuse(live: Live, status: int, message: str, kind: str, *, is_streamed: bool, is_chat: bool) -> Refused:
    """Validation of a stream happens inside of it: then the status is 200, and the error is an event."""
    flat = {"error": message, "error_type": kind}
    if not (is_streamed and live.has("errors-in-stream")):
        return Refused(as_json(flat, status))
    if is_chat:
        event = _event({"error": {"message": message, "http_status_code": status}}, has_space=True) + DONE
    else:
        event = _event(flat, has_space=not live.has("no-space"))
    return Refused(Reply(200, event, _SSE))


def _wish(live: Live, *, n_prompt: int, n_asked: int, is_streamed: bool, is_chat: bool, **more: Any) -> Wish:
    """Raises: Refused."""
    context = live.setting.context
    n_most_input = context - 1
    refused = partial(refuse, live, is_streamed=is_streamed, is_chat=is_chat)
    if live.has("no-queue") and live.n_in_flight >= MOST_IN_FLIGHT:
        raise refused(429, "Model is overloaded", "overloaded")
    if n_prompt > n_most_input:
        message = f"Input validation error: `inputs` must have less than {n_most_input} tokens. Given: {n_prompt}"
        raise refused(422, message, "validation")
    if n_prompt + n_asked > context:
        message = f"Input validation error: `inputs` tokens + `max_new_tokens` must be <= {context}. "
        message += f"Given: {n_prompt} `inputs` tokens and {n_asked} `max_new_tokens`"
        raise refused(422, message, "validation")
    return Wish(
        n_prompt_tokens=n_prompt,
        n_most=n_asked,
        is_streamed=is_streamed,
        ignores_end=not live.has("no-exact-length"),  # no field does that: only a model that never ends
        style=Style(ends_with_mark=True),
        content_type=_SSE,
        **more,
    )


def _openai(is_chat: bool, data: bytes, live: Live) -> Wish:
    asked = openai.read(data, is_chat=is_chat)
    return _wish(
        live,
        n_prompt=asked.n_prompt_tokens,
        n_asked=asked.n_most or 100,
        is_streamed=asked.body.stream,
        is_chat=is_chat,
        words=asked.words,
        parts=partial(_parts, asked, live.setting.model),
    )


def _parts(asked: Asked, model: str, spoken: Spoken) -> list[Part]:
    extra = {"system_fingerprint": VERSION}
    if asked.is_chat:
        shape = Shape(role="every", id="", extra=extra)
    else:
        shape = Shape(id="", unfinished="", reasons=_REASONS, usage_at="last", extra=extra)
    return openai.parts(asked, spoken, shape, model)


# --- /generate and /generate_stream --------------------------------------------------------------------------------


class _Parameters(msgspec.Struct):
    max_new_tokens: int | None = None
    details: bool = False
    truncate: int | None = None


class _Generate(msgspec.Struct):
    inputs: str
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)
    stream: bool = False


_GENERATE = msgspec.json.Decoder(_Generate)


def _generate(is_streamed: bool | None, data: bytes, live: Live) -> Wish:
    """`is_streamed` None: the body says so."""
    body = _GENERATE.decode(data)
    is_streamed = body.stream if is_streamed is None else is_streamed
    words = tuple(body.inputs.split())
    n_prompt = max(1, tokens.count(body.inputs))
    if body.parameters.truncate is not None:  # the last so many tokens are kept
        n_prompt = max(1, min(n_prompt, body.parameters.truncate))
        words = words[-n_prompt:]
    has_space = not live.has("no-space")
    return _wish(
        live,
        n_prompt=n_prompt,
        n_asked=body.parameters.max_new_tokens or 100,
        is_streamed=is_streamed,
        is_chat=False,
        words=words,
        parts=partial(_streamed, body, has_space) if is_streamed else partial(_whole, body),
    )


def _details(body: _Generate, spoken: Spoken) -> dict[str, Any] | None:
    if not body.parameters.details:
        return None
    return {"finish_reason": _REASONS[spoken.is_cut], "generated_tokens": spoken.n_output_tokens, "seed": None}


def _visible(spoken: Spoken) -> str:
    return tokens.text_of([token for token in spoken.tokens if token[0] != tokens.END_ID])


def _streamed(body: _Generate, has_space: bool, spoken: Spoken) -> list[Part]:
    def write(said: Event, _: Moment) -> bytes:
        is_last = said.n_done == spoken.n_output_tokens
        details = _details(body, spoken)
        if details is not None:
            details["input_length"] = spoken.n_prompt_tokens
        (token,) = said.ids
        value = {
            "index": said.n_done,
            "token": {"id": token, "text": said.text, "logprob": -0.5, "special": token == tokens.END_ID},
            "generated_text": _visible(spoken) if is_last else None,
            "details": details if is_last else None,
        }
        return _event(value, has_space=has_space)

    # No [DONE] on this route.
    return [Part(said.n_done, partial(write, said), ChunkKind.CONTENT, 1) for said in spoken.events]


def _whole(body: _Generate, spoken: Spoken) -> list[Part]:
    """The length of the prompt is told in a header only."""
    value: dict[str, Any] = {"generated_text": _visible(spoken)}
    if (details := _details(body, spoken)) is not None:
        value["details"] = details | {"prefill": [], "tokens": []}
    return [Part(spoken.n_output_tokens, msgspec.json.encode(value), ChunkKind.CONTENT, spoken.n_output_tokens)]


# --- control plane -------------------------------------------------------------------------------------------------


class _Messages(msgspec.Struct):
    messages: list[openai.Message]


def _simple_tokens(text: str) -> list[dict[str, Any]]:
    found, start = [], 0
    for token, piece in tokens.pieces(text):
        found.append({"id": token, "text": piece, "start": start, "stop": start + len(piece)})
        start += len(piece)
    return found


def _tokenize(data: bytes, _: Live) -> Reply:
    return as_json(_simple_tokens(_GENERATE.decode(data).inputs))


def _chat_tokenize(data: bytes, _: Live) -> Reply:
    body = msgspec.json.decode(data, type=_Messages)
    text = tokens.chat_text((one.role, one.text) for one in body.messages)
    return as_json({"tokenize_response": _simple_tokens(text), "templated_text": text})


def _info(_: bytes, live: Live) -> Reply:
    return as_json(
        {
            "model_id": live.setting.model,
            "model_sha": None,
            "model_pipeline_tag": "text-generation",
            "max_concurrent_requests": MOST_IN_FLIGHT,
            "max_best_of": 2,
            "max_stop_sequences": 4,
            "max_input_tokens": live.setting.context - 1,
            "max_total_tokens": live.setting.context,
            "validation_workers": 2,
            "max_client_batch_size": 4,
            "router": "text-generation-router",
            "version": VERSION,
            "sha": None,
            "docker_label": None,
        }
    )


def _metrics(_: bytes, live: Live) -> Reply:
    counts, batch = live.gauges, live.batch
    most = sum(one.n_prompt_tokens + one.n_output_tokens for one in batch.running)
    page = [
        gauges.gauge("tgi_queue_size", len(batch.waiting)),
        gauges.gauge("tgi_batch_current_size", len(batch.running)),
        gauges.gauge("tgi_batch_current_max_tokens", most),
        gauges.gauge("tgi_batch_max_total_tokens", batch.kv_tokens),
        gauges.counter("tgi_request_count", counts.n_requests),
        gauges.counter("tgi_request_success", counts.n_stopped + counts.n_cut),
        gauges.counter("tgi_request_failure", counts.n_left, {"err": "dropped"}),
        gauges.counter("tgi_request_failure", counts.n_failed, {"err": "validation"}),
        gauges.histogram("tgi_request_duration", counts.e2e_s),
        gauges.histogram("tgi_request_queue_duration", counts.queue_s),
        gauges.histogram("tgi_request_mean_time_per_token_duration", counts.tpot_s),
        gauges.histogram("tgi_request_input_length", counts.prompt_tokens),
        gauges.histogram("tgi_request_generated_tokens", counts.output_tokens),
        gauges.histogram("tgi_batch_forward_duration", counts.iteration_s),
    ]
    return Reply(200, gauges.text(page), "text/plain; charset=utf-8")


EMULATION = Emulation(
    name="tgi",
    title="Text Generation Inference",
    port=3000,
    traps=(
        Trap("no-exact-length", "no field forces a length: answers end where the model ends them"),
        Trap("errors-in-stream", "a stream has status 200 whatever happens: a refusal is an event"),
        Trap("no-queue", f"with {MOST_IN_FLIGHT} requests in flight the next is refused, not queued"),
        Trap("no-space", "on its own route nothing stands between data: and the brace"),
        Trap("prefix-cache", "a prompt that begins like an earlier one is computed in part only"),
    ),
    pages={
        ("GET", "/health"): lambda _, __: Reply(200, b"", ""),
        ("GET", "/ping"): lambda _, __: Reply(200, b"", ""),
        ("GET", "/info"): _info,
        ("GET", "/v1/models"): lambda _, live: as_json(openai.model_list(live.setting.model, live.setting.model)),
        ("GET", "/metrics"): _metrics,
        ("POST", "/tokenize"): _tokenize,
        ("POST", "/chat_tokenize"): _chat_tokenize,
    },
    routes={
        openai.CHAT_PATH: partial(_openai, True),
        openai.COMPLETIONS_PATH: partial(_openai, False),
        "/generate_stream": partial(_generate, True),
        "/generate": partial(_generate, False),
        "/": partial(_generate, None),
    },
    unknown=lambda _, __: Reply(404, b"", ""),
    malformed=lambda message, _: Reply(422, f"Failed to deserialize the JSON body: {message}".encode(), "text/plain"),
)
