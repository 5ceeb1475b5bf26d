# SPDX-License-Identifier: Apache-2.0
"""The registry of other tools' definitions: a function of the answers, with the tool's own word and where it was read.

Rule: a formula is that of the release named, oddities included. Nothing is corrected, and nothing filled in: what the
records do not hold makes the whole definition Missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from inferometer.metrics.elsewhere.answers import Answers, Untold
from inferometer.stats import FloatArray, Missing

Quantity = Literal[
    "success", "first_token", "first_answer", "latency", "per_token", "between", "normalized", "requests", "tokens"
]
Per = Literal["request", "gap", "run"]
Function = Callable[[Answers], FloatArray]

_UNITS: dict[Quantity, tuple[str, Per]] = {
    "success": ("ratio", "request"),
    "first_token": ("s", "request"),
    "first_answer": ("s", "request"),
    "latency": ("s", "request"),
    "per_token": ("s/token", "request"),
    "between": ("s", "gap"),
    "normalized": ("s/token", "request"),
    "requests": ("1/s", "run"),
    "tokens": ("tokens/s", "run"),
}


@dataclass(frozen=True, slots=True)
class Tool:
    """Another client: the release whose source was read, where it is published, and how it is taken to be run.

    `prints`: statistics of its own report, in our words; none: not looked up. `percentile`: linear interpolation, or
    the smallest value with at least that share of the weight at or below it.
    """

    key: str
    title: str
    version: str
    url: str
    run_as: str
    prints: tuple[str, ...] = ()
    percentile: Literal["linear", "smallest"] = "linear"


@dataclass(frozen=True, slots=True)
class Definition:
    """What one tool calls a quantity, as a formula over the answers.

    `name`: the tool's own word. `quantity`: what it is comparable with in other tools, however it is called there.
    `source`: file of the release that the formula was read in. `fn(answers)`: float64[n_requests], NaN where the tool
    has no value for a request; of gaps, all of them; of a run, one number. Raises: Untold. `weights(answers)`: how much
    each value counts in the tool's statistics, aligned with `fn`; None: 1 each.
    """

    tool: Tool
    name: str
    quantity: Quantity
    unit: str
    per: Per
    formula: str
    source: str
    fn: Function
    weights: Function | None = None


DEFINITIONS: list[Definition] = []  # by tool, in the order of its file; filled by the decorator at import


def definition(
    tool: Tool, name: str, quantity: Quantity, formula: str, source: str, weights: Function | None = None
) -> Callable[[Function], Function]:
    """Register a function as what `tool` calls `name`; the function itself stays as it is."""

    def register(fn: Function) -> Function:
        unit, per = _UNITS[quantity]
        DEFINITIONS.append(Definition(tool, name, quantity, unit, per, formula, source, fn, weights))
        return fn

    return register


def definitions_of(tool: str, quantity: Quantity) -> list[Definition]:
    """What a tool has for a quantity: none, one, or several under different names."""
    return [each for each in DEFINITIONS if each.tool.key == tool and each.quantity == quantity]


def values(asked: Definition, answers: Answers) -> FloatArray | Missing:
    """What a tool would have had for its statistics, given these bytes at these instants. Shapes: float64[n]."""
    n_requests = len(answers.requests)
    if not n_requests:
        return Missing("needs a request that ended", 0, asked.unit)
    if not answers.is_streamed:
        return Missing("needs streamed answers", n_requests, asked.unit)
    try:
        found = asked.fn(answers)
    except Untold as untold:
        return Missing(f"needs {untold}", n_requests, asked.unit)
    found = found[~np.isnan(found)]
    return found if len(found) else Missing("this tool has no value for any of these answers", 0, asked.unit)
