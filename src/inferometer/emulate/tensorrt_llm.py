# SPDX-License-Identifier: Apache-2.0
"""TensorRT-LLM's trtllm-serve of 2026, out of its source (tensorrt_llm/serve): OpenAI routes and three metrics routes.

As if started with return_perf_metrics and enable_iter_perf_stats. Behind Triton it is another server: triton.py.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from inferometer.emulate import gauges, openai
from inferometer.emulate.answer import Part, Reply, as_json
from inferometer.emulate.emulation import Emulation, Live, Refused, Trap, Wish
from inferometer.emulate.openai import Asked, Shape
from inferometer.emulate.spoken import Spoken, Style

VERSION = "1.2.0+emulated"
BLOCK_TOKENS = 32
# Histograms of whole requests begin here: useless for fast tests.
E2E_FROM_S = 0.3


def refusal(status: int, message: str, kind: str = "BadRequestError") -> Reply:
    return as_json({"object": "error", "message": message, "type": kind, "param": None, "code": status}, status)


def _openai(is_chat: bool, data: bytes, live: Live) -> Wish:
    asked = openai.read(data, is_chat=is_chat)
    context, n_prompt = live.setting.context, asked.n_prompt_tokens
    n_asked = asked.n_most if asked.n_most is not None or is_chat else 16
    n_asked = context - n_prompt if n_asked is None else n_asked
    if n_prompt + max(1, n_asked) > context:
        message = f"This model's maximum context length is {context} tokens. However, you requested "
        message += f"{n_prompt + n_asked} tokens ({n_prompt} in the messages, {n_asked} in the completion)."
        raise Refused(refusal(400, message))
    return Wish(
        n_prompt_tokens=n_prompt,
        words=asked.words,
        n_most=n_asked,
        n_least=asked.body.min_tokens,
        ignores_end=asked.body.ignore_eos,
        is_streamed=asked.body.stream,
        style=Style("empty" if live.has("token-without-text") else "none", merges=live.has("tokens-per-event")),
        leaves_after_s=1.0 if live.has("slow-abort") else 0.0,
        parts=partial(_parts, asked, live.setting),
    )


def _parts(asked: Asked, setting: Any, spoken: Spoken) -> list[Part]:
    shape = Shape(
        role="alone" if "role-chunk" in setting.traps else "none",
        role_end=b" \n\n" if "trailing-space" in setting.traps else b"\n\n",
        usage=openai.cached_usage,
        has_running_usage=True,
        ids="" if asked.body.detokenize or asked.is_chat else "token_ids",
    )
    if not asked.body.detokenize and not asked.is_chat:
        asked.body.return_token_ids = True
        return openai.parts(asked, _without_text(spoken), shape, setting.model)
    return openai.parts(asked, spoken, shape, setting.model)


def _without_text(spoken: Spoken) -> Spoken:
    """Ids only, as `detokenize: false` has it."""
    events = tuple(event._replace(tokens=[(token, "") for token, _ in event.tokens]) for event in spoken.events)
    return replace(spoken, events=events)


# --- control plane -------------------------------------------------------------------------------------------------


def _iterations(_: bytes, live: Live) -> Reply:
    """JSON, not Prometheus: what came since the last reading, which takes it away from all other readers."""
    n_new = live.gauges.n_iterations - live.drained.get("iterations", 0)
    if live.has("draining-metrics"):
        live.drained["iterations"] = live.gauges.n_iterations
    batch = live.batch
    kept = {"maxNumBlocks": batch.kv_tokens // BLOCK_TOKENS, "usedNumBlocks": batch.n_kept_tokens // BLOCK_TOKENS}
    entry = {
        "iter": live.gauges.n_iterations,
        "numActiveRequests": len(batch.running),
        "numQueuedRequests": len(batch.waiting),
        "kvCacheStats": kept | {"tokensPerBlock": BLOCK_TOKENS},
    }
    return as_json([entry] if n_new else [])


def _prometheus(_: bytes, live: Live) -> Reply:
    counts, batch = live.gauges, live.batch
    labels = {"model_name": "undefined", "engine_type": "undefined"}
    n_blocks = batch.kv_tokens // BLOCK_TOKENS
    n_used = batch.n_kept_tokens // BLOCK_TOKENS
    n_asked = counts.n_queried_tokens
    named = {
        "num_requests_running": len(batch.running),
        "num_requests_waiting": len(batch.waiting),
        "num_paused_requests": 0,
        "kv_cache_utilization": n_used / n_blocks,
        "kv_cache_hit_rate": counts.n_cached_tokens / n_asked if n_asked else 0.0,
        "kv_cache_max_blocks": n_blocks,
        "kv_cache_free_blocks": n_blocks - n_used,
        "kv_cache_used_blocks": n_used,
        "kv_cache_tokens_per_block": BLOCK_TOKENS,
    }
    counted = {
        "prompt_tokens_total": counts.n_prompt_tokens + counts.n_cached_tokens,
        "generation_tokens_total": counts.n_output_tokens,
        "prompt_cached_tokens_total": counts.n_cached_tokens,
        "request_error_total": counts.n_failed,
    }
    histograms = {
        "time_to_first_token_seconds": counts.ttft_s,
        "time_per_output_token_seconds": counts.tpot_s,
        "e2e_request_latency_seconds": counts.e2e_s.from_bound(E2E_FROM_S),
        "request_queue_time_seconds": counts.queue_s,
        "request_prefill_time_seconds": counts.prefill_s,
        "request_decode_time_seconds": counts.decode_s,
    }
    success = "trtllm_request_success_total"
    page = [
        *(gauges.gauge(f"trtllm_{name}", float(value), labels) for name, value in named.items()),
        *(gauges.counter(f"trtllm_{name}", float(value), labels) for name, value in counted.items()),
        gauges.counter(success, float(counts.n_stopped), {**labels, "finished_reason": "stop"}),
        gauges.counter(success, float(counts.n_cut), {**labels, "finished_reason": "length"}),
        *(gauges.histogram(f"trtllm_{name}", value, labels) for name, value in histograms.items()),
    ]
    return Reply(200, gauges.text(page), "text/plain; version=0.0.4; charset=utf-8")


def _prometheus_if_on(data: bytes, live: Live) -> Reply:
    return as_json({"detail": "Not Found"}, 404) if live.has("metrics-off") else _prometheus(data, live)


EMULATION = Emulation(
    name="tensorrt-llm",
    title="TensorRT-LLM",
    port=8000,
    traps=(
        Trap("role-chunk", "the first event of a chat is a role without a token, a moment before the first text"),
        Trap("trailing-space", "that event has a space between its JSON and its line end"),
        Trap("tokens-per-event", "some events hold two tokens"),
        Trap("token-without-text", "a token that is no whole character comes as an event without text"),
        Trap("draining-metrics", "/metrics is JSON that is emptied by reading: two readers steal from each other"),
        Trap("slow-abort", "it is generated on for up to a second after the client has left"),
        Trap("metrics-off", "/prometheus/metrics is not there, as without return_perf_metrics", is_default=False),
    ),
    pages={
        ("GET", "/health"): lambda _, __: Reply(200, b"", ""),
        ("GET", "/health_generate"): lambda _, __: Reply(200, b"", ""),
        ("GET", "/version"): lambda _, __: as_json({"version": VERSION}),
        ("GET", "/v1/models"): lambda _, live: as_json(openai.model_list(live.setting.model, "tensorrt_llm")),
        ("GET", "/metrics"): _iterations,
        ("GET", "/prometheus/metrics"): _prometheus_if_on,
    },
    routes={openai.CHAT_PATH: partial(_openai, True), openai.COMPLETIONS_PATH: partial(_openai, False)},
    unknown=lambda _, __: as_json({"detail": "Not Found"}, 404),
    malformed=lambda message, _: as_json({"error": message}, 400),
)
