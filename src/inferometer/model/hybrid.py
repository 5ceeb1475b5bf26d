# SPDX-License-Identifier: Apache-2.0
"""Models that keep keys and values in some layers only, and a state of one size per sequence in the others.

Mamba-2: heads x head_dim x state numbers, and the last (conv - 1) inputs of its convolution, which has the width
heads x head_dim + 2 x groups x state. Gated delta rule (Qwen3-Next, Qwen3.5): value heads x key dim x value dim, and
(conv - 1) x (2 x key heads x key dim + value heads x value dim).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from inferometer.errors import UsageError
from inferometer.model.architecture import State
from inferometer.model.keys import Keys

_LETTERS = {"M": "state", "*": "full", "-": "mlp", "E": "moe"}  # of Nemotron-H
_BITS = {"float32": 32, "bfloat16": 16, "float16": 16}


def of_pattern(keys: Keys, pattern: str) -> tuple[tuple[State, ...], Counter[str]]:
    """Nemotron-H: one letter a layer."""
    if unknown := sorted(set(pattern) - set(_LETTERS)):
        raise _unknown(keys, unknown[0])
    counts = Counter(_LETTERS[letter] for letter in pattern)
    if not counts["state"]:
        return (), counts
    state = _mamba2(
        keys,
        counts["state"],
        n_heads=keys.number("mamba_num_heads"),
        head_dim=keys.number("mamba_head_dim"),
        n_state=keys.number("ssm_state_size"),
        n_groups=keys.number("n_groups", "mamba_n_groups"),
        n_conv=keys.number("conv_kernel", "mamba_d_conv"),
    )
    return (state,), counts


def with_mamba(keys: Keys, types: Sequence[str]) -> tuple[tuple[State, ...], Counter[str]]:
    """Granite 4 and its like: `layer_types` of `mamba` and `attention`."""
    words = {"mamba": "state", "attention": "full", "full_attention": "full"}
    if unknown := sorted(set(types) - set(words)):
        raise _unknown(keys, unknown[0])
    counts = Counter(words[word] for word in types)
    state = _mamba2(
        keys,
        counts["state"],
        n_heads=keys.number("mamba_n_heads"),
        head_dim=keys.number("mamba_d_head"),
        n_state=keys.number("mamba_d_state"),
        n_groups=keys.number("mamba_n_groups"),
        n_conv=keys.number("mamba_d_conv"),
    )
    return (state,), counts


def _mamba2(
    keys: Keys, n_layers: int, *, n_heads: int, head_dim: int, n_state: int, n_groups: int, n_conv: int
) -> State:
    width = n_heads * head_dim + 2 * n_groups * n_state
    return State(n_layers, "Mamba-2", n_heads * head_dim * n_state, (n_conv - 1) * width, _state_bits(keys))


def with_linear_attention(keys: Keys, n_layers: int) -> tuple[tuple[State, ...], Counter[str]]:
    """Qwen3-Next and Qwen3.5: by `layer_types`, or every so many a full one."""
    if (types := keys.texts("layer_types")) is not None:
        if unknown := sorted(set(types) - {"full_attention", "linear_attention"}):
            raise _unknown(keys, unknown[0])
        n_full = Counter(types)["full_attention"]
    else:
        n_full = n_layers // keys.number("full_attention_interval")
    key_width = keys.number("linear_num_key_heads") * keys.number("linear_key_head_dim")
    n_value_heads, value_dim = keys.number("linear_num_value_heads"), keys.number("linear_value_head_dim")
    width = 2 * key_width + n_value_heads * value_dim
    state = State(
        n_layers - n_full,
        "gated delta rule",
        n_value_heads * keys.number("linear_key_head_dim") * value_dim,
        (keys.number("linear_conv_kernel_dim") - 1) * width,
        _state_bits(keys),
    )
    return (state,), Counter(full=n_full, state=n_layers - n_full)


def _state_bits(keys: Keys) -> int | None:
    return _BITS.get(keys.text("mamba_ssm_dtype") or keys.text("mamba_ssm_cache_dtype") or "")


def _unknown(keys: Keys, word: str) -> UsageError:
    return UsageError(
        f"{keys.name}: what a layer of the kind {word!r} keeps is not known here",
        "give a model whose layers are of a known kind; docs/reference/models.md lists them",
    )
