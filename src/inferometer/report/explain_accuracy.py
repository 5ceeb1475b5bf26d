# SPDX-License-Identifier: Apache-2.0
"""The screen of `explain accuracy`: are answers right, are they the same, are they invented where there is none.

Rule: nothing is computed here; what a line needs is in the `AccuracyExamination`.
"""

from __future__ import annotations

from inferometer.analysis.accuracy import AccuracyExamination, Against, Change
from inferometer.analysis.agreement import Agreement
from inferometer.analysis.hallucination import Consistency, Hallucination
from inferometer.analysis.number import Number
from inferometer.report.figures import PERCENT, PLAIN, Scale, figure_text, value_text
from inferometer.report.findings import INDENT, lines_of, not_measured
from inferometer.report.layout import columns, cut_middle, filled, printable, software_of
from inferometer.stats import Estimate
from inferometer.units import format_span

_POINTS = Scale(100.0, " points")


def render(found: AccuracyExamination, *, folder: str, width: int = 100) -> str:
    """The whole report as text."""
    blocks = [
        _head(found, width),
        _table(found),
        [*_change("repeated", found.again, width), *_change("load", found.load, width)],
        [*_agreement("alone", found.floor, width), *_agreement("busy", found.under_load, width)],
        [*_invented(found.hallucination, width), *_consistency(found.consistency, width)],
        _against(found.against, width),
        [line for finding in found.row.findings for line in lines_of(finding, width=width)],
        not_measured(found.row.not_measured, width=width),
        [f"{'folder'.ljust(INDENT)}{printable(folder)}"],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _head(found: AccuracyExamination, width: int) -> list[str]:
    row = found.row
    verdict = "nothing wrong was found" if not row.findings else f"{len(row.findings)} found, worst: {row.level}"
    told = [verdict, f"{_share(row.figure)} of {row.headline}"]
    told += [f"bound {100 * row.bound.value:g} %"] if row.bound is not None else []
    spent = f"{format_span(row.seconds)}, {row.n_requests:,} requests, seed {found.seed}"
    return [
        *filled("accuracy", told, width=width, indent=INDENT),
        *filled("engine", [*_engine(found.engine), spent], width=width, indent=INDENT),
    ]


def _engine(engine: dict[str, object]) -> list[str]:
    software = software_of(engine)
    return [part for part in (software, cut_middle(str(engine.get("model") or ""), 48)) if part]


def _table(found: AccuracyExamination) -> list[str]:
    """Right answers by task, beside those of who understands nothing."""
    if not found.tallies:
        return []
    rows = [["right answers", "n", "alone", f"{found.concurrency} in flight", "commonest", "nearest"]]
    rows += [
        [
            tally.task,
            f"{tally.n:,}",
            _share(tally.alone),
            _share(tally.loaded),
            "-" if tally.majority is None else f"{100 * tally.majority:.0f} %",
            "-" if tally.copy is None else f"{100 * tally.copy:.0f} %",
        ]
        for tally in found.tallies
    ]
    return columns(rows, "<>>>>>")


def _change(label: str, change: Change | None, width: int) -> list[str]:
    if change is None:
        return []
    told = [f"{change.ways[1]}: {change.n_changed:,} of {change.n:,} answers are others", *_lost(change)]
    if change.n_failed or change.n_of_another:
        told.append(f"{change.n_failed} did not come whole, {change.n_of_another} answer another question")
    return filled(label, told, width=width, indent=INDENT)


def _lost(change: Change) -> list[str]:
    told = [f"{change.n_lost} right ones lost, {change.n_won} won", f"{_points(change.difference)}, p {change.p:.2g}"]
    if change.n_needed is not None and change.p >= 0.05:
        told.append(f"a point would take {change.n_needed:,} questions")
    return told


def _agreement(label: str, told: Agreement | None, width: int) -> list[str]:
    if told is None:
        return []
    parts = [f"{_share(told.same)} of {told.n_prompts} long answers the same to the end as of {told.what}"]
    parts.append(f"{figure_text(told.partings.figure, PLAIN)} part {told.partings.unit}")
    if told.first_index is not None:
        parts.append(f"those that do at {told.unit} {told.first_index:g} (median)")
    if told.n_parted and told.over_floor.value is not None:
        parts.append(f"{figure_text(told.over_floor.figure, PLAIN)} times the floor")
    elif told.n_parted and told.over_floor.missing.startswith("none"):
        parts.append("at least " + told.over_floor.missing.partition("at least ")[2] + " the floor")
    if told.top1.value is None:
        parts.append(f"probabilities: {told.top1.missing}")
        return filled(label, parts, width=width, indent=INDENT)
    parts.append(f"the likeliest token is the same in {_share(told.top1)} of places")
    parts.append(f"divergence {_nats(told.divergence)}, log-probability off by {_nats(told.shift)}")
    if told.n_parted:
        parts.append(f"{told.n_ties} part at a tie, {told.n_real} where the choice had been clear")
    return filled(label, parts, width=width, indent=INDENT)


def _invented(told: Hallucination | None, width: int) -> list[str]:
    if told is None:
        return []
    untold = [
        f"{_share(told.invented)} of {told.n_untold} questions without an answer in the text get one",
        f"wrong when it did not know {_share(told.rate)}",
    ]
    if told.mistaken.value is not None:
        untold.append(f"{_share(told.mistaken)} of wrong answers stand in the text")
    answered = [
        f"of {told.n_told} with one {_share(told.right)} right, {_share(told.refused)} refused",
        f"right when it answers {_share(told.right_when_answering)}",
        f"F {figure_text(told.f.figure, PLAIN)}",
    ]
    scores = [f"{score.penalty:g}: {figure_text(score.mean.figure, PLAIN)}" for score in told.scores]
    return [
        *filled("invented", untold, width=width, indent=INDENT),
        *filled("answered", answered, width=width, indent=INDENT),
        *filled(
            "score", [f"points a question if a wrong one costs {scores[0]}", *scores[1:]], width=width, indent=INDENT
        ),
    ]


def _consistency(told: Consistency | None, width: int) -> list[str]:
    if told is None:
        return []
    parts = [
        f"{told.n_samples} answers each at temperature {told.temperature:g}: {_share(told.unanimous)} of "
        f"{told.n_questions} questions always get the same",
        f"entropy {_nats(told.entropy)}",
    ]
    if isinstance(told.gives_away.figure, Estimate):
        parts.append(f"it gives wrong answers away in {_share(told.gives_away)} of pairs")
        parts.append(f"their length in {_share(told.length_gives_away)}")
    return filled("samples", parts, width=width, indent=INDENT)


def _against(told: Against | None, width: int) -> list[str]:
    if told is None:
        return []
    prompts = f"{told.n_same_prompts} of {told.n_prompts} prompts have as many tokens there"
    change = told.change
    other = [f"{change.n_changed:,} of {change.n:,} answers are others", *_lost(change)]
    return [
        *filled("against", [told.target, *_engine(told.engine), prompts], width=width, indent=INDENT),
        *filled("", other, width=width, indent=INDENT),
        *_agreement("", told.agreement, width),
    ]


def _share(number: Number) -> str:
    return figure_text(number.figure, PERCENT)


def _points(number: Number) -> str:
    return figure_text(number.figure, _POINTS)


def _nats(number: Number) -> str:
    return figure_text(number.figure) if number.value else f"{value_text(number.figure)}"
