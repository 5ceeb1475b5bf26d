# SPDX-License-Identifier: Apache-2.0
"""Sides made of simulated runs: a healthy closed loop, slower by a factor, with the facts that a manifest has."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "metrics"))
from traces import closed_loop

from inferometer.analysis.side import Member, Side
from inferometer.records import NEVER, Trace

PLAN = {
    "mode": "closed",
    "law": "closed loop, 4 in flight",
    "concurrency": 4,
    "n_requests": 120,
    "input_tokens": "128",
    "output_tokens": "10",
    "seed": 0,
    "digest": "3f786850e387550f",
    "is_streamed": True,
    "n_trials": 1,
}
ENGINE = {"title": "llama.cpp", "version": "b1", "model": "tiny", "settings": {}}
HOST = {"cpu": "some cpu", "n_cores_usable": 8, "memory_bytes": 2**35, "os": "Linux"}


def slowed(trace: Trace, factor: float) -> Trace:
    """Every duration longer by a factor."""
    for table in (trace.requests, trace.chunks):
        for name in table.dtype.names:
            if name.startswith("t_"):
                came = table[name] != NEVER
                table[name][came] = np.round(table[name][came] * factor)
    return trace


def make_member(path: str = "run", *, factor: float = 1.0, seed: int = 1, **facts: Any) -> Member:
    """`facts`: parts of the manifest that differ: plan={...}, engine={...}, host={...}, state="running", or columns."""
    plan, engine, host = (
        base | facts.pop(name, {}) for name, base in (("plan", PLAN), ("engine", ENGINE), ("host", HOST))
    )
    columns = {name: facts.pop(name) for name in list(facts) if name.startswith(("n_", "outcome"))}
    meta = {"state": "finished", "engine": engine, "host": host, "created": f"2026-11-30T0{seed % 10}:00", **facts}
    trace = slowed(closed_loop(120, seed=seed, plan=plan, meta=meta, **columns), factor)
    return Member.of(path, trace)


@pytest.fixture(scope="session")
def member() -> Callable[..., Member]:
    return make_member


@pytest.fixture(scope="session")
def side() -> Callable[..., Side]:
    """`side("A", n=5, factor=1.05, first_seed=1, ...)`: so many runs, each with a seed of its own."""

    def make(title: str = "A", *, n: int = 5, factor: float = 1.0, first_seed: int = 1, **facts: Any) -> Side:
        names = [f"{title}/{i}" for i in range(n)]
        return Side(
            title,
            tuple(make_member(name, factor=factor, seed=first_seed + i, **facts) for i, name in enumerate(names)),
        )

    return make
