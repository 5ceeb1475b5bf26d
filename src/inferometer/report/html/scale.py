# SPDX-License-Identifier: Apache-2.0
"""How an engine scales, drawn: throughput over requests in flight with the law through it, and what a request takes."""

from __future__ import annotations

import math

import numpy as np

from inferometer.analysis.curve import Law, Point
from inferometer.analysis.number import Number
from inferometer.analysis.scale import ScaleExamination
from inferometer.report.figures import figure_text
from inferometer.report.html.axis import Axis, axis
from inferometer.report.html.chart import End, Flag, Panel, dots, level, line
from inferometer.report.html.element import Element, h
from inferometer.report.html.figure import Data, figure
from inferometer.stats import FloatArray
from inferometer.stats.usl import usl

_N_DRAWN = 60  # points of the law's curve


def scale_figures(found: ScaleExamination) -> tuple[Element | None, ...]:
    """Nothing where there are too few loads to draw a line through."""
    known = [point for point in found.points if point.request_throughput.value]
    if len(known) < 2:
        return ()
    return (h("div", _throughput(found, known), _latency(known), class_="pair"),)


def _throughput(found: ScaleExamination, points: list[Point]) -> Element:
    loads, values = _column(points, "load"), _numbers([point.request_throughput for point in points])
    highs = _numbers([point.request_throughput for point in points], "hi")
    x = _loads(loads)
    y = axis("Requests answered per second", 0.0, float(np.nanmax([values, highs])), is_rounded=True)
    marks = [*_intervals(x, y, points), line(x, y, loads, values, "s1"), dots(x, y, loads, values, "s1")]
    ends = [End(float(values[-1]), "measured", "s1")]
    if found.law is not None:
        at, fitted = _law(found.law, loads)
        marks.append(line(x, y, at, fitted, "s2", is_dashed=True))
        ends.append(End(float(fitted[-1]), "law", "s2"))
    flags = _knee(found.law, loads)
    if found.plateau.value:
        marks.append(level(y, found.plateau.value, "muted"))
    shown = f"Throughput rises to {figure_text(found.plateau.figure)} with {found.plateau_load:g} requests in flight."
    panel = Panel(x, y, tuple(marks), shown, tuple(flags), tuple(ends), is_one_row=True)
    data = Data(
        "scale",
        (
            ("in flight", loads),
            ("requests/s", values),
            ("lo", _numbers([p.request_throughput for p in points], "lo")),
            ("hi", highs),
            ("ttft p50 s", _numbers([p.ttft_p50 for p in points])),
            ("tpot p50 s", _numbers([p.tpot_p50 for p in points])),
        ),
    )
    note = "" if found.law is None else "Dashed: the Universal Scalability Law; the bar at the knee is its interval."
    return figure("Throughput", [panel], data, note or f"No law was fitted: {found.no_law}.")


def _latency(points: list[Point]) -> Element:
    loads = _column(points, "load")
    ttft, tpot = (_numbers([getattr(point, name) for point in points]) for name in ("ttft_p50", "tpot_p50"))
    x = _loads(loads)
    panels = []
    for name, values, colour in (("Time to first token, median", ttft, "s1"), ("Time per output token", tpot, "s3")):
        if not np.isfinite(values).any():
            continue
        most = float(np.nanmax(values))
        y = axis(name, 0.0, most, unit="s", is_rounded=True, n_steps=3)
        marks = (line(x, y, loads, values, colour), dots(x, y, loads, values, colour))
        panels.append(Panel(x, y, marks, f"{name} over requests in flight.", height_rem=5.0, has_x=False))
    if not panels:
        return h("p", "No load has a latency.", class_="note")
    panels[-1] = Panel(x, panels[-1].y, panels[-1].marks, panels[-1].shown, height_rem=5.0)
    return figure(
        "What a request takes",
        panels,
        Data("scale-latency", (("in flight", loads), ("ttft s", ttft), ("tpot s", tpot))),
    )


def _loads(loads: FloatArray) -> Axis:
    return axis("Requests in flight", float(loads.min()), float(loads.max()), is_log=True)


def _law(law: Law, loads: FloatArray) -> tuple[FloatArray, FloatArray]:
    at = np.geomspace(loads.min(), loads.max(), _N_DRAWN)
    parameters = [number.value or 0.0 for number in (law.gamma, law.alpha, law.beta)]
    return at, np.array([usl(float(load), *parameters) for load in at])


def _knee(law: Law | None, loads: FloatArray) -> list[Flag]:
    if law is None or law.knee_load.value is None or not loads.min() <= law.knee_load.value <= loads.max():
        return []
    knee = law.knee_load
    lo, hi = (math.nan if bound is None else bound for bound in (knee.lo, knee.hi))
    return [Flag(knee.value or 0.0, f"knee {knee.value:.3g}", "s4", is_dashed=True, lo=lo, hi=hi)]


def _intervals(x: Axis, y: Axis, points: list[Point]) -> list[Element]:
    """A line from the lower to the upper end of each."""
    return [
        line(x, y, np.array([point.load, point.load]), np.array([number.lo, number.hi]), "s0")
        for point in points
        if (number := point.request_throughput).lo is not None and number.hi is not None
    ]


def _column(points: list[Point], name: str) -> FloatArray:
    return np.array([getattr(point, name) for point in points], np.float64)


def _numbers(numbers: list[Number], which: str = "value") -> FloatArray:
    found = [getattr(number, which) for number in numbers]
    return np.array([math.nan if value is None else value for value in found], np.float64)
