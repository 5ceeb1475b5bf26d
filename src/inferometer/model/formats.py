# SPDX-License-Identifier: Apache-2.0
"""How many bits a number takes, by format: of weights, of keys and values, of the blocks inside a GGUF file.

Sources: block sizes from llama.cpp's gguf-py (GGML_QUANT_SIZES); averages of GGUF file types from llama.cpp's
tools/quantize/README.md @311c2c9, measured on Llama-3.1-8B; the others computed from their blocks (OCP MX: 32 elements
and one 8-bit scale; NVFP4: 16 and one FP8 scale; INT4 of GPTQ and AWQ: 128, an FP16 scale and a 4-bit zero point).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from inferometer.errors import UsageError
from inferometer.model.architecture import Parameters

Touched = Literal["all", "matrices", "experts"]
Multiplied = Literal["bf16", "fp8", "fp4", "int8"]


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """`touched`: what is kept in `bits`, the rest being in 16: engines' formats leave embeddings, head and norms alone,
    and MXFP4 checkpoints all but the experts. A GGUF file type mixes formats: its bits are an average over all.

    `multiplied`: the fastest format in which engines multiply such weights: 4 bits of GPTQ and AWQ are unpacked to
    bf16, GGUF's blocks are multiplied as 8-bit integers by llama.cpp."""

    name: str
    bits: Fraction
    touched: Touched
    note: str = ""
    multiplied: Multiplied = "bf16"


_AVERAGE = "average of Llama-3.1-8B's file; small models with a big vocabulary weigh more"


def _gguf(name: str, bits: str) -> WeightFormat:
    return WeightFormat(name, Fraction(bits), "all", _AVERAGE, "int8")


WEIGHT_FORMATS = {
    format.name: format
    for format in (
        WeightFormat("fp32", Fraction(32), "all"),
        WeightFormat("bf16", Fraction(16), "all"),
        WeightFormat("fp16", Fraction(16), "all"),
        WeightFormat("fp8", Fraction(8), "matrices", multiplied="fp8"),
        WeightFormat("fp8-block", 8 + Fraction(32, 128 * 128), "matrices", "one FP32 scale per 128 x 128", "fp8"),
        WeightFormat("int8", Fraction(8), "matrices", multiplied="int8"),
        WeightFormat("nvfp4", Fraction("4.5"), "matrices", "16 elements and an FP8 scale", "fp4"),
        WeightFormat(
            "mxfp4", Fraction("4.25"), "experts", "32 elements and an 8-bit scale; all but the experts BF16", "fp4"
        ),
        WeightFormat("int4", Fraction("4.15625"), "matrices", "groups of 128, FP16 scale, 4-bit zero point"),
        _gguf("q8_0", "8.5008"),
        _gguf("q6_k", "6.5633"),
        _gguf("q5_k_m", "5.7036"),
        _gguf("q4_k_m", "4.8944"),
        _gguf("q4_k_s", "4.6672"),
        _gguf("iq4_xs", "4.4597"),
        _gguf("q3_k_l", "4.2979"),
        _gguf("q2_k", "3.1593"),
    )
}

KV_FORMATS = {
    "fp32": Fraction(32),
    "bf16": Fraction(16),
    "fp16": Fraction(16),
    "fp8": Fraction(8),
    "q8_0": Fraction("8.5"),
    "q5_1": Fraction(6),
    "q5_0": Fraction("5.5"),
    "q4_1": Fraction(5),
    "q4_0": Fraction("4.5"),
}

_SAME = {"f32": "fp32", "f16": "fp16", "float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "fp8_e4m3": "fp8"}


@dataclass(frozen=True, slots=True)
class BlockType:
    """A tensor type of ggml: so many numbers lie in so many bytes."""

    name: str
    n_elements: int
    n_bytes: int

    def size(self, n_elements: int) -> int:
        return -(-n_elements // self.n_elements) * self.n_bytes


BLOCK_TYPES = {
    number: BlockType(name, n_elements, n_bytes)
    for number, name, n_elements, n_bytes in (
        (0, "F32", 1, 4),
        (1, "F16", 1, 2),
        (2, "Q4_0", 32, 18),
        (3, "Q4_1", 32, 20),
        (6, "Q5_0", 32, 22),
        (7, "Q5_1", 32, 24),
        (8, "Q8_0", 32, 34),
        (9, "Q8_1", 32, 40),
        (10, "Q2_K", 256, 84),
        (11, "Q3_K", 256, 110),
        (12, "Q4_K", 256, 144),
        (13, "Q5_K", 256, 176),
        (14, "Q6_K", 256, 210),
        (15, "Q8_K", 256, 292),
        (16, "IQ2_XXS", 256, 66),
        (17, "IQ2_XS", 256, 74),
        (18, "IQ3_XXS", 256, 98),
        (19, "IQ1_S", 256, 50),
        (20, "IQ4_NL", 32, 18),
        (21, "IQ3_S", 256, 110),
        (22, "IQ2_S", 256, 82),
        (23, "IQ4_XS", 256, 136),
        (24, "I8", 1, 1),
        (25, "I16", 1, 2),
        (26, "I32", 1, 4),
        (27, "I64", 1, 8),
        (28, "F64", 1, 8),
        (29, "IQ1_M", 256, 56),
        (30, "BF16", 1, 2),
        (34, "TQ1_0", 256, 54),
        (35, "TQ2_0", 256, 66),
        (39, "MXFP4", 32, 17),
        (40, "NVFP4", 64, 36),
    )
}


_MULTIPLIED: dict[str, Multiplied] = {"F8_E4M3": "fp8", "F8_E5M2": "fp8", "MXFP4": "fp4", "NVFP4": "fp4", "I8": "int8"}
_BLOCKS = {block.name for block in BLOCK_TYPES.values() if block.n_elements > 1}


def multiplied_in(type: str) -> Multiplied:
    """Of a tensor type, as safetensors and GGUF files call them."""
    return _MULTIPLIED.get(type, "int8" if type in _BLOCKS else "bf16")


def weight_format(name: str) -> WeightFormat:
    """By name, `f16` and `float16` being `fp16`. Raises: UsageError with what is meant, perhaps."""
    return WEIGHT_FORMATS[_known(name, WEIGHT_FORMATS, "weight format")]


def kv_format(name: str) -> str:
    """The name that it has in KV_FORMATS. Raises: UsageError."""
    return _known(name, KV_FORMATS, "format of keys and values")


def _known(name: str, known: dict[str, object] | dict[str, Fraction] | dict[str, WeightFormat], what: str) -> str:
    found = name.lower().replace("-m", "_m") if name.lower().startswith("q") else name.lower()
    found = _SAME.get(found, found)
    if found in known:
        return found
    close = difflib.get_close_matches(found, known, n=1)
    raise UsageError(
        f"{name!r} is no {what} that is known here: {', '.join(known)}",
        f"did you mean {close[0]}?" if close else "choose one of those",
    )


def weights_bytes(parameters: Parameters, format: WeightFormat) -> int:
    """What a checkpoint in this format weighs: exact for a plain format, an estimate where its note says average."""
    touched = {
        "all": parameters.total,
        "matrices": parameters.matrices + parameters.experts,
        "experts": parameters.experts or parameters.matrices,
    }[format.touched]
    return round((touched * format.bits + (parameters.total - touched) * 16) / 8)
