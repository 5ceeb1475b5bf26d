# SPDX-License-Identifier: Apache-2.0
"""Up to which length answers stay right: shares by length and depth, the effective length, and the sag in the middle.

Effective length (RULER): the longest tested length whose share of right answers is above 85.6 %, all shorter ones too.
For a model that misses this at any length the threshold is nine tenths of its share at the shortest.

Rule 1: a length holds if the lower end of its Wilson interval is above the threshold, and fails if the upper end is
    below; what is neither is undecided, and the effective length is told as an interval between the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from inferometer.analysis.number import Number, number_of
from inferometer.stats import LEVEL, Estimate, FloatArray, Missing, wilson, z_critical

RULER_SHARE = 0.856  # Llama-2-7B-chat at 4k; NVIDIA/RULER README
RELATIVE_SHARE = 0.9
ENDS = (0.0, 1.0)  # depths; the others are the middle
Verdict = Literal["holds", "fails", "undecided"]


class Cell(msgspec.Struct, frozen=True):
    """Answers to questions whose fact lies at this depth. `share`: of right ones."""

    depth: float
    n: int
    n_right: int
    share: Number


class Length(msgspec.Struct, frozen=True):
    """All that was asked at one length. `n_tokens`: mean of what the server counted, of prompts that aimed at
    `n_aimed`; `n_asked`: with those that got no answer, which say nothing of the model."""

    n_aimed: int
    n_tokens: int
    n_asked: int
    n: int
    n_right: int
    share: Number
    verdict: Verdict
    cells: list[Cell]


class Effective(msgspec.Struct, frozen=True):
    """`length`: with its interval: from the longest that holds to the shortest that fails. `threshold`: the share that
    counts as right, and `rule`: why this one. `sag`: share at the ends less that in the middle, over all lengths."""

    length: Number
    threshold: float | None
    rule: str
    sag: Number
    lengths: list[Length]


class Judged(msgspec.Struct, frozen=True):
    """One question and whether its answer was right; `is_answered`: False if none came."""

    n_aimed: int
    n_tokens: int | None
    depth: float
    is_right: bool
    is_answered: bool = True


def effective_of(judged: Sequence[Judged]) -> Effective:
    sizes = sorted({one.n_aimed for one in judged})
    by_size = [[one for one in judged if one.n_aimed == size and one.is_answered] for size in sizes]
    shares = [_share(rows) for rows in by_size]
    threshold, rule = _threshold(shares[0] if shares else Missing("nothing was asked", 0, "ratio"))
    lengths = [
        _length(size, rows, share, threshold, sum(one.n_aimed == size for one in judged))
        for size, rows, share in zip(sizes, by_size, shares, strict=True)
    ]
    answered = [one for one in judged if one.is_answered]
    return Effective(number_of(_effective(lengths, threshold)), threshold, rule, number_of(_sag(answered)), lengths)


def _share(rows: Sequence[Judged]) -> Estimate | Missing:
    return wilson(sum(one.is_right for one in rows), len(rows), of="answers")


def _threshold(shortest: Estimate | Missing) -> tuple[float | None, str]:
    if isinstance(shortest, Missing) or shortest.value == 0:
        return None, "no answer is right at the shortest length, so there is nothing to lose"
    if shortest.lo > RULER_SHARE:
        return RULER_SHARE, "the threshold of RULER"
    share = RELATIVE_SHARE * shortest.value
    return share, f"{100 * RELATIVE_SHARE:.0f} % of the share at the shortest length, which is too low for RULER's"


def _length(
    size: int, rows: Sequence[Judged], share: Estimate | Missing, threshold: float | None, n_asked: int
) -> Length:
    counted = [one.n_tokens for one in rows if one.n_tokens is not None]
    cells = []
    for depth in sorted({one.depth for one in rows}):
        mine = [one for one in rows if one.depth == depth]
        n_right = sum(one.is_right for one in mine)
        cells.append(Cell(depth, len(mine), n_right, number_of(_share(mine))))
    return Length(
        n_aimed=size,
        n_tokens=round(sum(counted) / len(counted)) if counted else size,
        n_asked=n_asked,
        n=len(rows),
        n_right=sum(one.is_right for one in rows),
        share=number_of(share),
        verdict=_verdict(share, threshold),
        cells=cells,
    )


def _verdict(share: Estimate | Missing, threshold: float | None) -> Verdict:
    if isinstance(share, Missing) or threshold is None:
        return "undecided"
    return "holds" if share.lo > threshold else "fails" if share.hi < threshold else "undecided"


def _effective(lengths: Sequence[Length], threshold: float | None) -> Estimate | Missing:
    """The longest that holds with all shorter ones; above it the shortest that is shown to fail."""
    n = sum(one.n for one in lengths)
    if threshold is None or not lengths:
        return Missing("no answer is right at the shortest length" if lengths else "nothing was asked", n, "tokens")
    holding = 0
    while holding < len(lengths) and lengths[holding].verdict == "holds":
        holding += 1
    failing = next((one.n_tokens for one in lengths if one.verdict == "fails"), math.inf)
    if not holding:
        needs = "the shortest length is not shown to hold"
        return Missing(f"{needs}: {100 * threshold:.1f} % is within its interval or above", n, "tokens")
    value = float(lengths[holding - 1].n_tokens)
    method = "longest length that holds, to the shortest that fails; Wilson intervals of each"
    return Estimate(value, value, failing, LEVEL, n, "tokens", method)


def _sag(rows: Sequence[Judged]) -> Estimate | Missing:
    """U-shape (Liu et al. 2023): depths 0 and 1 against those between. Interval of Newcombe 1998, method 10."""
    ends = np.array([one.is_right for one in rows if one.depth in ENDS], float)
    middle = np.array([one.is_right for one in rows if one.depth not in ENDS], float)
    return difference(ends, middle, "answers")


def difference(a: FloatArray, b: FloatArray, of: str) -> Estimate | Missing:
    """Share of `a` less share of `b`, two independent samples of 0 and 1."""
    n = len(a) + len(b)
    first, second = (wilson(int(side.sum()), len(side), of=of) for side in (a, b))
    if isinstance(first, Missing) or isinstance(second, Missing):
        return Missing(f"needs {of} of both kinds", n, "ratio")
    gap = first.value - second.value
    down = math.hypot(first.value - first.lo, second.hi - second.value)
    up = math.hypot(first.hi - first.value, second.value - second.lo)
    return Estimate(gap, gap - down, gap + up, LEVEL, n, "ratio", f"difference of two shares of {of}; Newcombe")


def paired_difference(a: FloatArray, b: FloatArray, of: str) -> Estimate | Missing:
    """Share of `a` less share of `b`, the same items under both. Source: Agresti and Min 2005."""
    n = len(a)
    if n == 0:
        return Missing(f"needs 1 of {of}, has 0", 0, "ratio")
    won, lost = float(np.count_nonzero(a > b)) + 0.5, float(np.count_nonzero(a < b)) + 0.5
    worth = n + 2.0
    gap = (won - lost) / worth
    half = z_critical(LEVEL) * math.sqrt((won + lost) / worth - gap * gap) / math.sqrt(worth)
    value = float(np.mean(a) - np.mean(b))
    lo, hi = max(-1.0, min(gap - half, value)), min(1.0, max(gap + half, value))
    return Estimate(value, lo, hi, LEVEL, n, "ratio", f"paired difference over {of}; Agresti-Min interval")
