# SPDX-License-Identifier: Apache-2.0
"""One trial (repeat) as the metrics per run see it: its rows, its windows, the tokens it produced and when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.metrics.pauses import Pauses, pauses
from inferometer.metrics.rows import Mask, in_due_order, is_counted, plan_of
from inferometer.metrics.smoothness import underrun
from inferometer.metrics.tokens import count_tokens, token_chunks
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
    """`requests`: all rows of the trial, warm-up included; `is_counted`, `is_met` (all limits per request met; None
    without limits), `pauses` and `underrun_s` are aligned with them."""

    number: int
    mode: str
    requests: Array
    is_counted: Mask
    is_met: Mask | None
    window: Window
    steady: Window
    produced: Produced
    pauses: Pauses
    underrun_s: FloatArray


def trials_of(trace: Trace, is_met: Mask | None = None) -> list[Trial]:
    """Every trial that has counted requests, its rows in the order of their due instants.

    Shapes: is_met bool[n_requests].
    """
    requests = trace.requests
    chunks = token_chunks(trace)
    counts = count_tokens(trace, chunks)
    n_chunks = chunks.per_request()
    all_pauses, underrun_s = pauses(trace, chunks), underrun(trace)
    mode = str(plan_of(trace).get("mode", "closed"))
    due_order = in_due_order(requests)
    trials = []
    for window in windows_of(trace):
        mine = due_order[requests["trial"][due_order] == window.trial]
        rows = requests[mine]
        is_mine = requests["trial"] == window.trial
        is_swallowed = (rows["n_output_tokens"] > 0) & (n_chunks[mine] == 0) & (rows["t_end_ns"] != NEVER)
        of_chunk = is_mine[chunks.row]
        n_tokens = np.concatenate([counts.n_tokens[of_chunk], rows["n_output_tokens"][is_swallowed]])
        produced = Produced(
            t_ns=np.concatenate([chunks.t_ns[of_chunk], rows["t_end_ns"][is_swallowed]]),
            n_tokens=n_tokens,
            is_spread=bool(((n_chunks > 0) & is_mine & ~counts.is_exact).any()),
            is_known=not np.isnan(n_tokens).any(),
        )
        trials.append(
            Trial(
                number=window.trial,
                mode=mode,
                requests=rows,
                is_counted=is_counted(rows),
                is_met=None if is_met is None else is_met[mine],
                window=window,
                steady=window if mode == "burst" else steady(window, rows),
                produced=produced,
                pauses=all_pauses.of(mine),
                underrun_s=underrun_s[mine],
            )
        )
    return trials
