# SPDX-License-Identifier: Apache-2.0
"""The measurement window of a trial, its steady part, and the number of requests in flight over time.

Rule 1: a window is half-open, [t_start, t_end). Rule 2: only rates use the steady part; every request that became due
in the main phase keeps its place in the latencies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from inferometer.metrics.rows import elapsed_s, is_counted, is_ok, plan_of
from inferometer.records import NEVER, Array, Trace
from inferometer.stats import Cut, FloatArray, autocorrelation_time, mser5
from inferometer.units import NS_PER_S

N_SLICES = 200  # resolution of in-flight over time; MSER-5 makes 40 batches of it
# MSER cuts somewhere in any noise. A cut must move the mean by this share; and after a warm-up, by which no ramp is to
# be expected, the part cut off must differ by this many standard errors: many, since it was chosen to look worst.
MIN_CUT_EFFECT = 0.02
MIN_CUT_SIGMAS = 5.0
# Latencies that a window must hold for a rate: what straddles its two edges is then less than what lies inside.
MIN_LATENCIES = 3.0


@dataclass(frozen=True, slots=True)
class Window:
    """From t_start_ns to t_end_ns of the run's axis."""

    trial: int
    t_start_ns: int
    t_end_ns: int

    @property
    def span_s(self) -> float:
        return max(self.t_end_ns - self.t_start_ns, 0) / NS_PER_S

    def edges_ns(self, n_slices: int) -> FloatArray:
        """Borders of equal slices. Shapes: float64[n_slices + 1]."""
        return np.linspace(self.t_start_ns, self.t_end_ns, n_slices + 1)


def windows_of(trace: Trace) -> list[Window]:
    """One window per trial that has counted requests: as driven, else from the first due to the last.

    Without a recorded window a burst lasts until its last answer, everything else until its last due instant.
    """
    told = {int(w["trial"]): w for w in trace.meta.get("windows") or ()}
    windows = []
    for trial in trace.trials():
        if trial in told:
            windows.append(Window(trial, int(told[trial]["t_start_ns"]), int(told[trial]["t_end_ns"])))
            continue
        rows = trace.requests[is_counted(trace.requests) & (trace.requests["trial"] == trial)]
        if len(rows):
            last = "t_end_ns" if plan_of(trace).get("mode") == "burst" else "t_due_ns"
            windows.append(Window(trial, int(rows["t_due_ns"].min()), int(rows[last].max())))
    return windows


@dataclass(frozen=True, slots=True)
class Spans:
    """Things that took time, each done evenly from t_start_ns to t_end_ns. Shapes: int64[n] each, and no NEVER.

    `weights`: float64[n], what each is worth (None: 1 each).
    """

    t_start_ns: Array
    t_end_ns: Array
    weights: FloatArray | None = None

    def count(self, window: Window) -> int:
        """How many lie inside in part."""
        return int(((self.t_end_ns > window.t_start_ns) & (self.t_start_ns < window.t_end_ns)).sum())

    def sums(self, window: Window, n_slices: int) -> FloatArray:
        """What was done in each of n_slices equal slices of the window. Shapes: float64[n_slices]."""
        return np.diff([self._done(edge) for edge in window.edges_ns(n_slices).tolist()])

    def _done(self, t_ns: float) -> float:
        """What was done until then: all of what had ended, and of what was under way a part."""
        has_begun = self.t_start_ns < t_ns
        has_ended = has_begun & (self.t_end_ns <= t_ns)
        under_way = np.flatnonzero(has_begun & ~has_ended)
        starts, ends = self.t_start_ns[under_way], self.t_end_ns[under_way]
        parts = (t_ns - starts) / np.maximum(ends - starts, 1)
        if self.weights is None:
            return float(np.count_nonzero(has_ended) + parts.sum())
        return float(self.weights[has_ended].sum() + parts @ self.weights[under_way])


def n_latencies(window: Window, requests: Array) -> float:
    """Length of a window in mean times from sent to end of the successes; infinite where there are none."""
    spent_s = elapsed_s(requests, "t_sent_ns", "t_end_ns")[is_ok(requests)]
    spent_s = spent_s[~np.isnan(spent_s)]
    mean_s = float(spent_s.mean()) if len(spent_s) else 0.0
    return window.span_s / mean_s if mean_s > 0 else math.inf


def too_short(window: Window, requests: Array) -> str:
    """Why a window carries no rate, "" if it does."""
    found = n_latencies(window, requests)
    return f"needs a window of {MIN_LATENCIES:.0f} mean latencies, has {found:.2g}" if found < MIN_LATENCIES else ""


@dataclass(frozen=True, slots=True)
class InFlight:
    """The number of requests in flight as a step function: its integral, linear between the instants `t_ns`."""

    t_ns: FloatArray
    area: FloatArray  # request-nanoseconds up to t_ns

    def means(self, edges_ns: FloatArray) -> FloatArray:
        """Mean number in flight between neighbouring edges. Shapes: float64[n + 1] -> float64[n]."""
        return np.asarray(np.diff(self.until(edges_ns)) / np.maximum(np.diff(edges_ns), 1.0))

    def until(self, t_ns: Array) -> FloatArray:
        """Request-nanoseconds up to each instant. Shapes: [n] -> float64[n]."""
        return np.interp(t_ns, self.t_ns, self.area) if len(self.t_ns) else np.zeros(len(t_ns))


def flights(requests: Array, t_end_ns: int) -> InFlight:
    """From sent to end; a request whose end is not known is in flight until t_end_ns or the last instant known."""
    sent = requests["t_sent_ns"] != NEVER
    starts = requests["t_sent_ns"][sent]
    known = requests["t_end_ns"][sent]
    horizon = max(t_end_ns, int(known.max(initial=0)), int(starts.max(initial=0)))
    ends = np.where(known == NEVER, horizon, known)
    instants = np.concatenate([starts, ends])
    steps = np.concatenate([np.ones(len(starts)), -np.ones(len(ends))])
    order = np.argsort(instants, kind="stable")
    t_ns = instants[order].astype(np.float64)
    area = np.concatenate([[0.0], np.cumsum(np.cumsum(steps[order])[:-1] * np.diff(t_ns))]) if len(t_ns) else t_ns
    return InFlight(t_ns, area)


def steady(window: Window, requests: Array) -> Window:
    """The window without its warm-up: the later of the MSER-5 cuts of the number in flight and of TTFT.

    `requests`: all rows of the trial. No cut where the series never settles, or where it would change nothing.
    Source: White 1997; Spratt 1998 for means of five.
    """
    is_warm = bool((requests["t_due_ns"][requests["t_due_ns"] != NEVER] < window.t_start_ns).any())
    n_sigmas = MIN_CUT_SIGMAS if is_warm else 0.0
    edges = window.edges_ns(N_SLICES)
    load = flights(requests, window.t_end_ns).means(edges)
    ttft_s = elapsed_s(requests, "t_due_ns", "t_first_content_ns")
    is_in = is_counted(requests) & is_ok(requests) & ~np.isnan(ttft_s)
    t_end_ns, ttft_s = requests["t_end_ns"][is_in], ttft_s[is_in]
    order = np.argsort(t_end_ns, kind="stable")
    t_end_ns, ttft_s = t_end_ns[order], ttft_s[order]
    t_cut_ns = max(
        window.t_start_ns,
        int(edges[_n_cut(load, n_sigmas)]),
        int(t_end_ns[n - 1]) if (n := _n_cut(ttft_s, n_sigmas)) else window.t_start_ns,
    )
    return Window(window.trial, min(t_cut_ns, window.t_end_ns), window.t_end_ns)


def _n_cut(values: FloatArray, n_sigmas: float) -> int:
    """Values to leave out at the front: the MSER-5 cut, where it moves the mean and is not chance."""
    cut = mser5(values)
    if not isinstance(cut, Cut) or not cut.is_settled or cut.n_cut == 0:
        return 0
    first, rest = values[: cut.n_cut], values[cut.n_cut :]
    step = abs(float(first.mean()) - float(rest.mean()))
    bias = step * len(first) / len(values)
    error = float(rest.std()) * math.sqrt(autocorrelation_time(rest) * (1 / len(first) + 1 / len(rest)))
    return cut.n_cut if bias > MIN_CUT_EFFECT * abs(float(rest.mean())) and step > n_sigmas * error else 0
