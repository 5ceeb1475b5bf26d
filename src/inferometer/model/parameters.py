# SPDX-License-Identifier: Apache-2.0
"""Parameters counted from a config.json, by what weight formats treat alike.

Embeddings count once if tied, twice if not; norms, biases and routers are in; vision towers and layers that predict
several tokens are not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from inferometer.model.architecture import Attention, Experts, Parameters
from inferometer.model.families import FAMILIES, Family
from inferometer.model.keys import Keys


@dataclass(frozen=True, slots=True)
class _Part:
    """Of one layer: `matrices` and `small` as in Parameters."""

    matrices: int = 0
    small: int = 0
    experts: int = 0


def is_tied(keys: Keys, family: str) -> bool | None:
    """Whether the head is the look-up table; None if neither the file nor the family says."""
    told = keys.flag("tie_word_embeddings")
    if told is None and family in FAMILIES:
        return FAMILIES[family].is_tied_by_default
    return told


def count(
    keys: Keys, family: str, attention: tuple[Attention, ...], layers: Counter[str], experts: Experts | None
) -> Parameters | None:
    """None for a family that is not known."""
    rules = FAMILIES.get(family)
    if rules is None or not attention:
        return None
    hidden, vocabulary = keys.number("hidden_size"), keys.number("vocab_size")
    n_layers = layers["full"] + layers["sliding"]
    n_sparse = _n_sparse(keys, n_layers) if experts is not None else 0
    of_attention = _attention(keys, rules, attention[0], hidden)
    dense = _dense(keys, hidden) if n_layers > n_sparse else _Part()
    sparse = _sparse(keys, family, rules, experts, hidden) if experts is not None else _Part()
    all_experts = n_sparse * sparse.experts
    return Parameters(
        embedding=vocabulary * hidden,
        head=0 if is_tied(keys, family) else vocabulary * hidden,
        experts=all_experts,
        active_experts=all_experts * experts.n_used // experts.n if experts is not None else 0,
        matrices=n_layers * of_attention.matrices + (n_layers - n_sparse) * dense.matrices + n_sparse * sparse.matrices,
        small=n_layers * (of_attention.small + rules.norms * hidden)
        + (n_layers - n_sparse) * dense.small
        + n_sparse * sparse.small
        + hidden,
    )


def _n_sparse(keys: Keys, n_layers: int) -> int:
    """Layers with a mixture of experts in place of one feed-forward part."""
    step, dense = keys.maybe("decoder_sparse_step") or 1, set(keys.numbers("mlp_only_layers"))
    first = keys.maybe("first_k_dense_replace") or 0
    return sum(i >= first and i not in dense and (i + 1) % step == 0 for i in range(n_layers))


def _attention(keys: Keys, rules: Family, part: Attention, hidden: int) -> _Part:
    if part.latent is not None:
        return _latent(keys, part, hidden)
    width, kv_width = part.n_heads * part.key_dim, part.n_kv_heads * part.key_dim
    has_bias = rules.qkv_bias if rules.qkv_bias is not None else bool(keys.flag("attention_bias"))
    small = (width + 2 * kv_width) if has_bias else 0
    small += hidden if has_bias and rules.has_output_bias else 0
    small += 2 * part.key_dim if rules.has_qk_norm else 0
    small += part.n_heads if rules.has_sinks else 0
    return _Part(2 * hidden * width + 2 * hidden * kv_width, small)


def _latent(keys: Keys, part: Attention, hidden: int) -> _Part:
    """DeepSeek's: queries and the latent go through matrices of low rank, each with a norm between."""
    assert part.latent is not None
    width, rank, query_rank = part.n_heads * part.key_dim, part.latent.rank, keys.maybe("q_lora_rank")
    no_rope = part.key_dim - part.latent.rope_dim
    queries = hidden * query_rank + query_rank * width if query_rank else hidden * width
    latent = hidden * part.latent.n_elements + rank * part.n_heads * (no_rope + part.value_dim)
    return _Part(queries + latent + part.n_heads * part.value_dim * hidden, (query_rank or 0) + rank)


def _dense(keys: Keys, hidden: int) -> _Part:
    width = keys.number("intermediate_size")
    return _Part(3 * hidden * width, 2 * width + hidden if keys.flag("mlp_bias") else 0)


def _sparse(keys: Keys, family: str, rules: Family, experts: Experts, hidden: int) -> _Part:
    width = keys.number("moe_intermediate_size", "intermediate_size")
    one = 3 * hidden * width + (2 * width + hidden if rules.has_expert_bias else 0)
    shared_width = keys.maybe("shared_expert_intermediate_size") or (keys.maybe("n_shared_experts") or 0) * width
    router = hidden * experts.n + (experts.n if rules.has_expert_bias or family in ("deepseek_v3", "kimi_k2") else 0)
    return _Part(
        3 * hidden * shared_width,
        router + (hidden if rules.has_shared_gate else 0),
        experts.n * one,
    )
