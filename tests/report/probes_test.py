# SPDX-License-Identifier: Apache-2.0
"""The screens of a sweep and of a limit search."""

from __future__ import annotations

from tests.analysis.points import number, point
from tests.analysis.scale_test import WAITS, findings, overload

from inferometer.analysis import scale as scaling
from inferometer.analysis.curve import Sweep, drift_of, law_of, marked
from inferometer.analysis.limit import LimitSearch, LoadRow, LookRow
from inferometer.analysis.number import Number
from inferometer.analysis.scale import Context, Prefix, ScaleExamination
from inferometer.report import explain_scale as scale_report
from inferometer.report import limit as limit_report
from inferometer.report import sweep as sweep_report
from inferometer.stats.usl import usl

ENGINE = {"title": "llama.cpp", "version": "b6712", "model": "reader"}
PLAN = {"input_tokens": "128", "output_tokens": "uniform:32-64"}
FACTS = {"engine": ENGINE, "plan": PLAN, "host": {}, "versions": {}, "created": "2026-11-30T10:00:00+00:00"}
LOADS = (1, 2, 4, 8, 16, 32)


def checked(golden, name, text, width):
    golden(name, text)
    assert text.isascii()
    assert all(len(line) <= width for line in text.splitlines() if not line.startswith(("folder", "next")))


def test_a_sweep(golden):
    points = [point(load, usl(load, 10, 0.2, 0.001)) for load in LOADS]
    points[0] = point(1, 10, verdict="suspect", reasons=["ramp"])
    points[3] = point(8, usl(8, 10, 0.2, 0.001), short="57 requests, needs 80")
    points = marked(points)
    again = point(1, 8.5, is_repeat=True)
    sweep = Sweep(
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
    checked(golden, "sweep-100.txt", sweep_report.render(sweep, folder="runs/sweep", width=100), 100)


def test_a_sweep_over_rates_that_ended_at_saturation(golden):
    points = [
        point(2, 2.0),
        point(4, 3.6, limit="the queue grows: requests in flight rise by 12.0", resource="memory: the cache is full"),
    ]
    sweep = Sweep(
        kind="rate",
        is_auto=False,
        loads=[2.0, 4.0, 8.0],
        points=points,
        slo="",
        seconds=64.0,
        stopped="4/s is more than it sustains",
        no_law="it is one of requests in flight",
        **FACTS,
    )
    checked(golden, "sweep-rate-100.txt", sweep_report.render(sweep, folder="runs/sweep", width=100), 100)


def test_a_limit(golden):
    looks = [
        LookRow(12.0, "points/007-r12", "narrow", 1_020, 61.0, 0.971, {"ttft<500ms": 30}, "", 88.0, []),
        LookRow(13.0, "points/008-r13", "narrow", 1_105, 22.0, 0.88, {"ttft<500ms": 133}, "", 88.0, ["late_sends"]),
    ]
    loads = [
        LoadRow(11.0, 3, 2_805, 0.992, "holds"),
        LoadRow(12.0, 1, 1_020, 0.971, "undecided"),
        LoadRow(13.0, 1, 1_105, 0.88, "fails"),
    ]
    found = LimitSearch(
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
        notes=["1 of 2 runs are invalid: late_sends"],
        **FACTS,
    )
    checked(golden, "limit-100.txt", limit_report.render(found, folder="runs/limit", width=100), 100)


def test_no_limit(golden):
    found = LimitSearch(
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
    checked(golden, "limit-none-100.txt", limit_report.render(found, folder="runs/limit", width=100), 100)


def test_how_it_scales(golden):
    throughputs = (10, 19, 35, 60, 61, 61)
    points = [point(n, x, resource=WAITS if n > 8 else "") for n, x in zip(LOADS, throughputs, strict=True)]
    points = marked(points)
    plateau, load = scaling.plateau_of(points)
    surge = overload(word="queues", worst=number(4.0), counts={"ok": 580, "shed": 0, "failed": 0, "unfinished": 2})
    found = findings(points, running=8.0, overload=surge)
    missed = ["throughput with long prompts: no time was left"]
    examination = ScaleExamination(
        row=scaling.row_of(plateau, load, surge, found, missed, seconds=174.0, n_requests=2_345),
        points=points,
        ended="two doublings brought less than a tenth each",
        plateau=plateau,
        plateau_load=load,
        speedup=scaling.speedup_of(points, plateau),
        running=8.0,
        law=law_of(points),
        no_law="",
        overload=surge,
        prefix=Prefix(512, 460, number(0.35, "ratio", half=0.1), number(0.89, "ratio")),
        context=Context(
            128,
            512,
            number(3.1, "ratio", half=0.05),
            number(1.02, "ratio"),
            number(0.00011, "s/token", half=0.1),
            Number(None, None, None, 0, "ratio", missing="no time was left"),
        ),
        seconds=174.0,
        **FACTS,
    )
    checked(golden, "scale-100.txt", scale_report.render(examination, folder="runs/scale", width=100), 100)
