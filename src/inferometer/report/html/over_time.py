# SPDX-License-Identifier: Apache-2.0
"""A run over time: panels one above the other on one axis, from what users felt down to what the server says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inferometer.metrics.shapes import Scatter, Shapes, Timeline
from inferometer.metrics.shapes.timeline import Gauge
from inferometer.metrics.summary import Summary
from inferometer.report.html.axis import Axis, axis
from inferometer.report.html.chart import End, Flag, Panel, dots, level, line, steps, stretch
from inferometer.report.html.each import cloud, cloud_axis, cloud_ends, shown_as
from inferometer.report.html.element import Element, h
from inferometer.report.html.figure import Data, figure
from inferometer.report.html.latencies import drawn_limits
from inferometer.stats import FloatArray

_HEIGHT_REM = 6.5
MAX_NAMED_TRIALS = 5  # whose names have room side by side on a phone
_GAUGES = {"requests_running": ("running", "s2"), "requests_waiting": ("waiting", "s4")}


def over_time(summary: Summary, shapes: Shapes) -> tuple[Element | None, ...]:
    """One figure; nothing if nothing was ever sent."""
    drawn = shapes.timeline
    if drawn is None:
        return (h("p", "No request was sent.", class_="note"),)
    x = axis("time since the run began, s", float(drawn.edges_s[0]), float(drawn.edges_s[-1]))
    panels = [
        *_felt(summary, shapes.ttft_by_time, x),
        _in_flight(drawn, x),
        *_tokens(drawn, x),
        _requests(drawn, x),
        *_troubles(drawn, x),
        *_shares(drawn, x),
    ]
    outside = _outside(summary, x)
    panels = [replace(panel, marks=(*outside, *panel.marks), has_x=False) for panel in panels]
    panels[0] = replace(panels[0], flags=_flags(summary), is_one_row=len(summary.windows) > 1)
    panels[-1] = replace(panels[-1], has_x=True)
    return (figure("From the first request to the last answer", panels, _data(drawn), *_notes(drawn, shapes)),)


def _outside(summary: Summary, x: Axis) -> list[Element]:
    """Shading where nothing was measured: before, between and after the windows of the trials."""
    ends = [x.lo, *(end for w in summary.windows for end in (w["t_start_s"], w["t_end_s"])), x.hi]
    return [stretch(x, lo, hi, "outside") for lo, hi in zip(ends[::2], ends[1::2], strict=True) if hi > lo]


def _flags(summary: Summary) -> tuple[Flag, ...]:
    """Where each window begins, and where its steady part does if that is later; of many trials nothing."""
    windows = summary.windows
    if len(windows) > MAX_NAMED_TRIALS:
        return ()
    if len(windows) > 1:
        return tuple(Flag(w["t_start_s"], f"trial {w['trial'] + 1:.0f}", "muted") for w in windows)
    flags = [Flag(w["t_start_s"], "measured from here", "muted") for w in windows]
    flags += [Flag(w["t_steady_s"], "rates from here", "muted") for w in windows if w["t_steady_s"] > w["t_start_s"]]
    return tuple(flags)


# --- panels --------------------------------------------------------------------------------------------------------


def _felt(summary: Summary, drawn: Scatter | None, x: Axis) -> list[Panel]:
    if drawn is None:
        return []
    limits = [limit for limit in drawn_limits(summary, "ttft_s") if not limit.statistic]
    y = cloud_axis("Time to first token, by when a request was due", drawn, [limit.value for limit in limits])
    marks = [*cloud(x, y, drawn), *(level(y, limit.value, "bad") for limit in limits if y.lo <= limit.value <= y.hi)]
    ends = [*cloud_ends(drawn), *(End(limit.value, "limit", "bad") for limit in limits if y.lo <= limit.value <= y.hi)]
    return [Panel(x, y, tuple(marks), f"{y.name}, over time", ends=tuple(ends), height_rem=10)]


def _in_flight(drawn: Timeline, x: Axis) -> Panel:
    gauges = [(gauge, *_GAUGES[gauge.name]) for gauge in drawn.gauges if gauge.name in _GAUGES]
    y = _from_zero("Requests in flight", [drawn.in_flight, *(gauge.values for gauge, *_ in gauges)])
    marks = [steps(x, y, drawn.edges_s, drawn.in_flight, "s1")]
    marks += [mark for gauge, _, colour in gauges for mark in _readings(gauge, x, y, colour)]
    ends = [End(_end_of(drawn.in_flight), "client", "s1")]
    ends += [End(_end_of(gauge.values), word, colour) for gauge, word, colour in gauges]
    shown = "Requests in flight over time" + "".join(f"; {word} by the server's gauge" for _, word, _ in gauges)
    return Panel(x, y, tuple(marks), shown, ends=tuple(ends), height_rem=_HEIGHT_REM)


def _tokens(drawn: Timeline, x: Axis) -> list[Panel]:
    if drawn.tokens_per_s is None:
        return []
    y = _from_zero("Output tokens per second", [drawn.tokens_per_s])
    mark = steps(x, y, drawn.edges_s, drawn.tokens_per_s, "s1", is_filled=True)
    return [Panel(x, y, (mark,), "Output tokens per second over time", height_rem=_HEIGHT_REM)]


def _requests(drawn: Timeline, x: Axis) -> Panel:
    y = _from_zero("Requests answered per second", [drawn.ok_per_s])
    marks, ends = [steps(x, y, drawn.end_edges_s, drawn.ok_per_s, "s1")], [End(_end_of(drawn.ok_per_s), "all", "s1")]
    if drawn.met_per_s is not None:
        marks.insert(0, steps(x, y, drawn.end_edges_s, drawn.met_per_s, "s3", is_filled=True))
        ends.append(End(_end_of(drawn.met_per_s), "in limits", "s3"))
    return Panel(x, y, tuple(marks), "Requests answered per second over time", ends=tuple(ends), height_rem=_HEIGHT_REM)


def _troubles(drawn: Timeline, x: Axis) -> list[Panel]:
    """Failed requests and stalls, each in a low panel; none where there is none."""
    panels = []
    for name, counts, colour in (("Failed requests", drawn.failed, "bad"), ("Stalls that ended", drawn.stalls, "s4")):
        if counts.any():
            y = _from_zero(f"{name}, per {_slice_text(drawn)}", [counts], n_steps=min(3, int(counts.max())))
            mark = steps(x, y, drawn.end_edges_s, counts, colour, is_filled=True)
            panels.append(Panel(x, y, (mark,), f"{name} over time", height_rem=3.5))
    return panels


def _shares(drawn: Timeline, x: Axis) -> list[Panel]:
    """How full the KV cache, how busy each GPU."""
    gauges = [gauge for gauge in drawn.gauges if gauge.name.endswith("_ratio")]
    if not gauges:
        return []
    names = dict.fromkeys("KV cache in use" if gauge.source == "server" else "GPU busy" for gauge in gauges)
    y = axis(" and ".join(names), 0.0, 1.0, unit="ratio", n_steps=4)
    colours = [f"s{1 + i % 4}" for i in range(len(gauges))]
    marks = [mark for g, colour in zip(gauges, colours, strict=True) for mark in _readings(g, x, y, colour)]
    ends = [End(_end_of(g.values), _gauge_word(g), colour) for g, colour in zip(gauges, colours, strict=True)]
    return [Panel(x, y, tuple(marks), y.name + ", over time", ends=tuple(ends), height_rem=_HEIGHT_REM)]


def _readings(gauge: Gauge, x: Axis, y: Axis, colour: str) -> list[Element]:
    """A dot for each, and a dashed line from one to the next: what was between them nobody saw."""
    return [line(x, y, gauge.t_s, gauge.values, colour, is_dashed=True), dots(x, y, gauge.t_s, gauge.values, colour)]


def _gauge_word(gauge: Gauge) -> str:
    return "KV" if gauge.source == "server" else gauge.source


def _from_zero(name: str, series: Sequence[FloatArray], n_steps: int = 3) -> Axis:
    most = max((float(values.max()) for values in series if len(values)), default=0.0)
    return axis(name, 0.0, most or 1.0, is_rounded=True, n_steps=n_steps)


def _end_of(values: FloatArray) -> float:
    """The height at which a line's name stands: where the line ends."""
    return float(values[-1])


# --- words and data ------------------------------------------------------------------------------------------------


def _slice_text(drawn: Timeline) -> str:
    return f"{drawn.end_edges_s[1] - drawn.end_edges_s[0]:.3g} s"


def _notes(drawn: Timeline, shapes: Shapes) -> list[str]:
    fine = f"{drawn.edges_s[1] - drawn.edges_s[0]:.3g} s"
    notes = [f"In flight and tokens are means over {fine}, requests over {_slice_text(drawn)}. Grey: not measured."]
    if not drawn.failed.any() and not drawn.stalls.any():
        notes[0] += " Nothing failed, nothing stalled."
    if shapes.ttft_by_time is not None:
        notes.append(shown_as(shapes.ttft_by_time, "requests"))
    if drawn.gauges:
        thinned = ", of each slice the largest" if any(gauge.is_thinned for gauge in drawn.gauges) else ""
        notes.append(f"Dashed, with a dot where they were read{thinned}: gauges of the server and of GPUs.")
    return notes


def _data(drawn: Timeline) -> Data:
    nothing = np.zeros(0)
    columns: list[tuple[str, FloatArray]] = [
        ("from_s", drawn.edges_s[:-1]),
        ("in_flight_requests", drawn.in_flight),
        ("output_tokens_per_s", nothing if drawn.tokens_per_s is None else drawn.tokens_per_s),
        ("ended_from_s", drawn.end_edges_s[:-1]),
        ("ok_per_s", drawn.ok_per_s),
        ("within_limits_per_s", nothing if drawn.met_per_s is None else drawn.met_per_s),
        ("failed", drawn.failed),
        ("stalls", drawn.stalls),
    ]
    for gauge in drawn.gauges:
        columns += [(f"{gauge.source}_{gauge.name}_t_s", gauge.t_s), (f"{gauge.source}_{gauge.name}", gauge.values)]
    return Data("timeline", tuple((name, values) for name, values in columns if len(values)))
