# SPDX-License-Identifier: Apache-2.0
"""Every number of tests/reference/kv_cache_reference.json, from the models' own configs, exactly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferometer.host.description import describe, known_models
from inferometer.model import kv

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "kv_cache_reference.json").read_text())["models"]


def value(name, told, described):
    """What we have for one field of an entry; KeyError for a field that nobody knows how to work out."""
    its = described.architecture
    full = [part for part in its.attention if part.window is None]
    sliding = [part for part in its.attention if part.window is not None]
    first, counted = its.attention[0], its.parameters
    latent, state = first.latent, (its.states or [None])[0]
    return {
        "num_layers": lambda: its.n_layers,
        "num_attention_layers": lambda: its.n_attention_layers,
        "num_full_attention_layers": lambda: sum(part.n_layers for part in full),
        "num_sliding_layers": lambda: its.n_sliding_layers,
        "sliding_window": lambda: sliding[0].window if sliding else None,
        "num_attention_heads": lambda: first.n_heads,
        "num_kv_heads": lambda: first.n_kv_heads,
        "head_dim": lambda: first.key_dim if latent is None else None,
        "hidden_size": lambda: its.hidden,
        "vocab_size": lambda: its.vocabulary,
        "tied_embeddings": lambda: its.is_tied,
        "max_position_embeddings": lambda: its.context_tokens,
        "kv_bytes_per_token_per_layer_bf16": lambda: kv.bytes_per_token(its) // its.n_attention_layers,
        "kv_bytes_per_token_bf16": lambda: kv.bytes_per_token(its),
        "kv_bytes_per_token_bf16_beyond_window": lambda: kv.bytes_per_token(its, is_beyond=True),
        "kv_bytes_at_8192_tokens_bf16": lambda: kv.bytes_of(its, 8192),
        "params_total": lambda: counted.total if counted else None,
        "params_active": lambda: counted.active if counted else None,
        "params_embedding_and_head": lambda: counted.embedding + counted.head if counted else None,
        "kv_lora_rank": lambda: latent.rank,
        "qk_rope_head_dim": lambda: latent.rope_dim,
        "num_experts": lambda: its.experts.n,
        "experts_per_token": lambda: its.experts.n_used,
        "num_mamba_layers": lambda: state.n_layers,
        "num_linear_layers": lambda: state.n_layers,
        "ssm_state_elements_per_layer": lambda: state.n_state,
        "conv_state_elements_per_layer": lambda: state.n_conv,
        "state_bytes_per_sequence_bf16": lambda: kv.state_bytes(its),
        "state_bytes_per_sequence": lambda: kv.state_bytes(its),
    }[name]()


TEXTS = {"model", "hf_id", "arch", "source", "note"}
ONLY_INPUT = {"first_k_dense", "num_shared_experts"}  # their sum is in the number of parameters


@pytest.mark.parametrize("told", REFERENCE, ids=[told["model"] for told in REFERENCE])
def test_every_value_of_the_reference(told):
    described = describe(told["hf_id"])
    names = set(told) - TEXTS - ONLY_INPUT
    assert len(names) >= 19
    assert {name: value(name, told, described) for name in names} == {name: told[name] for name in names}


def test_all_models_of_the_reference_are_known_by_name():
    assert [hub for _, hub in known_models()] == [told["hf_id"] for told in REFERENCE]
    assert all(describe(name.upper()).architecture == describe(hub).architecture for name, hub in known_models())


KINDS = {
    "Llama-2-7B": "MHA",
    "Llama-3.1-8B": "GQA",
    "DeepSeek-V3": "MLA",
    "Mixtral-8x7B": "mixture of 8 experts, 2 used",
}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_what_a_models_attention_is_called(name, kind):
    assert kind in describe(name).architecture.kinds


def test_the_traps_of_sizes():
    """What one would not guess from the number of parameters."""
    per_token = {name: kv.bytes_per_token(describe(name).architecture) for name, _ in known_models()}
    assert per_token["Qwen3-0.6B"] == 2 * per_token["Qwen2.5-7B"]
    assert per_token["DeepSeek-V3"] < per_token["Qwen3-0.6B"]
    assert per_token["Llama-2-7B"] == 4 * per_token["Llama-3.1-8B"]
