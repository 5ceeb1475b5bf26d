# SPDX-License-Identifier: Apache-2.0
"""The permutation test of a shift between two small samples of trials, and the interval that it implies.

Were there no shift, the labels "a" and "b" would be as good as drawn by lot. Every other labelling says how far b would
have to be shifted for it to come out just as extreme as the labels given; the sorted shifts are the whole test:

    p(shift > at) = share of labellings whose shift is at most `at`, the given labelling included
    interval      = all shifts that the test does not reject

Rule 1: test and interval are one thing, so they never contradict each other.
Rule 2: nothing is assumed of the distribution, only that trials may change labels. So the interval holds the truth at
least as often as it says, also for five trials a side, where a bootstrap or a t interval does not.
Source: Pitman 1937; Garthwaite 1996 for the interval; Hartigan 1969 for the paired one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from inferometer.stats.dependence import FloatArray
from inferometer.stats.estimate import LEVEL

Mask = npt.NDArray[np.bool_]
MAX_EXACT = 200_000  # labellings that are all gone through; 10 against 10 have 184,756
N_DRAWN = 20_000  # labellings drawn where there are more; the test stays exact, its p gets a grain of 1/20,000
_SAME = 1e-12  # of the largest value: shifts closer than that are equal but for rounding


@dataclass(frozen=True, slots=True)
class Shifts:
    """The shift of b against a at which each other labelling is as extreme as the given one, ascending.

    `n_labellings`: with the given one; `is_exact`: all there are, else a random sample of them.
    """

    ordered: FloatArray
    n_labellings: int
    is_exact: bool

    def p_not_above(self, at: float = 0.0) -> float:
        """One-sided p of "the shift is `at` or less": small where it is larger."""
        return (1 + int(np.searchsorted(self.ordered, at + self._grain(), side="right"))) / self.n_labellings

    def p_not_below(self, at: float = 0.0) -> float:
        """One-sided p of "the shift is `at` or more": small where it is smaller."""
        n_below = int(np.searchsorted(self.ordered, at - self._grain(), side="left"))
        return (1 + len(self.ordered) - n_below) / self.n_labellings

    def p(self, at: float = 0.0) -> float:
        """Two-sided p of "the shift is `at`"."""
        return min(1.0, 2 * min(self.p_not_above(at), self.p_not_below(at)))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """All shifts that are not rejected; without bound where there are too few labellings to reject any."""
        n_rejected = math.floor(self.n_labellings * (1 - level) / 2 + 1e-9)
        if n_rejected < 1:
            return -math.inf, math.inf
        return float(self.ordered[n_rejected - 1]), float(self.ordered[len(self.ordered) - n_rejected])

    def _grain(self) -> float:
        return _SAME * float(np.abs(self.ordered[np.isfinite(self.ordered)]).max(initial=0.0))


def n_labellings(n_a: int, n_b: int, *, is_paired: bool) -> int:
    """How many labellings there are: splits of all trials, or exchanges within pairs."""
    return 2**n_a if is_paired else math.comb(n_a + n_b, n_a)


def smallest_p(n_a: int, n_b: int, *, is_paired: bool) -> float:
    """The smallest two-sided p that so many trials can give: 2/252 = 0.0079 for 5 against 5, 2/256 for 8 pairs."""
    return min(1.0, 2 / n_labellings(n_a, n_b, is_paired=is_paired))


def shifts(a: FloatArray, b: FloatArray, *, is_paired: bool, rng: np.random.Generator) -> Shifts:
    """The shift from a to b by the difference of means.

    Shapes: a float64[n_a], b float64[n_b]; paired: of equal length, pairs at equal places. One of the two may hold
    infinite values, which are then the largest there are. `rng` is used only for more than MAX_EXACT labellings.
    """
    n_all = n_labellings(len(a), len(b), is_paired=is_paired)
    is_exact = n_all <= MAX_EXACT
    if is_paired:
        found = _subset_means(b - a) if is_exact else _drawn_subset_means(b - a, rng)
    else:
        found = _swapped(a, b) if is_exact else _drawn_swaps(a, b, rng)
    return Shifts(np.sort(found), len(found) + 1, is_exact)


def _subset_means(values: FloatArray) -> FloatArray:
    """Means of all subsets but the empty one: exchanging the pairs of a subset is as extreme at that shift."""
    n = len(values)
    is_in = ((np.arange(1, 2**n)[:, None] >> np.arange(n)) & 1).astype(bool)
    return _means(is_in, values)


def _drawn_subset_means(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    is_in = rng.integers(0, 2, (N_DRAWN, len(values))).astype(bool)
    return _means(is_in[is_in.any(axis=1)], values)


def _means(is_in: Mask, values: FloatArray) -> FloatArray:
    """Mean of the values of each row of a mask; infinite with an infinite one among them. [n_rows]"""
    return np.asarray(np.where(is_in, values, 0.0).sum(axis=1) / is_in.sum(axis=1))


def _swapped(a: FloatArray, b: FloatArray) -> FloatArray:
    """mean(b's part) - mean(a's part) for every exchange of k trials of a for k of b: the shift at which both
    labellings have the same difference of means."""
    found = []
    for k in range(1, min(len(a), len(b)) + 1):
        of_a, of_b = (np.array([sum(part) / k for part in combinations(side.tolist(), k)]) for side in (a, b))
        found.append((of_b[:, None] - of_a[None, :]).ravel())
    return np.concatenate(found)


def _drawn_swaps(a: FloatArray, b: FloatArray, rng: np.random.Generator) -> FloatArray:
    n_a = len(a)
    is_a = np.zeros((N_DRAWN, n_a + len(b)), bool)
    is_a[:, :n_a] = True
    is_a = rng.permuted(is_a, axis=1)
    leaves_a, joins_a = ~is_a[:, :n_a], is_a[:, n_a:]
    is_other = leaves_a.any(axis=1)
    return _means(joins_a[is_other], b) - _means(leaves_a[is_other], a)
