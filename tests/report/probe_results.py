# SPDX-License-Identifier: Apache-2.0
"""Sweeps and limit searches, written by hand."""

from __future__ import annotations

from tests.analysis.points import number, point

from inferometer.analysis.curve import Sweep, drift_of, law_of, marked
from inferometer.analysis.limit import LimitSearch, LoadRow, LookRow
from inferometer.analysis.number import Number
from inferometer.stats.usl import usl

ENGINE = {"title": "llama.cpp", "version": "b6712", "model": "reader"}
PLAN = {"input_tokens": "128", "output_tokens": "uniform:32-64"}
FACTS = {"engine": ENGINE, "plan": PLAN, "host": {}, "versions": {}, "created": "2026-11-30T10:00:00+00:00"}
LOADS = (1, 2, 4, 8, 16, 32)


def sweep() -> Sweep:
    """In closed loop, with a law, a point that is suspect, one that was too short, and a drift."""
    points = [point(load, usl(load, 10, 0.2, 0.001)) for load in LOADS]
    points[0] = point(1, 10, verdict="suspect", reasons=["ramp"])
    points[3] = point(8, usl(8, 10, 0.2, 0.001), short="57 requests, needs 80")
    points = marked(points)
    again = point(1, 8.5, is_repeat=True)
    return Sweep(
        kind="concurrency",
        is_auto=False,
        loads=[float(load) for load in LOADS],
        points=[*points, again],
        slo="ttft<500ms",
        seconds=252.0,
        law=law_of(points),
        drift=drift_of(points[0], again),
        **FACTS,
    )


def sweep_over_rates() -> Sweep:
    """It ended at saturation: the last point has no throughput that could be believed."""
    nothing = Number(None, None, None, 0, "1/s", missing="not stationary")
    points = [
        point(2, 2.0),
        point(3, 3.0, ttft_p99=Number(0.2, 0.1, None, 150, "s")),
        point(
            4,
            3.6,
            request_throughput=nothing,
            limit="the queue grows: requests in flight rise by 12.0",
            resource="memory: the cache is full",
        ),
    ]
    return Sweep(
        kind="rate",
        is_auto=False,
        loads=[2.0, 3.0, 4.0, 8.0],
        points=points,
        slo="",
        seconds=64.0,
        stopped="4/s is more than it sustains",
        no_law="it is one of requests in flight",
        **FACTS,
    )


def limit() -> LimitSearch:
    """Found, with a bracket around it and a look that the client spoiled."""
    looks = [
        LookRow(4.0, "points/002-r4", "scout", 60, 60.0, 1.0, {"ttft<500ms": 0}, "", 12.0, []),
        LookRow(11.0, "points/005-r11", "narrow", 2_805, 800.0, 0.992, {"ttft<500ms": 22}, "", 88.0, []),
        LookRow(12.0, "points/007-r12", "narrow", 1_020, 61.0, 0.971, {"ttft<500ms": 30}, "", 88.0, []),
        LookRow(13.0, "points/008-r13", "narrow", 1_105, 22.0, 0.88, {"ttft<500ms": 133}, "", 88.0, []),
        LookRow(13.0, "points/009-r13", "narrow", 1_098, 20.0, 0.41, {"ttft<500ms": 648}, "", 88.0, ["late_sends"]),
    ]
    loads = [
        LoadRow(4.0, 1, 60, 1.0, "undecided"),
        LoadRow(11.0, 1, 2_805, 0.992, "holds"),
        LoadRow(12.0, 1, 1_020, 0.971, "undecided"),
        LoadRow(13.0, 2, 1_105, 0.88, "fails"),
    ]
    return LimitSearch(
        kind="rate",
        slo="ttft<500ms,tpot<50ms",
        preset="",
        source="",
        attainment=0.95,
        confidence=0.95,
        safe_share=0.9,
        limit=number(12.3, "1/s", half=0.035),
        safe=11.0,
        holds=11.0,
        fails=13.0,
        binding="ttft<500ms",
        alone_share=number(1.0, "ratio"),
        stopped="",
        budget_s=900,
        seconds=641,
        loads=loads,
        looks=looks,
        notes=["1 of 5 runs is invalid: late_sends"],
        slope=14.0,
        **FACTS,
    )


def no_limit() -> LimitSearch:
    """Not even one request at a time is within the limits."""
    return LimitSearch(
        kind="concurrency",
        slo="ttft<200ms,tpot<50ms",
        preset="chat",
        source="an example",
        attainment=0.99,
        confidence=0.95,
        safe_share=0.9,
        limit=Number(None, None, None, 0, "requests", missing="requests one at a time miss ttft<200ms"),
        safe=None,
        holds=None,
        fails=None,
        binding="",
        alone_share=number(0.4, "ratio"),
        stopped="requests one at a time miss ttft<200ms: no load can meet it",
        budget_s=900,
        seconds=8,
        loads=[],
        looks=[],
        notes=[],
        **FACTS,
    )
