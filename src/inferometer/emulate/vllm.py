# SPDX-License-Identifier: Apache-2.0
"""vLLM 0.32, out of its recorded answers: OpenAI routes, its route for token ids, tokenizer, metrics."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from inferometer.emulate import gauges, openai, tokens
from inferometer.emulate.answer import Moment, Part, Reply, as_json, done, sse
from inferometer.emulate.emulation import Emulation, Live, Refused, Trap, Wish
from inferometer.emulate.openai import Asked
from inferometer.emulate.spoken import Spoken, Style
from inferometer.kinds import ChunkKind

VERSION = "0.32.0+emulated"
GENERATE_PATH = "/inference/v1/generate"
_SHAPE = {
    True: openai.Shape(role="empty", has_running_usage=True, ids="token_ids"),
    False: openai.Shape(has_running_usage=True, ids="token_ids"),
}


def refusal(status: int, message: str, kind: str, param: str | None) -> Reply:
    return as_json({"error": {"message": message, "type": kind, "param": param, "code": status}}, status)


def most_tokens(n_prompt: int, n_asked: int | None, live: Live) -> int:
    """How many tokens an answer may have. Raises: Refused."""
    context = live.setting.context
    if n_prompt >= context:
        told = context + 1  # not the true count: "at least" so many
        raise Refused(
            refusal(
                400,
                f"This model's maximum context length is {context} tokens. However, your prompt contains at least "
                f"{told} input tokens, which exceeds this limit even without any output tokens. Please reduce the "
                f"length of the input prompt. (parameter=input_tokens, value={told})",
                "BadRequestError",
                "input_tokens",
            )
        )
    if n_asked is None:
        return context - n_prompt
    if n_asked > context or (n_prompt + n_asked > context and not live.has("shortened")):
        message = f"max_tokens={n_asked} cannot be greater than max_model_len={context}. Please request fewer output "
        message += f"tokens. (parameter=max_tokens, value={n_asked})"
        raise Refused(refusal(400, message, "BadRequestError", "max_tokens"))
    return min(n_asked, context - n_prompt)


def _style(live: Live) -> Style:
    return Style("empty" if live.has("token-without-text") else "none", live.has("tokens-per-event"))


def _openai(is_chat: bool, data: bytes, live: Live) -> Wish:
    asked = openai.read(data, is_chat=is_chat)
    if asked.body.model not in ("", live.setting.model):
        message = f"The model `{asked.body.model}` does not exist. Valid aliases: {live.setting.model}."
        raise Refused(refusal(404, message, "NotFoundError", "model"))
    n_asked = asked.n_most if asked.n_most is not None or is_chat else 16
    return Wish(
        n_prompt_tokens=asked.n_prompt_tokens,
        words=asked.words,
        n_most=most_tokens(asked.n_prompt_tokens, n_asked, live),
        n_least=asked.body.min_tokens,
        ignores_end=asked.body.ignore_eos,
        is_streamed=asked.body.stream,
        style=_style(live),
        parts=partial(_parts, asked, live.setting.model, has_role=live.has("role-chunk")),
    )


def _parts(asked: Asked, model: str, spoken: Spoken, *, has_role: bool) -> list[Part]:
    shape = _SHAPE[asked.is_chat]
    if asked.is_chat and not has_role:
        shape = openai.Shape(has_running_usage=True, ids="token_ids")
    return openai.parts(asked, spoken, shape, model)


# --- its own route: token ids in, token ids out --------------------------------------------------------------------


class _Sampling(msgspec.Struct):
    max_tokens: int = 16
    ignore_eos: bool = False
    min_tokens: int = 0


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Generate(msgspec.Struct):
    token_ids: list[int]
    sampling_params: _Sampling
    stream: bool = False
    stream_options: _StreamOptions | None = None


_GENERATE = msgspec.json.Decoder(_Generate)


def _generate(data: bytes, live: Live) -> Wish:
    if live.has("no-scale-out"):
        raise Refused(as_json({"detail": "Forbidden"}, 403))
    body = _GENERATE.decode(data)
    sampling = body.sampling_params
    n_prompt = max(1, len(body.token_ids))
    return Wish(
        n_prompt_tokens=n_prompt,
        words=tuple(body.token_ids),
        n_most=most_tokens(n_prompt, sampling.max_tokens, live),
        n_least=sampling.min_tokens,
        ignores_end=sampling.ignore_eos,
        is_streamed=body.stream,
        style=Style(merges=live.has("tokens-per-event")),
        parts=partial(_generated, body, live.setting.model),
    )


def _generated(body: _Generate, model: str, spoken: Spoken) -> list[Part]:
    reason = openai.Shape().reasons[spoken.is_cut]
    n_output = spoken.n_output_tokens

    def whole(moment: Moment) -> bytes:
        value = _value(tokens.ids_of(spoken.tokens), reason) | {"model": model, "created": openai.CREATED}
        return msgspec.json.encode(value | {"usage": openai.cached_usage(moment)})

    def usage(moment: Moment) -> bytes:
        value = {"request_id": "generate-tokens-0", "output_mode": "tokens", "choices": []}
        return sse(value | {"usage": openai.plain_usage(moment)})

    if not body.stream:
        return [Part(n_output, whole, ChunkKind.CONTENT, n_output)]
    found = []
    for i, said in enumerate(spoken.events):
        finish = reason if i == len(spoken.events) - 1 else None
        write = partial(_event, said.ids, finish)
        found.append(Part(said.n_done, write, ChunkKind.CONTENT, said.n_tokens))
    if body.stream_options is not None and body.stream_options.include_usage:
        found.append(Part(n_output, usage, ChunkKind.USAGE))
    return [*found, done(n_output)]


def _value(ids: list[int], finish: str | None) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish, "stop_reason": None, "token_ids": ids, "logprobs": None}
    return {"request_id": "generate-tokens-0", "usage": None, "output_mode": "tokens", "choices": [choice]}


def _event(ids: list[int], finish: str | None, _: Moment) -> bytes:
    return sse(_value(ids, finish))


# --- control plane -------------------------------------------------------------------------------------------------


class _Tokenize(msgspec.Struct):
    prompt: str | None = None
    messages: list[openai.Message] | None = None
    return_token_strs: bool = False


def tokenize(data: bytes, live: Live) -> Reply:
    """Raises: msgspec.DecodeError."""
    body = msgspec.json.decode(data, type=_Tokenize)
    text = body.prompt or ""
    if body.messages is not None:
        text = tokens.chat_text((one.role, one.text) for one in body.messages)
    found = tokens.pieces(text)
    strings = [piece.replace(" ", "Ġ").replace("\n", "Ċ") for _, piece in found] if body.return_token_strs else None
    return as_json(
        {
            "count": len(found),
            "max_model_len": live.setting.context,
            "tokens": tokens.ids_of(found),
            "token_strs": strings,
        }
    )


def _models(_: bytes, live: Live) -> Reply:
    more: dict[str, Any] = {
        "root": live.setting.model,
        "parent": None,
        "max_model_len": live.setting.context,
        "permission": [],
    }
    return as_json(openai.model_list(live.setting.model, "vllm", **more))


def _reset(_: bytes, live: Live) -> Reply:
    """A route for developers. Nothing is forgotten while requests hold a part of it."""
    if live.has("no-reset"):
        return as_json({"detail": "Not Found"}, 404)
    is_free = not live.n_in_flight
    if is_free:
        live.prefixes.clear()
    return as_json({"success": is_free})


def _metrics(_: bytes, live: Live) -> Reply:
    labels = {"engine": "0", "model_name": live.setting.model}
    counts, batch = live.gauges, live.batch

    def counter(name: str, value: float, **more: str) -> list[str]:
        # Beside each counter stands a gauge of when it was made: not a value.
        made = gauges.gauge(f"vllm:{name.removesuffix('_total')}_created", float(openai.CREATED), {**labels, **more})
        return [*gauges.counter(f"vllm:{name}", float(value), {**labels, **more}), *made]

    def gauge(name: str, value: float, **more: str) -> list[str]:
        return gauges.gauge(f"vllm:{name}", float(value), {**labels, **more})

    kv_info = {"block_size": "16", "num_gpu_blocks": str(batch.kv_tokens // 16), "enable_prefix_caching": "True"}
    kv_info["kv_cache_size_tokens"] = str(batch.kv_tokens)
    histograms = {
        "time_to_first_token_seconds": counts.ttft_s,
        "inter_token_latency_seconds": counts.gap_s,
        "request_time_per_output_token_seconds": counts.tpot_s,
        "e2e_request_latency_seconds": counts.e2e_s,
        "request_queue_time_seconds": counts.queue_s,
        "request_prefill_time_seconds": counts.prefill_s,
        "request_decode_time_seconds": counts.decode_s,
        "request_prompt_tokens": counts.prompt_tokens,
        "request_generation_tokens": counts.output_tokens,
    }
    page = [
        gauge("num_requests_running", len(batch.running)),
        gauge("num_requests_waiting", len(batch.waiting)),
        gauge("num_requests_waiting_by_reason", len(batch.waiting), reason="capacity"),
        gauge("num_requests_waiting_by_reason", 0, reason="deferred"),
        gauge("kv_cache_usage_perc", batch.n_kept_tokens / batch.kv_tokens),
        gauge("cache_config_info", 1, **kv_info),
        counter("num_preemptions_total", counts.n_preempted),
        counter("prefix_cache_queries_total", counts.n_queried_tokens),
        counter("prefix_cache_hits_total", counts.n_cached_tokens),
        counter("prompt_tokens_total", counts.n_prompt_tokens + counts.n_cached_tokens),
        counter("prompt_tokens_cached_total", counts.n_cached_tokens),
        counter("generation_tokens_total", counts.n_output_tokens),
        counter("request_success_total", counts.n_stopped, finished_reason="stop"),
        counter("request_success_total", counts.n_cut, finished_reason="length"),
        counter("request_success_total", 0, finished_reason="abort"),  # stays 0 when clients leave
        *(gauges.histogram(f"vllm:{name}", value, labels) for name, value in histograms.items()),
    ]
    return Reply(200, gauges.text(page), "text/plain; version=1.0.0; charset=utf-8")


EMULATION = Emulation(
    name="vllm",
    title="vLLM",
    port=8000,
    traps=(
        Trap("role-chunk", "the first event of a chat is a role without a token, a moment before the first text"),
        Trap("tokens-per-event", "some events hold two tokens, as the engine runs ahead of its HTTP side"),
        Trap("token-without-text", "a token that is no whole character comes as an event without text"),
        Trap("shortened", "a prompt that fits together with an output that does not: 200, and a shorter answer"),
        Trap("no-scale-out", "its own route answers 403, as it does without --enable-scale-out"),
        Trap("prefix-cache", "a prompt that begins like an earlier one is computed in part only"),
        Trap("no-reset", "its prefix cache cannot be emptied, as without VLLM_SERVER_DEV_MODE=1"),
    ),
    pages={
        ("GET", "/health"): lambda _, __: Reply(200, b"", ""),
        ("GET", "/ping"): lambda _, __: Reply(200, b"", ""),
        ("GET", "/version"): lambda _, __: as_json({"version": VERSION}),
        ("GET", "/load"): lambda _, __: as_json({"server_load": 0}),  # always, unless told to track it
        ("GET", "/v1/models"): _models,
        ("GET", "/metrics"): _metrics,
        ("POST", "/tokenize"): tokenize,
        ("POST", "/reset_prefix_cache"): _reset,
    },
    routes={
        openai.CHAT_PATH: partial(_openai, True),
        openai.COMPLETIONS_PATH: partial(_openai, False),
        GENERATE_PATH: _generate,
    },
    unknown=lambda _, __: as_json({"detail": "Not Found"}, 404),
    malformed=lambda message, _: refusal(400, f"1 validation error:\n  {message}", "Bad Request", None),
)
