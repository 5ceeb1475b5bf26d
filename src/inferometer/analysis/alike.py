# SPDX-License-Identifier: Apache-2.0
"""Do two candidates answer alike? Greedy answers to the same prompts, asked one at a time, compared by their letters.

Rule: what a candidate agrees with itself, from one start to the next, stands beside: less than that nobody can ask for.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.analysis.choice import Answers
from inferometer.analysis.turn import Turn


def answers_of(candidate: int, preferred: int | None, turns: Sequence[Turn]) -> Answers | None:
    """Of its first turn against the first of the preferred one; None where one of them was not asked."""
    mine = [turn.answers for turn in turns if turn.candidate == candidate and turn.answers]
    theirs = next((turn.answers for turn in turns if turn.candidate == preferred and turn.answers), None)
    if not mine or theirs is None:
        return None
    own = same_share(mine[0], mine[1]) if len(mine) > 1 else None
    return Answers(len(theirs), same_share(mine[0], theirs), alike_share(mine[0], theirs), own)


def same_share(a: Sequence[str], b: Sequence[str]) -> float:
    """Of the answers, that are the same to the letter."""
    return sum(one == other for one, other in zip(a, b, strict=True)) / len(a)


def alike_share(a: Sequence[str], b: Sequence[str]) -> float:
    """Mean share of the shorter answer up to the first letter that differs."""
    return sum(_alike(one, other) for one, other in zip(a, b, strict=True)) / len(a)


def _alike(a: str, b: str) -> float:
    shorter = min(len(a), len(b))
    if not shorter:
        return float(a == b)
    return next((i for i in range(shorter) if a[i] != b[i]), shorter) / shorter
