# SPDX-License-Identifier: Apache-2.0
"""Arithmetic and bytes of one token: a multiplication and an addition count as two.

    FLOPs(s) = 2 (active parameters - look-up table) + attention(s)
    attention(s) = 2 heads (width of a key + width of a value) s, in every layer

The look-up table multiplies nothing, unless it is the head too (tied). A layer with a window sees min(s, window). A
latent is attended to as it lies (absorbed) in decoding: 2 heads (latent + rank) s; of a prompt with whole heads, which
is less. Layers with a state are left out of the attention: theirs does not grow with s, and is small beside the
matrices.
"""

from __future__ import annotations

from inferometer.model.architecture import Architecture, Attention, Experts, Parameters
from inferometer.model.formats import WeightFormat, weights_bytes


def matrix_parameters(parameters: Parameters) -> int:
    """Those that are multiplied for one token, the head among them."""
    return parameters.active - (parameters.embedding if parameters.head else 0)


def matrix_flops(parameters: Parameters) -> int:
    """Of one new token, at any context."""
    return 2 * matrix_parameters(parameters)


def attention_flops(architecture: Architecture, n_tokens: int) -> int:
    """Of one new token that looks back over so many."""
    return sum(_per_position(part) * _seen(part, n_tokens) for part in architecture.attention)


def prefill_flops(architecture: Architecture, parameters: Parameters, n_tokens: int) -> int:
    """Of a prompt: every token looks back over those before it, and the head is needed for the last one only."""
    head = parameters.head or parameters.embedding
    matrices = 2 * (matrix_parameters(parameters) - head) * n_tokens + 2 * head
    return matrices + sum(
        _per_position_of_prompt(part) * _seen_in_all(part, n_tokens) for part in architecture.attention
    )


def _per_position(part: Attention) -> int:
    if part.latent is not None:
        return 2 * part.n_layers * part.n_heads * (part.latent.n_elements + part.latent.rank)
    return _with_whole_heads(part)


def _per_position_of_prompt(part: Attention) -> int:
    """Engines make keys and values of the latent's tokens once, and every token of the prompt uses them."""
    return min(_per_position(part), _with_whole_heads(part))


def _with_whole_heads(part: Attention) -> int:
    return 2 * part.n_layers * part.n_heads * (part.key_dim + part.value_dim)


def _seen(part: Attention, n_tokens: int) -> int:
    return n_tokens if part.window is None else min(n_tokens, part.window)


def _seen_in_all(part: Attention, n_tokens: int) -> int:
    """The sum of what each of the first n tokens sees, itself included."""
    full = _seen(part, n_tokens)
    return full * (full + 1) // 2 + (n_tokens - full) * full


def touched_share(experts: Experts | None, n_tokens: int) -> float:
    """Of the experts, hit by at least one of so many tokens, if each chose at random. Routing that prefers some touches
    fewer, so this is the most."""
    if experts is None:
        return 1.0
    return 1.0 - (1.0 - experts.n_used / experts.n) ** n_tokens


def read_bytes(parameters: Parameters, format: WeightFormat, experts: Experts | None, n_tokens: int) -> int:
    """Weights that one step with so many tokens reads: of the look-up table next to nothing, of the experts those that
    are hit."""
    touched = round(parameters.experts * touched_share(experts, n_tokens))
    read = Parameters(
        embedding=0 if parameters.head else parameters.embedding,
        head=parameters.head,
        experts=touched,
        active_experts=touched,
        matrices=parameters.matrices,
        small=parameters.small,
    )
    return weights_bytes(read, format)
