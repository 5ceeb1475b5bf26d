# SPDX-License-Identifier: Apache-2.0
"""The screen of how an engine scales."""

from __future__ import annotations

from tests.analysis.points import number, point
from tests.analysis.scale_test import WAITS, findings, overload

from inferometer.analysis import scale as scaling
from inferometer.analysis.curve import law_of, marked
from inferometer.analysis.number import Number
from inferometer.analysis.scale import Context, Prefix, ScaleExamination
from inferometer.report import explain_scale as scale_report

ENGINE = {"title": "llama.cpp", "version": "b6712", "model": "reader"}
PLAN = {"input_tokens": "128", "output_tokens": "uniform:32-64"}
FACTS = {"engine": ENGINE, "plan": PLAN, "host": {}, "versions": {}, "created": "2026-11-30T10:00:00+00:00"}
LOADS = (1, 2, 4, 8, 16, 32)


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
    text = scale_report.render(examination, folder="runs/scale", width=100)
    golden("scale-100.txt", text)
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100
