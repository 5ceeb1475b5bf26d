# SPDX-License-Identifier: Apache-2.0
"""TensorRT-LLM's `trtllm-serve`, read in its source of 2026 (tensorrt_llm/serve); not seen running.

It has the OpenAI routes and none of its own; behind Triton it speaks another way, see triton.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.engines.engine import OUTPUT_TOKENS_ASKED, Engine, Identity, Speech, document, first_model
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
ENGINE = Engine(
    name="tensorrt-llm",
    title="TensorRT-LLM",
    recognise=_recognise,
    speaks={
        "chat": Speech(CHAT, _LENGTH, _COUNT),
        "completions": Speech(COMPLETIONS, _LENGTH, _COUNT, takes_token_ids=True),
    },
    asks=("/version",),
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
