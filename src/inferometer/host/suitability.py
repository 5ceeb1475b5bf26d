# SPDX-License-Identifier: Apache-2.0
"""Whether this machine has what an engine runs on, and if not, what is missing."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from inferometer.host.hardware import Hardware

_NAMES = {
    "cuda": "an NVIDIA GPU",
    "rocm": "an AMD GPU",
    "xpu": "an Intel GPU",
    "metal": "an Apple GPU",
    "npu": "an NPU",
    "tpu": "a TPU",
    "cpu": "a CPU",
}


def choose_device(kinds: Iterable[str], hardware: Hardware) -> str | None:
    """The first of these kinds, best first, of which there is a device here."""
    return next((kind for kind in kinds if hardware.of_kind(kind)), None)


def why_not(kinds: Collection[str], hardware: Hardware) -> str:
    """One line for a machine that has none of them."""
    needed = " or ".join(_NAMES.get(kind, kind) for kind in kinds)
    return "; ".join([f"it needs {needed}, and there is none", *hardware.notes])


def too_large(n_bytes: int, kinds: Collection[str], hardware: Hardware) -> int | None:
    """Bytes of the memory that a model of this size cannot fit into; None if it may fit, or nobody knows.

    Weights alone: what the engine needs beside them is its own to say. An engine that also runs on a CPU may keep a
    part of them in the machine's memory.
    """
    cards = [card for kind in kinds if kind != "cpu" for card in hardware.of_kind(kind)]
    if any(card.memory_bytes is None for card in cards):
        return None
    memory = sum(card.memory_bytes or 0 for card in cards)
    memory += hardware.memory_bytes if "cpu" in kinds or not cards else 0
    return memory if n_bytes > memory else None
