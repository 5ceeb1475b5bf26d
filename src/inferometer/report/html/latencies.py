# SPDX-License-Identifier: Apache-2.0
"""The latencies of a run: a histogram of each with its percentiles and limits drawn in, and the table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inferometer.metrics.registry import METRICS
from inferometer.metrics.shapes import Distribution, Shapes
from inferometer.metrics.shapes.span import Span
from inferometer.metrics.slo import Limit
from inferometer.metrics.summary import Summary
from inferometer.report.distributions import NATURAL, WITH_FAILURES, Row, counts_failures, missing_parts, rows_of
from inferometer.report.figures import Scale, scale_for, scale_of
from inferometer.report.html.axis import Axis, axis
from inferometer.report.html.chart import Flag, Panel, steps
from inferometer.report.html.element import Element, h
from inferometer.report.html.figure import Data, figure
from inferometer.report.html.words import TITLES, Cell, number_cell, table, unit_of, value_and_bracket, with_unit
from inferometer.stats import Estimate

_SHOWN = (("p50", "s1"), ("p95", "s2"), ("p99", "s4"))


def latencies(summary: Summary, shapes: Shapes) -> tuple[Element | None, ...]:
    drawn = [_histogram(summary, each) for each in shapes.distributions.values()]
    return (h("div", *drawn, class_="pair") if drawn else None, _table(summary), _read_as(summary))


# --- figures -------------------------------------------------------------------------------------------------------


def drawn_limits(summary: Summary, metric: str) -> list[Limit]:
    """Limits on this metric: those of every request, and those on a percentile that is drawn."""
    limits = [limit for limit, _ in summary.limits.per_request]
    limits += [result.limit for result in summary.limits.per_run if result.limit.statistic in dict(_SHOWN)]
    return [limit for limit in limits if limit.metric == metric]


def _histogram(summary: Summary, drawn: Distribution) -> Element:
    statistics = summary.metrics[drawn.metric]
    limits = [limit for limit in drawn_limits(summary, drawn.metric) if _is_near(limit, drawn.span)]
    told = [(name, colour, number) for name, colour in _SHOWN if isinstance(number := statistics.get(name), Estimate)]
    unit = METRICS[drawn.metric].unit
    x = _x_axis(drawn, [number for *_, number in told], limits, unit)
    share = drawn.counts / drawn.n
    y = axis(f"Share of {_kind(drawn)}", 0.0, float(share.max()) or 1.0, unit="ratio", is_rounded=True, n_steps=4)
    scale = scale_for(unit, max(abs(x.lo), abs(x.hi)))
    marks = [steps(x, y, drawn.edges, share, "s0", is_filled=True)]
    flags = [
        Flag(number.value, _flag_text(name, number, scale), colour, lo=number.lo, hi=number.hi)
        for name, colour, number in told
    ]
    flags += [Flag(limit.value, f"limit {limit.text}", "bad", is_dashed=True) for limit in limits]
    title = TITLES[drawn.metric]
    words = "; ".join(f"{name} {with_unit(number, scale)}" for name, _, number in told)
    panel = Panel(x, y, tuple(marks), f"Histogram: {title}. {words}", tuple(flags), height_rem=9.0)
    return figure(title, [panel], _data(drawn), *_notes(summary, drawn))


def _x_axis(drawn: Distribution, numbers: Sequence[Estimate], limits: Sequence[Limit], unit: str) -> Axis:
    """Wide enough for every value and every interval, and for the limits that are drawn."""
    ends = [drawn.span.lo, drawn.span.hi, *(limit.value for limit in limits)]
    ends += [bound for number in numbers for bound in (number.lo, number.hi) if math.isfinite(bound)]
    if drawn.span.is_log:
        ends = [end for end in ends if end > 0]
    return axis("", min(ends), max(ends), unit=unit, is_log=drawn.span.is_log)


def _is_near(limit: Limit, span: Span) -> bool:
    """Can it be drawn without pressing the values into a corner?"""
    if span.is_log:
        return span.lo / 10 < limit.value < span.hi * 10
    return span.lo - (span.hi - span.lo) < limit.value < span.hi + (span.hi - span.lo)


def _kind(drawn: Distribution) -> str:
    return "gaps" if drawn.metric.startswith("gap") else "answers"


def _flag_text(name: str, number: Estimate, scale: Scale) -> str:
    value, bracket = value_and_bracket(number, scale)
    return f"{name} {value} {unit_of(scale).removesuffix('/token')} {bracket}".strip()


def _notes(summary: Summary, drawn: Distribution) -> list[str]:
    n_trials = summary.counts.get("trials", 1)
    trials = f", {n_trials} trials together; percentiles are means over trials" if n_trials > 1 else ""
    unit = "logarithmic axis; " if drawn.span.is_log else ""
    far = [limit.text for limit in drawn_limits(summary, drawn.metric) if not _is_near(limit, drawn.span)]
    beyond = f"; not drawn, too far away: {', '.join(far)}" if far else ""
    below = f"; {drawn.n_below:,} of them lie left of it" if drawn.n_below else ""
    return [f"{drawn.n:,} {_kind(drawn)}{trials}; {unit}bars: 95 % intervals{below}{beyond}."]


def _data(drawn: Distribution) -> Data:
    unit = drawn.metric.removesuffix("_s") + "_from_s"
    columns = ((unit, drawn.edges[:-1]), (unit.replace("_from_", "_to_"), drawn.edges[1:]), ("n", drawn.counts))
    return Data(f"histogram-{drawn.metric.removesuffix('_s')}", columns)


# --- the table -----------------------------------------------------------------------------------------------------


def _table(summary: Summary) -> Element | None:
    _, told = rows_of(summary)
    rows: list[list[Cell]] = []
    columns = [*NATURAL, "max"]
    columns = [c for c in columns if any(isinstance(summary.metrics[row.metric].get(c), Estimate) for row in told)]
    for row in told:
        rows.append(_row(summary, row, columns, ""))
        if row.has_failures and counts_failures(summary):
            rows.append(_row(summary, row, columns, WITH_FAILURES))
    head = ["", "unit", "n", *(column.replace("_", ".") for column in columns)]
    return table("Latencies", head, rows, "llr" + "r" * len(columns), class_="numbers") if rows else None


def _row(summary: Summary, row: Row, columns: Sequence[str], suffix: str) -> list[Cell]:
    numbers = [summary.metrics[row.metric].get(column + suffix) for column in columns]
    known = [number for number in numbers if number is not None]
    scale = scale_of(known)
    n = next((f"{number.n:,}" for number in known if isinstance(number, Estimate)), "")
    level = summary.metric_verdicts[row.metric].level
    mark = h("span", level, class_=f"mark {level}") if level != "valid" else None
    name = h("span", row.name + (" with failures" if suffix else ""), " ", mark)
    cells = [
        number_cell(number, scale, has_bracket=column != "max") for column, number in zip(columns, numbers, strict=True)
    ]
    return [name, unit_of(scale), n, *cells]


def _read_as(summary: Summary) -> Element | None:
    """Which definition each row follows, by which method the brackets were made, and what has no number."""
    wanted, told = rows_of(summary)
    parts = [f"{row.name}: {row.definition}" for row in told if row.definition]
    numbers = [summary.metrics[row.metric].get(name) for row in told for name in NATURAL]
    methods = {
        number.method.rpartition("; ")[2].partition(", dependent")[0]
        for number in numbers
        if isinstance(number, Estimate) and number.lo < number.hi
    }
    if methods:
        parts.append(f"intervals: {', '.join(sorted(methods))}")
    missing = [h("li", part) for part in missing_parts(summary, wanted, told)]
    return h(
        "div",
        h("p", f"{'; '.join(parts)}.", class_="note") if parts else None,
        h("p", "No number:", class_="note") if missing else None,
        h("ul", *missing, class_="note") if missing else None,
    )
