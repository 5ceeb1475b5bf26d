# SPDX-License-Identifier: Apache-2.0
"""A Llama forward pass in a screenful of numpy, from Hugging Face's weights and conventions: the oracle of tests."""

from __future__ import annotations

import numpy as np


def logits(weights, config, ids):
    """float64[n, tokens] for token ids int[n]."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    n_heads, n_kv_heads, head = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    eps = config["rms_norm_eps"]
    x = w["model.embed_tokens.weight"][list(ids)]
    cos, sin = _angles(len(ids), head, config["rope_theta"])
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        a = _norm(x, w[layer + "input_layernorm.weight"], eps)
        q, k, v = (
            (a @ w[f"{layer}self_attn.{name}_proj.weight"].T).reshape(len(ids), -1, head).swapaxes(0, 1)
            for name in "qkv"
        )
        q, k = (h * cos + _rotate_half(h) * sin for h in (q, k))
        k, v = (h.repeat(n_heads // n_kv_heads, axis=0) for h in (k, v))
        scores = q @ k.swapaxes(1, 2) / head**0.5
        scores[:, np.triu(np.ones((len(ids), len(ids)), bool), 1)] = -np.inf
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (shares / shares.sum(-1, keepdims=True)) @ v
        x = x + mixed.swapaxes(0, 1).reshape(len(ids), -1) @ w[layer + "self_attn.o_proj.weight"].T
        a = _norm(x, w[layer + "post_attention_layernorm.weight"], eps)
        gate, up = (a @ w[f"{layer}mlp.{name}_proj.weight"].T for name in ("gate", "up"))
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w[layer + "mlp.down_proj.weight"].T
    head_rows = w.get("lm_head.weight", w["model.embed_tokens.weight"])
    return _norm(x, w["model.norm.weight"], eps) @ head_rows.T


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def _norm(x, scale, eps):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * scale


def _angles(n, head, theta):
    per_position = theta ** -(np.arange(0, head, 2) / head)
    angles = np.arange(n)[:, None] * np.concatenate([per_position, per_position])
    return np.cos(angles), np.sin(angles)


def _rotate_half(x):
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([-second, first], -1)
