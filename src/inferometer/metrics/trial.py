# SPDX-License-Identifier: Apache-2.0
"""One trial (repeat) as the metrics per run see it: its rows, its windows, the tokens it produced and when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.metrics.pauses import Pauses, pauses
from inferometer.metrics.rows import Mask, in_due_order, is_counted, plan_of
from inferometer.metrics.tokens import token_chunks, token_counts
from inferometer.metrics.window import Window, steady, windows_of
from inferometer.records import NEVER, Array, Trace
from inferometer.stats import FloatArray


@dataclass(frozen=True, slots=True)
class Produced:
    """Output tokens and when they reached the client. Shapes: t_ns int64[n], n_tokens float64[n].

    Tokens of answers whose text was swallowed stand at the end of their answer. `is_spread`: some counts are a usage
    total spread evenly over its chunks. `is_known` is False where some of the counts cannot be had at all.
    """

    t_ns: Array
    n_tokens: FloatArray
    is_spread: bool
    is_known: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """`rows`: places of its requests in the trace, in the order of their due instants; `requests`: these, warm-up
    included. `is_counted`, `is_met` (all limits per request met; None without limits) and `pauses` are aligned."""

    number: int
    mode: str
    rows: Array
    requests: Array
    is_counted: Mask
    is_met: Mask | None
    window: Window
    steady: Window
    produced: Produced
    pauses: Pauses


def trials_of(trace: Trace, is_met: Mask | None = None) -> list[Trial]:
    """Every trial that has counted requests. Shapes: is_met bool[n_requests]."""
    all_pauses = pauses(trace)
    mode = str(plan_of(trace).get("mode", "closed"))
    due_order = in_due_order(trace.requests)
    trials = []
    for window in windows_of(trace):
        rows = due_order[trace.requests["trial"][due_order] == window.trial]
        is_all = len(rows) == len(due_order) and bool((np.diff(rows) == 1).all())
        requests = trace.requests if is_all else trace.requests[rows]
        trials.append(
            Trial(
                number=window.trial,
                mode=mode,
                rows=rows,
                requests=requests,
                is_counted=is_counted(requests),
                is_met=None if is_met is None else is_met[rows],
                window=window,
                steady=window if mode == "burst" else steady(window, requests),
                produced=_produced(trace, rows),
                pauses=all_pauses.of(rows),
            )
        )
    return trials


def _produced(trace: Trace, rows: Array) -> Produced:
    chunks, counts = token_chunks(trace), token_counts(trace)
    is_mine = np.zeros(len(trace.requests), bool)
    is_mine[rows] = True
    requests, has_chunks = trace.requests, chunks.n_chunks > 0
    # The usage record is the total: an end token without text of its own is spread over the events that have some.
    counted = chunks.reduce(np.add, counts.n_tokens, empty=0.0)
    scale = np.ones(len(requests))
    np.divide(requests["n_output_tokens"], counted, out=scale, where=(requests["n_output_tokens"] > 0) & (counted > 0))
    t_ns, n_tokens = chunks.t_ns, counts.n_tokens * chunks.spread(scale)
    if not is_mine.all():
        of_chunk = chunks.spread(is_mine)
        t_ns, n_tokens = t_ns[of_chunk], n_tokens[of_chunk]
    is_swallowed = is_mine & ~has_chunks & (requests["n_output_tokens"] > 0) & (requests["t_end_ns"] != NEVER)
    if is_swallowed.any():
        t_ns = np.concatenate([t_ns, requests["t_end_ns"][is_swallowed]])
        n_tokens = np.concatenate([n_tokens, requests["n_output_tokens"][is_swallowed]])
    is_spread = bool((is_mine & has_chunks & ~counts.is_exact).any())
    return Produced(t_ns, n_tokens, is_spread, is_known=not len(t_ns) or counts.is_known or not has_chunks.any())
