# SPDX-License-Identifier: Apache-2.0
"""Findings as text: what is wrong, by what it is shown, what would help and how much; and what was not measured."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.analysis.finding import Bound, Finding
from inferometer.analysis.number import Number
from inferometer.report.figures import PLAIN, Scale, figure, figure_text, scale_of
from inferometer.report.layout import filled, printable, wrapped

INDENT = 10


def lines_of(finding: Finding, *, width: int) -> list[str]:
    """The claim beside its level, and below it cause, witness and remedy."""
    remedy = finding.remedy
    lines = wrapped(finding.level, f"{finding.claim} ({finding.code})", width=width, indent=INDENT)
    lines += filled("  cause", [finding.cause, f"shown by {finding.shown_by}"], width=width, indent=INDENT)
    if remedy is not None:
        lines += filled("  remedy", remedy_parts(finding), width=width, indent=INDENT)
    return lines


def remedy_parts(finding: Finding) -> list[str]:
    remedy = finding.remedy
    if remedy is None:
        return []
    settings = " ".join(f"--set {setting}" for setting in remedy.settings)
    change = f"{remedy.change} [{settings}]" if settings else remedy.change
    return [change, *([f"expected: {remedy.expected}"] if remedy.expected else [])]


def figure_line(number: Number) -> str:
    """A figure with its interval; what has no unit but "times" is a plain number."""
    told = number.figure
    return figure_text(told, scale_for_number(number))


def scale_for_number(number: Number) -> Scale:
    return Scale(1.0, " times") if number.unit == "times" else scale_of([number.figure])


def bound_text(bound: Bound) -> str:
    """`80 %: what it is`."""
    as_number = Number(bound.value, bound.value, bound.value, 1, bound.unit)
    value, _ = figure(as_number.figure, scale := scale_for_number(as_number))
    return f"{value}{scale.unit}: {bound.says}"


def times_text(number: Number) -> str:
    """A ratio as a plain factor: `3.91 [3.80, 4.02]`."""
    return figure_text(number.figure, PLAIN)


def not_measured(lines: Sequence[str], *, width: int) -> list[str]:
    return [line for each in lines for line in wrapped("not told", printable(each), width=width, indent=INDENT)]
