# SPDX-License-Identifier: Apache-2.0
"""Rates of a trial over its steady window: what happened inside the window, divided by its length.

Rule: events are placed by their own stamps. A request that straddles an edge of the window counts with the tokens that
came inside it, and as a request with the share of its time that lies inside, so neither ramp nor drain dilutes a rate
and no fence post is counted; warm-up requests count for what they did inside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferometer.metrics.registry import metric
from inferometer.metrics.rows import is_ok
from inferometer.metrics.trial import Trial
from inferometer.metrics.window import Spans, Window, too_short
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


def rate(events: Sequence[Events | Spans], trial: Trial, *, unit: str, of: str) -> Estimate | Missing:
    """Sum of weights inside the steady window per second, with a t interval over slices of time.

    Missing where the window is short against the requests: what straddles its edges is then most of it. A burst's
    window has no such edges.
    """
    window = trial.steady
    n_events = sum(each.count(window) for each in events)
    if window.span_s <= 0:
        return Missing("needs a window of some length, has an instant", n_events, unit)
    if trial.mode != "burst" and (why := too_short(window, trial.requests)):
        return Missing(why, n_events, unit)
    n_slices = max(1, min(N_SLICES, n_events // 2))
    sums = np.sum([each.sums(window, n_slices) for each in events], axis=0)
    lengths = np.full(n_slices, window.span_s / n_slices)
    of = f"{of} in {window.span_s:.1f} s steady window"
    return ratio_estimate(sums, lengths, unit=unit, n=n_events, of=of, event=1.0)


@metric(unit="1/s", better="higher", per="run", depends=("prompt", "answer"))
def request_throughput(trial: Trial) -> Estimate | Missing:
    """Successful requests per second of the steady window, each by the share of sent to end that lies inside it."""
    return rate([_spans(trial.requests[is_ok(trial.requests)])], trial, unit="1/s", of="requests")


def _spans(rows: Array) -> Spans:
    rows = rows[(rows["t_sent_ns"] != NEVER) & (rows["t_end_ns"] != NEVER)]
    return Spans(rows["t_sent_ns"], rows["t_end_ns"])


@metric(unit="tokens/s", better="higher", per="run", needs="token counts", depends=("answer",))
def output_throughput(trial: Trial) -> Estimate | Missing:
    """Output tokens that arrived inside the steady window, per second."""
    produced = trial.produced
    if not produced.is_known:
        return Missing("needs token counts; the server told none", 0, "tokens/s")
    of = "chunks of tokens" + (", usage spread over an answer's chunks" if produced.is_spread else "")
    return rate([Events(produced.t_ns, produced.n_tokens)], trial, unit="tokens/s", of=of)


@metric(unit="tokens/s", better="higher", per="run", depends=("prompt",))
def input_throughput(trial: Trial) -> Estimate | Missing:
    """Prompt tokens of the requests whose first token came inside the steady window, per second, cached included."""
    prompts = _prompts(trial)
    if prompts is None:
        return Missing(_NO_PROMPTS, 0, "tokens/s")
    return rate([prompts.done], trial, unit="tokens/s", of=prompts.of)


@metric(unit="tokens/s", better="higher", per="run", needs="token counts", depends=("prompt", "answer"))
def total_throughput(trial: Trial) -> Estimate | Missing:
    """Input plus output tokens per second. Rewards long prompts: no measure to compare systems by alone."""
    produced = trial.produced
    if not produced.is_known:
        return Missing("needs token counts; the server told none", 0, "tokens/s")
    prompts = _prompts(trial)
    if prompts is None:
        return Missing(_NO_PROMPTS, 0, "tokens/s")
    events = [Events(produced.t_ns, produced.n_tokens), prompts.done]
    return rate(events, trial, unit="tokens/s", of=f"{prompts.of} and chunks of tokens")


_NO_PROMPTS = "needs prompt lengths; the server told none, and none were asked for"


@dataclass(frozen=True, slots=True)
class _Prompts:
    done: Events  # when each prefill was over, and how many tokens it had
    of: str


def _prompts(trial: Trial) -> _Prompts | None:
    """Prompt lengths as told, else as asked; None where there are prompts and neither is known of any."""
    rows = trial.requests
    done = np.where(rows["t_first_content_ns"] != NEVER, rows["t_first_content_ns"], rows["t_last_content_ns"])
    rows, done = rows[done != NEVER], done[done != NEVER]
    is_told = rows["n_prompt_tokens"] >= 0
    n_tokens = np.where(is_told, rows["n_prompt_tokens"], rows["n_prompt_tokens_asked"])
    is_known = is_told | (n_tokens > 0)  # nobody asks for 0
    if len(rows) and not is_known.any():
        return None
    of = "prompts" if is_told[is_known].all() else "prompts (lengths as asked where the server tells none)"
    return _Prompts(Events(done[is_known], n_tokens[is_known].astype(np.float64)), of)


@metric(unit="1/s", better="higher", per="run", needs="limits per request", depends=("prompt", "answer"))
def goodput(trial: Trial) -> Estimate | Missing:
    """Requests that met every limit, per second of the steady window, each by the share of it that lies inside."""
    if trial.is_met is None:
        return Missing("needs limits per request (--slo) that these answers can be held to", 0, "1/s")
    return rate([_spans(trial.requests[trial.is_met])], trial, unit="1/s", of="requests that met all limits")


@metric(unit="ratio", better="higher", per="run", needs="prompt tokens told to be cached")
def prefix_hit(trial: Trial) -> Estimate | Missing:
    """Share of the prompt tokens that the server took from a prefix cache, over the successes that tell."""
    rows = trial.requests[trial.is_counted & is_ok(trial.requests)]
    rows = rows[(rows["n_cached_tokens"] >= 0) & (rows["n_prompt_tokens"] > 0)]
    if not len(rows):
        return Missing("needs cached-token counts; the server told none", 0, "ratio")
    cached, prompts = rows["n_cached_tokens"].astype(np.float64), rows["n_prompt_tokens"].astype(np.float64)
    return ratio_estimate(cached, prompts, unit="ratio", n=len(rows), of="prompt tokens", batches="requests")
