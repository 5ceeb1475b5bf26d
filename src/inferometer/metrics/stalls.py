# SPDX-License-Identifier: Apache-2.0
"""What went wrong, as shares of a trial: errors, missed limits, stalls, pauses, playback that ran dry."""

from __future__ import annotations

import math

import numpy as np

from inferometer.kinds import Outcome
from inferometer.metrics.registry import metric
from inferometer.metrics.rows import UNFINISHED, Mask
from inferometer.metrics.trial import Trial
from inferometer.stats import LEVEL, Estimate, Missing, careful_n, effective_n, ratio_estimate, wilson


def share(hits: Mask, *, of: str) -> Estimate | Missing:
    """Share of True in a series in the order of due instants; neighbours may depend on each other."""
    n_eff = careful_n(effective_n(hits.astype(np.float64)), len(hits)) if len(hits) else 0.0
    return wilson(int(hits.sum()), len(hits), n_eff=n_eff, of=of)


@metric(unit="ratio", better="lower", per="run")
def error(trial: Trial) -> Estimate | Missing:
    """Failed requests among those whose end is known."""
    outcome = trial.requests["outcome"][trial.is_counted]
    ended = outcome[~np.isin(outcome, UNFINISHED)]
    return share(ended != Outcome.OK, of="requests whose end is known")


@metric(unit="ratio", better="higher", per="run", needs="limits per request")
def attainment(trial: Trial) -> Estimate | Missing:
    """Share of the requests due in the window that met every limit; failed and unfinished ones did not."""
    if trial.is_met is None:
        return Missing("needs limits per request (--slo) that these answers can be held to", 0, "ratio")
    return share(trial.is_met[trial.is_counted], of="requests due in the window")


@metric(unit="1/1000 tokens", better="lower", per="run", needs="streamed answers with token counts")
def stalls(trial: Trial) -> Estimate | Missing:
    """Gaps longer than max(200 ms, 5 x the request's median gap), and silences that ended one, per 1000 tokens."""
    rows = _streamed(trial)
    counts = trial.pauses.n_tokens[rows] / 1000
    return ratio_estimate(
        trial.pauses.n_stalls[rows],
        counts,
        unit="1/1000 tokens",
        n=int(rows.sum()),
        of="1000 tokens",
        batches="requests",
        event=1.0,
    )


@metric(unit="ratio", better="lower", per="run", needs="streamed answers")
def stalled_time(trial: Trial) -> Estimate | Missing:
    """Share of the time between first and last token that was spent in stalls."""
    rows = _streamed(trial)
    stream_s = trial.pauses.stream_s[rows]
    return ratio_estimate(
        trial.pauses.stalled_s[rows],
        stream_s,
        unit="ratio",
        n=int(rows.sum()),
        of="streaming time",
        batches="requests",
        event=float(stream_s.mean()) if len(stream_s) else None,  # at worst a stall is all of an answer
    )


@metric(unit="ratio", better="lower", per="run", needs="streamed answers")
def stalled_requests(trial: Trial) -> Estimate | Missing:
    """Share of the streamed answers that stalled at least once."""
    return share(trial.pauses.n_stalls[_streamed(trial)] > 0, of="streamed answers")


@metric(unit="s", better="lower", per="run", needs="streamed answers", is_largest=True)
def longest_pause(trial: Trial) -> Estimate | Missing:
    """The longest silence inside any stream, failed ones included; what a longer run would show can only be longer."""
    longest = trial.pauses.longest_s[_streamed(trial)]
    if not len(longest):
        return Missing("needs 1 streamed answer with two chunks, has 0", 0, "s")
    value = float(longest.max())
    return Estimate(value, value, math.inf, LEVEL, len(longest), "s", "largest of streamed answers; no upper bound")


def _streamed(trial: Trial) -> Mask:
    """Counted requests with at least one gap."""
    return np.asarray(trial.is_counted & (trial.pauses.stream_s > 0))
