# SPDX-License-Identifier: Apache-2.0
"""TensorRT-LLM's `trtllm-serve`, read in its source of 2026 (tensorrt_llm/serve); not seen running.

It has the OpenAI routes and none of its own; behind Triton it speaks another way, see triton.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.engines.engine import OUTPUT_TOKENS_ASKED, Engine, Identity, Speech, document, first_model
from inferometer.engines.gauges import Gauges
from inferometer.engines.openai import CHAT, COMPLETIONS
from inferometer.engines.profiles import tensorrt_llm as profile


def _recognise(answers: Mapping[str, Any]) -> Identity | None:
    if first_model(answers).get("owned_by") != "tensorrt_llm":
        return None
    evidence = ["/v1/models says owned_by tensorrt_llm"]
    version = document(answers, "/version").get("version")
    if isinstance(version, str):
        evidence.append(f"/version says {version}")
    notes = ("trtllm-serve does not tell its context length",)
    return Identity(tuple(evidence), version if isinstance(version, str) else "", notes=notes)


_LENGTH = {"ignore_eos": True, "min_tokens": OUTPUT_TOKENS_ASKED}
_COUNT = {"stream_options": {"continuous_usage_stats": True}}
# Not `/metrics`, which is emptied by reading. Reused and missed blocks are whole blocks; tokens are told in tokens.
_GAUGES = Gauges(
    path="/prometheus/metrics",
    names={
        "requests_running": (("trtllm_num_requests_running",),),
        "requests_waiting": (("trtllm_num_requests_waiting",),),
        "kv_used_ratio": (("trtllm_kv_cache_utilization",),),
        "n_prompt_tokens": (("trtllm_prompt_tokens_total",),),
        "n_output_tokens": (("trtllm_generation_tokens_total",),),
        "n_prefix_queried_tokens": (("trtllm_prompt_tokens_total",),),
        "n_prefix_hit_tokens": (("trtllm_prompt_cached_tokens_total",),),
    },
    histograms={
        "ttft": ("trtllm_time_to_first_token_seconds",),
        "tpot": ("trtllm_time_per_output_token_seconds",),
        "queue": ("trtllm_request_queue_time_seconds",),
    },
    remedy="give trtllm-serve return_perf_metrics: true in --extra_llm_api_options",
    counts_at_end=True,
)
ENGINE = Engine(
    name="tensorrt-llm",
    title="TensorRT-LLM",
    recognise=_recognise,
    speaks={
        "chat": Speech(CHAT, _LENGTH, _COUNT),
        "completions": Speech(COMPLETIONS, _LENGTH, _COUNT, takes_token_ids=True),
    },
    asks=("/version",),
    gauges=_GAUGES,
    quirks=(
        "one event can hold several tokens, or a token and no text",
        "/metrics is a JSON list that is emptied by reading: two readers steal from each other",
        "requests without max_tokens may be served one after another in some versions",
        "a prompt that is too long has brought servers of 2025 down",
        "an error inside the executor shuts the whole server down",
    ),
    launch=profile.LAUNCH,
    facts=profile.FACTS,
)
