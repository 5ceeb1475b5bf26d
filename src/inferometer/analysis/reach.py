# SPDX-License-Identifier: Apache-2.0
"""Which parts of a prompt reach the model: found by twins, prompts that differ in one part alone.

If what stands in a part makes no difference to the answer, to the letter, the part was not read. That holds for every
model, also for one that answers wrongly; that a part was read is shown sooner, by the code word that stands in it.

Rule 1: "lost" needs a control: the same part of a short prompt, where what stands there does make a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

PartName = Literal["head", "middle", "tail"]
PARTS: tuple[PartName, ...] = ("head", "middle", "tail")
Verdict = Literal["read", "reaches", "lost", "cannot tell"]
MIN_PAIRS = 2  # of the same answers, before a part is called lost


class Pair(msgspec.Struct, frozen=True):
    """Two prompts, and whether their answers were the same to the letter. `n_found`: answers, of the two, in which the
    code word that was asked for stood. `n_tokens`: of the longer prompt, as the server counts; `is_answered`: both."""

    n_tokens: int
    part: PartName
    is_same: bool
    n_found: int
    is_answered: bool = True


class Part(msgspec.Struct, frozen=True):
    """All pairs of one part of prompts of one length. `verdict`: its code word is found; what stands there makes a
    difference, but is not found; it makes none; or that cannot be told."""

    n_tokens: int
    part: PartName
    n_pairs: int
    n_same: int
    n_found: int
    verdict: Verdict


def parts_of(pairs: Sequence[Pair], control: Sequence[Pair]) -> list[Part]:
    """Of pairs of one length, in the order of `PARTS`. `control`: those of short prompts."""
    found = []
    for name in PARTS:
        mine = [pair for pair in pairs if pair.part == name and pair.is_answered]
        theirs = [pair for pair in control if pair.part == name and pair.is_answered]
        if mine:
            n_same, n_found = sum(pair.is_same for pair in mine), sum(pair.n_found for pair in mine)
            n_tokens = round(sum(pair.n_tokens for pair in mine) / len(mine))
            found.append(Part(n_tokens, mine[0].part, len(mine), n_same, n_found, _verdict(mine, theirs)))
    return found


def _verdict(pairs: Sequence[Pair], control: Sequence[Pair]) -> Verdict:
    n_found = sum(pair.n_found for pair in pairs)
    if n_found >= len(pairs):  # half of the answers: nobody guesses a number of four digits
        return "read"
    if n_found or any(not pair.is_same for pair in pairs):
        return "reaches"
    is_sensitive = len(control) >= MIN_PAIRS and not any(pair.is_same for pair in control)
    return "lost" if is_sensitive and len(pairs) >= MIN_PAIRS else "cannot tell"
