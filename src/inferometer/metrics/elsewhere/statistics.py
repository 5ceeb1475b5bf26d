# SPDX-License-Identifier: Apache-2.0
"""A run as another tool would have reported it: its own words, its own statistics, no interval, for it has none.

Only for tools whose statistics were looked up in their sources (`Tool.prints`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.metrics.elsewhere.answers import Answers, Untold
from inferometer.metrics.elsewhere.definition import DEFINITIONS, Definition, Tool, values
from inferometer.records import Trace
from inferometer.stats import FloatArray, Missing

_PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Told:
    """One definition and what the tool would have printed: statistic -> number, or why it cannot be told.

    Of a success there is one statistic, "successes"; of a number of the run "value".
    """

    definition: Definition
    n: int
    statistics: dict[str, float] | Missing


@dataclass(frozen=True, slots=True)
class ElsewhereReport:
    """`n_requests`: those that ended; what was still open has no counterpart elsewhere."""

    tool: Tool
    n_requests: int
    told: tuple[Told, ...]


def report_as(tool: Tool, trace: Trace) -> ElsewhereReport:
    """Every definition of a tool applied to the records of a run."""
    answers = Answers(trace)
    told = tuple(_told(each, answers) for each in DEFINITIONS if each.tool == tool)
    return ElsewhereReport(tool, len(answers.requests), told)


def _told(asked: Definition, answers: Answers) -> Told:
    found = values(asked, answers)
    if isinstance(found, Missing):
        return Told(asked, found.n, found)
    if asked.quantity == "success":
        return Told(asked, len(found), {"successes": float(found.sum())})
    if asked.per == "run":
        return Told(asked, 1, {"value": float(found[0])})
    weights = _weights(asked, answers)
    if isinstance(weights, Missing):
        return Told(asked, weights.n, weights)
    return Told(asked, len(found), {name: _statistic(name, found, weights, asked.tool) for name in asked.tool.prints})


def _weights(asked: Definition, answers: Answers) -> FloatArray | Missing | None:
    """Of the values that there are; None: 1 each."""
    if asked.weights is None:
        return None
    try:
        return asked.weights(answers)[~np.isnan(asked.fn(answers))]
    except Untold as untold:
        return Missing(f"needs {untold}", len(answers.requests), asked.unit)


def _statistic(name: str, found: FloatArray, weights: FloatArray | None, tool: Tool) -> float:
    if name == "mean":
        return float(np.average(found, weights=weights))
    if name in ("min", "max"):
        return float(found.min() if name == "min" else found.max())
    q = _PERCENTILES[name]
    if tool.percentile == "linear":
        return float(np.quantile(found, q))
    order = np.argsort(found, kind="stable")
    shares = np.cumsum(np.ones(len(found)) if weights is None else weights[order])
    return float(found[order][np.searchsorted(shares / shares[-1], q, side="left")])
