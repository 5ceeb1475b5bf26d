# SPDX-License-Identifier: Apache-2.0
"""`explain memory --check`: the embedded engine started with the model, and its memory beside what was predicted."""

from __future__ import annotations

from inferometer.embedded import engine_version, memory
from inferometer.errors import EngineError, UsageError
from inferometer.host import hardware
from inferometer.host.description import Description
from inferometer.model import kept, kv
from inferometer.model.formats import KV_FORMATS
from inferometer.report.memory_check import Check

_N_SLOTS = 4
_LONGEST = 8192
_SHORTEST = 2048  # below, what it holds beside the cache would drown the difference


def check(described: Description, *, context_tokens: int | None, kv_format: str | None) -> Check:
    """Raises: UsageError for what this engine cannot serve; EngineError if it does not start."""
    architecture, stored, path = described.architecture, described.stored, described.path
    if path is None or stored is None or path.suffix != ".gguf":
        raise UsageError(
            "--check starts the embedded llama.cpp, which takes a GGUF file", "give one, or leave MODEL out"
        )
    format = kv_format or "fp16"
    memory.check_format(format)
    n_tokens = context_tokens or min(max(architecture.context_tokens or _LONGEST, _SHORTEST), _LONGEST)
    n_tokens = -(-n_tokens // _SHORTEST) * _SHORTEST
    needed = stored.n_bytes + _N_SLOTS * kv.bytes_of(architecture, n_tokens, KV_FORMATS[format], drops=False)
    available = hardware.look().memory_bytes
    if needed > available:
        raise EngineError(
            f"weights and cache would take {needed / 1e9:.1f} GB, and this machine has {available / 1e9:.1f} GB",
            "ask for a shorter --context",
        )
    short, long = memory.measure(path, n_slots=_N_SLOTS, context_tokens=n_tokens, kv_format=format)
    n_short = n_tokens // memory.SHORT_SHARE
    predicted, predicted_short = (
        kept.in_slots(architecture, _N_SLOTS, n, KV_FORMATS[format]) for n in (n_tokens, n_short)
    )
    held = (short.held_bytes, long.held_bytes)
    return Check(
        model=described.name,
        engine=f"the embedded llama.cpp ({engine_version()})",
        n_sequences=_N_SLOTS,
        context_tokens=n_tokens,
        n_tokens=_N_SLOTS * n_tokens,
        kv_format=format,
        kv_predicted=predicted,
        kv_told=_whole(long.told.cache_bytes),
        state_predicted=_N_SLOTS * kv.state_bytes(architecture),
        state_told=_whole(long.told.state_bytes),
        weights_predicted=stored.n_bytes,
        weights_told=_whole(long.told.weights_bytes),
        repacked_told=_whole(long.told.copied_bytes),
        other_told=_whole(long.told.other_bytes),
        held=long.held_bytes,
        n_tokens_short=_N_SLOTS * n_short,
        kv_more_predicted=predicted - predicted_short,
        kv_more_told=_whole(long.told.cache_bytes) - _whole(short.told.cache_bytes),
        more_measured=None if held[0] is None or held[1] is None else held[1] - held[0],
    )


def _whole(n_bytes: float | None) -> float:
    """Of a log that has all of them or none."""
    return n_bytes or 0.0
