# SPDX-License-Identifier: Apache-2.0
"""What a limit search came to: the file `limit.json` in its folder, beside the runs that it is made of."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from inferometer.analysis.number import Number

SCHEMA = "inferometer/limit/1"
FILE = "limit.json"


class LookRow(msgspec.Struct, frozen=True):
    """One run of the search. `n_worth`: independent requests that its own are worth; `growth`: how the queue grew."""

    load: float
    folder: str
    stage: str
    n: int
    n_worth: float
    share: float | None
    misses: dict[str, int]
    growth: str
    seconds: float
    reasons: list[str]


class LoadRow(msgspec.Struct, frozen=True):
    """All looks at one load. `verdict`: holds, fails or undecided."""

    load: float
    n_looks: int
    n: int
    share: float | None
    verdict: str


class LimitSearch(msgspec.Struct, frozen=True):
    """`limit`: where the share of requests within all limits falls to `attainment`. `safe`: the highest load that was
    shown to hold it, at most `safe_share` of the limit; `holds`, `fails`: the highest and lowest shown to.
    `binding`: the limit that most requests near it missed. `alone_share`: of requests one at a time. `notes`: what
    stands between these numbers and the truth. `stopped`: why it ended early, "": it did not."""

    kind: Literal["rate", "concurrency"]
    slo: str
    preset: str
    source: str
    attainment: float
    confidence: float
    safe_share: float
    limit: Number
    safe: float | None
    holds: float | None
    fails: float | None
    binding: str
    alone_share: Number
    stopped: str
    budget_s: float
    seconds: float
    loads: list[LoadRow]
    looks: list[LookRow]
    notes: list[str]
    created: str
    engine: dict[str, Any]
    plan: dict[str, Any]
    host: dict[str, Any]
    versions: dict[str, Any]
    schema: str = SCHEMA
