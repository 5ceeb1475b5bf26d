# SPDX-License-Identifier: Apache-2.0
"""The screen of `explain scale`: how far it goes, what happens beyond, and what equal and long prompts change.

Rule: nothing is computed here; what a line needs is in the `ScaleExamination`.
"""

from __future__ import annotations

from inferometer.analysis.number import Number
from inferometer.analysis.overload import Overload
from inferometer.analysis.scale import Context, Prefix, ScaleExamination
from inferometer.report.figures import PLAIN, Scale, figure_text, scale_of, value_text
from inferometer.report.findings import INDENT, bound_text, lines_of, not_measured, times_text
from inferometer.report.layout import columns, cut_middle, filled, printable, software_of
from inferometer.stats import Estimate
from inferometer.units import format_number, format_span

_MARKS = {"valid": "", "suspect": "?", "invalid": "!"}


def render(found: ScaleExamination, *, folder: str, width: int = 100) -> str:
    """The whole report as text."""
    blocks = [
        _head(found, width),
        _table(found),
        [*_law(found, width), *_overload(found.overload, width)],
        _drift(found, width),
        [*_prefix(found.prefix, width), *_context(found.context, found.plateau_load, width)],
        [line for finding in found.row.findings for line in lines_of(finding, width=width)],
        not_measured(found.row.not_measured, width=width),
        [f"{'folder'.ljust(INDENT)}{printable(folder)}"],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _head(found: ScaleExamination, width: int) -> list[str]:
    engine, row = found.engine, found.row
    software = software_of(engine)
    model = cut_middle(str(engine.get("model") or ""), 48)
    kept = [f"keeps {figure_text(row.figure.figure)} of it" if row.figure.value is not None else row.figure.missing]
    kept += [f"bound {bound_text(row.bound)}"] if row.bound is not None else []
    told = [f"{format_span(row.seconds)}, {row.n_requests:,} requests"]
    return [
        *filled("scale", [row.headline], width=width, indent=INDENT),
        *filled("", kept, width=width, indent=INDENT),
        *filled("engine", [part for part in (software, model, *told) if part], width=width, indent=INDENT),
    ]


def _table(found: ScaleExamination) -> list[str]:
    points = found.points
    if not points:
        return []
    rows = [["in flight", "requests/s", "tokens/s"]]
    rows += [
        [
            f"{point.load:g}{_MARKS.get(point.verdict, '')}",
            figure_text(point.request_throughput.figure, PLAIN)
            if isinstance(point.request_throughput.figure, Estimate)
            else "-",
            value_text(point.output_throughput.figure, PLAIN),
        ]
        for point in points
    ]
    for name, numbers in (
        ("ttft p50", [point.ttft_p50 for point in points]),
        ("tpot p50", [point.tpot_p50 for point in points]),
        ("e2e mean", [point.e2e_mean for point in points]),
    ):
        scale = scale_of(number.figure for number in numbers)
        rows[0].append(f"{name} {scale.unit.strip().removesuffix('/token')}")
        for row, number in zip(rows[1:], numbers, strict=True):
            row.append(value_text(number.figure, Scale(scale.factor, "")))
    return columns(rows, ">" * len(rows[0]))


def _ends(found: ScaleExamination, width: int) -> list[str]:
    """Where more stops to bring more, and what there is too little of."""
    last = next((point for point in found.points if point.limit), None)
    if last is None:
        return []
    parts = [f"from {last.load:g} in flight: {last.limit}", *([f"short of {last.resource}"] if last.resource else [])]
    return filled("ends", parts, width=width, indent=INDENT)


def _law(found: ScaleExamination, width: int) -> list[str]:
    times = [f"{times_text(found.speedup)} times one alone"] if found.speedup.value is not None else []
    lines = filled("most", [f"{figure_text(found.plateau.figure)}", *times], width=width, indent=INDENT)
    lines += _ends(found, width)
    law = found.law
    if law is None:
        return [*lines, *filled("knee", [f"no law fitted: {found.no_law}"], width=width, indent=INDENT)]
    knee, peak = law.knee_load.figure, law.peak_load.figure
    told = [
        f"{figure_text(knee, PLAIN)} in flight: beyond it a further request adds more wait than speed"
        if isinstance(knee, Estimate)
        else knee.reason,
        f"peak at {figure_text(peak, PLAIN)}" if isinstance(peak, Estimate) else peak.reason,
        f"alpha {times_text(law.alpha)}",
        f"beta {times_text(law.beta)}",
        f"R2 {law.r2:.3f}",
    ]
    return [*lines, *filled("knee", told, width=width, indent=INDENT)]


def _overload(overload: Overload | None, width: int) -> list[str]:
    if overload is None:
        return []
    counts = ", ".join(f"{n:,} {name}" for name, n in overload.counts.items() if n)
    surge = [
        f"{format_number(overload.surge_rate)} requests/s for {format_span(overload.surge_s)}: it {overload.word}",
        counts,
        f"first token p90 {figure_text(overload.worst.figure)}, before {value_text(overload.before.figure)} (median)",
    ]
    if overload.refusal.value is not None:
        surge.append(f"turned away after {value_text(overload.refusal.figure)}")
    if overload.n_preempted:
        surge.append(f"{overload.n_preempted:,.0f} preemptions")
    least = overload.least_recovery_s
    back = [_recovery(overload.recovery)]
    back += [f"to work off the queue takes {format_span(least)}"] if least is not None else []
    return [
        *filled("overload", surge, width=width, indent=INDENT),
        *filled("recovery", back, width=width, indent=INDENT),
    ]


def _recovery(number: Number) -> str:
    told = number.figure
    if not isinstance(told, Estimate):
        return told.reason
    return f"as fast as before {figure_text(told)} after the surge, at the gentle load"


def _drift(found: ScaleExamination, width: int) -> list[str]:
    if found.drift is None:
        return []
    return filled(
        "again", [f"one alone, at the end: {times_text(found.drift)} of its throughput"], width=width, indent=INDENT
    )


def _prefix(prefix: Prefix | None, width: int) -> list[str]:
    if prefix is None:
        return []
    told = [
        f"of prompts of {prefix.n_tokens:,} tokens the first {prefix.n_shared:,} equal: first token after "
        f"{times_text(prefix.ttft)} of the time"
    ]
    if prefix.cached.value is not None:
        told.append(f"the server had {figure_text(prefix.cached.figure)} of them")
    return filled("prefix", told, width=width, indent=INDENT)


def _context(context: Context | None, load: float, width: int) -> list[str]:
    if context is None:
        return []
    told = [
        f"prompts of {context.n_long:,} tokens instead of {context.n_short:,}: first token after "
        f"{times_text(context.ttft)} times as long, {figure_text(context.prefill.figure)} of prompt",
        f"tokens {times_text(context.tpot)} times as far apart",
    ]
    if context.throughput.value is not None:
        told.append(f"with {load:g} in flight {times_text(context.throughput)} times the tokens per second")
    return filled("context", told, width=width, indent=INDENT)
