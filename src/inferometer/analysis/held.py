# SPDX-License-Identifier: Apache-2.0
"""How many tokens the requests of a run had in the server's cache over time, as a client can tell.

A prompt comes in evenly over its prefill, then each output token adds one; with the last all go. How long the prefill
took is what the server says; where it says nothing, the prompt is there with the first token, and the mean is low by
what prefills hold.
Rule: tokens of a shared prefix are counted with every request that has it; a server may keep them once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.metrics.rows import told
from inferometer.metrics.window import windows_of
from inferometer.records import NEVER, Array, Trace
from inferometer.stats import Estimate, FloatArray, Missing, exact, ratio_estimate

N_SLICES = 40
_NONE = "no answer has token counts"


@dataclass(frozen=True, slots=True)
class Held:
    """Tokens in the cache: on average over the windows, and the most at an instant."""

    mean: Estimate | Missing
    most: Estimate | Missing


def held(trace: Trace) -> Held:
    """Over the measurement windows."""
    lives = _lives(trace.requests)
    windows = windows_of(trace)
    if not len(lives.prompt) or not windows:
        return Held(Missing(_NONE, 0, "tokens"), Missing(_NONE, 0, "tokens"))
    areas, lengths, most = [], [], 0.0
    for window in windows:
        edges = window.edges_ns(N_SLICES)
        areas.append(np.diff(lives.area(edges)))
        lengths.append(np.diff(edges))
        most = max(most, float(lives.count(window.edges_ns(10 * N_SLICES)).max()))
    n = len(lives.prompt)
    mean = ratio_estimate(np.concatenate(areas), np.concatenate(lengths), unit="tokens", n=n, of="tokens held")
    return Held(mean, exact(most, n=n, unit="tokens", method=f"largest of {10 * N_SLICES} instants"))


@dataclass(frozen=True, slots=True)
class _Lives:
    """One per answered request. Shapes: float64[n] each; instants in ns."""

    admitted: FloatArray
    first: FloatArray
    last: FloatArray
    prompt: FloatArray
    output: FloatArray

    def area(self, t_ns: FloatArray) -> FloatArray:
        """Token-nanoseconds up to each instant. Shapes: [n_t] -> float64[n_t]."""
        filling = _ramp_area(t_ns, self.admitted, self.first, np.zeros_like(self.prompt), self.prompt)
        return filling + _ramp_area(t_ns, self.first, self.last, self.prompt, self.prompt + self.output)

    def count(self, t_ns: FloatArray) -> FloatArray:
        """Tokens at each instant. Shapes: [n_t] -> float64[n_t]."""
        filling = _ramp(t_ns, self.admitted, self.first, np.zeros_like(self.prompt), self.prompt)
        return filling + _ramp(t_ns, self.first, self.last, self.prompt, self.prompt + self.output)


def _lives(requests: Array) -> _Lives:
    rows = requests[(requests["t_first_content_ns"] != NEVER) & (requests["t_sent_ns"] != NEVER)]
    prompt, output = told(rows, "n_prompt_tokens"), told(rows, "n_output_tokens")
    prompt = np.where(np.isnan(prompt), rows["n_prompt_tokens_asked"], prompt)
    is_known = (prompt > 0) & ~np.isnan(output)
    rows, prompt, output = rows[is_known], prompt[is_known], output[is_known]
    first = rows["t_first_content_ns"].astype(np.float64)
    prefill = told(rows, "server_prefill_ns")
    admitted = np.where(np.isnan(prefill), first, np.maximum(first - prefill, rows["t_sent_ns"]))
    return _Lives(admitted, first, rows["t_last_content_ns"].astype(np.float64), prompt, output)


def _ramp_area(
    t_ns: FloatArray, start: FloatArray, end: FloatArray, n_start: FloatArray, n_end: FloatArray
) -> FloatArray:
    span = np.maximum(end - start, 1.0)
    done = [np.clip((t - start) / span, 0.0, 1.0) for t in t_ns]
    return np.array([float((span * (n_start * x + (n_end - n_start) * x * x / 2)).sum()) for x in done])


def _ramp(t_ns: FloatArray, start: FloatArray, end: FloatArray, n_start: FloatArray, n_end: FloatArray) -> FloatArray:
    span = np.maximum(end - start, 1.0)
    found = []
    for t in t_ns:
        is_in = (t >= start) & (t < end)
        found.append(float((n_start + (n_end - n_start) * (t - start) / span)[is_in].sum()))
    return np.array(found)
