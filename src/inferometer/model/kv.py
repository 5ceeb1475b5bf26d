# SPDX-License-Identifier: Apache-2.0
"""Bytes that a sequence takes beside the weights: keys and values of its tokens, and states of one size.

Tensor parallel: heads of keys and values are split; a device holds at least one, so with more devices than heads they
are replicated and the cache per device stops shrinking. A latent (MLA) is whole on every device.
"""

from __future__ import annotations

from fractions import Fraction

from inferometer.model.architecture import Architecture, Attention

BLOCK_TOKENS = 16  # vLLM's default: what is given to a sequence at a time


def elements_per_token(part: Attention, degree: int = 1) -> int:
    """Numbers kept of one token on one of `degree` devices."""
    if part.latent is not None:
        return part.elements_per_token
    n_heads = -(-part.n_kv_heads // degree)
    return part.n_layers * n_heads * (part.key_dim + part.value_dim)


def bytes_per_token(
    architecture: Architecture, bits: Fraction = Fraction(16), *, degree: int = 1, is_beyond: bool = False
) -> int:
    """Of one more token, on one device. `is_beyond`: beyond all windows, where the engine drops what none looks at."""
    parts = [part for part in architecture.attention if not (is_beyond and part.window is not None)]
    return _whole(sum(elements_per_token(part, degree) for part in parts) * bits)


def bytes_of(
    architecture: Architecture,
    n_tokens: int,
    bits: Fraction = Fraction(16),
    *,
    degree: int = 1,
    block: int = 1,
    drops: bool = True,
) -> int:
    """Of a sequence of so many tokens, on one device, states left out. `block`: tokens are given room by so many;
    `drops`: what lies outside a window is given up, as vLLM does and not every engine."""
    total = 0
    for part in architecture.attention:
        n = n_tokens if part.window is None or not drops else min(n_tokens, part.window)
        total += elements_per_token(part, degree) * (-(-n // block) * block)
    return _whole(total * bits)


def state_bytes(architecture: Architecture, bits: Fraction = Fraction(16), *, degree: int = 1) -> int:
    """Of a sequence, whatever its length, on one device. `bits`: of the number format that the model computes in."""
    total = Fraction(0)
    for state in architecture.states:
        for n, its_bits in ((state.n_state, state.state_bits), (state.n_conv, state.conv_bits)):
            total += state.n_layers * -(-n // degree) * (bits if its_bits is None else its_bits)
    return _whole(total)


def replication(architecture: Architecture, degree: int) -> Fraction:
    """How many times the cache is kept, over all devices together: 1 where it is only split."""
    once = sum(part.elements_per_token for part in architecture.attention)
    return Fraction(sum(elements_per_token(part, degree) for part in architecture.attention) * degree, once or 1)


def _whole(bits: Fraction | int) -> int:
    """Bytes, rounded up: blocks of a quantized cache end inside a token only for heads of odd width."""
    return int(-(-Fraction(bits) // 8))
