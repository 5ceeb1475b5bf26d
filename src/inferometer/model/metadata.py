# SPDX-License-Identifier: Apache-2.0
"""From the metadata and the tensor names of a GGUF file to an Architecture.

Which layers keep keys and values, and which a state, is read off the tensors that they have: the metadata of hybrid
models does not say it in one way. The keys are those of llama.cpp's gguf-py (constants.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.errors import UsageError
from inferometer.model.architecture import Architecture, Attention, Experts, Latent, State
from inferometer.model.keys import Keys
from inferometer.model.stored import Tensor

# Every so many layers looks back over all: llama.cpp's own pattern for these, where the file does not say.
_FULL_EVERY = {"gemma2": 2, "gemma3": 6, "gpt-oss": 2, "cohere2": 4}
_LAYER = re.compile(r"blk\.(\d+)\.(.+)")


def read_metadata(values: Mapping[str, Any], tensors: Sequence[Tensor], name: str) -> Architecture:
    """`values`: scalars and lists of numbers. Raises: UsageError if it does not say what is needed."""
    family = str(values.get("general.architecture") or "")
    keys = Keys({key.removeprefix(f"{family}."): value for key, value in values.items()}, name)
    n_layers, doubts = keys.number("block_count"), list[str]()
    with_attention, with_state = _layers(tensors)
    states = _states(keys, len(with_state))
    if with_state and not states:
        raise UsageError(
            f"{name}: what its layers with {with_state[min(with_state)]} keep is not known here ({family})",
            "give a model of a known family; docs/reference/models.md lists them",
        )
    n_experts = keys.maybe("expert_count") or 0
    return Architecture(
        family=family,
        n_layers=n_layers,
        hidden=keys.number("embedding_length"),
        vocabulary=_vocabulary(tensors) or keys.maybe("vocab_size") or 0,
        attention=_attention(keys, family, sorted(with_attention), doubts),
        states=states,
        is_tied=not any(tensor.name == "output.weight" for tensor in tensors),
        context_tokens=keys.maybe("context_length"),
        experts=Experts(n_experts, keys.number("expert_used_count")) if n_experts else None,
        dtype="fp16",
        doubts=tuple(doubts),
    )


def _layers(tensors: Sequence[Tensor]) -> tuple[set[int], dict[int, str]]:
    """Numbers of the layers that keep keys and values, and of those with a state, with a tensor that shows it."""
    parts: dict[int, set[str]] = {}
    for tensor in tensors:
        if (match := _LAYER.fullmatch(tensor.name)) is not None:
            parts.setdefault(int(match[1]), set()).add(match[2].partition(".")[0])
    with_state = {
        layer: sorted(word for word in found if _is_state(word))[0]
        for layer, found in parts.items()
        if any(_is_state(word) for word in found)
    }
    whole = {"attn_k", "attn_kv_a_mqa", "attn_kv_b"}
    with_attention = {
        layer for layer, found in parts.items() if found & whole or ("attn_qkv" in found and layer not in with_state)
    }
    return with_attention, with_state


def _is_state(word: str) -> bool:
    return word.startswith(("ssm_", "time_mix", "shortconv"))


def _states(keys: Keys, n_layers: int) -> tuple[State, ...]:
    """Mamba-2 and the gated delta rule have one formula in llama.cpp, which keeps both in F32."""
    n_state, inner = keys.maybe("ssm.state_size"), keys.maybe("ssm.inner_size")
    if not n_layers or n_state is None or inner is None:
        return ()
    width = inner + 2 * (keys.maybe("ssm.group_count") or 0) * n_state
    return (State(n_layers, "a state space", inner * n_state, (keys.number("ssm.conv_kernel") - 1) * width, 32, 32),)


def _attention(keys: Keys, family: str, layers: Sequence[int], doubts: list[str]) -> tuple[Attention, ...]:
    """Layers alike together: the number of heads may differ by layer, and some may look back over a window."""
    if not layers:
        return ()
    found: dict[tuple[int, int, int | None], int] = {}
    window = keys.maybe("attention.sliding_window") or None
    slides = _slides(keys, family, window, max(layers) + 1, doubts)
    for layer in layers:
        n_heads = _of_layer(keys, "attention.head_count", layer) or keys.number("attention.head_count")
        n_kv_heads = _of_layer(keys, "attention.head_count_kv", layer) or n_heads
        kind = (n_heads, n_kv_heads, window if slides[layer] else None)
        found[kind] = found.get(kind, 0) + 1
    latent, rank = None, keys.maybe("attention.kv_lora_rank")
    if rank is not None and keys.maybe("attention.key_length_mla"):
        latent = Latent(rank, keys.number("rope.dimension_count"))
    elif rank is not None:
        doubts.append("the file is older than llama.cpp's latent cache: counted with whole heads, as it will be kept")
    key_dim, value_dim = (_width(keys, f"attention.{which}_length", latent) for which in ("key", "value"))
    return tuple(
        Attention(
            n,
            n_heads,
            n_kv_heads,
            key_dim or keys.number("embedding_length") // n_heads,
            value_dim or keys.number("embedding_length") // n_heads,
            its_window,
            latent,
        )
        for (n_heads, n_kv_heads, its_window), n in found.items()
    )


def _width(keys: Keys, key: str, latent: Latent | None) -> int | None:
    """Of a head's key or value. Of a latent, that key is what is kept of a token: its heads have another."""
    of_heads = keys.maybe(f"{key}_mla") if latent is not None else None
    return of_heads or keys.maybe(key)


def _of_layer(keys: Keys, key: str, layer: int) -> int:
    numbers = keys.numbers(key)
    if numbers:
        return numbers[layer] if layer < len(numbers) else 0
    return keys.maybe(key) or 0


def _slides(keys: Keys, family: str, window: int | None, n_layers: int, doubts: list[str]) -> list[bool]:
    if window is None:
        return [False] * n_layers
    pattern = keys.config.get("attention.sliding_window_pattern")
    if isinstance(pattern, list):
        return [bool(item) for item in pattern] + [False] * max(n_layers - len(pattern), 0)
    every = pattern if isinstance(pattern, int) and pattern > 1 else _FULL_EVERY.get(family)
    if every is None:
        doubts.append(f"which layers look back over {window:,} tokens only: not known, counted as if none did")
        return [False] * n_layers
    return [(layer + 1) % every != 0 for layer in range(n_layers)]


def _vocabulary(tensors: Sequence[Tensor]) -> int | None:
    return next((tensor.shape[-1] for tensor in tensors if tensor.name == "token_embd.weight" and tensor.shape), None)
