# SPDX-License-Identifier: Apache-2.0
"""What an engine sets aside for a cache of so many tokens: in slots of equal size, or in blocks of one pool."""

from __future__ import annotations

from fractions import Fraction

from inferometer.model import kv
from inferometer.model.architecture import Architecture

# What llama.cpp keeps of a layer with a window, for slots that have each their own cache: the window and one batch, in
# whole blocks (ggml-org/llama.cpp, src/llama-kv-cache-iswa.cpp, as of 2026: n_swa + n_ubatch, padded to 256).
_BATCH, _BLOCK = 512, 256


def in_slots(architecture: Architecture, n_slots: int, n_tokens: int, bits: Fraction) -> int:
    """Bytes of the caches of so many slots, of `n_tokens` each, which are there from the start."""
    total = Fraction(0)
    for part in architecture.attention:
        n_kept = n_tokens
        if part.window is not None:
            n_kept = -(-min(n_tokens, part.window + _BATCH) // _BLOCK) * _BLOCK
        total += kv.elements_per_token(part) * n_kept * bits / 8
    return n_slots * int(total)


def in_pool(architecture: Architecture, n_tokens: int, bits: Fraction) -> int | None:
    """Bytes of a pool that holds so many tokens; None where a token has no one size, for windows or states share it."""
    if architecture.n_sliding_layers or architecture.states:
        return None
    return n_tokens * kv.bytes_per_token(architecture, bits)
