# SPDX-License-Identifier: Apache-2.0
"""What llama.cpp prints of its memory when it starts, at verbosity 4: sizes to 0.01 MiB. Seen with 0.5.0-dev."""

from __future__ import annotations

import re

from inferometer.engines.cache_told import CacheTold

_MIB = 1024 * 1024
_KV = re.compile(
    r"llama_kv_cache\w*: size = +([\d.]+) MiB \( *(\d+) cells, +\d+ layers, +(\d+)/(\d+) seqs\)(?:, K \((\w+)\))?"
)
_STATE = re.compile(r"llama_memory_recurrent\w*: size = +([\d.]+) MiB")
_COMPUTE = re.compile(r"compute buffer size = +([\d.]+) MiB")
_MODEL = re.compile(r"model buffer size = +([\d.]+) MiB")
_REPACKED = re.compile(r"REPACK model buffer size = +([\d.]+) MiB")
_FORMATS = {"f32": "fp32", "f16": "fp16"}  # the others are called the same


def read_log(text: str) -> CacheTold | None:
    """None if it says nothing of a cache: with a lower verbosity it does not. Where all slots share one cache, its line
    says `4/1 seqs`; where each has its own, `4/4`."""
    caches = _KV.findall(text)
    if not caches and not _STATE.search(text):
        return None
    parts = [(int(cells), int(n_slots), int(n_parts)) for _, cells, n_slots, n_parts, _ in caches]
    named = next((name for *_, name in caches if name), "")
    return CacheTold(
        source="its log",
        cache_bytes=sum(float(size) for size, *_ in caches) * _MIB,
        n_tokens=max((cells * n_parts for cells, _, n_parts in parts), default=0),
        slots=next((n_parts for _, n_slots, n_parts in parts if n_parts == n_slots), None),
        cache_format=_FORMATS.get(named, named) or None,
        state_bytes=_sum(_STATE, text),
        weights_bytes=_sum(_MODEL, text),
        copied_bytes=_sum(_REPACKED, text),
        other_bytes=_sum(_COMPUTE, text),
    )


def _sum(pattern: re.Pattern[str], text: str) -> float:
    return sum(float(size) for size in pattern.findall(text)) * _MIB
