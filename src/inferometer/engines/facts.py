# SPDX-License-Identifier: Apache-2.0
"""What is known of an engine beside how it speaks: hardware, model formats, strengths, licence, and how sure that is.

Rule: every fact says how it is known; what was only read may be out of date.
"""

from __future__ import annotations

from dataclasses import dataclass

# How a fact is known, the surest first.
SEEN, SOURCE, DOCUMENTED = "seen", "source", "documentation"

# On what this tool was tried with an engine, the surest first.
REAL, RECORDED, EMULATED = "real engine", "recordings", "emulated engine"

# Kinds of devices, and what each is called.
DEVICES = {
    "cuda": "NVIDIA GPU",
    "rocm": "AMD GPU",
    "xpu": "Intel GPU",
    "metal": "Apple GPU",
    "npu": "Ascend or other NPU",
    "tpu": "TPU",
    "cpu": "CPU",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """`text`: for people; `known`: SEEN, SOURCE or DOCUMENTED."""

    text: str
    known: str = DOCUMENTED


@dataclass(frozen=True, slots=True)
class Facts:
    """devices: on which it runs, best first, each with what is to be known about that.
    apis: of its server; metrics: what it tells about itself. proven_on: on what this tool was tried with it, in a word
    or two (REAL, RECORDED, EMULATED); proven: the same in a sentence. is_only_maintained: no new models or features.
    """

    devices: dict[str, Fact]
    formats: Fact
    quantizations: Fact
    hugging_face: Fact
    apis: Fact
    metrics: Fact
    strengths: tuple[Fact, ...]
    licence: Fact
    upkeep: Fact
    proven_on: str
    proven: str
    is_only_maintained: bool = False
