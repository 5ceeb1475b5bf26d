# SPDX-License-Identifier: Apache-2.0
"""SGLang 0.5, out of its documentation and its source (srt/entrypoints): OpenAI routes, /generate, metrics.

As if started with --enable-metrics. Its own route repeats the whole text in every event.
"""

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
from inferometer.units import NS_PER_S

VERSION = "0.5.4+emulated"


def refusal(status: int, message: str, kind: str = "BadRequestError") -> Reply:
    return as_json({"object": "error", "message": message, "type": kind, "param": None, "code": status}, status)


def _wish(live: Live, *, n_prompt: int, n_asked: int | None, words: tuple[object, ...], **more: Any) -> Wish:
    """Raises: Refused."""
    context = live.setting.context
    n_asked = 128 if n_asked is None else n_asked
    if n_prompt >= context:
        if not live.has("truncated-prompt"):
            message = f"The input ({n_prompt} tokens) is longer than the model's context length ({context} tokens)."
            raise Refused(refusal(400, message))
        n_prompt = context - 1
        words = words[:n_prompt]
    if n_prompt + n_asked > context and not live.has("truncated-prompt"):
        message = f"Requested token count exceeds the model's maximum context length of {context} tokens."
        raise Refused(refusal(400, message))
    return Wish(
        n_prompt_tokens=n_prompt,
        n_most=min(n_asked, context - n_prompt),
        words=words,
        style=Style(merges=live.has("tokens-per-event")),
        **more,
    )


def _openai(is_chat: bool, data: bytes, live: Live) -> Wish:
    asked = openai.read(data, is_chat=is_chat)
    return _wish(
        live,
        n_prompt=asked.n_prompt_tokens,
        n_asked=asked.n_most,
        words=asked.words,
        is_streamed=asked.body.stream,
        ignores_end=asked.body.ignore_eos,
        n_least=asked.body.min_tokens,
        parts=partial(_parts, asked, live.setting.model, "empty" if live.has("role-chunk") else "none"),
    )


def _parts(asked: Asked, model: str, role: Any, spoken: Spoken) -> list[Part]:
    shape = Shape(role=role, finish="own", usage=openai.cached_usage, has_running_usage=True, has_null_usage=True)
    return openai.parts(asked, spoken, shape, model)


# --- /generate -----------------------------------------------------------------------------------------------------


class _Sampling(msgspec.Struct):
    max_new_tokens: int = 128
    min_new_tokens: int = 0
    ignore_eos: bool = False


class _Generate(msgspec.Struct):
    text: str | None = None
    input_ids: list[int] | None = None
    sampling_params: _Sampling = msgspec.field(default_factory=_Sampling)
    stream: bool = False


_GENERATE = msgspec.json.Decoder(_Generate)


def _generate(data: bytes, live: Live) -> Wish:
    body = _GENERATE.decode(data)
    if (body.text is None) == (body.input_ids is None):
        raise Refused(as_json({"error": {"message": "either text or input_ids should be provided"}}, 400))
    prompt: Any = body.input_ids if body.text is None else body.text
    asked = openai.counted(openai.Body(), prompt, is_chat=False)
    sampling = body.sampling_params
    return _wish(
        live,
        n_prompt=asked.n_prompt_tokens,
        n_asked=sampling.max_new_tokens,
        words=asked.words,
        is_streamed=body.stream,
        ignores_end=sampling.ignore_eos,
        n_least=sampling.min_new_tokens,
        parts=partial(_generated, body, live.has("cumulative-text")),
    )


def _generated(body: _Generate, is_cumulative: bool, spoken: Spoken) -> list[Part]:
    n_output = spoken.n_output_tokens
    reason = {"type": "length", "length": n_output} if spoken.is_cut else {"type": "stop", "matched": tokens.END_ID}

    def write(event: Event, finish: Any, moment: Moment) -> dict[str, Any]:
        info = {"id": "0", "finish_reason": finish, "prompt_tokens": moment.n_prompt_tokens}
        info |= {"completion_tokens": event.n_done, "cached_tokens": moment.n_cached_tokens}
        if finish is not None:
            info["e2e_latency"] = (moment.t_ns - moment.t_arrival_ns) / NS_PER_S
        return {"text": event.text, "output_ids": event.ids, "meta_info": info}

    if not body.stream:
        whole = Event(n_output, spoken.tokens)
        return [
            Part(
                n_output,
                lambda moment: msgspec.json.encode(write(whole, reason, moment)),
                ChunkKind.CONTENT,
                n_output,
            )
        ]
    everything = spoken.tokens

    def encoded(event: Event, moment: Moment) -> bytes:
        told = Event(event.n_done, everything[: event.n_done]) if is_cumulative else event
        return sse(write(told, reason if event.n_done == n_output else None, moment))

    found = [Part(event.n_done, partial(encoded, event), ChunkKind.CONTENT, event.n_tokens) for event in spoken.events]
    return [*found, done(n_output)]


# --- control plane -------------------------------------------------------------------------------------------------


class _Tokenize(msgspec.Struct):
    prompt: str


def _tokenize(data: bytes, live: Live) -> Reply:
    ids = tokens.ids_of(tokens.pieces(msgspec.json.decode(data, type=_Tokenize).prompt))
    return as_json({"tokens": ids, "count": len(ids), "max_model_len": live.setting.context})


def _server_info(_: bytes, live: Live) -> Reply:
    return as_json(
        {
            "model_path": live.setting.model,
            "max_total_num_tokens": live.batch.kv_tokens,
            "max_running_requests": live.setting.slots,
            "context_length": live.setting.context,
            "stream_interval": 2 if live.has("tokens-per-event") else 1,
            "internal_states": [{}],
            "version": VERSION,
        }
    )


def _flush(_: bytes, live: Live) -> Reply:
    if live.n_in_flight:
        return Reply(400, b"Flush cache failed: requests are running.", "text/plain")
    live.prefixes.clear()
    return Reply(200, b"Cache flushed.\n", "text/plain; charset=utf-8")


def _metrics(_: bytes, live: Live) -> Reply:
    if live.has("metrics-off"):
        return as_json({"detail": "Not Found"}, 404)
    counts, batch = live.gauges, live.batch
    labels = {"model_name": live.setting.model, "engine_type": "unified", "tp_rank": "0", "pp_rank": "0"}
    n_asked = counts.n_queried_tokens
    named = {
        "num_running_reqs": len(batch.running),
        "num_queue_reqs": len(batch.waiting),
        "num_used_tokens": batch.n_kept_tokens,
        "token_usage": batch.n_kept_tokens / batch.kv_tokens,
        "cache_hit_rate": counts.n_cached_tokens / n_asked if n_asked else 0.0,
        "max_total_num_tokens": batch.kv_tokens,
        "num_retracted_reqs": counts.n_preempted,
    }
    counted = {
        "prompt_tokens_total": counts.n_prompt_tokens + counts.n_cached_tokens,
        "generation_tokens_total": counts.n_output_tokens,
        "cached_tokens_total": counts.n_cached_tokens,
        "num_requests_total": counts.n_stopped + counts.n_cut,
    }
    histograms = {
        "time_to_first_token_seconds": counts.ttft_s,
        "inter_token_latency_seconds": counts.gap_s,
        "e2e_request_latency_seconds": counts.e2e_s,
    }
    page = [
        *(gauges.gauge(f"sglang:{name}", float(value), labels) for name, value in named.items()),
        *(gauges.counter(f"sglang:{name}", float(value), labels) for name, value in counted.items()),
        *(gauges.histogram(f"sglang:{name}", value, labels) for name, value in histograms.items()),
    ]
    return Reply(200, gauges.text(page), "text/plain; version=0.0.4; charset=utf-8")


def _models(_: bytes, live: Live) -> Reply:
    more = {"root": live.setting.model, "parent": None, "max_model_len": live.setting.context}
    return as_json(openai.model_list(live.setting.model, "sglang", **more))


EMULATION = Emulation(
    name="sglang",
    title="SGLang",
    port=30000,
    traps=(
        Trap("role-chunk", "the first event of a chat is a role without a token, a moment before the first text"),
        Trap("cumulative-text", "every event of its own route repeats the whole text so far"),
        Trap("prefix-cache", "a prompt that begins like an earlier one is computed in part only"),
        Trap("tokens-per-event", "some events hold two tokens, as with --stream-interval", is_default=False),
        Trap("truncated-prompt", "too long prompts are cut, as with --allow-auto-truncate", is_default=False),
        Trap("metrics-off", "/metrics is not there, as without --enable-metrics", is_default=False),
    ),
    pages={
        ("GET", "/health"): lambda _, __: Reply(200, b"", ""),
        ("GET", "/health_generate"): lambda _, __: Reply(200, b"", ""),
        ("GET", "/v1/models"): _models,
        ("GET", "/get_model_info"): lambda _, live: as_json({"model_path": live.setting.model, "is_generation": True}),
        ("GET", "/get_server_info"): _server_info,
        ("GET", "/server_info"): _server_info,
        ("GET", "/flush_cache"): _flush,
        ("POST", "/flush_cache"): _flush,
        ("GET", "/metrics"): _metrics,
        ("POST", "/tokenize"): _tokenize,
    },
    routes={
        openai.CHAT_PATH: partial(_openai, True),
        openai.COMPLETIONS_PATH: partial(_openai, False),
        "/generate": _generate,
    },
    unknown=lambda _, __: as_json({"object": "error", "message": "Not Found", "type": "404", "code": 404}, 404),
    malformed=lambda message, _: refusal(400, message, "Bad Request"),
)
