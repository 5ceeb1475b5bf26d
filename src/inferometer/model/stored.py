# SPDX-License-Identifier: Apache-2.0
"""Weights as they lie in a file: exact bytes by tensor type, and parameters by what each tensor is called."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from inferometer.model.architecture import Experts, Parameters

_EMBEDDING = re.compile(r"token_embd\.weight|(.*\.)?(embed_tokens|wte|tok_embeddings|embed_in|embeddings?)\.weight")
_HEAD = re.compile(r"output\.weight|(.*\.)?(lm_head|embed_out)\.weight")
_EXPERT = re.compile(r"_exps\.|\.experts\.")
_ROUTER = re.compile(r"ffn_gate_inp\.|\.(gate|router|shared_expert_gate)\.weight$|\.gate\.")
_VISION = re.compile(r"(^|\.)(vision|visual|vision_tower|multi_modal_projector|audio_tower|mtp)\b|^(v|mm)\.")
_PACKED = {"I8", "U8", "I32", "I64", "U32"}  # several weights in one number: elements are no parameters


@dataclass(frozen=True, slots=True)
class Tensor:
    """`type`: as the file calls its number format."""

    name: str
    shape: tuple[int, ...]
    type: str
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Stored:
    """`n_bytes`: of all tensors; `types`: bytes by tensor type, the heaviest first; `parameters`: None where the file
    packs several into one number."""

    n_bytes: int
    types: Mapping[str, int]
    parameters: Parameters | None


def sum_up(tensors: Iterable[Tensor], experts: Experts | None) -> Stored:
    """What lies in a file, or in several that belong together."""
    types: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    is_packed = False
    for tensor in tensors:
        types[tensor.type] += tensor.n_bytes
        if not _VISION.search(tensor.name):
            counts[_kind(tensor)] += math.prod(tensor.shape)
        is_packed |= tensor.type in _PACKED and len(tensor.shape) > 1
    used = counts["experts"] * experts.n_used // experts.n if experts is not None else counts["experts"]
    parameters = Parameters(
        counts["embedding"], counts["head"], counts["experts"], used, counts["matrices"], counts["small"]
    )
    is_counted = not is_packed and parameters.total > 0
    return Stored(types.total(), dict(types.most_common()), parameters if is_counted else None)


def _kind(tensor: Tensor) -> str:
    if _EMBEDDING.fullmatch(tensor.name):
        return "embedding"
    if _HEAD.fullmatch(tensor.name):
        return "head"
    if _EXPERT.search(tensor.name):
        return "experts"
    return "small" if len(tensor.shape) < 2 or _ROUTER.search(tensor.name) else "matrices"
