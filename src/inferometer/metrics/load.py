# SPDX-License-Identifier: Apache-2.0
"""The load of a trial: requests in flight, Little's law, offered against delivered rate."""

from __future__ import annotations

import numpy as np

from inferometer.metrics.registry import metric
from inferometer.metrics.trial import Trial
from inferometer.metrics.window import Spans, flights, too_short
from inferometer.records import NEVER, Array
from inferometer.stats import Estimate, Missing, exact, ratio_estimate
from inferometer.units import NS_PER_S

N_SLICES = 20


@metric(unit="requests", better="none", per="run")
def in_flight(trial: Trial) -> Estimate | Missing:
    """Mean number of requests in flight (sent to end), as a time integral over the steady window."""
    window = trial.steady
    if window.span_s <= 0:
        return Missing("needs a window of some length, has an instant", 0, "requests")
    means = flights(trial.requests, window.t_end_ns).means(window.edges_ns(N_SLICES))
    n_sent = int((trial.requests["t_sent_ns"] != NEVER).sum())
    return ratio_estimate(means, np.ones(N_SLICES), unit="requests", n=n_sent, of="time integral, steady window")


@metric(unit="ratio", better="none", per="run")
def little_law(trial: Trial) -> Estimate | Missing:
    """Mean in flight / (throughput x mean time from sent to end), all over the steady window; 1 up to edge effects.

    A request that straddles an edge counts with its share inside, in the throughput and in the mean; what then is left
    is requests whose end nobody knows, or a mistake in the records.
    """
    window, rows = trial.steady, trial.requests
    rows = rows[rows["t_sent_ns"] != NEVER]
    ended = rows[rows["t_end_ns"] != NEVER]
    spent_s = (ended["t_end_ns"] - ended["t_sent_ns"]) / NS_PER_S
    spans = Spans(ended["t_sent_ns"], ended["t_end_ns"], spent_s)
    busy_s = float(spans.sums(window, 1)[0])
    if window.span_s <= 0 or busy_s <= 0:
        return Missing("needs requests that ended, and a window, has none", 0, "ratio")
    if trial.mode != "burst" and (why := too_short(window, rows)):
        return Missing(why, spans.count(window), "ratio")
    mean = float(flights(rows, window.t_end_ns).means(window.edges_ns(1))[0])
    method = "identity over the steady window; differs from 1 by requests without an end"
    return exact(mean * window.span_s / busy_s, n=spans.count(window), unit="ratio", method=method)


@metric(unit="1/s", better="none", per="run", needs="an open loop")
def offered(trial: Trial) -> Estimate | Missing:
    """Rate at which requests became due: (n - 1) / (last due - first due). Open loop only."""
    return _arrivals(trial, "t_due_ns")


@metric(unit="1/s", better="none", per="run", needs="an open loop")
def delivered(trial: Trial) -> Estimate | Missing:
    """Rate at which they were sent: (n - 1) / (last sent - first sent). Open loop only."""
    return _arrivals(trial, "t_sent_ns")


def _arrivals(trial: Trial, stamp: str) -> Estimate | Missing:
    if trial.mode != "open":
        return Missing("only an open loop offers a rate", 0, "1/s")
    t_ns: Array = trial.requests[stamp][trial.is_counted]
    t_ns = t_ns[t_ns != NEVER]
    span_s = float(np.ptp(t_ns)) / NS_PER_S if len(t_ns) else 0.0
    if span_s <= 0:
        return Missing(f"needs 2 requests at different instants, has {len(t_ns)}", len(t_ns), "1/s")
    return exact((len(t_ns) - 1) / span_s, n=len(t_ns), unit="1/s", method="count over span")
