# SPDX-License-Identifier: Apache-2.0
"""How often each size of a metric was seen: the shape behind its percentiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.metrics.registry import METRICS
from inferometer.metrics.rows import is_counted, is_ok
from inferometer.metrics.shapes.span import Span, span_of
from inferometer.metrics.tokens import row_of_id
from inferometer.records import Trace
from inferometer.stats import FloatArray

MIN_BINS, MAX_BINS = 8, 80


@dataclass(frozen=True, slots=True)
class Distribution:
    """Counts of a metric's values in even bins of its span, all trials together.

    Shapes: edges float64[n_bins + 1], counts float64[n_bins]. `n`: all values, `n_below` those left of the first edge
    (only on a logarithmic span, which has no 0).
    """

    metric: str
    n: int
    span: Span
    edges: FloatArray
    counts: FloatArray
    n_below: int


def distribution(name: str, trace: Trace) -> Distribution | None:
    """Of a metric per request or per chunk, over the successes; None where none of them has it."""
    requests, metric = trace.requests, METRICS[name]
    is_in = is_counted(requests) & is_ok(requests)
    values = metric.fn(trace)
    if metric.per == "chunk":
        is_in = is_in[row_of_id(trace)][trace.chunks["request_id"]]
    values = values[is_in & np.isfinite(values)]
    if not len(values):
        return None
    span = span_of(values)
    n_bins = int(np.clip(np.ceil(2 * len(values) ** (1 / 3)), MIN_BINS, MAX_BINS))  # Rice's rule
    counts = np.bincount(span.places(values, n_bins) + 1, minlength=n_bins + 1)
    return Distribution(name, len(values), span, span.edges(n_bins), counts[1:].astype(np.float64), int(counts[0]))
