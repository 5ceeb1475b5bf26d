# SPDX-License-Identifier: Apache-2.0
"""A choice as Markdown for pull requests and job summaries: the paragraph first, then who was measured and who not."""

from __future__ import annotations

from inferometer.analysis.choice import Choice
from inferometer.analysis.number import Number
from inferometer.report.choice import asked_parts, headline, ranked
from inferometer.report.figures import PLAIN, figure, figure_text
from inferometer.report.markdown import code, table, words
from inferometer.units import format_span


def render(found: Choice) -> str:
    """The document, GitHub flavour; ends with a newline."""
    _, word = headline(found)
    told = [f"- {words('; '.join(asked_parts(found)))}", f"- decides: {words(found.figure)}"]
    told += [
        f"- spent: {format_span(found.seconds)} of {format_span(found.budget_s)}, rounds of turns: {found.n_rounds}"
    ]
    flips = [f"- flips {words(place.title)}: {code(place.flips_to)}" for place in found.places if place.flips_to]
    left = [
        f"- left out: {code(one.name)}: {words(one.reason)}{f' ({words(one.remedy)})' if one.remedy else ''}"
        for one in found.left_out
    ]
    notes = [f"- note: {words(note)}" for note in found.notes]
    blocks = [[f"**{word}** {words(found.answer)}"], told, _candidates(found), [*flips, *left, *notes]]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _candidates(found: Choice) -> list[str]:
    if not found.candidates:
        return []
    unit = "requests/s" if found.kind == "rate" else "in flight"
    rows = [
        [
            f"{letter}: {code(one.name)}",
            "" if one.load is None else f"{one.load:g}",
            _cell(one.goodput),
            _cell(one.ratio),
            *("" if number.value is None else figure_text(number.figure) for number in (one.ttft_p50, one.tpot_p50)),
            str(one.n_rounds),
            one.state,
        ]
        for letter, one in ranked(found)
    ]
    head = ["candidate", unit, "goodput/s", "to A", "ttft p50", "tpot p50", "rounds", ""]
    return table(head, rows, "lrrrrrr")


def _cell(number: Number) -> str:
    return "" if number.value is None else " ".join(figure(number.figure, PLAIN)).strip()
