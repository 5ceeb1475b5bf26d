# SPDX-License-Identifier: Apache-2.0
"""Least squares whose coefficients cannot be negative, deaf to spikes, with intervals over blocks of the rows.

Errors count relative to what is fitted, and one far beyond the usual counts no more than by its distance (Huber 1964,
k = 1.345 robust standard deviations). Few columns: the best of all sets of coefficients that may be above 0 is found by
trying each, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from inferometer.stats.dependence import FloatArray

HUBER_K = 1.345
N_ROUNDS = 8  # of reweighting; coefficients settle to four digits in five
_RIDGE = 1e-9  # of columns scaled to one length: two that are the same share what they explain


@dataclass(frozen=True, slots=True)
class NonnegativeFit:
    """`coefficients` float64[k]; `draws` float64[n_draws, k]: what other draws of the blocks would have given.
    `spread`: robust standard deviation of the relative errors."""

    coefficients: FloatArray
    draws: FloatArray
    spread: float

    def interval(self, part: FloatArray, level: float) -> tuple[float, float]:
        """Percentile interval of a linear function of the coefficients. Shapes: part float64[k]."""
        lo, hi = np.quantile(self.draws @ part, [(1 - level) / 2, (1 + level) / 2])
        return float(lo), float(hi)


def fit_nonnegative(
    design: FloatArray,
    target: FloatArray,
    weights: FloatArray,
    blocks: npt.NDArray[np.int64],
    *,
    rng: np.random.Generator,
    n_draws: int = 400,
) -> NonnegativeFit:
    """Shapes: design float64[n, k], target float64[n] > 0, weights float64[n], blocks int64[n] from 0 up, n >= 1.

    Rows of one block depend on each other: whole blocks are drawn again.
    """
    lengths = np.linalg.norm(design, axis=0)
    scaled = design / np.where(lengths > 0, lengths, 1.0)
    found = np.zeros(design.shape[1])
    expected, robust, spread = target, np.ones(len(target)), 0.0
    for _ in range(N_ROUNDS):
        row_weights = weights * robust / np.square(expected)
        gram = np.einsum("n,ni,nj->ij", row_weights, scaled, scaled)
        found = _solved(gram[None], (scaled.T @ (row_weights * target))[None])[0]
        fitted = scaled @ found
        # A row of which next to nothing is explained must not weigh without bound.
        expected = np.maximum(fitted, 0.2 * target)
        errors = (target - fitted) / expected
        spread = float(_weighted_median(np.abs(errors), weights)) / 0.6745
        robust = np.minimum(1.0, HUBER_K * max(spread, 1e-12) / np.maximum(np.abs(errors), 1e-12))
    row_weights = weights * robust / np.square(expected)
    return NonnegativeFit(
        found / np.where(lengths > 0, lengths, 1.0),
        _drawn(scaled, target, row_weights, blocks, rng, n_draws) / np.where(lengths > 0, lengths, 1.0),
        spread,
    )


def _drawn(
    scaled: FloatArray,
    target: FloatArray,
    row_weights: FloatArray,
    blocks: npt.NDArray[np.int64],
    rng: np.random.Generator,
    n_draws: int,
) -> FloatArray:
    """Solutions for blocks drawn with replacement; sums of products are all that is needed of each."""
    n_blocks, k = int(blocks.max()) + 1, scaled.shape[1]
    grams, sides = np.zeros((n_blocks, k, k)), np.zeros((n_blocks, k))
    np.add.at(grams, blocks, row_weights[:, None, None] * scaled[:, :, None] * scaled[:, None, :])
    np.add.at(sides, blocks, (row_weights * target)[:, None] * scaled)
    times = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), n_draws).astype(np.float64)
    return _solved(np.tensordot(times, grams, 1), times @ sides)


def _solved(grams: FloatArray, sides: FloatArray) -> FloatArray:
    """The best coefficients of at least 0. Shapes: grams float64[m, k, k], sides float64[m, k] -> float64[m, k]."""
    m, k = sides.shape
    scales = np.maximum(np.einsum("mii->m", grams) / k, 1e-300)
    best, gains = np.zeros((m, k)), np.zeros(m)
    for size in range(1, k + 1):
        for kept in map(list, combinations(range(k), size)):
            part = grams[:, kept][:, :, kept] + (_RIDGE * scales)[:, None, None] * np.eye(size)
            found = np.linalg.solve(part, sides[:, kept][:, :, None])[:, :, 0]
            gain = np.einsum("mi,mi->m", found, sides[:, kept])  # by how much it lowers the sum of squares
            is_better = (found >= 0).all(axis=1) & (gain > gains)
            gains[is_better] = gain[is_better]
            rows = np.flatnonzero(is_better)
            best[rows] = 0.0
            for i, column in enumerate(kept):
                best[rows, column] = found[rows, i]
    return best


def _weighted_median(values: FloatArray, weights: FloatArray) -> float:
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return float(values[order][int(np.searchsorted(summed, summed[-1] / 2))])
