# SPDX-License-Identifier: Apache-2.0
"""Whether a server's memory grows with every request, from what its processes hold for themselves alone.

What a server builds up once (threads, buffers, a cache touched for the first time) grows early and then stops; a leak
goes on. So only the later part of a run counts, and growth is set against requests, not time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.metrics.rows import is_ok
from inferometer.metrics.samples import series
from inferometer.metrics.window import Window, windows_of
from inferometer.records import NEVER, Trace
from inferometer.stats import Estimate, Missing, ratio_estimate
from inferometer.units import NS_PER_S

EARLY = 1 / 3  # of a window: left out
SLICE_S = 2.0  # memory is sampled once a second
MIN_SLICES = 5
MIN_REQUESTS = 100  # real engines go on making buffers for shapes that they have not seen for some dozens
_UNIT = "B/request"


@dataclass(frozen=True, slots=True)
class Growth:
    """`per_request`: with the interval over slices of time; `first`, `last`: bytes at the ends of what was looked at;
    `per_s`: bytes per second there."""

    per_request: Estimate | Missing
    first: float | None = None
    last: float | None = None
    per_s: float | None = None


def growth(trace: Trace, *, source: str = "engine", gauge: str = "private_bytes") -> Growth:
    """Of the last window of a run."""
    t_ns, values = series(trace.samples, source, gauge)
    windows = windows_of(trace)
    if len(t_ns) < 3:
        return Growth(Missing("its processes cannot be seen from here", len(t_ns), _UNIT))
    if not windows:
        return Growth(Missing("no request was measured", len(t_ns), _UNIT))
    window = _later(windows[-1], t_ns[-1])
    n_slices = int(window.span_s / SLICE_S)
    if n_slices < MIN_SLICES:
        needed_s = MIN_SLICES * SLICE_S / (1 - EARLY)
        return Growth(Missing(f"needs a window of {needed_s:.0f} s, has {windows[-1].span_s:.0f} s", len(t_ns), _UNIT))
    edges = window.edges_ns(n_slices)
    held = np.interp(edges, t_ns, values)
    ended = trace.requests["t_end_ns"][is_ok(trace.requests) & (trace.requests["t_end_ns"] != NEVER)]
    n_ended = np.histogram(ended, edges)[0].astype(np.float64)
    n = int(n_ended.sum())
    if n < MIN_REQUESTS:
        return Growth(Missing(f"needs {MIN_REQUESTS} requests in the later part of the run, has {n}", n, _UNIT))
    found = ratio_estimate(np.diff(held), n_ended, unit=_UNIT, n=n, of="growth of private memory")
    return Growth(found, float(held[0]), float(held[-1]), float(held[-1] - held[0]) / window.span_s)


def _later(window: Window, t_last_ns: float) -> Window:
    """Its later part, as far as there are samples."""
    start_ns = window.t_start_ns + round(EARLY * window.span_s * NS_PER_S)
    return Window(window.trial, start_ns, min(window.t_end_ns, int(t_last_ns)))
