# SPDX-License-Identifier: Apache-2.0
"""Any server with the OpenAI routes that nobody else recognised: everything is tried, nothing is taken for granted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.engines import vllm
from inferometer.engines.engine import (
    OUTPUT_TOKENS_ASKED,
    Engine,
    Identity,
    Speech,
    document,
    first_model,
    whole_number,
)
from inferometer.engines.openai import CHAT, COMPLETIONS

_CONTEXT_NAMES = ("max_model_len", "context_length", "context_window", "max_context_length")


def _recognise(answers: Mapping[str, Any]) -> Identity:
    model = first_model(answers)
    evidence = ["answers the OpenAI routes"]
    if isinstance(owner := model.get("owned_by"), str):
        evidence.append(f"/v1/models says owned_by {owner}")
    contexts = (whole_number(model.get(name)) for name in _CONTEXT_NAMES)
    context_tokens = next((n_tokens for n_tokens in contexts if n_tokens is not None), None)
    version = document(answers, "/version").get("version")
    unknown = "its own API, its gauges, its traps"
    if context_tokens is None:
        unknown += ", its context length"
    return Identity(
        evidence=tuple(evidence),
        version=version if isinstance(version, str) else "",
        context_tokens=context_tokens,
        notes=(f"no engine that is known here: {unknown} cannot be known",),
    )


_LENGTH = {"ignore_eos": True, "min_tokens": OUTPUT_TOKENS_ASKED}
ENGINE = Engine(
    name="openai",
    title="OpenAI-compatible server",
    recognise=_recognise,
    speaks={"chat": Speech(CHAT, _LENGTH), "completions": Speech(COMPLETIONS, _LENGTH)},
    # Several servers took over vLLM's route; its counts are believed only if they agree with an answer's usage.
    tokenize_text=vllm.ENGINE.tokenize_text,
    tokenize_bare=vllm.ENGINE.tokenize_bare,
    tokenize_chats=vllm.ENGINE.tokenize_chats,
)
