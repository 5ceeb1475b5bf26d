# SPDX-License-Identifier: Apache-2.0
"""Every request as a dot: latency against the length of its prompt, and against the load while it was answered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferometer.metrics.shapes import Scatter, Shapes
from inferometer.metrics.summary import Summary
from inferometer.report.html.axis import Axis, axis
from inferometer.report.html.chart import End, Panel, cells, dots, level, steps
from inferometer.report.html.element import Element, h
from inferometer.report.html.figure import Data, figure
from inferometer.report.html.latencies import drawn_limits


def each(summary: Summary, shapes: Shapes) -> tuple[Element | None, ...]:
    prompt = _scatter(
        summary,
        "Does a longer prompt wait longer?",
        shapes.ttft_by_prompt,
        "ttft_s",
        "Time to first token",
        "prompt tokens",
    )
    load = _scatter(
        summary, "Does load slow the answer?", shapes.tpot_by_load, "tpot_s", "Time per output token",
        "requests in flight while it was answered, mean",
    )  # fmt: skip
    drawn = [figure for figure in (prompt, load) if figure is not None]
    return (h("div", *drawn, class_="pair"),) if drawn else (h("p", "No request was answered.", class_="note"),)


def _scatter(
    summary: Summary, title: str, drawn: Scatter | None, metric: str, y_name: str, x_name: str
) -> Element | None:
    if drawn is None:
        return None
    limits = [limit for limit in drawn_limits(summary, metric) if not limit.statistic]
    x = axis(x_name, drawn.x_span.lo, drawn.x_span.hi)
    y = cloud_axis(y_name, drawn, [limit.value for limit in limits])
    inside = [limit for limit in limits if y.lo <= limit.value <= y.hi]
    marks = [*cloud(x, y, drawn), *(level(y, limit.value, "bad") for limit in inside)]
    ends = [*cloud_ends(drawn), *(End(limit.value, "limit", "bad") for limit in inside)]
    panel = Panel(
        x, y, tuple(marks), f"{y_name} against {x_name}, {drawn.n:,} requests", ends=tuple(ends), height_rem=14
    )
    without = f" {drawn.n_without:,} answers have no such value." if drawn.n_without else ""
    return figure(title, [panel], _data(drawn, metric, x_name), shown_as(drawn, "answers") + without)


def cloud_axis(name: str, drawn: Scatter, limits: Sequence[float]) -> Axis:
    """The vertical axis: from the span of the values, up to limits that lie not far above."""
    lo, hi = drawn.y_span.lo, drawn.y_span.hi
    hi = max([hi, *(limit for limit in limits if limit < 2 * hi)])
    return axis(name, lo, hi, unit="s", is_log=drawn.y_span.is_log, is_rounded=True)


def cloud(x: Axis, y: Axis, drawn: Scatter) -> list[Element]:
    """Dots or cells, and over them the quantiles of bands where there are some."""
    if drawn.cells is not None:
        marks = [cells(x, y, drawn.cells.x_edges, drawn.cells.y_edges, drawn.cells.counts, "s1")]
    else:
        marks = [dots(x, y, drawn.x, drawn.y, "s1")]
    if drawn.bands.n_known > 1:
        marks += [steps(x, y, drawn.bands.edges, drawn.bands.p50, "ink")]
        marks += [steps(x, y, drawn.bands.edges, drawn.bands.p95, "s2")]
    return marks


def cloud_ends(drawn: Scatter) -> list[End]:
    if drawn.bands.n_known < 2:
        return []
    last = int(np.flatnonzero(np.isfinite(drawn.bands.p50))[-1])
    return [End(float(drawn.bands.p50[last]), "median", "ink"), End(float(drawn.bands.p95[last]), "p95", "s2")]


def shown_as(drawn: Scatter, what: str) -> str:
    """How many there are, and whether each has a dot of its own."""
    if drawn.cells is None:
        text = f"A dot is one of {drawn.n:,} {what}."
    else:
        most = float(drawn.cells.counts.max())
        text = f"All {drawn.n:,} {what}, counted in cells: too many for dots; the darkest holds {most:,.0f}."
    if drawn.y_span.is_log:
        below = f"; {drawn.n_below:,} lie below it" if drawn.n_below else ""
        text += f" The upright axis is logarithmic{below}."
    if drawn.bands.n_known > 1:
        text += " Lines: median and p95 of each part of the axis."
    return text


def _data(drawn: Scatter, metric: str, x_name: str) -> Data:
    name = x_name.partition(",")[0].replace(" ", "_")
    if drawn.cells is None:
        return Data(f"scatter-{metric.removesuffix('_s')}", ((name, drawn.x), (metric, drawn.y)))
    rows, columns = np.nonzero(drawn.cells.counts)
    return Data(
        f"scatter-{metric.removesuffix('_s')}",
        (
            (f"{name}_from", drawn.cells.x_edges[columns]),
            (f"{name}_to", drawn.cells.x_edges[columns + 1]),
            (f"{metric}_from", drawn.cells.y_edges[rows]),
            (f"{metric}_to", drawn.cells.y_edges[rows + 1]),
            ("n", drawn.cells.counts[rows, columns]),
        ),
    )
