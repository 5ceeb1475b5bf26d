# SPDX-License-Identifier: Apache-2.0
"""What tells families of models apart where parameters are counted: biases, norms, gates. Read in transformers' code.

A family in FAMILIES has its parameters counted; one in PLAIN keeps keys and values as any transformer does, and how
many parameters it has is not computed here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """`qkv_bias`: always there; None: `attention_bias` says so. `norms`: of the hidden width, per layer."""

    qkv_bias: bool | None = None
    has_output_bias: bool = False  # of the attention, where its other matrices have one
    has_qk_norm: bool = False
    norms: int = 2
    is_tied_by_default: bool = False
    has_shared_gate: bool = False  # a number per token that weighs the shared expert
    has_expert_bias: bool = False
    has_sinks: bool = False  # one learnt number per head


FAMILIES = {
    "llama": Family(has_output_bias=True),
    "mistral": Family(qkv_bias=False),
    "granite": Family(has_output_bias=True, is_tied_by_default=True),
    "qwen2": Family(qkv_bias=True),
    "qwen3": Family(has_output_bias=True, has_qk_norm=True),
    "phi3": Family(qkv_bias=False),
    "gemma": Family(has_output_bias=True, is_tied_by_default=True),
    "gemma2": Family(has_output_bias=True, norms=4, is_tied_by_default=True),
    "gemma3_text": Family(has_output_bias=True, has_qk_norm=True, norms=4, is_tied_by_default=True),
    "mixtral": Family(qkv_bias=False),
    "qwen2_moe": Family(qkv_bias=True, has_shared_gate=True),
    "qwen3_moe": Family(has_output_bias=True, has_qk_norm=True),
    "deepseek_v2": Family(qkv_bias=False),
    "deepseek_v3": Family(qkv_bias=False),
    "kimi_k2": Family(qkv_bias=False),
    "gpt_oss": Family(qkv_bias=True, has_output_bias=True, has_expert_bias=True, has_sinks=True),
}

PLAIN = {
    "cohere",
    "cohere2",
    "exaone",
    "falcon",
    "glm",
    "glm4",
    "gpt2",
    "gpt_bigcode",
    "gpt_neox",
    "granitemoe",
    "granitemoehybrid",
    "internlm2",
    "internlm3",
    "minicpm",
    "nemotron",
    "nemotron_h",
    "olmo",
    "olmo2",
    "opt",
    "phi",
    "phimoe",
    "qwen3_5",
    "qwen3_5_moe",
    "qwen3_5_moe_text",
    "qwen3_5_text",
    "qwen3_next",
    "smollm3",
    "stablelm",
    "starcoder2",
}
