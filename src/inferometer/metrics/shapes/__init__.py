# SPDX-License-Identifier: Apache-2.0
"""The shapes of a run: what figures draw, small whatever the size of the run.

Rule: all counting and thinning is done here, so that a page holds what it shows and nothing computes behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.metrics.latency import tpot, ttft
from inferometer.metrics.registry import METRICS
from inferometer.metrics.rows import elapsed_s, is_counted, is_ok, told
from inferometer.metrics.shapes.distribution import Distribution, distribution
from inferometer.metrics.shapes.scatter import Scatter, scatter
from inferometer.metrics.shapes.timeline import Timeline, timeline
from inferometer.metrics.slo import Limits, meets_all
from inferometer.metrics.tokens import indexed
from inferometer.metrics.trial import trials_of
from inferometer.metrics.window import flights
from inferometer.records import Array, Trace
from inferometer.stats import FloatArray
from inferometer.units import NS_PER_S

__all__ = ["Distribution", "Scatter", "Shapes", "Timeline", "shapes_of"]


@dataclass(frozen=True, slots=True)
class Shapes:
    """`distributions`: by metric, those there are. Scatters cover the successes; None where none has both."""

    distributions: dict[str, Distribution]
    timeline: Timeline | None
    ttft_by_time: Scatter | None  # x: when the request was due, seconds since the run's start
    ttft_by_prompt: Scatter | None  # x: prompt tokens, as told, else as asked for
    tpot_by_load: Scatter | None  # x: mean number of requests in flight while this one was answered


def shapes_of(trace: Trace, limits: Limits) -> Shapes:
    """Everything that the figures of a run draw. `limits`: those per request tell what goodput is."""
    trace = indexed(trace)
    requests = trace.requests
    values = {limit.metric: METRICS[limit.metric].fn(trace) for limit in limits.per_request}
    is_met = meets_all(limits, values, requests)
    ok = is_counted(requests) & is_ok(requests)
    answered = requests[ok]
    n_prompt = np.where(answered["n_prompt_tokens"] > 0, told(answered, "n_prompt_tokens"), np.nan)
    asked = np.where(answered["n_prompt_tokens_asked"] > 0, answered["n_prompt_tokens_asked"], np.nan)
    ttft_s, tpot_s = ttft(trace)[ok], tpot(trace)[ok]
    return Shapes(
        distributions=_distributions(trace),
        timeline=timeline(trace, trials_of(trace), is_met),
        ttft_by_time=scatter(answered["t_due_ns"] / NS_PER_S, ttft_s),
        ttft_by_prompt=scatter(np.where(np.isnan(n_prompt), asked, n_prompt), ttft_s),
        tpot_by_load=scatter(_load(requests, answered), tpot_s),
    )


def _distributions(trace: Trace) -> dict[str, Distribution]:
    """Of the headline metrics, and of gaps: per token where that can be told, else per chunk."""
    names = [name for name, metric in METRICS.items() if metric.is_headline]
    found = {name: drawn for name in names if (drawn := distribution(name, trace)) is not None}
    for name in ("gap_token_s", "gap_s"):
        if (drawn := distribution(name, trace)) is not None:
            return found | {name: drawn}
    return found


def _load(requests: Array, answered: Array) -> FloatArray:
    """Mean number of requests in flight between first and last token of each answer; NaN where these are one instant.

    Shapes: float64[n answered].
    """
    in_flight = flights(requests, int(requests["t_end_ns"].max(initial=0)))
    stream_s = elapsed_s(answered, "t_first_content_ns", "t_last_content_ns")
    is_long = stream_s > 0
    spent_ns = in_flight.until(answered["t_last_content_ns"]) - in_flight.until(answered["t_first_content_ns"])
    return np.where(is_long, spent_ns / NS_PER_S / np.where(is_long, stream_s, 1.0), np.nan)
