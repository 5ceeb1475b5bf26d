# SPDX-License-Identifier: Apache-2.0
"""A run over time: what was in flight, what came out, what went wrong, slice by slice; and gauges as they were read.

Rule 1: the axis is that of the run, in seconds, from its first request to its last answer; warm-up is on it.
Rule 2: slices are equally long and no shorter than it takes for a handful of events to come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from inferometer.metrics.pauses import stalls_ended_ns
from inferometer.metrics.rows import Mask, is_failed, is_ok
from inferometer.metrics.samples import series
from inferometer.metrics.server import SOURCE
from inferometer.metrics.trial import Trial
from inferometer.metrics.window import flights
from inferometer.records import NEVER, Array, Trace
from inferometer.stats import FloatArray
from inferometer.units import NS_PER_S

MAX_SLICES = 240
MIN_EVENTS = 10  # that a slice should hold in the mean, of the events of which there are most
_GAUGES = ("requests_running", "requests_waiting", "kv_used_ratio")
_GPU_GAUGE = "busy_ratio"


@dataclass(frozen=True, slots=True)
class Gauge:
    """What one gauge showed. Shapes: t_s, values float64[k]. `is_thinned`: each value is the largest of several."""

    source: str
    name: str
    t_s: FloatArray
    values: FloatArray
    is_thinned: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """Instants in seconds since the run's start.

    Shapes: edges_s float64[n + 1] with `in_flight` (mean number) and `tokens_per_s` (None: not known) float64[n];
    end_edges_s float64[m + 1], coarser, for what befalls whole requests, each where it ended: `ok_per_s`, `met_per_s`
    (None: no limits per request), and the counts `failed` and `stalls`, float64[m].
    """

    edges_s: FloatArray
    in_flight: FloatArray
    tokens_per_s: FloatArray | None
    end_edges_s: FloatArray
    ok_per_s: FloatArray
    met_per_s: FloatArray | None
    failed: FloatArray
    stalls: FloatArray
    gauges: tuple[Gauge, ...] = ()


def timeline(trace: Trace, trials: list[Trial], is_met: Mask | None) -> Timeline | None:
    """None where no request was ever sent. `is_met`: bool[n_requests], all limits per request met."""
    requests = trace.requests
    sent = requests[requests["t_sent_ns"] != NEVER]
    if not len(sent):
        return None
    t_start_ns, t_end_ns = int(sent["t_sent_ns"].min()), int(max(sent["t_sent_ns"].max(), sent["t_end_ns"].max()))
    t_tokens_ns = np.concatenate([np.zeros(0, np.int64), *(trial.produced.t_ns for trial in trials)])
    fine = _slices(t_start_ns, t_end_ns, max(len(t_tokens_ns), len(sent)))
    coarse = _slices(t_start_ns, t_end_ns, len(sent))
    tokens = None
    if trials and all(trial.produced.is_known for trial in trials):
        n_tokens = np.concatenate([trial.produced.n_tokens for trial in trials])
        tokens = fine.counts(t_tokens_ns, n_tokens) / fine.lengths_s
    return Timeline(
        edges_s=fine.edges_ns / NS_PER_S,
        in_flight=flights(requests, t_end_ns).means(fine.edges_ns),
        tokens_per_s=tokens,
        end_edges_s=coarse.edges_ns / NS_PER_S,
        ok_per_s=coarse.counts(_ended_ns(requests[is_ok(requests)])) / coarse.lengths_s,
        met_per_s=None if is_met is None else coarse.counts(_ended_ns(requests[is_met])) / coarse.lengths_s,
        failed=coarse.counts(_ended_ns(requests[is_failed(requests)])),
        stalls=coarse.counts(stalls_ended_ns(trace)),
        gauges=_gauges(trace.samples, fine.edges_ns),
    )


def _ended_ns(requests: Array) -> Array:
    """When each was over; of one that never was sent, when it was due."""
    last = np.where(requests["t_end_ns"] != NEVER, requests["t_end_ns"], requests["t_due_ns"])
    return np.asarray(last[last != NEVER])


@dataclass(frozen=True, slots=True)
class _Slices:
    """Equal slices of time, but for the last, which ends with the run. Shapes: edges_ns float64[n + 1]."""

    edges_ns: FloatArray

    @property
    def lengths_s(self) -> FloatArray:
        return np.asarray(np.diff(self.edges_ns) / NS_PER_S)

    def counts(self, t_ns: Array, weights: FloatArray | None = None) -> FloatArray:
        """Sum of the weights (None: 1 each) in each slice; what lies outside is in the nearest."""
        n = len(self.edges_ns) - 1
        at = ((t_ns - self.edges_ns[0]) / (self.edges_ns[1] - self.edges_ns[0])).astype(np.int64)
        return np.bincount(np.clip(at, 0, n - 1), weights, n).astype(np.float64)


def _slices(t_start_ns: int, t_end_ns: int, n_events: int) -> _Slices:
    """Slices of 1, 2 or 5 times a power of ten seconds."""
    span_s = max(t_end_ns - t_start_ns, 1) / NS_PER_S
    at_least_s = min(max(span_s / MAX_SLICES, span_s * MIN_EVENTS / n_events), span_s)
    power = 10.0 ** math.floor(math.log10(at_least_s))
    slice_s = next(power * step for step in (1, 2, 5, 10) if power * step >= at_least_s * (1 - 1e-9))
    n_whole = max(1, round(span_s / slice_s))  # half a slice or more at the end is one of its own
    edges_ns = np.arange(n_whole + 1, dtype=np.float64) * (slice_s * NS_PER_S) + t_start_ns
    edges_ns[-1] = t_start_ns + span_s * NS_PER_S
    return _Slices(edges_ns)


def _gauges(samples: Array, edges_ns: FloatArray) -> tuple[Gauge, ...]:
    """Those of the server, and how busy each GPU was, while requests were under way; what nobody read is not there."""
    gpus = sorted({source for source in samples["source"] if source.startswith("gpu-")})
    wanted = [*((SOURCE, name) for name in _GAUGES), *((gpu, _GPU_GAUGE) for gpu in gpus)]
    found = [_gauge(samples, source, name, edges_ns) for source, name in wanted]
    return tuple(gauge for gauge in found if len(gauge.values))


def _gauge(samples: Array, source: str, name: str, edges_ns: FloatArray) -> Gauge:
    t_ns, values = series(samples, source, name)
    inside = (t_ns >= edges_ns[0]) & (t_ns <= edges_ns[-1])
    t_ns, values = t_ns[inside], values[inside]
    if len(t_ns) <= MAX_SLICES:
        return Gauge(source, name, t_ns / NS_PER_S, values, is_thinned=False)
    at = np.clip(np.searchsorted(edges_ns, t_ns, "right") - 1, 0, len(edges_ns) - 2)
    starts = np.flatnonzero(np.diff(at, prepend=-1))
    return Gauge(source, name, t_ns[starts] / NS_PER_S, np.maximum.reduceat(values, starts), is_thinned=True)
