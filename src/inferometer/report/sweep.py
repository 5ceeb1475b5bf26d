# SPDX-License-Identifier: Apache-2.0
"""The screen of a sweep: a row for each load, the law through them, and what is wrong with single points.

Rule: nothing is computed here; what a line needs is in the `Sweep`.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.analysis.curve import Law, Point, Sweep
from inferometer.analysis.number import Number
from inferometer.report.figures import PLAIN, figure, figure_text, scale_of, value_text
from inferometer.report.layout import columns, cut_middle, filled, printable
from inferometer.stats import Estimate
from inferometer.units import format_span

INDENT = 10
_MARKS = {"valid": "", "suspect": "?", "invalid": "!"}


def render(sweep: Sweep, *, folder: str, width: int = 100) -> str:
    """The whole report as text."""
    blocks = [
        _head(sweep, width),
        _table(sweep),
        _remarks(sweep, width),
        [*_law(sweep, width), *_drift(sweep, width)],
        [f"{'folder'.ljust(INDENT)}{printable(folder)}", f"{'next'.ljust(INDENT)}{_next(sweep, folder)}"],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _head(sweep: Sweep, width: int) -> list[str]:
    once = [point for point in sweep.points if not point.is_repeat]
    of = "requests in flight" if sweep.kind == "concurrency" else "requests/s offered"
    what = f"{len(once)} loads, {_span(once)} {of}" if once else "no load was measured"
    engine = sweep.engine
    software = f"{engine.get('title') or engine.get('name') or ''} {engine.get('version') or ''}".strip()
    model = cut_middle(str(engine.get("model") or ""), 48)
    plan = sweep.plan
    tokens = f"{plan.get('input_tokens', '?')} tokens in, {plan.get('output_tokens', '?')} out"
    return [
        *filled("sweep", [what, f"{format_span(sweep.seconds)} in all"], width=width, indent=INDENT),
        *filled("engine", [part for part in (software, model, tokens) if part], width=width, indent=INDENT),
        *(filled("ended", [sweep.stopped], width=width, indent=INDENT) if sweep.stopped else []),
    ]


def _span(points: Sequence[Point]) -> str:
    loads = [point.load for point in points]
    return f"{min(loads):g} to {max(loads):g}"


def _table(sweep: Sweep) -> list[str]:
    """Loads and figures; a mark beside a load whose run is suspect (?) or invalid (!)."""
    points = sweep.points
    if not points:
        return []
    picked = [
        ("requests/s", [point.request_throughput for point in points], True),
        ("tokens/s", [point.output_throughput for point in points], False),
        ("ttft p50", [point.ttft_p50 for point in points], False),
        ("p99", [point.ttft_p99 for point in points], False),
        ("tpot p50", [point.tpot_p50 for point in points], False),
        ("e2e mean", [point.e2e_mean for point in points], False),
    ]
    if sweep.kind == "rate":
        picked.insert(1, ("in flight", [point.in_flight for point in points], False))
    if sweep.slo:
        picked.append(("in limits", [point.attainment for point in points], False))
    rows = [["in flight" if sweep.kind == "concurrency" else "offered/s"]]
    rows += [[_load(point) + _MARKS.get(point.verdict, "")] for point in points]
    for name, numbers, is_whole in picked:
        scale = scale_of(number.figure for number in numbers)
        unit = "" if name in ("requests/s", "tokens/s", "in flight") else scale.unit.strip().removesuffix("/token")
        rows[0].append(f"{name} {unit}".strip())
        for row, number in zip(rows[1:], numbers, strict=True):
            told = figure_text(number.figure, PLAIN) if is_whole and isinstance(number.figure, Estimate) else None
            row.append(told or value_text(number.figure, type(scale)(scale.factor, "")))
    return columns(rows, ">" * len(rows[0]))


def _load(point: Point) -> str:
    return f"{point.load:g}{' again' if point.is_repeat else ''}"


def _remarks(sweep: Sweep, width: int) -> list[str]:
    """What is wrong with single points."""
    lines = []
    for point in sweep.points:
        parts = [f"at or beyond the limit: {point.limit}"] if point.limit else []
        parts += [f"short of {point.resource}"] if point.limit and point.resource else []
        parts += [f"not long enough: {point.short}"] if point.short else []
        parts += [f"{point.verdict}: {', '.join(point.reasons)}"] if point.verdict != "valid" else []
        if parts:
            lines += filled(_load(point), parts, width=width, indent=INDENT)
    return lines


def _law(sweep: Sweep, width: int) -> list[str]:
    law = sweep.law
    if law is None:
        return filled("law", [f"none fitted: {sweep.no_law}"], width=width, indent=INDENT)
    parts = [
        f"one alone {figure_text(law.gamma.figure)}",
        f"alpha {_plain(law.alpha)}",
        f"beta {_plain(law.beta)}",
        f"R2 {law.r2:.3f}",
    ]
    if law.is_two_regimes:
        parts.append("residuals keep their sign: two regimes, the law does not hold over all of it")
    return [*filled("law", parts, width=width, indent=INDENT), *_knees(law, width)]


def _knees(law: Law, width: int) -> list[str]:
    knee, peak = law.knee_load.figure, law.peak_load.figure
    if isinstance(knee, Estimate):
        told = [f"{figure_text(knee, PLAIN)} in flight: beyond it a further request adds more wait than speed"]
    else:
        told = [knee.reason]
    if isinstance(peak, Estimate):
        most = figure_text(law.peak_throughput.figure)
        top = [f"{figure_text(peak, PLAIN)} in flight, {most}: beyond it throughput falls"]
    else:
        top = [peak.reason]
    return [*filled("knee", told, width=width, indent=INDENT), *filled("peak", top, width=width, indent=INDENT)]


def _plain(number: Number) -> str:
    """`0.120 [0.080, 0.160]`: a share that is a parameter, not a percentage."""
    value, interval = figure(number.figure, PLAIN)
    return f"{value} {interval}".strip()


def _drift(sweep: Sweep, width: int) -> list[str]:
    if sweep.drift is None:
        return []
    told = sweep.drift.figure
    text = f"{_plain(sweep.drift)} of its throughput"
    if isinstance(told, Estimate) and not told.lo <= 1 <= told.hi:
        text += ": the machine or the server changed meanwhile, the points do not belong together"
    return filled("drift", [f"the first load again at the end: {text}"], width=width, indent=INDENT)


def _next(sweep: Sweep, folder: str) -> str:
    last = sweep.points[-1].folder if sweep.points else ""
    return f"inferometer report {printable(folder)}/{last}" if last else "-"
