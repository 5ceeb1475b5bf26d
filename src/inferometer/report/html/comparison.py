# SPDX-License-Identifier: Apache-2.0
"""The page of a comparison: verdict, every ratio with its interval, the trials behind it, who was compared."""

from __future__ import annotations

import math

import numpy as np

from inferometer.analysis.compare import Comparison, Row, Word, letter
from inferometer.analysis.side import Member, Quantity
from inferometer.report.comparison import (
    COLOUR_OF,
    asked_parts,
    change,
    method_text,
    p_text,
    seen_text,
    served_text,
    settle_text,
    side_text,
    summary_of,
)
from inferometer.report.comparison_table import COLUMNS
from inferometer.report.comparison_table import rows as table_rows
from inferometer.report.figures import scale_of
from inferometer.report.html.axis import Axis, axis
from inferometer.report.html.chart import End, Panel, line, points
from inferometer.report.html.element import Element, h
from inferometer.report.html.facts import provenance
from inferometer.report.html.figure import Data, figure, save_link
from inferometer.report.html.forest import Tree, forest
from inferometer.report.html.page import Section, page
from inferometer.report.html.words import Cell, number_cell, table, top, unit_of, verdict_box
from inferometer.stats import Estimate, Missing

_SIDE_COLOURS = ("s1", "s2", "s3", "s4", "ink")
COLOURS: dict[Word, str] = {"better": "good", "worse": "bad", "same": "s1", "different": "s2", "undecided": "muted"}
LEVELS: dict[Word, str] = {
    "better": "valid",
    "worse": "invalid",
    "same": "plain",
    "different": "suspect",
    "undecided": "suspect",
}
_DIRECTIONS = {"lower": "less is better", "higher": "more is better", "none": ""}
_MARGIN = 0.05  # of values that are all the same


def render(comparison: Comparison) -> str:
    """The whole document."""
    sections = [
        Section("answer", "Answer", _answer(comparison)),
        Section("numbers", "All numbers", _numbers(comparison)),
        Section("trials", "Trial by trial", _trials(comparison)),
        Section("runs", "The runs", _runs(comparison)),
        Section("provenance", "Configuration and provenance", _provenance(comparison)),
    ]
    sides = comparison.sides
    names = [f"{letter(i)} {side.title}" for i, side in enumerate(sides)]
    title = f"{', '.join(names[1:])} against {names[0]}"
    boxes = [
        verdict_box(COLOUR_OF[comparison.overall(i)], comparison.overall(i).upper(), f"{summary_of(comparison, i)}.")
        for i in comparison.candidates
    ]
    version = str(sides[0].members[0].summary.versions.get("inferometer") or "")
    foot = [h("p", f"Made by inferometer {version} from the records of {sum(len(s.members) for s in sides)} runs.")]
    return page(f"Comparison: {title}", [*top("a comparison", title, asked_parts(comparison)), *boxes], sections, foot)


# --- the answer ----------------------------------------------------------------------------------------------------


def _answer(comparison: Comparison) -> tuple[Element | None, ...]:
    told = [
        h("li", h("strong", letter(i)), f": {side_text(side)}; {served_text(side)}")
        for i, side in enumerate(comparison.sides)
    ]
    open_ = [row for row in comparison.rows if row.verdict == "undecided" and isinstance(row.ratio, Estimate)]
    settle = (
        f"Trials a side that would settle what is undecided, all taken afresh: {', '.join(map(settle_text, open_))}."
    )
    doubts = [f"Ignored: {text}" for text in comparison.ignored] + [f"Note: {text}" for text in comparison.notes]
    return (
        h("ul", *told, class_="told"),
        *(part for i in comparison.candidates for part in _forest(comparison, i)),
        h("p", f"{_capital(method_text(comparison))}.", class_="note"),
        h("p", settle) if open_ else None,
        h("ul", *(h("li", text) for text in doubts), class_="told") if doubts else None,
    )


def _forest(comparison: Comparison, candidate: int) -> list[Element]:
    against = f"{letter(candidate)} against A"
    tolerance = f"{100 * comparison.tolerance:g} %"
    return [
        h("h3", f"{against}: change of each metric"),
        forest([_tree(row) for row in comparison.of(candidate)], comparison.tolerance, against=against),
        h("p", f"Bars: 95 % intervals. Shaded: the same within {tolerance}. The line is no change.", class_="note"),
    ]


def _tree(row: Row) -> Tree:
    name, direction = h("code", row.quantity.name), _DIRECTIONS[row.quantity.of.better]
    return Tree(name, direction, row.ratio, *change(row), row.verdict, LEVELS[row.verdict], COLOURS[row.verdict])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- numbers -------------------------------------------------------------------------------------------------------


def _numbers(comparison: Comparison) -> tuple[Element | None, ...]:
    columns = tuple(zip(COLUMNS, map(list, zip(*table_rows(comparison), strict=True)), strict=True))
    seen = [seen_text(row) for row in comparison.rows if isinstance(row.ratio, Estimate)]
    return (
        h("p", save_link(Data("comparison", columns), "save all numbers")),
        *(_table(comparison, candidate) for candidate in comparison.candidates),
        h("p", f"In 9 of 10 such comparisons a change is found from: {', '.join(seen)}.", class_="note")
        if seen
        else None,
    )


def _table(comparison: Comparison, candidate: int) -> Element:
    name = letter(candidate)
    rows = [_row(row) for row in comparison.of(candidate)]
    head = ["metric", "unit", "A", name, f"{name} against A", "p (Holm)", "to settle", "verdict"]
    return table(f"{name} against A", head, rows, "llrrrrrl", class_="numbers")


def _row(row: Row) -> list[Cell]:
    mark = h("span", row.verdict, class_=f"mark {LEVELS[row.verdict]}")
    name = h("code", row.quantity.name)
    if isinstance(row.ratio, Missing):
        return [name, "", "", "", "-", "", "", h("span", mark, " ", row.ratio.reason)]
    scale = scale_of([row.a, row.b])
    value, bracket = change(row)
    told = h("span", value, h("small", bracket) if bracket else None, class_="number")
    settle = settle_text(row).partition(" ")[2] if row.verdict == "undecided" else ""
    return [name, unit_of(scale), number_cell(row.a, scale), number_cell(row.b, scale), told, p_text(row), settle, mark]


# --- trials --------------------------------------------------------------------------------------------------------


def _trials(comparison: Comparison) -> tuple[Element | None, ...]:
    quantities = dict.fromkeys(row.quantity for row in comparison.rows)
    drawn = [each for quantity in quantities if (each := _trial_figure(comparison, quantity)) is not None]
    return (h("div", *drawn, class_="pair") if drawn else h("p", "No trial has a number.", class_="note"),)


def _trial_figure(comparison: Comparison, quantity: Quantity) -> Element | None:
    """One value per trial of each side, in the order of their making: a drift of the machine would show."""
    told = [(letter(i), side.values(quantity)) for i, side in enumerate(comparison.sides)]
    values = [(name, each) for name, each in told if not isinstance(each, Missing) and np.isfinite(each).any()]
    if not values:
        return None
    known = np.concatenate([each[np.isfinite(each)] for _, each in values])
    x = _trial_axis(max(len(each) for _, each in values))
    y = _tight(quantity, float(known.min()), float(known.max()))
    marks, ends = [], []
    for name, each in values:
        order, colour = np.arange(1.0, len(each) + 1), _SIDE_COLOURS[(ord(name) - ord("A")) % len(_SIDE_COLOURS)]
        seen = np.where(np.isfinite(each), each, math.nan)
        marks += [line(x, y, order, seen, colour, is_dashed=True), points(x, y, order, seen, colour)]
        ends.append(End(float(seen[np.isfinite(seen)][-1]), name, colour))
    n_beyond = sum(int(np.isinf(each).sum()) for _, each in values)
    beyond = f"{n_beyond} trials lie among their failed requests and are not drawn." if n_beyond else ""
    shown = f"{quantity.name} of each trial: {', '.join(name for name, _ in values)}"
    panel = Panel(x, y, tuple(marks), shown, ends=tuple(ends), height_rem=9)
    n = max(len(each) for _, each in values)
    columns = (("trial", np.arange(1.0, n + 1)), *((f"{name}_{quantity.name}", each) for name, each in values))
    return figure(quantity.name, [panel], Data(f"trials-{quantity.name}", columns), beyond)


def _trial_axis(n: int) -> Axis:
    made = axis("trial", 0.5, n + 0.5)
    return Axis(made.name, made.lo, made.hi, False, tuple((v, f"{v:.0f}") for v, _ in made.ticks if v.is_integer()))


def _tight(quantity: Quantity, lo: float, hi: float) -> Axis:
    """Not from 0: it is the scatter that is looked at."""
    if lo == hi:
        lo, hi = lo - _MARGIN * abs(lo), hi + _MARGIN * abs(hi)
    return axis("", lo, hi, unit=quantity.of.unit, is_rounded=True, n_steps=4)


# --- runs and provenance -------------------------------------------------------------------------------------------


def _runs(comparison: Comparison) -> tuple[Element | None, ...]:
    rows: list[list[Cell]] = [
        [h("strong", letter(i)), *_run(member)] for i, side in enumerate(comparison.sides) for member in side.members
    ]
    head = ["side", "run", "made", "verdict", "requests", "failed", "why"]
    return (table("Every run", head, rows, "llllrrl", class_="wide"),)


def _run(member: Member) -> list[Cell]:
    summary = member.summary
    level = summary.verdict.level
    reasons = ", ".join(dict.fromkeys(reason.code for reason in summary.verdict.reasons))
    counts = summary.counts
    return [
        h("code", member.path),
        str(member.facts.get("created") or ""),
        h("span", level, class_=f"mark {level}"),
        f"{counts['planned']:,}",
        f"{counts['failed']:,}",
        reasons,
    ]


def _provenance(comparison: Comparison) -> tuple[Element | None, ...]:
    """The manifest of the first run of each side, behind its letter."""
    return tuple(
        h(
            "details",
            h("summary", f"{letter(i)}: {side.title}, its first run"),
            *provenance(side.members[0].facts),
        )
        for i, side in enumerate(comparison.sides)
    )
