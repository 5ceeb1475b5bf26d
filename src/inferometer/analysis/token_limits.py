# SPDX-License-Identifier: Apache-2.0
"""What an examination of token limits came to: the file `limits.json` in its folder."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from inferometer.analysis.cutting import Cutting
from inferometer.analysis.effective import Effective
from inferometer.analysis.finding import Bound, Row
from inferometer.analysis.number import Number, number_of
from inferometer.analysis.reach import Part
from inferometer.analysis.window import Window
from inferometer.stats import LEVEL, Estimate, Missing

SCHEMA = "inferometer/explain-limits/1"
FILE = "limits.json"

Outcome = Literal["given", "shortened", "ended", "refused", "lost"]


class Output(msgspec.Struct, frozen=True):
    """An answer of so many tokens, asked for after a prompt of `n_prompt`.

    `what`: all that was asked for came; it was cut short; the model ended it itself; it was refused; nothing came.
    `is_forced`: the end of the text was forbidden, so that only the server could end it.
    """

    n_prompt: int
    n_asked: int
    what: Outcome
    n_given: int | None = None
    finish: str = ""
    said: str = ""
    is_forced: bool = False


class Speed(msgspec.Struct, frozen=True):
    """One request at a time, at this length. `kv_ratio`: share of the KV cache in use at most, by the server's gauge;
    `memory_bytes`: of its processes, right after."""

    n_tokens: int
    ttft: Number
    tpot: Number
    kv_ratio: Number
    memory_bytes: Number


class LimitsExamination(msgspec.Struct, frozen=True):
    """`outputs`: answers asked for, the longest last; `overflow`: one that together with its prompt was too long.
    `far`: what becomes of a prompt far beyond the limit. `reach`: parts of prompts that reach the model, by length;
    `control`: of short ones. `counts_by`: who counted prompts."""

    row: Row
    window: Window
    far: str
    overflow: Output | None
    outputs: list[Output]
    control: list[Part]
    reach: list[Part]
    effective: Effective | None
    speeds: list[Speed]
    cutting: Cutting | None
    counts_by: str
    n_counts: int
    seconds: float
    budget_s: float
    created: str
    engine: dict[str, Any]
    host: dict[str, Any]
    versions: dict[str, Any]
    stopped: str = ""
    schema: str = SCHEMA

    @property
    def longest_output(self) -> Output | None:
        """The longest answer that came."""
        came = [one for one in self.outputs if one.n_given]
        return max(came, key=lambda one: one.n_given or 0, default=None)


def headline_of(window: Window, effective: Effective | None) -> tuple[str, Number, Bound | None]:
    """The effective length where it is known, held against the window; else the window against what is advertised."""
    longest = window.longest
    if effective is not None and effective.threshold is not None and effective.length.value is not None:
        bound = None if longest is None else Bound(float(longest), "tokens", "longest prompt that is taken", "measured")
        return "length up to which answers stay right", effective.length, bound
    figure: Estimate | Missing = Missing(window.why or "no prompt was taken", window.n_requests, "tokens")
    if longest is not None:
        upper = float(window.beyond.n_sent - 1) if window.beyond is not None else math.inf
        figure = Estimate(float(longest), float(longest), upper, LEVEL, window.n_requests, "tokens", "halving")
    told = window.advertised
    bound = (
        None
        if told is None
        else Bound(float(told), "tokens", "the longest prompt that the server tells", "its own routes")
    )
    return "longest prompt that is taken whole", number_of(figure), bound
