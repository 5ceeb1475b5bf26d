# SPDX-License-Identifier: Apache-2.0
"""A comparison as Markdown for pull requests and job summaries: verdict first, then one table."""

from __future__ import annotations

from inferometer.analysis.compare import Comparison, Row, letter
from inferometer.report.comparison import (
    change,
    method_text,
    p_text,
    served_text,
    settle_text,
    side_text,
    summary_of,
    verdict_text,
)
from inferometer.report.figures import figure, scale_of
from inferometer.report.markdown import code, table, words
from inferometer.stats import Estimate, Missing


def render(comparison: Comparison) -> str:
    """The document, GitHub flavour; ends with a newline."""
    blocks = [
        [f"**{comparison.overall(i).upper()}** {words(summary_of(comparison, i))}" for i in comparison.candidates],
        sides(comparison),
        _rows(comparison),
        _below(comparison),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def sides(comparison: Comparison) -> list[str]:
    """Who was compared."""
    return [f"- {letter(i)}: {code(side_text(side))}; {served_text(side)}" for i, side in enumerate(comparison.sides)]


def _rows(comparison: Comparison) -> list[str]:
    """One line per quantity and candidate."""
    cells = [
        [
            code(row.quantity.name),
            *_values(row),
            f"{letter(row.candidate)}: {' '.join(change(row)).strip()}",
            p_text(row),
            words(verdict_text(row)),
        ]
        for row in comparison.rows
    ]
    return table(["metric", "A", "candidate", "unit", "change", "p (Holm)", "verdict"], cells, "lrrlrr")


def _values(row: Row) -> list[str]:
    if isinstance(row.a, Missing) or isinstance(row.b, Missing):
        return ["", "", ""]
    scale = scale_of([row.a, row.b])
    return [" ".join(figure(row.a, scale)).strip(), " ".join(figure(row.b, scale)).strip(), scale.unit.strip()]


def _below(comparison: Comparison) -> list[str]:
    """Method, what would settle the rest, and notes."""
    open_ = [row for row in comparison.rows if row.verdict == "undecided" and isinstance(row.ratio, Estimate)]
    lines = [f"- {method_text(comparison)}"]
    if open_:
        lines.append(f"- to settle, trials a side, all taken afresh: {', '.join(settle_text(row) for row in open_)}")
    return lines + notes(comparison)


def notes(comparison: Comparison) -> list[str]:
    """What was to be ignored, and what the design leaves open."""
    lines = [f"- ignored: {words(text)}" for text in comparison.ignored]
    return lines + [f"- note: {words(note)}" for note in comparison.notes]
