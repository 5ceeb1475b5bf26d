# SPDX-License-Identifier: Apache-2.0
"""Energy of a run per token and per request, from sensors that count it while the load lasts.

    E = what the counter rose by, else the integral of power, over the window; trapezoids between readings

Rule 1: joules per output token and joules per request are each the whole energy: they must not be added.
Rule 2: a window of less than ten seconds, or a gap of more than three between readings, is no measurement: sensors
renew their value every tenth of a second, and see only part of what happens in between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.metrics.rows import is_ok, told
from inferometer.metrics.samples import series, sources_of
from inferometer.metrics.window import Window, windows_of
from inferometer.records import NEVER, Trace
from inferometer.stats import Estimate, FloatArray, Missing, ratio_estimate
from inferometer.units import NS_PER_S

MIN_WINDOW_S, MAX_GAP_S = 10.0, 3.0
_SLICE_S = 1.0
_UNITS = ("J/token", "J/request", "W")


@dataclass(frozen=True, slots=True)
class Energy:
    """`sensor`: what was counted, "" if nothing."""

    per_output_token: Estimate | Missing
    per_request: Estimate | Missing
    power: Estimate | Missing
    sensor: str = ""


def energy(trace: Trace, why_not: str) -> Energy:
    """Of the last window of a run. `why_not`: why there is no sensor, if there is none."""
    windows = windows_of(trace)
    counters = _counters(trace)
    if not counters or not windows:
        return _none(why_not or "no sensor was read")
    window = windows[-1]
    if window.span_s < MIN_WINDOW_S:
        return _none(f"needs a window of {MIN_WINDOW_S:.0f} s, has {window.span_s:.1f} s")
    if any(_largest_gap_s(t_ns, window) > MAX_GAP_S for t_ns, _ in counters.values()):
        return _none(f"readings of a sensor lie more than {MAX_GAP_S:.0f} s apart")
    edges = window.edges_ns(max(2, int(window.span_s / _SLICE_S)))
    joules = np.sum([np.diff(np.interp(edges, t_ns, values)) for t_ns, values in counters.values()], axis=0)
    rows = trace.requests[is_ok(trace.requests) & (trace.requests["t_end_ns"] != NEVER)]
    tokens, ends = told(rows, "n_output_tokens"), rows["t_end_ns"].astype(np.float64)
    is_known = ~np.isnan(tokens)
    per_slice = np.histogram(ends[is_known], edges, weights=tokens[is_known])[0]
    n_ended = np.histogram(ends, edges)[0].astype(np.float64)
    n = int(n_ended.sum())
    seconds = np.diff(edges) / NS_PER_S
    return Energy(
        ratio_estimate(joules, per_slice, unit="J/token", n=n, of="energy and output tokens of answers that ended"),
        ratio_estimate(joules, n_ended, unit="J/request", n=n, of="energy and answers that ended"),
        ratio_estimate(joules, seconds, unit="W", n=len(seconds), of="energy"),
        " and ".join(sorted(counters)),
    )


def _counters(trace: Trace) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Cumulative joules over time, by sensor."""
    found: dict[str, tuple[FloatArray, FloatArray]] = {}
    for gpu in sources_of(trace.samples, "gpu"):
        t_ns, joules = series(trace.samples, gpu, "energy_j")
        if len(t_ns) < 2:
            t_ns, watts = series(trace.samples, gpu, "power_w")
            if len(t_ns) < 2:
                continue
            steps = np.diff(t_ns) / NS_PER_S * (watts[1:] + watts[:-1]) / 2
            joules = np.concatenate([[0.0], np.cumsum(steps)])
        found[gpu] = (t_ns, joules)
    for gauge, name in (("package_energy_j", "processor"), ("dram_energy_j", "memory")):
        t_ns, joules = series(trace.samples, "host", gauge)
        if len(t_ns) >= 2:
            found[name] = (t_ns, joules)
    return found


def _largest_gap_s(t_ns: FloatArray, window: Window) -> float:
    inside = t_ns[(t_ns > window.t_start_ns) & (t_ns < window.t_end_ns)]
    stops = np.concatenate([[window.t_start_ns], inside, [window.t_end_ns]])
    return float(np.diff(stops).max()) / NS_PER_S


def _none(why: str) -> Energy:
    per_token, per_request, power = (Missing(why, 0, unit) for unit in _UNITS)
    return Energy(per_token, per_request, power)
