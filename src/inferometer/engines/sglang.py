# SPDX-License-Identifier: Apache-2.0
"""SGLang, partly read in its source (srt/entrypoints/http_server.py), partly from its documentation; not seen running.

Its own route is `/generate`: each event repeats the whole text so far, unless the server was told otherwise, with a
running count of tokens; it ends in [DONE].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.engines import meta_info, vllm
from inferometer.engines.body import encoded
from inferometer.engines.engine import (
    OUTPUT_TOKENS_ASKED,
    Dialect,
    Encoded,
    Engine,
    Identity,
    Reset,
    Speech,
    document,
    first_model,
    whole_number,
)
from inferometer.engines.error_text import error_text
from inferometer.engines.gauges import Gauges
from inferometer.engines.openai import CHAT, COMPLETIONS
from inferometer.engines.profiles import sglang as profile
from inferometer.plan.request import Request

GENERATE_PATH = "/generate"
# Where the server describes itself, by version: newer ones have the first, and may drop the second.
_SERVER_INFO_PATHS = ("/server_info", "/get_server_info")


def _recognise(answers: Mapping[str, Any]) -> Identity | None:
    model = first_model(answers)
    if model.get("owned_by") != "sglang":
        return None
    evidence = ["/v1/models says owned_by sglang"]
    version = ""
    for path in _SERVER_INFO_PATHS:
        if isinstance(told := document(answers, path).get("version"), str):
            version = told
            evidence.append(f"{path} says version {told}")
            break
    return Identity(tuple(evidence), version, whole_number(model.get("max_model_len")))


def _encode(request: Request, model: str, extras: Mapping[str, Any]) -> Encoded:
    """Raises: ValueError for messages, which need the chat route."""
    if request.messages is not None:
        raise ValueError("/generate takes a prompt, not messages")
    sampling: dict[str, Any] = {"max_new_tokens": request.max_output_tokens}
    sampling["temperature"] = request.sampling.temperature
    if request.sampling.seed is not None:
        sampling["sampling_seed"] = request.sampling.seed
    body: dict[str, Any] = {"text" if isinstance(request.prompt, str) else "input_ids": request.prompt}
    body |= {"sampling_params": sampling, "stream": request.is_streamed}
    return encoded(GENERATE_PATH, body, request, extras)


GENERATE = Dialect(
    name="sglang-generate",
    path=GENERATE_PATH,
    streams_as="text/event-stream",
    encode=_encode,
    start=meta_info.start_of_wholes,
    decode=meta_info.decode,
    decode_body=meta_info.decode_body,
    error_text=error_text,
)
_LENGTH = {"ignore_eos": True, "min_tokens": OUTPUT_TOKENS_ASKED}
_COUNT = {"stream_options": {"continuous_usage_stats": True}}
_GAUGES = Gauges(
    path="/metrics",
    names={
        "requests_running": (("sglang:num_running_reqs",),),
        "requests_waiting": (("sglang:num_queue_reqs",),),
        "kv_used_ratio": (("sglang:token_usage",),),
        "n_preemptions": (("sglang:num_retracted_requests_total",),),
        "n_prompt_tokens": (("sglang:prompt_tokens_total",),),
        "n_output_tokens": (("sglang:generation_tokens_total",),),
        "n_prefix_queried_tokens": (("sglang:prompt_tokens_total",),),
        "n_prefix_hit_tokens": (("sglang:cached_tokens_total",),),
    },
    histograms={"ttft": ("sglang:time_to_first_token_seconds",), "queue": ("sglang:queue_time_seconds",)},
    remedy="start SGLang with --enable-metrics",
    counts_at_end=True,
)
ENGINE = Engine(
    name="sglang",
    title="SGLang",
    recognise=_recognise,
    speaks={
        "chat": Speech(CHAT, _LENGTH, _COUNT),
        "completions": Speech(COMPLETIONS, _LENGTH, _COUNT, takes_token_ids=True),
        "native": Speech(GENERATE, {"sampling_params.ignore_eos": True}, takes_token_ids=True),
    },
    asks=_SERVER_INFO_PATHS,
    # Newer versions took over vLLM's route for single texts; believed only if it agrees with an answer's usage.
    tokenize_text=vllm.ENGINE.tokenize_text,
    tokenize_bare=vllm.ENGINE.tokenize_bare,
    gauges=_GAUGES,
    reset=Reset("/flush_cache", "it refuses while requests run, and wants its admin key where it has one"),
    quirks=(
        "each event of its own route repeats the whole text so far: answers cost bytes as the square of their length",
        "--stream-interval puts several tokens into one event",
        "metrics are off unless it was started with --enable-metrics",
        "--allow-auto-truncate shortens too long prompts without a word",
    ),
    launch=profile.LAUNCH,
    facts=profile.FACTS,
)
