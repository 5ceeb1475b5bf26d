# SPDX-License-Identifier: Apache-2.0
"""Rates of a trial over its steady window: what happened inside the window, divided by its length.

Rule: events are placed by their own stamps. A request that straddles an edge of the window counts with the tokens that
came inside it, so neither ramp nor drain dilutes a rate; warm-up requests count for what they did inside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferometer.metrics.registry import metric
from inferometer.metrics.rows import is_ok
from inferometer.metrics.trial import Trial
from inferometer.metrics.window import Window
from inferometer.records import NEVER, Array
from inferometer.stats import Estimate, FloatArray, Missing, ratio_estimate
from inferometer.units import NS_PER_S

N_SLICES = 20  # batches of time per window: 20 to 30 are enough for a t interval, and long against most requests


@dataclass(frozen=True, slots=True)
class Events:
    """Things that happened, each worth something. Shapes: t_ns int64[n], weights float64[n] (None: 1 each)."""

    t_ns: Array
    weights: FloatArray | None = None

    def count(self, window: Window) -> int:
        """How many lie inside."""
        return int(((self.t_ns >= window.t_start_ns) & (self.t_ns < window.t_end_ns)).sum())

    def sums(self, window: Window, n_slices: int) -> FloatArray:
        """Sum of the weights in each of n_slices equal slices of the window. Shapes: float64[n_slices]."""
        inside = (self.t_ns >= window.t_start_ns) & (self.t_ns < window.t_end_ns)
        at = ((self.t_ns[inside] - window.t_start_ns) * (n_slices / (window.span_s * NS_PER_S))).astype(np.int64)
        weights = None if self.weights is None else self.weights[inside]
        return np.bincount(np.minimum(at, n_slices - 1), weights, n_slices).astype(np.float64)


def rate(events: Sequence[Events], window: Window, *, unit: str, of: str) -> Estimate | Missing:
    """Sum of weights inside the window per second, with a t interval over slices of time."""
    n_events = sum(each.count(window) for each in events)
    if window.span_s <= 0:
        return Missing("needs a window of some length, has an instant", n_events, unit)
    n_slices = max(1, min(N_SLICES, n_events // 2))
    sums = np.sum([each.sums(window, n_slices) for each in events], axis=0)
    lengths = np.full(n_slices, window.span_s / n_slices)
    return ratio_estimate(sums, lengths, unit=unit, n=n_events, of=f"{of} in {window.span_s:.1f} s steady window")


@metric(unit="1/s", better="higher", per="run")
def request_throughput(trial: Trial) -> Estimate | Missing:
    """Successful requests that ended inside the steady window, per second."""
    rows = trial.requests[is_ok(trial.requests)]
    return rate([Events(rows["t_end_ns"])], trial.steady, unit="1/s", of="requests")


@metric(unit="tokens/s", better="higher", per="run", needs="token counts")
def output_throughput(trial: Trial) -> Estimate | Missing:
    """Output tokens that arrived inside the steady window, per second."""
    produced = trial.produced
    if not produced.is_known:
        return Missing("needs token counts; the server told none", 0, "tokens/s")
    of = "chunks of tokens" + (", usage spread over an answer's chunks" if produced.is_spread else "")
    return rate([Events(produced.t_ns, produced.n_tokens)], trial.steady, unit="tokens/s", of=of)


@metric(unit="tokens/s", better="higher", per="run")
def input_throughput(trial: Trial) -> Estimate | Missing:
    """Prompt tokens of the requests whose first token came inside the steady window, per second, cached included."""
    return rate([_prompts(trial)], trial.steady, unit="tokens/s", of="prompts")


@metric(unit="tokens/s", better="higher", per="run", needs="token counts")
def total_throughput(trial: Trial) -> Estimate | Missing:
    """Input plus output tokens per second. Rewards long prompts: no measure to compare systems by alone."""
    produced = trial.produced
    if not produced.is_known:
        return Missing("needs token counts; the server told none", 0, "tokens/s")
    events = [Events(produced.t_ns, produced.n_tokens), _prompts(trial)]
    return rate(events, trial.steady, unit="tokens/s", of="prompts and chunks of tokens")


def _prompts(trial: Trial) -> Events:
    """When each prefill was over, and how many tokens it had (as told, else as asked)."""
    rows = trial.requests
    done = np.where(rows["t_first_content_ns"] != NEVER, rows["t_first_content_ns"], rows["t_last_content_ns"])
    n_tokens = np.where(rows["n_prompt_tokens"] >= 0, rows["n_prompt_tokens"], rows["n_prompt_tokens_asked"])
    came = done != NEVER
    return Events(done[came], n_tokens[came].astype(np.float64))


@metric(unit="1/s", better="higher", per="run", needs="limits per request")
def goodput(trial: Trial) -> Estimate | Missing:
    """Requests that ended inside the steady window and met every limit, per second."""
    if trial.is_met is None:
        return Missing("needs limits per request (--slo) that these answers can be held to", 0, "1/s")
    good = trial.requests[trial.is_met & (trial.requests["t_end_ns"] != NEVER)]
    return rate([Events(good["t_end_ns"])], trial.steady, unit="1/s", of="requests that met all limits")


@metric(unit="ratio", better="higher", per="run", needs="prompt tokens told to be cached")
def prefix_hit(trial: Trial) -> Estimate | Missing:
    """Share of the prompt tokens that the server took from a prefix cache, over the successes that tell."""
    rows = trial.requests[trial.is_counted & is_ok(trial.requests)]
    rows = rows[(rows["n_cached_tokens"] >= 0) & (rows["n_prompt_tokens"] > 0)]
    if not len(rows):
        return Missing("needs cached-token counts; the server told none", 0, "ratio")
    cached, prompts = rows["n_cached_tokens"].astype(np.float64), rows["n_prompt_tokens"].astype(np.float64)
    return ratio_estimate(cached, prompts, unit="ratio", n=len(rows), of="prompt tokens", batches="requests")
