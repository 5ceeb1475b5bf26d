# SPDX-License-Identifier: Apache-2.0
"""The screen of a sweep: a row for each load, the law through them, and what is wrong with single points.

Rule: nothing is computed here; what a line needs is in the `Sweep`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.analysis.curve import Law, Point, Sweep
from inferometer.analysis.number import Number
from inferometer.report.figures import PLAIN, figure, figure_text, scale_of, value_text
from inferometer.report.layout import columns, cut_middle, filled, printable, software_of
from inferometer.stats import Estimate, Missing
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
    asked = [loads_text(sweep), f"{format_span(sweep.seconds)} in all"]
    return [
        *filled("sweep", asked, width=width, indent=INDENT),
        *filled("engine", asked_parts(sweep.engine, sweep.plan), width=width, indent=INDENT),
        *(filled("ended", [sweep.stopped], width=width, indent=INDENT) if sweep.stopped else []),
    ]


def headline(sweep: Sweep) -> tuple[str, str, str]:
    """Where it stops to be worth it: a level of the three verdicts or `plain`, a word, and a sentence."""
    if sweep.busiest is None:
        return "invalid", "NO POINT CAN BE USED", "see what is wrong with each."
    if sweep.kind == "rate":
        return "plain", *_borne(sweep)
    if sweep.law is None:
        return "plain", "NO LAW", f"none fitted: {sweep.no_law}."
    is_seen = isinstance(sweep.law.knee_load.figure, Estimate)
    return "plain", "KNEE" if is_seen else "NO KNEE SEEN", f"{knee_text(sweep.law)}."


def _borne(sweep: Sweep) -> tuple[str, str]:
    borne, beyond = sweep.sustained, sweep.beyond
    if beyond is None:
        return ("SUSTAINED", f"all rates up to {borne.load:g}/s.") if borne else ("NOT KNOWN", "no rate was measured.")
    invalid = f"the run at {beyond.load:g}/s is invalid: {', '.join(beyond.reasons)}"
    if borne is None:
        return ("TOO MUCH", "not even the lowest rate is sustained.") if beyond.limit else ("NOT KNOWN", f"{invalid}.")
    why = f"{beyond.load:g}/s is not: {beyond.limit}" if beyond.limit else invalid
    return "SUSTAINED", f"up to {borne.load:g}/s; {why}."


def loads_text(sweep: Sweep) -> str:
    """`6 loads, 1 to 32 requests in flight`."""
    of = "requests in flight" if sweep.kind == "concurrency" else "requests/s offered"
    loads = [point.load for point in sweep.once]
    return f"{len(loads)} loads, {min(loads):g} to {max(loads):g} {of}" if loads else "no load was measured"


def asked_parts(engine: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """Software, model, lengths: what every run of a probe has in common."""
    software = software_of(engine)
    model = cut_middle(str(engine.get("model") or ""), 48)
    tokens = f"{plan.get('input_tokens', '?')} tokens in, {plan.get('output_tokens', '?')} out" if plan else ""
    return [part for part in (software, model, tokens) if part]


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
    rows += [[load_text(point) + _MARKS.get(point.verdict, "")] for point in points]
    for name, numbers, is_whole in picked:
        scale = scale_of(number.figure for number in numbers)
        unit = "" if name in ("requests/s", "tokens/s", "in flight") else scale.unit.strip().removesuffix("/token")
        rows[0].append(f"{name} {unit}".strip())
        for row, number in zip(rows[1:], numbers, strict=True):
            told = figure_text(number.figure, PLAIN) if is_whole and isinstance(number.figure, Estimate) else None
            row.append(told or value_text(number.figure, type(scale)(scale.factor, "")))
    return columns(rows, ">" * len(rows[0]))


def load_text(point: Point) -> str:
    return f"{point.load:g}{' again' if point.is_repeat else ''}"


def remarks(point: Point) -> list[str]:
    """What is wrong with a point."""
    parts = [f"at or beyond the limit: {point.limit}"] if point.limit else []
    parts += [f"short of {point.resource}"] if point.limit and point.resource else []
    parts += [f"not long enough: {point.short}"] if point.short else []
    return parts + ([f"{point.verdict}: {', '.join(point.reasons)}"] if point.verdict != "valid" else [])


def _remarks(sweep: Sweep, width: int) -> list[str]:
    told = [(load_text(point), parts) for point in sweep.points if (parts := remarks(point))]
    return [line for load, parts in told for line in filled(load, parts, width=width, indent=INDENT)]


def _law(sweep: Sweep, width: int) -> list[str]:
    law = sweep.law
    if law is None:
        return filled("law", [f"none fitted: {sweep.no_law}"], width=width, indent=INDENT)
    told = (("law", law_parts(law)), ("knee", [knee_text(law)]), ("peak", [peak_text(law)]))
    return [line for label, parts in told for line in filled(label, parts, width=width, indent=INDENT)]


def law_parts(law: Law) -> list[str]:
    """Parameters with their intervals, and how well the law holds."""
    parts = [
        f"one alone {figure_text(law.gamma.figure)}",
        f"alpha {_plain(law.alpha)}",
        f"beta {_plain(law.beta)}",
        f"R2 {law.r2:.3f}",
    ]
    if law.is_two_regimes:
        parts.append("residuals keep their sign: two regimes, the law does not hold over all of it")
    return parts


def knee_text(law: Law) -> str:
    knee = law.knee_load.figure
    if isinstance(knee, Missing):
        return knee.reason
    return f"{figure_text(knee, PLAIN)} in flight: beyond it a further request adds more wait than speed"


def peak_text(law: Law) -> str:
    peak = law.peak_load.figure
    if isinstance(peak, Missing):
        return peak.reason
    most = figure_text(law.peak_throughput.figure)
    return f"{figure_text(peak, PLAIN)} in flight, {most}: beyond it throughput falls"


def _plain(number: Number) -> str:
    """`0.120 [0.080, 0.160]`: a share that is a parameter, not a percentage."""
    value, interval = figure(number.figure, PLAIN)
    return f"{value} {interval}".strip()


def drift_text(sweep: Sweep) -> str:
    """What came of the first load at the end; "" where it was not measured again."""
    if sweep.drift is None:
        return ""
    off = ": the machine or the server changed meanwhile, the points do not belong together"
    text = f"the first load again at the end: {_plain(sweep.drift)} of its throughput"
    return text + (off if sweep.is_drifting else "")


def _drift(sweep: Sweep, width: int) -> list[str]:
    text = drift_text(sweep)
    return filled("drift", [text], width=width, indent=INDENT) if text else []


def _next(sweep: Sweep, folder: str) -> str:
    last = sweep.points[-1].folder if sweep.points else ""
    return f"inferometer report {printable(folder)}/{last}" if last else "-"
