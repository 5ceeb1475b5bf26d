# SPDX-License-Identifier: Apache-2.0
"""Turns of a choice, written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.analysis.contest import Terms
from inferometer.analysis.turn import SCALES, Held, Point, Turn

# Relative to 1: what rounds differ by. All candidates share the first factor, as they share the machine.
DRIFT = (1.0, 1.1, 0.95, 1.05, 1.0, 0.9, 1.02, 0.97)
OWN = (0.99, 1.01, 1.005, 0.995, 1.0, 1.01, 0.99, 1.0)


def point(goodput: float, *, load: float = 4.0, workload: int = 0, share: float = 1.0, **changes: Any) -> Point:
    """So many requests per second within the limits, within half of them, and within twice as many."""
    n_met = round(400 * share)
    held = {scale: Held(goodput, 400, n_met, 400.0) for scale in SCALES}
    fields: dict[str, Any] = {"measures": {"ttft": 0.1, "tpot": 0.02, "e2e": 1.0}, "folder": f"points/c{load:g}"}
    return Point(workload, load, held, **(fields | changes))


def turns(candidate: int, goodputs: Mapping[float, float], n_rounds: int, **changes: Any) -> list[Turn]:
    """Rounds of one candidate: goodput by load, times what the round and the start happened to be."""
    found = []
    for i in range(n_rounds):
        factor = DRIFT[i] * OWN[(i + 3 * candidate) % len(OWN)]
        points = tuple(point(goodput * factor, load=load) for load, goodput in goodputs.items())
        fields: dict[str, Any] = {"start_s": 2.0, "memory_bytes": 1e9, "seconds": 10.0}
        found.append(Turn(candidate, i + 1, points, **(fields | changes)))
    return found


def terms(n: int, *, loads: Sequence[float] = (4.0,), n_workloads: int = 1, **changes: Any) -> Terms:
    fields: dict[str, Any] = {
        "attainment": 0.95,
        "tolerance": 0.05,
        "weights": {"throughput": 1.0},
        "divisors": (1.0,) * n,
        "ease": (None,) * n,
    }
    return Terms(loads=tuple(loads), n_workloads=n_workloads, **(fields | changes))
