# SPDX-License-Identifier: Apache-2.0
"""The page of a sweep: what more load buys and costs, where it stops, every point with what is wrong with it.

Rule: as on every page, numbers are the result's; here are only places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from inferometer.analysis.curve import Point, Sweep, throughputs_by_law
from inferometer.analysis.number import Number
from inferometer.metrics.slo import Limit, parse_limits
from inferometer.report.figures import PLAIN, scale_of
from inferometer.report.html.axis import Axis, axis
from inferometer.report.html.chart import End, Flag, Label, Panel, level, line
from inferometer.report.html.element import Element, h
from inferometer.report.html.facts import provenance
from inferometer.report.html.figure import Data, figure, save_link
from inferometer.report.html.page import Section, page
from inferometer.report.html.series import LOG_FROM, Series, axis_over, marks_of
from inferometer.report.html.words import TITLES, Cell, number_cell, tile, top, unit_of, verdict_box, with_unit
from inferometer.report.html.words import table as table_of
from inferometer.report.probe_table import point_columns, point_rows
from inferometer.report.sweep import asked_parts, drift_text, headline, law_parts, load_text, loads_text, remarks
from inferometer.stats import Estimate, FloatArray
from inferometer.units import format_span

_N_DRAWN = 121  # points of a curve
MIN_GAP = 0.09  # of the axis, between words of which each names a load
_BARS = "Bars: 95 % intervals; dashed: no end in this sample."
_LATENCIES: tuple[tuple[str, str, Callable[[Point], Number]], ...] = (
    ("ttft_s", "p50", lambda point: point.ttft_p50),
    ("ttft_s", "p99", lambda point: point.ttft_p99),
    ("tpot_s", "p50", lambda point: point.tpot_p50),
    ("e2e_s", "mean", lambda point: point.e2e_mean),
)
_COLOURS = {"p50": "s1", "p99": "s2", "mean": "s1"}


def render(sweep: Sweep, *, folder: str) -> str:
    """The whole document. `folder`: name of the sweep's folder."""
    sections = [Section("answer", "Answer", _answer(sweep))]
    if any(point.request_throughput.value for point in sweep.once):
        drawn = h("div", _by_load(sweep), _curve(sweep), class_="pair")
        sections.append(Section("curve", "What load buys and costs", (drawn,)))
    sections += [
        Section("points", "The points", _points(sweep)),
        Section("provenance", "Configuration and provenance", provenance(_facts(sweep))),
    ]
    asked = [*asked_parts(sweep.engine, sweep.plan), loads_text(sweep)]
    model = str(sweep.engine.get("model") or "a model without a name")
    head = [*top("a sweep", model, asked), verdict_box(*headline(sweep))]
    version = str(sweep.versions.get("inferometer") or "")
    foot = [h("p", f"Made by inferometer {version} from {folder}. Behind each point is a run, in the same folder.")]
    return page(f"Sweep: {model}", head, sections, foot)


# --- the answer ----------------------------------------------------------------------------------------------------


def _answer(sweep: Sweep) -> tuple[Element | None, ...]:
    law = [h("li", f"Law: {'; '.join(law_parts(sweep.law))}.")] if sweep.law else []
    drift = drift_text(sweep)
    told = [*law, *([h("li", f"Drift: {drift}.")] if drift else [])]
    told += [h("li", f"It ended because {sweep.stopped}.")] if sweep.stopped else []
    return (
        h("dl", *_tiles(sweep), class_="tiles"),
        h("p", "[a, b] is the 95 % interval. Latencies count from the instant a request was due.", class_="note"),
        h("ul", *told, class_="told") if told else None,
    )


def _tiles(sweep: Sweep) -> list[Element]:
    tiles = []
    if sweep.law is not None:
        tiles.append(tile("Knee", sweep.law.knee_load.figure, PLAIN, "requests in flight"))
        tiles.append(tile("Peak", sweep.law.peak_load.figure, PLAIN, "requests in flight"))
    if (most := sweep.busiest) is not None:
        tokens = with_unit(most.output_throughput.figure)
        more = [("at", f"{most.load:g} {_of(sweep)}"), ("that is", tokens)]
        tiles.append(tile("Most answered", most.request_throughput.figure, PLAIN, "requests/s", more))
    if sweep.once:
        first = sweep.once[0]
        number = first.ttft_p50.figure
        scale = scale_of([number])
        where = [("at", f"{first.load:g} {_of(sweep)}"), ("whole answer", with_unit(first.e2e_mean.figure))]
        tiles.append(tile("First token, lowest load", number, scale, f"{unit_of(scale)} median", where))
    return tiles


def _of(sweep: Sweep) -> str:
    return "in flight" if sweep.kind == "concurrency" else "requests/s offered"


# --- figures -------------------------------------------------------------------------------------------------------


def _is_told(sweep: Sweep, point: Point) -> bool:
    """A rate that is not sustained has no latency: it only says how long the run was."""
    return point.verdict != "invalid" and not (sweep.kind == "rate" and point.limit)


def _curve(sweep: Sweep) -> Element:
    """A panel for each latency: over what was answered, of an open loop over what was offered."""
    once = sweep.once
    loads, throughput = _loads(once), Series.of(point.request_throughput.figure for point in once)
    columns: list[tuple[str, FloatArray]] = [("load", loads), *throughput.columns("request_throughput_per_s")]
    if sweep.kind == "rate":
        xs, x = Series.exact(loads), _load_axis(sweep)
    else:
        xs, x = throughput, axis_over("requests answered per second", [throughput], "", is_from_zero=True)
    panels = [_latency_panel(sweep, name, x, xs) for name in dict.fromkeys(name for name, *_ in _LATENCIES)]
    drawn = _stacked([panel for panel in panels if panel is not None])
    if not drawn:
        return h("p", "No point has a latency.", class_="note")
    for name, statistic, of in _LATENCIES:
        columns += Series.of(of(point).figure for point in once).columns(f"{name}_{statistic}")
    notes = [f"{_BARS} Beside a mark: requests in flight." if sweep.kind == "concurrency" else _BARS]
    if not all(_is_told(sweep, point) for point in once):
        notes.append("Red: invalid, or not sustained: such a latency says how long the run was.")
    title = "Latency against throughput" if sweep.kind == "concurrency" else "Latency against rate"
    return figure(title, drawn, Data("latency", tuple(columns)), *notes)


def _latency_panel(sweep: Sweep, name: str, x: Axis, xs: Series) -> Panel | None:
    once = sweep.once
    of_metric = [(statistic, of) for key, statistic, of in _LATENCIES if key == name]
    drawn = [(statistic, Series.of(of(point).figure for point in once)) for statistic, of in of_metric]
    drawn = [(statistic, series) for statistic, series in drawn if not series.is_empty]
    if not drawn:
        return None
    title = f"{TITLES[name]}, {' and '.join({'p50': 'median'}.get(s, s) for s, _ in drawn)}"
    limits, most = _limits_on(sweep, name), max(float(np.nanmax(series.values)) for _, series in drawn)
    near = [limit for limit in limits if limit.value < 4 * most]
    y = axis_over(title, [series for _, series in drawn], "s", more=[limit.value for limit in near])
    marks = [level(y, limit.value, "bad") for limit in near]
    ends = [End(limit.value, limit.text, "bad") for limit in near]
    are_told = [_is_told(sweep, point) for point in once]
    for statistic, series in drawn:
        colour = _COLOURS[statistic]
        told, untold = series.where(are_told), series.where([not is_told for is_told in are_told])
        marks += [line(x, y, xs.values, told.values, colour), *marks_of(x, y, xs, told, colour)]
        marks += [] if untold.is_empty else marks_of(x, y, xs, untold, "bad")
        ends.append(End(series.last, statistic, colour))
    labels = _labels(once, xs.values, drawn[0][1].values) if sweep.kind == "concurrency" else ()
    shown = f"{title}, against {x.name}: {len(once)} loads"
    return Panel(x, y, tuple(marks), shown, ends=tuple(ends), labels=labels, height_rem=10)


def _stacked(panels: Sequence[Panel]) -> list[Panel]:
    """The words of the x axis below the last one only."""
    return [replace(panel, has_x=panel is panels[-1]) for panel in panels]


def _loads(points: Sequence[Point]) -> FloatArray:
    return np.array([point.load for point in points])


def _labels(points: Sequence[Point], xs: FloatArray, ys: FloatArray) -> tuple[Label, ...]:
    """The load beside each mark, the highest first: where marks crowd, that is the end that matters."""
    places = zip(points, xs.tolist(), ys.tolist(), strict=True)
    told = [Label(x, y, f"{point.load:g}") for point, x, y in places if np.isfinite([x, y]).all()]
    return tuple(reversed(told))


def _limits_on(sweep: Sweep, metric: str) -> list[Limit]:
    if not sweep.slo:
        return []
    limits = parse_limits(sweep.slo)
    return [limit for limit in (*limits.per_request, *limits.per_run) if limit.metric == metric]


def _by_load(sweep: Sweep) -> Element:
    """Throughput against load with the law, and the share within limits where there are some."""
    once = sweep.once
    x, loads = _load_axis(sweep), _loads(once)
    throughput = Series.of(point.request_throughput.figure for point in once)
    panels = [_throughput_panel(sweep, x, throughput)]
    columns: list[tuple[str, FloatArray]] = [("load", loads), *throughput.columns("request_throughput_per_s")]
    if sweep.law is not None:
        columns.append(("law_per_s", throughputs_by_law(sweep.law, loads)))
    if sweep.kind == "rate":
        in_flight = Series.of(point.in_flight.figure for point in once)
        panels.append(_plain_panel("Requests in flight, mean", x, loads, in_flight, ""))
        columns += in_flight.columns("in_flight")
    attained = Series.of(point.attainment.figure for point in once)
    if sweep.slo and not attained.is_empty:
        panels.append(_plain_panel("Requests within all limits", x, loads, attained, "ratio"))
        columns += attained.columns("attainment")
    law = " Line: the Universal Scalability Law as fitted." if sweep.law is not None else ""
    notes = [f"Bars: 95 % intervals.{law}", f"Limits: {sweep.slo}." if sweep.slo else ""]
    return figure("Throughput against load", _stacked(panels), Data("load", tuple(columns)), *notes)


def _load_axis(sweep: Sweep) -> Axis:
    name = "requests in flight" if sweep.kind == "concurrency" else "requests offered per second"
    loads = _loads(sweep.once)
    lo, hi = float(loads.min()), float(loads.max())
    if sweep.kind == "rate" or hi < LOG_FROM * lo:
        return axis(name, 0.0, hi, is_rounded=True)
    made = axis(name, lo, hi, is_log=True)
    places = made.at(loads)
    if np.diff(places).min() < MIN_GAP:
        return made
    return replace(made, ticks=tuple((load, f"{load:g}") for load in loads.tolist()))


def _throughput_panel(sweep: Sweep, x: Axis, series: Series) -> Panel:
    loads = _loads(sweep.once)
    y = axis_over("Requests answered per second", [series], "", is_from_zero=True)
    marks: list[Element] = []
    ends, flags = [], []
    if sweep.law is not None:
        at = np.geomspace(x.lo, x.hi, _N_DRAWN)
        curve = throughputs_by_law(sweep.law, at)
        marks.append(line(x, y, at, curve, "s2"))
        ends.append(End(float(curve[-1]), "law", "s2"))
        flags = _flags(sweep)
    elif sweep.kind == "rate":
        most = min(x.hi, y.hi)
        marks.append(line(x, y, np.array([0.0, most]), np.array([0.0, most]), "muted", is_dashed=True))
        ends.append(End(most, "all of it", "muted"))
    else:
        marks.append(line(x, y, loads, series.values, "s1"))
    is_valid = [point.verdict != "invalid" for point in sweep.once]
    marks += marks_of(x, y, Series.exact(loads), series.where(is_valid), "s1")
    marks += marks_of(x, y, Series.exact(loads), series.where([not each for each in is_valid]), "bad")
    shown = f"Requests answered per second against {x.name}"
    return Panel(x, y, tuple(marks), shown, flags=tuple(flags), ends=tuple(ends), height_rem=14)


def _flags(sweep: Sweep) -> list[Flag]:
    assert sweep.law is not None
    flags = []
    for word, number, colour in (("knee", sweep.law.knee_load, "s3"), ("peak", sweep.law.peak_load, "s4")):
        told = number.figure
        if isinstance(told, Estimate):
            flags.append(Flag(told.value, f"{word} {with_unit(told, PLAIN)}", colour, lo=told.lo, hi=told.hi))
    return flags


def _plain_panel(name: str, x: Axis, loads: FloatArray, series: Series, unit: str) -> Panel:
    if unit == "ratio":
        y = axis(name, 0.0, 1.0, unit=unit, is_rounded=True, n_steps=4)
    else:
        y = axis_over(name, [series], unit, n_steps=3)
    marks = [line(x, y, loads, series.values, "s1"), *marks_of(x, y, Series.exact(loads), series, "s1")]
    return Panel(x, y, tuple(marks), f"{name} against {x.name}", height_rem=8)


# --- the table -----------------------------------------------------------------------------------------------------


def _points(sweep: Sweep) -> tuple[Element | None, ...]:
    if not sweep.points:
        return (h("p", "No load was measured.", class_="note"),)
    columns = tuple(zip(point_columns(), map(list, zip(*point_rows(sweep), strict=True)), strict=True))
    wrong = [h("li", h("strong", load_text(p)), f": {'; '.join(parts)}") for p in sweep.points if (parts := remarks(p))]
    return (
        h("p", save_link(Data("points", columns), "save all points")),
        _table(sweep),
        h("h3", "What is wrong with single points") if wrong else None,
        h("ul", *wrong, class_="told") if wrong else None,
    )


def _table(sweep: Sweep) -> Element:
    picked: list[tuple[str, Callable[[Point], Number]]] = [
        ("requests/s", lambda point: point.request_throughput),
        ("tokens/s", lambda point: point.output_throughput),
        ("in flight", lambda point: point.in_flight),
        ("ttft p50", lambda point: point.ttft_p50),
        ("ttft p99", lambda point: point.ttft_p99),
        ("tpot p50", lambda point: point.tpot_p50),
        ("e2e mean", lambda point: point.e2e_mean),
        ("failed", lambda point: point.error),
    ]
    if sweep.slo:
        picked.append(("within limits", lambda point: point.attainment))
    head = ["in flight, asked" if sweep.kind == "concurrency" else "offered/s"]
    rows: list[list[Cell]] = [[_load_cell(point)] for point in sweep.points]
    for name, of in picked:
        numbers = [of(point).figure for point in sweep.points]
        scale = scale_of(numbers)
        is_plain = name in ("requests/s", "tokens/s", "in flight")
        head.append(name if is_plain else f"{name}, {unit_of(scale)}")
        for row, number in zip(rows, numbers, strict=True):
            row.append(number_cell(number, PLAIN if is_plain else scale))
    return table_of("Every load", head, rows, "l" + "r" * len(picked), class_="numbers")


def _load_cell(point: Point) -> Cell:
    mark = h("span", point.verdict, class_=f"mark {point.verdict}") if point.verdict != "valid" else None
    return h("span", load_text(point), " ", mark)


def _facts(sweep: Sweep) -> dict[str, object]:
    return {
        "created": sweep.created,
        "kind": sweep.kind,
        "loads": "auto" if sweep.is_auto else ", ".join(f"{load:g}" for load in sweep.loads),
        "limits": sweep.slo,
        "took": format_span(sweep.seconds),
        "plan": sweep.plan,
        "engine": sweep.engine,
        "host": sweep.host,
        "versions": sweep.versions,
    }
