# SPDX-License-Identifier: Apache-2.0
"""The screen of `explain latency`: a request's time in parts, what binds, the law of the iterations, what is wrong.

Rule: nothing is computed here; what a line needs is in the `LatencyExamination`.
"""

from __future__ import annotations

from inferometer.analysis.iteration_model import IterationModel
from inferometer.analysis.latency import RESOURCES, LatencyExamination
from inferometer.analysis.latency_examined import first
from inferometer.analysis.latency_parts import Split
from inferometer.analysis.number import Number
from inferometer.analysis.stalls import Stalls
from inferometer.report.figures import PERCENT, Scale, figure, figure_text, scale_of, value_text
from inferometer.report.findings import INDENT, bound_text, lines_of, not_measured
from inferometer.report.layout import columns, cut_middle, filled, printable, software_of, wrapped
from inferometer.stats import LEVEL, Estimate, Missing
from inferometer.units import format_span

_NAMES = {"ttft_s": "ttft", "tpot_s": "tpot"}
# Coefficients of the law, in words, and of how many of its units; those that are not in every law may be missing.
_TERMS = (
    ("a", "an iteration", 1.0),
    ("b", "+ a prompt token", 1.0),
    ("e", "+ attention within a prompt of 1,000", 1_000**2 / 2),
    ("c", "+ a sequence", 1.0),
    ("f", "+ a doubling of sequences", 1.0),
    ("d", "+ 1,000 tokens of context", 1e3),
    ("g", "+ a request that comes", 1.0),
)
_ALWAYS = ("a", "b", "c", "d")


def render(found: LatencyExamination, *, folder: str, width: int = 100) -> str:
    """The whole report as text."""
    operating = found.load(found.operating)
    splits = [] if operating is None else [one for one in (operating.ttft, operating.tpot) if one is not None]
    blocks = [
        _head(found, width),
        _loads(found),
        *[_split(split) for split in splits],
        [*_law(found.model, width), *_stalls(found.stalls, width), *_steady(found, width)],
        [line for finding in found.row.findings for line in lines_of(finding, width=width)],
        [line for each in found.doubts for line in wrapped("doubt", each, width=width, indent=INDENT)],
        not_measured(found.row.not_measured, width=width),
        [f"{'folder'.ljust(INDENT)}{printable(folder)}"],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _head(found: LatencyExamination, width: int) -> list[str]:
    engine, row = found.engine, found.row
    software = software_of(engine)
    model = cut_middle(str(engine.get("model") or ""), 48)
    takes = [f"takes {figure_text(row.figure.figure)}" if row.figure.value is not None else row.figure.missing]
    takes += [f"bound {bound_text(row.bound)}"] if row.bound is not None else []
    binds = [RESOURCES[found.resource]] if found.resource else ["not known"]
    binds += [f"{share.resource} {share.share:.0%}" for share in found.shares if share.share >= 0.005]
    told = [f"{format_span(row.seconds)} of {format_span(found.budget_s)}, {row.n_requests:,} requests"]
    return [
        *filled("latency", [row.headline or "nothing was answered"], width=width, indent=INDENT),
        *filled("", takes, width=width, indent=INDENT),
        *filled("binds", binds, width=width, indent=INDENT),
        *filled("engine", [part for part in (software, model, *told) if part], width=width, indent=INDENT),
    ]


def _loads(found: LatencyExamination) -> list[str]:
    """One line a load, over all its runs: what it takes, and how far its time per token is from the law of the other
    loads."""
    rows = [["means", "answers", "ttft", "tpot", "e2e p50", "law is off by"]]
    errors = {one.load: one.error for one in found.model.by_load} if found.model is not None else {}
    for name in dict.fromkeys(first(load.name) for load in found.loads):
        runs = [load for load in found.loads if first(load.name) == name]
        n_failed = sum(load.n_failed for load in runs)
        answers = f"{sum(load.n_ok for load in runs):,}" + (f", {n_failed:,} failed" if n_failed else "")
        error = errors.get(name)
        rows.append(
            [
                name + (f", {len(runs)} times" if len(runs) > 1 else ""),
                answers,
                _mean([(load.ttft.n_requests, load.ttft.measured) for load in runs if load.ttft is not None]),
                _mean([(load.tpot.n_requests, load.tpot.measured) for load in runs if load.tpot is not None]),
                value_text(runs[0].e2e.figure),
                "-" if error is None or error.value is None else f"{100 * error.value:+.1f} %",
            ]
        )
    return columns(rows, "<>>>>>")


def _mean(means: list[tuple[int, Number]]) -> str:
    """Of the runs of a load, over all their requests."""
    told = [(n, number.value, number.unit) for n, number in means if number.value is not None]
    if not told:
        return "-"
    n_all = sum(n for n, _, _ in told)
    value = sum(n * value for n, value, _ in told) / n_all
    return value_text(Estimate(value, value, value, LEVEL, n_all, told[0][2], "mean over requests"))


def _split(split: Split) -> list[str]:
    """Every part with its interval, share and how it was had; the residual; the sum, which is what was measured."""
    name = _NAMES[split.metric]
    numbers = [part.figure for part in split.parts] + [split.residual, split.measured]
    scale = scale_of([split.measured.figure])
    whole = split.measured.value or 1.0
    shares = [part.share for part in split.parts] + [(split.residual.value or 0.0) / whole, 1.0]
    names = [part.name for part in split.parts] + ["residual", "measured"]
    hows = [part.how for part in split.parts] + ["what no part claims", f"mean of {split.n_requests:,} requests"]
    rows = [
        [label, *_cells(number, scale), f"{100 * share:.1f} %", how]
        for label, number, share, how in zip(names, numbers, shares, hows, strict=True)
    ]
    head = f"{name}, {split.load}, in{scale.unit}"
    return [head, *columns(rows, "<><><", indent=2)]


def _cells(number: Number, scale: Scale) -> tuple[str, str]:
    return figure(number.figure, scale)


def _law(model: IterationModel | None, width: int) -> list[str]:
    if model is None:
        return []
    parts = [
        f"{words} {figure_text(_times(getattr(model, name), n))}"
        for name, words, n in _TERMS
        if name in _ALWAYS or getattr(model, name).value is not None
    ]
    held = model.held_out.figure
    error = (
        f"median error of tpot on loads left out {figure_text(held, PERCENT)}, {held.n} loads"
        if isinstance(held, Estimate)
        else f"not held against loads left out: {held.reason}"
    )
    return filled("law", [*parts, error], width=width, indent=INDENT)


def _times(number: Number, n: float) -> Estimate | Missing:
    told = number.figure
    if isinstance(told, Missing):
        return told
    return Estimate(n * told.value, n * told.lo, n * told.hi, told.level, told.n, "s", told.method)


def _stalls(stalls: Stalls | None, width: int) -> list[str]:
    if stalls is None:
        return []
    if not stalls.n_events:
        return filled(
            "stalls", ["none: no gap was longer than 200 ms and 5 times the usual"], width=width, indent=INDENT
        )
    told = [
        f"{stalls.n_events:,} in {100 * stalls.lost:.1f} % of the streams' time",
        f"cause {stalls.cause or 'not known'}",
    ]
    told += [
        f"{one.name} {100 * one.share:.0f} % of them, {100 * one.share_else:.0f} % of other time"
        for one in stalls.coincidences
    ]
    return filled("stalls", told, width=width, indent=INDENT)


def _steady(found: LatencyExamination, width: int) -> list[str]:
    slower = found.slowdown
    if slower is None or slower.is_told:
        return []
    told = f"the same work in the end takes {figure_text(slower.factor.figure, Scale(1.0, ''))} times as long"
    return filled("steady", [f"{told} ({slower.shown_by})"], width=width, indent=INDENT)
