# SPDX-License-Identifier: Apache-2.0
"""One quantity of every request against another: points while an eye can tell them apart, cells of a grid beyond.

Rule: nothing is drawn from a sample. Where there are too many points, every one of them is counted in a cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.metrics.shapes.span import Span, span_of
from inferometer.stats import FloatArray, quantile

MAX_POINTS = 2_000
N_COLUMNS, N_ROWS = 72, 36
N_BANDS = 24  # columns over which the quantiles run
MIN_IN_BAND = 20  # of which a p95 is the second largest


@dataclass(frozen=True, slots=True)
class Cells:
    """How many requests lie in each cell. Shapes: x_edges float64[c + 1], y_edges float64[r + 1], counts [r, c]."""

    x_edges: FloatArray
    y_edges: FloatArray
    counts: FloatArray


@dataclass(frozen=True, slots=True)
class Bands:
    """Quantiles of y in even bands of x. Shapes: edges float64[b + 1]; n, p50, p95 float64[b], NaN where n is small."""

    edges: FloatArray
    n: FloatArray
    p50: FloatArray
    p95: FloatArray

    @property
    def n_known(self) -> int:
        """How many bands hold enough."""
        return int(np.isfinite(self.p50).sum())


@dataclass(frozen=True, slots=True)
class Scatter:
    """`x`, `y`: float64[n], empty where there are `cells` instead. `n`: requests shown, every one of them.

    `n_without`: requests that do not have both quantities. `n_below`: below a logarithmic axis, in no cell.
    """

    n: int
    n_without: int
    x_span: Span
    y_span: Span
    x: FloatArray
    y: FloatArray
    cells: Cells | None
    n_below: int
    bands: Bands


def scatter(x: FloatArray, y: FloatArray) -> Scatter | None:
    """None where no request has both. Shapes: x, y float64[n], NaN where a request does not have it."""
    has_both = np.isfinite(x) & np.isfinite(y)
    n_without = int((~has_both).sum())
    x, y = x[has_both], y[has_both]
    if not len(x):
        return None
    x_span, y_span = Span(*_ends(x)), span_of(y, from_zero=True)
    bands = _bands(x, y, x_span)
    is_few = len(x) <= MAX_POINTS
    cells = None if is_few else _cells(x, y, x_span, y_span)
    n_below = int((y < y_span.lo).sum())
    none = np.zeros(0)
    return Scatter(len(x), n_without, x_span, y_span, *((x, y) if is_few else (none, none)), cells, n_below, bands)


def _ends(x: FloatArray) -> tuple[float, float]:
    lo, hi = float(x.min()), float(x.max())
    return (lo, hi) if hi > lo else (lo - 0.5, hi + 0.5)


def _cells(x: FloatArray, y: FloatArray, x_span: Span, y_span: Span) -> Cells:
    column = x_span.places(x, N_COLUMNS)
    row = y_span.places(y, N_ROWS)
    inside = row >= 0
    table = np.bincount(row[inside] * N_COLUMNS + column[inside], minlength=N_ROWS * N_COLUMNS)
    return Cells(x_span.edges(N_COLUMNS), y_span.edges(N_ROWS), table.reshape(N_ROWS, N_COLUMNS).astype(np.float64))


def _bands(x: FloatArray, y: FloatArray, span: Span) -> Bands:
    """Median and p95 of the requests in each band; nothing of a band that holds too few."""
    band = span.places(x, N_BANDS)
    n_each = np.bincount(band, minlength=N_BANDS)
    ordered = y[np.lexsort((y, band))]
    starts = np.cumsum(n_each) - n_each
    p50, p95 = np.full(N_BANDS, np.nan), np.full(N_BANDS, np.nan)
    for k in np.flatnonzero(n_each >= MIN_IN_BAND):
        mine = ordered[starts[k] : starts[k] + n_each[k]]
        p50[k], p95[k] = quantile(mine, 0.5), quantile(mine, 0.95)
    return Bands(span.edges(N_BANDS), n_each.astype(np.float64), p50, p95)
