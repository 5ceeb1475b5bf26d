# SPDX-License-Identifier: Apache-2.0
"""A small package of random weights, in the very files in which the trained ones lie."""

from __future__ import annotations

import json

import numpy as np
import pytest

from inferometer.embedded.trained_model import CONFIG, FACTS, TOKENIZER, WEIGHTS, digest
from inferometer.embedded.weights import write_weights
from inferometer.embedded.words import train_tokenizer

N_TOKENS, N_HIDDEN, N_LAYERS, N_HEADS, N_KV_HEADS, N_FEED_FORWARD = 600, 256, 2, 4, 2, 320


def random_weights():
    """As Hugging Face names them. Queries and keys are large, so that attention looks at single places and where a
    rotation goes wrong shows; norms are not all one, so that one that is mixed up does too."""
    rng = np.random.default_rng(3)
    n_kv = N_HIDDEN * N_KV_HEADS // N_HEADS

    def matrix(n_rows, n_columns, spread=1.0):
        return rng.normal(0, spread * n_columns**-0.5, (n_rows, n_columns)).astype(np.float16)

    def norm():
        return rng.uniform(0.5, 1.5, N_HIDDEN).astype(np.float16)

    weights = {"model.embed_tokens.weight": matrix(N_TOKENS, N_HIDDEN, 3.0), "model.norm.weight": norm()}
    weights["lm_head.weight"] = matrix(N_TOKENS, N_HIDDEN, 3.0)
    for i in range(N_LAYERS):
        layer = f"model.layers.{i}."
        weights |= {f"{layer}{name}_layernorm.weight": norm() for name in ("input", "post_attention")}
        weights[layer + "self_attn.q_proj.weight"] = matrix(N_HIDDEN, N_HIDDEN, 2.0)
        weights[layer + "self_attn.k_proj.weight"] = matrix(n_kv, N_HIDDEN, 2.0)
        weights[layer + "self_attn.v_proj.weight"] = matrix(n_kv, N_HIDDEN)
        weights[layer + "self_attn.o_proj.weight"] = matrix(N_HIDDEN, N_HIDDEN)
        weights[layer + "mlp.gate_proj.weight"] = matrix(N_FEED_FORWARD, N_HIDDEN)
        weights[layer + "mlp.up_proj.weight"] = matrix(N_FEED_FORWARD, N_HIDDEN)
        weights[layer + "mlp.down_proj.weight"] = matrix(N_HIDDEN, N_FEED_FORWARD)
    return weights


def write_package(folder, weights):
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(folder / WEIGHTS, weights)
    config = {
        "vocab_size": N_TOKENS,
        "hidden_size": N_HIDDEN,
        "num_hidden_layers": N_LAYERS,
        "num_attention_heads": N_HEADS,
        "num_key_value_heads": N_KV_HEADS,
        "intermediate_size": N_FEED_FORWARD,
        "max_position_embeddings": 512,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-5,
        "head_dim": N_HIDDEN // N_HEADS,
    }
    (folder / CONFIG).write_text(json.dumps(config))
    train_tokenizer(1, N_TOKENS).save(str(folder / TOKENIZER))
    facts = {"version": 7, "weights_sha256": digest(folder / WEIGHTS), "training": {}}
    (folder / FACTS).write_text(json.dumps(facts))
    return folder


@pytest.fixture(scope="session")
def small_package(tmp_path_factory):
    return write_package(tmp_path_factory.mktemp("package"), random_weights())


@pytest.fixture(scope="session")
def tied_package(tmp_path_factory):
    weights = random_weights()
    del weights["lm_head.weight"]
    return write_package(tmp_path_factory.mktemp("tied"), weights)
