# SPDX-License-Identifier: Apache-2.0
"""What is best kept of a prompt that has to be cut: the same questions under each strategy, compared in pairs.

Rule 1: one strategy is better than another only if the interval of their paired difference leaves zero out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from inferometer.analysis.effective import paired_difference
from inferometer.analysis.number import Number, number_of
from inferometer.stats import wilson

STRATEGIES = ("keep head", "keep tail", "keep both ends")


class Kept(msgspec.Struct, frozen=True):
    """One strategy. `behind`: the best one's share less this one's, over the same questions; None for the best."""

    strategy: str
    share: Number
    behind: Number | None


class Cutting(msgspec.Struct, frozen=True):
    """`n_from`, `n_to`: tokens of the prompts, whole and cut. `best`: those that nothing is shown to be better than."""

    n_from: int
    n_to: int
    n: int
    kept: list[Kept]
    best: list[str]


def cutting_of(right: Mapping[str, Sequence[bool]], *, n_from: int, n_to: int) -> Cutting:
    """`right`: by strategy, for the same questions in the same order."""
    arrays = {name: np.array(values, float) for name, values in right.items()}
    n = len(next(iter(arrays.values())))
    leader = max(arrays, key=lambda name: float(arrays[name].sum()))
    kept, best = [], []
    for name, values in arrays.items():
        gap = None if name == leader else number_of(paired_difference(arrays[leader], values, "questions"))
        kept.append(Kept(name, number_of(wilson(int(values.sum()), n, of="questions")), gap))
        if gap is None or gap.lo is None or gap.lo <= 0:
            best.append(name)
    return Cutting(n_from, n_to, n, sorted(kept, key=lambda one: -(one.share.value or 0.0)), best)
