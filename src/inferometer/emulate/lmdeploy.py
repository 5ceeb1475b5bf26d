# SPDX-License-Identifier: Apache-2.0
"""LMDeploy of 2026, out of its source (lmdeploy/serve/openai): OpenAI routes, /generate, /v1/encode, metrics."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from inferometer.emulate import gauges, openai, tokens
from inferometer.emulate.answer import Moment, Part, Reply, as_json, done, sse
from inferometer.emulate.emulation import Emulation, Live, Refused, Trap, Wish
from inferometer.emulate.openai import Asked, Shape
from inferometer.emulate.spoken import Event, Spoken, Style
from inferometer.kinds import ChunkKind


def refusal(status: int, message: str, kind: str = "invalid_request_error") -> Reply:
    """Flat: there is no field named error around it."""
    value = {"message": message, "type": kind, "code": status, "param": None, "object": "error"}
    return as_json(value, status)


def _wish(live: Live, *, n_prompt: int, n_asked: int | None, **more: Any) -> Wish:
    """Raises: Refused, also for a stream: it is checked before that starts."""
    context = live.setting.context
    if n_prompt >= context:
        message = f"Input length ({n_prompt}) must be smaller than the model context length ({context})."
        raise Refused(refusal(400, message))
    n_asked = context - n_prompt if n_asked is None else n_asked
    if n_prompt + n_asked > context and not live.has("shortened"):
        raise Refused(refusal(400, f"{n_prompt} + {n_asked} tokens are more than {context}"))
    return Wish(
        n_prompt_tokens=n_prompt,
        n_most=min(n_asked, context - n_prompt),
        style=Style(merges=live.has("tokens-per-event")),
        content_type="text/event-stream",
        **more,
    )


def _openai(is_chat: bool, data: bytes, live: Live) -> Wish:
    asked = openai.read(data, is_chat=is_chat)
    if asked.body.model not in ("", live.setting.model):
        raise Refused(refusal(404, f"The model `{asked.body.model}` does not exist."))
    n_asked = asked.n_most if asked.n_most is not None or is_chat else 16
    return _wish(
        live,
        n_prompt=asked.n_prompt_tokens,
        n_asked=n_asked,
        is_streamed=asked.body.stream,
        words=asked.words,
        ignores_end=asked.body.ignore_eos,
        n_least=(asked.body.min_new_tokens or 0) if is_chat else 0,
        parts=partial(_parts, asked, live.setting.model),
    )


def _parts(asked: Asked, model: str, spoken: Spoken) -> list[Part]:
    shape = Shape(
        role="every",
        ids="output_ids" if asked.is_chat else "",
        has_null_usage=asked.wants_usage,
        id="1",
    )
    return openai.parts(asked, spoken, shape, model)


# --- /generate -----------------------------------------------------------------------------------------------------


class _Generate(msgspec.Struct):
    prompt: str | None = None
    input_ids: list[int] | None = None
    max_tokens: int = 128
    stream: bool = False
    ignore_eos: bool = False


_GENERATE = msgspec.json.Decoder(_Generate)


def _generate(data: bytes, live: Live) -> Wish:
    body = _GENERATE.decode(data)
    if (body.prompt is None) == (body.input_ids is None):
        raise Refused(refusal(400, "one of prompt and input_ids must be given"))
    prompt: Any = body.input_ids if body.prompt is None else body.prompt
    asked = openai.counted(openai.Body(), prompt, is_chat=False)
    return _wish(
        live,
        n_prompt=asked.n_prompt_tokens,
        n_asked=body.max_tokens,
        is_streamed=body.stream,
        words=asked.words,
        ignores_end=body.ignore_eos,
        parts=partial(_generated, body),
    )


def _generated(body: _Generate, spoken: Spoken) -> list[Part]:
    reason = {"type": ("stop", "length")[spoken.is_cut]}

    def value(event: Event, finish: Any) -> dict[str, Any]:
        info = {"finish_reason": finish, "prompt_tokens": spoken.n_prompt_tokens, "completion_tokens": event.n_done}
        return {"text": event.text, "output_ids": event.ids, "meta_info": info | {"output_token_logprobs": None}}

    def encoded(event: Event, finish: Any, _: Moment) -> bytes:
        return sse(value(event, finish))

    n_output = spoken.n_output_tokens
    if not body.stream:
        whole = msgspec.json.encode(value(Event(n_output, spoken.tokens), reason))
        return [Part(n_output, whole, ChunkKind.CONTENT, n_output)]
    found = []
    for i, event in enumerate(spoken.events):
        finish = reason if i == len(spoken.events) - 1 else None
        write = partial(encoded, event, finish)
        found.append(Part(event.n_done, write, ChunkKind.CONTENT, event.n_tokens))
    return [*found, done(n_output)]


# --- control plane -------------------------------------------------------------------------------------------------


class _Encode(msgspec.Struct):
    input: str
    do_preprocess: bool = False


def _encode(data: bytes, _: Live) -> Reply:
    body = msgspec.json.decode(data, type=_Encode)
    text = tokens.chat_text([("user", body.input)]) if body.do_preprocess else body.input
    ids = tokens.ids_of(tokens.pieces(text))
    return as_json({"input_ids": ids, "length": len(ids)})


def _metrics(_: bytes, live: Live) -> Reply:
    counts, batch = live.gauges, live.batch
    labels = {"model_name": live.setting.model, "engine": "0"}
    n_asked = counts.n_queried_tokens
    named = {
        "num_requests_running": len(batch.running),
        "num_requests_waiting": len(batch.waiting),
        "num_api_requests_routed": live.n_in_flight,
        "num_api_requests_waiting": 0,
        "num_requests_succeeded": counts.n_stopped + counts.n_cut,
        "num_requests_failed": counts.n_failed,
        "gpu_cache_usage_perc": batch.n_kept_tokens / batch.kv_tokens,
        "prefix_cache_hit_rate": counts.n_cached_tokens / n_asked if n_asked else 0.0,
    }
    counted = {
        "cached_tokens_total": counts.n_cached_tokens,
        "prompt_tokens_total": counts.n_prompt_tokens + counts.n_cached_tokens,
        "generation_tokens_total": counts.n_output_tokens,
        "request_success_total": counts.n_stopped + counts.n_cut,
    }
    histograms = {
        "time_to_first_token_seconds": counts.ttft_s,
        "time_per_output_token_seconds": counts.gap_s,
        "e2e_request_latency_seconds": counts.e2e_s,
        "request_queue_time_seconds": counts.queue_s,
        "request_prefill_time_seconds": counts.prefill_s,
        "request_decode_time_seconds": counts.decode_s,
        "request_prompt_tokens": counts.prompt_tokens,
        "request_generation_tokens": counts.output_tokens,
    }
    page = [
        *(gauges.gauge(f"lmdeploy:{name}", value, labels) for name, value in named.items()),
        *(gauges.counter(f"lmdeploy:{name}", value, labels) for name, value in counted.items()),
        *(gauges.histogram(f"lmdeploy:{name}", value, labels) for name, value in histograms.items()),
    ]
    return Reply(200, gauges.text(page), "text/plain; charset=utf-8")


def _models(_: bytes, live: Live) -> Reply:
    """Nothing here tells the context length."""
    more: dict[str, Any] = {"root": live.setting.model, "parent": None, "permission": []}
    return as_json(openai.model_list(live.setting.model, "lmdeploy", **more))


EMULATION = Emulation(
    name="lmdeploy",
    title="LMDeploy",
    port=23333,
    traps=(
        Trap("tokens-per-event", "some events hold two tokens"),
        Trap("shortened", "a prompt that fits together with an output that does not: 200, and a shorter answer"),
        Trap("prefix-cache", "with --enable-prefix-caching: a known beginning is not computed", is_default=False),
    ),
    pages={
        ("GET", "/health"): lambda _, __: as_json({"status": "healthy"}),
        ("GET", "/v1/models"): _models,
        ("GET", "/metrics"): _metrics,
        ("POST", "/v1/encode"): _encode,
    },
    routes={
        openai.CHAT_PATH: partial(_openai, True),
        openai.COMPLETIONS_PATH: partial(_openai, False),
        "/generate": _generate,
    },
    unknown=lambda _, __: as_json({"detail": "Not Found"}, 404),
    malformed=lambda message, _: as_json({"detail": [{"type": "value_error", "loc": ["body"], "msg": message}]}, 422),
)
