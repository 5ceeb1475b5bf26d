# SPDX-License-Identifier: Apache-2.0
"""How many sequences fit into a device beside the weights.

usable = memory x share - weights / degree - other;   sequences = usable // bytes of one sequence, in whole blocks.

`share` and `other` are no properties of the model: what an engine leaves free, and what it needs for activations,
graphs and communication. They are assumptions until an engine is asked; the range that they make is given with the
answer. `other` = 3.5 GB is what aiconfigurator reserves (plus NCCL's buffers: 342 MB at 2 devices, 392 MB from 4 on);
3 to 9 GB per device explain where Qwen3-32B on 2 x H100 was measured to run out of room.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from inferometer.model import kv
from inferometer.model.architecture import Architecture

GB = 10**9


@dataclass(frozen=True, slots=True)
class Overhead:
    """Bytes per device that are neither weights nor cache: what is taken for likely, and the ends of the range."""

    likely: int
    least: int
    most: int
    why: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to serve a model. `weights`: bytes, over all devices; `share`: of a device's memory that is used."""

    device_bytes: int
    weights: int
    kv_bits: Fraction
    degree: int
    share: float
    other: int
    state_bits: Fraction = Fraction(16)
    block: int = kv.BLOCK_TOKENS

    @property
    def room(self) -> int:
        """Bytes left for sequences, per device; negative: the weights alone do not fit."""
        return int(self.device_bytes * self.share) - -(-self.weights // self.degree) - self.other


def sequence_bytes(architecture: Architecture, n_tokens: int, setting: Setting) -> int:
    """Of one sequence, per device, in whole blocks."""
    of_tokens = kv.bytes_of(architecture, n_tokens, setting.kv_bits, degree=setting.degree, block=setting.block)
    return of_tokens + kv.state_bytes(architecture, setting.state_bits, degree=setting.degree)


def n_sequences(architecture: Architecture, n_tokens: int, setting: Setting) -> int:
    """How many of so many tokens fit at a time. -1: not even the weights do."""
    if setting.room < 0:
        return -1
    return setting.room // max(sequence_bytes(architecture, n_tokens, setting), 1)


def range_of(architecture: Architecture, n_tokens: int, setting: Setting, overhead: Overhead) -> tuple[int, int]:
    """The same with the most and with the least that an engine may need beside."""
    most, least = (replace(setting, other=other) for other in (overhead.most, overhead.least))
    return n_sequences(architecture, n_tokens, most), n_sequences(architecture, n_tokens, least)


def longest(architecture: Architecture, setting: Setting, limit: int) -> int:
    """Tokens of the longest single sequence that fits, at most `limit`."""
    if n_sequences(architecture, 1, setting) < 1:
        return 0
    low, high = 1, limit
    while low < high:
        middle = (low + high + 1) // 2
        if n_sequences(architecture, middle, setting) >= 1:
            low = middle
        else:
            high = middle - 1
    return low


def total_tokens(architecture: Architecture, setting: Setting) -> int | None:
    """What engines log as the size of their KV cache; None where a token has no one size (windows, states, none)."""
    per_block = kv.bytes_per_token(architecture, setting.kv_bits, degree=setting.degree) * setting.block
    if not per_block or architecture.states or architecture.n_sliding_layers:
        return None
    return max(setting.room, 0) // per_block * setting.block


def communication_bytes(degree: int) -> int:
    """NCCL's buffers per device, as aiconfigurator reserves them."""
    return 0 if degree == 1 else 342 * 10**6 if degree == 2 else 392 * 10**6
