# SPDX-License-Identifier: Apache-2.0
"""vLLM's OpenAI-compatible server. Checked with 0.32.0; see tests/transcripts.

Its own route takes token ids and answers with token ids, without a word of text. Its events look like those of a
completion, so the same decoder reads them. That it tells usage in a stream if asked is from its source
(entrypoints/serve/disagg); the rest was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.engines import openai, prometheus
from inferometer.engines.body import encoded
from inferometer.engines.cache_told import CacheTold, Sources
from inferometer.engines.engine import (
    OUTPUT_TOKENS_ASKED,
    Call,
    Dialect,
    DialectError,
    Encoded,
    Engine,
    Identity,
    Messages,
    Reset,
    Speech,
    Tokens,
    document,
    first_model,
    whole_number,
)
from inferometer.engines.error_text import error_text
from inferometer.engines.gauges import Gauges
from inferometer.engines.openai import CHAT, COMPLETIONS
from inferometer.engines.profiles import vllm as profile
from inferometer.plan.request import Request

GENERATE_PATH = "/inference/v1/generate"


def _recognise(answers: Mapping[str, Any]) -> Identity | None:
    model, version = first_model(answers), document(answers, "/version").get("version")
    if model.get("owned_by") != "vllm":
        return None
    evidence = ["/v1/models says owned_by vllm"]
    if isinstance(version, str):
        evidence.append(f"/version says {version}")
    return Identity(
        evidence=tuple(evidence),
        version=version if isinstance(version, str) else "",
        context_tokens=whole_number(model.get("max_model_len")),
    )


_CACHE_INFO = "vllm:cache_config_info"


def _cache_told(sources: Sources) -> CacheTold | None:
    """Out of the labels of a metric whose value is always 1. Raises: MetricsError for a page that is none."""
    found = prometheus.read(sources.metrics, (_CACHE_INFO,)).get(_CACHE_INFO)
    if not found:
        return None
    labels = found[0].labels
    n_blocks, block_tokens, n_bytes = (
        int(labels[name]) if labels.get(name, "").isdecimal() else None
        for name in ("num_gpu_blocks", "block_size", "kv_cache_memory_bytes")
    )
    if n_blocks is None or block_tokens is None:
        return None
    is_overridden = labels.get("num_gpu_blocks_override", "None") != "None"  # then they do not fill the bytes it names
    return CacheTold(
        source=f"{_CACHE_INFO} in /metrics",
        cache_bytes=None if is_overridden or n_bytes is None else float(n_bytes),
        n_tokens=n_blocks * block_tokens,
        block_tokens=block_tokens,
    )


def _tokenize_text(model: str, text: str) -> Call:
    return Call("/tokenize", {"model": model, "prompt": text}, _read_tokens)


def _tokenize_bare(model: str, text: str) -> Call:
    body = {"model": model, "prompt": text, "add_special_tokens": False, "return_token_strs": True}
    return Call("/tokenize", body, _read_tokens)


def _tokenize_chat(model: str, messages: Messages) -> Call:
    turns = [{"role": role, "content": content} for role, content in messages]
    return Call("/tokenize", {"model": model, "messages": turns}, _read_tokens)


def _read_tokens(answer: Any) -> Tokens:
    match answer:
        case {"count": int(n_tokens), "tokens": list(ids)}:
            return Tokens(n_tokens, tuple(ids), tuple(answer.get("token_strs") or ()))
        case _:
            raise DialectError("/tokenize gave no count")


def _encode(request: Request, model: str, extras: Mapping[str, Any]) -> Encoded:
    """Raises: ValueError for text and messages."""
    if request.messages is not None or isinstance(request.prompt, str):
        raise ValueError(f"{GENERATE_PATH} takes token ids, neither text nor messages")
    sampling: dict[str, Any] = {"max_tokens": request.max_output_tokens, "temperature": request.sampling.temperature}
    if request.sampling.seed is not None:
        sampling["seed"] = request.sampling.seed
    body: dict[str, Any] = {"model": model, "token_ids": request.prompt, "sampling_params": sampling}
    if request.is_streamed:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return encoded(GENERATE_PATH, body, request, extras)


TOKENS = Dialect(
    name="vllm-tokens",
    path=GENERATE_PATH,
    streams_as="text/event-stream",
    encode=_encode,
    start=openai.start,
    decode=openai.decode,
    decode_body=openai.decode_body,
    error_text=error_text,
    takes_text=False,
)
_LENGTH = {"ignore_eos": True, "min_tokens": OUTPUT_TOKENS_ASKED}
_COUNT = {"stream_options": {"continuous_usage_stats": True}}
_GAUGES = Gauges(
    path="/metrics",
    names={
        "requests_running": (("vllm:num_requests_running",),),
        "requests_waiting": (("vllm:num_requests_waiting",),),
        "kv_used_ratio": (("vllm:kv_cache_usage_perc",), ("vllm:gpu_cache_usage_perc",)),
        "n_preemptions": (("vllm:num_preemptions_total",),),
        "n_prompt_tokens": (("vllm:prompt_tokens_total",),),
        "n_output_tokens": (("vllm:generation_tokens_total",),),
        "n_prefix_queried_tokens": (
            ("vllm:prefix_cache_queries_total",),
            ("vllm:gpu_prefix_cache_queries_total",),
        ),
        "n_prefix_hit_tokens": (("vllm:prefix_cache_hits_total",), ("vllm:gpu_prefix_cache_hits_total",)),
    },
    histograms={
        "ttft": ("vllm:time_to_first_token_seconds",),
        "tpot": ("vllm:request_time_per_output_token_seconds",),
        "queue": ("vllm:request_queue_time_seconds",),
    },
    remedy="start vLLM without --disable-log-stats",
)


def _is_emptied(answer: Any) -> bool:
    """It says false while a request holds a part of the cache; older versions said nothing at all."""
    return not isinstance(answer, Mapping) or answer.get("success") is not False


ENGINE = Engine(
    name="vllm",
    title="vLLM",
    recognise=_recognise,
    speaks={
        "chat": Speech(CHAT, _LENGTH, _COUNT),
        "completions": Speech(COMPLETIONS, _LENGTH, _COUNT, takes_token_ids=True),
        "native": Speech(
            TOKENS, {f"sampling_params.{name}": value for name, value in _LENGTH.items()}, takes_token_ids=True
        ),
    },
    asks=("/version",),
    tokenize_text=_tokenize_text,
    tokenize_bare=_tokenize_bare,
    tokenize_chats=(_tokenize_chat,),
    gauges=_GAUGES,
    reset=Reset("/reset_prefix_cache", "start vLLM with VLLM_SERVER_DEV_MODE=1", _is_emptied),
    quirks=(
        "the status line and headers come at once, also for a request that waits",
        "one event can hold several tokens, or a token and no text",
        "a prompt that fits together with an output that does not is shortened without a word, unless min_tokens is "
        "sent, as every run does: then it is refused",
        "the model's own generation_config.json may set sampling defaults",
        "with a tool or reasoning parser an answer may have tokens and not one piece of text",
        "unknown body fields are ignored without a word",
        "its own route answers 403 unless it was started with --enable-scale-out",
    ),
    cache_told=_cache_told,
    launch=profile.LAUNCH,
    facts=profile.FACTS,
)
