# SPDX-License-Identifier: Apache-2.0
"""Where a request's time goes: `latency.json` of an examination. Parts of latencies load by load, the law of the
engine's iterations, its stalls, and the resource that there is too little of.

Pure: what was measured comes in as splits and numbers; causes are named by latency_findings.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inferometer.analysis.finding import Bound, Row
from inferometer.analysis.iteration_model import IterationModel
from inferometer.analysis.latency_parts import Split
from inferometer.analysis.number import Number
from inferometer.analysis.slowdown import Slowdown
from inferometer.analysis.stalls import HoldUp, Stalls
from inferometer.analysis.waiting import Waiting

SCHEMA = "inferometer/latency/1"
FILE = "latency.json"

RESOURCES: Mapping[str, str] = {
    "decode": "decode bandwidth: weights and cache are read again for every token",
    "prefill": "prefill compute: prompts, its own and those of others",
    "slots": "slots: requests wait until one is free",
    "threads": "HTTP threads: requests wait before the server counts them",
    "client": "the client: it sends late",
    "stalls": "stalls: streams stand still",
    "throttling": "throttling: the same work takes longer than at the beginning",
}


class LoadRow(msgspec.Struct, frozen=True):
    """A run of the examination. `begun_s`: of the examination; `n_output`: tokens of an answer, on average. `e2e`: the
    median over all runs of its load. `inputs`: lengths of its prompts, as for --input-tokens, "": those that are
    explained; `n_longest`: tokens of its longest."""

    name: str
    folder: str
    concurrency: int
    n_prompt: float
    n_output: float
    begun_s: float
    n_ok: int
    n_failed: int
    e2e: Number
    ttft: Split | None
    tpot: Split | None
    waiting: Waiting
    inputs: str = ""
    n_longest: float = 0.0


class Share(msgspec.Struct, frozen=True):
    """A resource, and the share of a mean request's time that goes to it or to waiting for it."""

    resource: str
    share: float
    seconds: float


class LatencyExamination(msgspec.Struct, frozen=True):
    """`operating`: name of the load that is explained, `alone` of that nobody is beside; "": was not measured. `shares`
    of its requests' time, largest first; `resource`: which binds, a key of RESOURCES. `http_s`, `connect`: see
    latency_parts. `held_up`, `slowdown`: None where not told, and why is in the row. `doubts`: what the verdict on the
    explained run says against it."""

    row: Row
    loads: list[LoadRow]
    operating: str
    alone: str
    model: IterationModel | None
    http_s: float | None
    connect: Number
    shares: list[Share]
    resource: str
    stalls: Stalls | None
    held_up: HoldUp | None
    slowdown: Slowdown | None
    doubts: list[str] = []
    engine: dict[str, Any] = {}
    plan: dict[str, Any] = {}
    host: dict[str, Any] = {}
    versions: dict[str, Any] = {}
    created: str = ""
    budget_s: float = 0.0
    schema: str = SCHEMA

    def load(self, name: str) -> LoadRow | None:
        return next((load for load in self.loads if load.name == name), None)


def shares_of(load: LoadRow, *, is_unheard: bool) -> list[Share]:
    """Of a mean request: its first token, and every further one. `is_unheard`: what waits does so before the server.

    What no part claims is nobody's.
    """
    ttft, tpot = load.ttft, load.tpot
    if ttft is None:
        return []
    waits_s = ttft.seconds("queue") + (max(ttft.residual.value or 0.0, 0.0) if is_unheard else 0.0)
    found = {
        "client": ttft.seconds("connect", "client"),
        "threads" if is_unheard else "slots": waits_s,
        "prefill": ttft.seconds("prefill"),
        "decode": ttft.seconds("first decode"),
        "stalls": 0.0,
    }
    n_more = max(load.n_output - 1, 0.0)
    whole_s = ttft.measured.value or 0.0
    if tpot is not None:
        found["decode"] += n_more * tpot.seconds("floor", "batch", "context")
        found["prefill"] += n_more * tpot.seconds("interference")
        found["stalls"] += n_more * tpot.seconds("stalls")
        whole_s += n_more * (tpot.measured.value or 0.0)
    shares = [Share(name, seconds / whole_s if whole_s else 0.0, seconds) for name, seconds in found.items()]
    return sorted(shares, key=lambda one: -one.share)


def row_of(operating: LoadRow | None, alone: LoadRow | None, row: Row) -> Row:
    """The row with its figure: a whole request under the load, held against one that nobody is beside."""
    if operating is None:
        return row
    headline = (
        f"a request of {operating.n_prompt:,.0f} tokens, answered with {operating.n_output:,.0f}, "
        f"with {operating.concurrency} in flight, p50"
    )
    bound = None
    if alone is not None and alone.e2e.value is not None and operating.concurrency > 1:
        bound = Bound(alone.e2e.value, "s", "the same alone", f"measured: {alone.folder}")
    return msgspec.structs.replace(row, headline=headline, figure=operating.e2e, bound=bound)
