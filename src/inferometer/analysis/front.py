# SPDX-License-Identifier: Apache-2.0
"""The Pareto front of two quantities: who is beaten by nobody in both. By point values; intervals are drawn beside."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inferometer.stats import FloatArray


def on_front(more: FloatArray, less: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether no other has at least as much of the one (of which more is better) and no more of the other, and is
    better in one of them. Shapes: float64[n]. Returns: bool[n]; who has not both is not on it."""
    known = np.isfinite(more) & np.isfinite(less)
    as_good = (more[None, :] >= more[:, None]) & (less[None, :] <= less[:, None])
    better = (more[None, :] > more[:, None]) | (less[None, :] < less[:, None])
    is_beaten = (as_good & better & known[None, :]).any(axis=1)
    return np.asarray(known & ~is_beaten)
