# SPDX-License-Identifier: Apache-2.0
"""The stretch of an axis on which values lie, and the bins on it: even steps, or even steps of the logarithm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.metrics.tokens import IntArray
from inferometer.stats import FloatArray

# From this ratio of the largest, or of the first percentile, to the median on, even steps would press most of the
# values into a few bins. Own choice.
MAX_OVER_MEDIAN = 6.0
SAME = 1e-9  # difference, as a share, below which values are the same but for rounding
SMALLEST_SHARE = 1e-3  # of the median: below it a logarithmic axis ends, and values are counted as below


@dataclass(frozen=True, slots=True)
class Span:
    """From `lo` to `hi`, lo < hi. `is_log`: even steps are steps of the logarithm, and lo > 0."""

    lo: float
    hi: float
    is_log: bool = False

    def edges(self, n_bins: int) -> FloatArray:
        """Shapes: float64[n_bins + 1], from lo to hi exactly."""
        if self.is_log:
            edges = np.geomspace(self.lo, self.hi, n_bins + 1)
        else:
            edges = np.linspace(self.lo, self.hi, n_bins + 1)
        edges[0], edges[-1] = self.lo, self.hi
        return edges

    def places(self, values: FloatArray, n_bins: int) -> IntArray:
        """The bin of each value, -1 for those below `lo`; hi belongs to the last. Shapes: int64[n]."""
        if self.is_log:
            lo, hi = np.log(self.lo), np.log(self.hi)
            at = (np.log(np.maximum(values, self.lo)) - lo) / (hi - lo) * n_bins
        else:
            at = (values - self.lo) / (self.hi - self.lo) * n_bins
        return np.asarray(np.where(values < self.lo, -1, np.minimum(at.astype(np.int64), n_bins - 1)))


def span_of(values: FloatArray, *, from_zero: bool = False) -> Span:
    """The stretch that holds all of the values. `from_zero`: an even axis begins at 0.

    Shapes: values float64[n >= 1], finite. Hazard: on a logarithmic axis, values below `lo` are left out.
    """
    low, median = (float(v) for v in np.quantile(values, (0.01, 0.5)))
    least, most = float(values.min()), float(values.max())
    if median > 0 and (most > MAX_OVER_MEDIAN * median or 0 < low < median / MAX_OVER_MEDIAN):
        lo = max(float(values[values > 0].min()), median * SMALLEST_SHARE)
        if most - lo > SAME * most:
            return Span(lo, most, is_log=True)
    lo = min(0.0, least) if from_zero else least
    if most - lo > SAME * abs(most):
        return Span(lo, most)
    room = abs(lo) / 10 or 0.5  # all the same: some room on both sides of it
    return Span(lo - (0.0 if from_zero and lo == 0 else room), most + room)
