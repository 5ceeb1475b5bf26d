# SPDX-License-Identifier: Apache-2.0
"""What a limit search came to: the file `limit.json` in its folder, beside the runs that it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from inferometer.analysis.number import Number
from inferometer.analysis.turn import SPOILED_BY
from inferometer.stats import Estimate, FloatArray, Missing
from inferometer.stats.shares import wilson
from inferometer.stats.threshold import shares_at

SCHEMA = "inferometer/limit/1"
FILE = "limit.json"
NEAR = 1.25  # looks within this factor of the limit are fitted: further away no curve is logistic
_N_DRAWN = 81  # points of a curve


class LookRow(msgspec.Struct, frozen=True):
    """One run of the search. `n_worth`: independent requests that its own are worth; `growth`: how the queue grew;
    `reasons`: for which it is invalid."""

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

    @property
    def is_spoiled(self) -> bool:
        """The client was in the way, so that it says nothing of the server."""
        return any(code in SPOILED_BY for code in self.reasons)


class LoadRow(msgspec.Struct, frozen=True):
    """All looks at one load; `n` and `share` of those that the client did not spoil. `verdict`: holds, fails or
    undecided."""

    load: float
    n_looks: int
    n: int
    share: float | None
    verdict: str


class LimitSearch(msgspec.Struct, frozen=True):
    """`limit`: where the share of requests within all limits falls to `attainment`. `safe`: the highest load that was
    shown to hold it, at most `safe_share` of the limit; `holds`, `fails`: the highest and lowest shown to.
    `binding`: the limit that most requests near it missed. `alone_share`: of requests one at a time. `notes`: what
    stands between these numbers and the truth. `stopped`: why it ended early, "": it did not. `slope`: of the fitted
    curve at the limit, per e-fold of load; None: nothing was fitted."""

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
    slope: float | None = None
    schema: str = SCHEMA

    def attained(self, load: float) -> Estimate | Missing:
        """The share of requests within all limits over all looks at a load that the client did not spoil, with the
        interval that they are worth."""
        return share_of([look for look in self.looks if look.load == load and not look.is_spoiled])

    @property
    def curve(self) -> tuple[FloatArray, FloatArray] | None:
        """Loads near the limit, and the share that the fitted curve says of each; None where nothing was fitted."""
        if self.limit.value is None or self.slope is None:
            return None
        loads = np.geomspace(self.limit.value / NEAR, self.limit.value * NEAR, _N_DRAWN)
        return loads, shares_at(loads, self.limit.value, self.slope, self.attainment)


def share_of(looks: Sequence[LookRow]) -> Estimate | Missing:
    """Of some looks together."""
    n_met = round(sum(look.n * (look.share or 0.0) for look in looks))
    n, n_worth = sum(look.n for look in looks), sum(look.n_worth for look in looks)
    return wilson(n_met, n, n_eff=n_worth, of="requests")
