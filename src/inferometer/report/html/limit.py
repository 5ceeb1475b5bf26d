# SPDX-License-Identifier: Apache-2.0
"""The page of a limit search: the load that is safe and the limit, the share within limits over load, every look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from inferometer.analysis.limit import LimitSearch, LookRow, share_of
from inferometer.report.figures import PERCENT, PLAIN
from inferometer.report.html.axis import Axis, axis
from inferometer.report.html.chart import End, Flag, Panel, level, line, stretch
from inferometer.report.html.element import Element, h
from inferometer.report.html.facts import provenance
from inferometer.report.html.figure import Data, figure, save_link
from inferometer.report.html.page import Section, page
from inferometer.report.html.series import Series, marks_of
from inferometer.report.html.words import Cell, number_cell, table, tile, tile_of_text, top, verdict_box, with_unit
from inferometer.report.limit import asked_text, headline, load_unit, shown_parts, spent_text
from inferometer.report.probe_table import look_columns, look_rows
from inferometer.report.sweep import asked_parts
from inferometer.stats import Estimate, FloatArray
from inferometer.units import format_span

_ROOM = 1.05  # beyond the loads that are drawn
_FAR = 2.5  # times the limit
_COLOURS = {"holds": "good", "undecided": "muted", "fails": "bad"}
_LEVELS = {"holds": "valid", "undecided": "suspect", "fails": "invalid"}


def render(found: LimitSearch, *, folder: str) -> str:
    """The whole document. `folder`: name of the search's folder."""
    sections = [Section("answer", "Answer", _answer(found))]
    if found.loads:
        sections.append(Section("share", "How many are within limits", (_share(found),)))
        sections.append(Section("looks", "How it was searched", _looks(found)))
    sections.append(Section("provenance", "Configuration and provenance", provenance(_facts(found))))
    model = str(found.engine.get("model") or "a model without a name")
    head = [
        *top("a limit search", model, [*asked_parts(found.engine, found.plan), asked_text(found)]),
        verdict_box(*headline(found)),
    ]
    version = str(found.versions.get("inferometer") or "")
    foot = [h("p", f"Made by inferometer {version} from {folder}. Behind each look is a run, in the same folder.")]
    return page(f"Limit: {model}", head, sections, foot)


# --- the answer ----------------------------------------------------------------------------------------------------


def _answer(found: LimitSearch) -> tuple[Element | None, ...]:
    shown = shown_parts(found)
    told = [f"Shown: {'; '.join(shown)}."] if shown else []
    told += [f"What binds: near the limit most requests missed {found.binding}."] if found.binding else []
    told += [f"Spent: {spent_text(found)}."]
    told += [f"It ended because {found.stopped}."] if found.stopped else []
    return (
        h("dl", *_tiles(found), class_="tiles"),
        h("ul", *(h("li", text) for text in told), class_="told"),
        h("h3", "Notes") if found.notes else None,
        h("ul", *(h("li", note) for note in found.notes), class_="told") if found.notes else None,
    )


def _tiles(found: LimitSearch) -> list[Element]:
    unit = load_unit(found)
    tiles = []
    if found.safe is not None:
        tiles.append(tile_of_text("Safe load", f"{found.safe:.4g}", "", unit, [("plan", "with this one")]))
    tiles.append(tile("Limit", found.limit.figure, PLAIN, unit, [("binds", found.binding)] if found.binding else ()))
    alone = found.alone_share.figure
    tiles.append(tile("One request at a time", alone, PERCENT, "% within limits"))
    return tiles


# --- the share within limits ---------------------------------------------------------------------------------------


def _share(found: LimitSearch) -> Element:
    """Of each load, with the fitted curve, the target, and the bracket."""
    rows = [row for row in found.loads if _is_near(found, row.load)]
    loads = np.array([row.load for row in rows])
    attained = Series.of(found.attained(load) for load in loads.tolist())
    x = _load_axis(found, loads)
    y = axis("Requests within all limits", 0.0, 1.0, unit="ratio", is_rounded=True)
    marks: list[Element] = [*_bracket(found, x), level(y, found.attainment, "bad")]
    ends = [End(found.attainment, f"asked {100 * found.attainment:g} %", "bad")]
    columns: list[tuple[str, FloatArray | list[str]]] = [("load", loads), *attained.columns("share_within_limits")]
    columns.append(("verdict", [row.verdict for row in rows]))
    if (curve := found.curve) is not None:
        marks.append(line(x, y, *curve, "s2"))
        ends.append(End(float(curve[1][-1]), "fitted", "s2"))
        columns += [("curve_load", curve[0]), ("curve_share", curve[1])]
    for verdict, colour in _COLOURS.items():
        mine = attained.where([row.verdict == verdict for row in rows])
        marks += [] if mine.is_empty else marks_of(x, y, Series.exact(loads), mine, colour)
    words = "; ".join(f"{row.load:.4g} {row.verdict}" for row in rows)
    shown = f"Share within limits by load: {words}"
    panel = Panel(x, y, tuple(marks), shown, _flags(found), tuple(ends), height_rem=18)
    return figure(
        "Share of requests within all limits, by load",
        [panel],
        Data("attainment", tuple(columns)),
        *_share_notes(found),
    )


def _share_notes(found: LimitSearch) -> list[str]:
    far = [f"{row.load:.4g}" for row in found.loads if not _is_near(found, row.load)]
    return [
        "Green: shown to hold what was asked; red: shown to fail; grey: undecided. Bars: 95 % intervals, by what "
        "requests that depend on each other are worth."
        + (" Shaded: between what holds and what fails." if _has_bracket(found) else "")
        + (" Line: the curve fitted to the looks near the limit." if found.curve is not None else ""),
        f"Further away, and in the table only: {', '.join(far)} {load_unit(found)}." if far else "",
    ]


def _is_near(found: LimitSearch, load: float) -> bool:
    """To the limit, where there is one: what was tried far from it would press everything into a corner."""
    limit = found.limit.value
    return limit is None or limit / _FAR <= load <= limit * _FAR


def _load_axis(found: LimitSearch, loads: FloatArray) -> Axis:
    ends = [*loads.tolist(), *(end for end in (found.limit.lo, found.limit.hi, found.safe) if end)]
    if found.curve is not None:
        ends += [float(found.curve[0][0]), float(found.curve[0][-1])]
    name = "requests offered per second" if found.kind == "rate" else "requests in flight"
    return axis(name, min(ends) / _ROOM, max(ends) * _ROOM, is_log=True)


def _has_bracket(found: LimitSearch) -> bool:
    return found.holds is not None and found.fails is not None and found.holds < found.fails


def _bracket(found: LimitSearch, x: Axis) -> list[Element]:
    if found.holds is None or found.fails is None or not _has_bracket(found):
        return []
    return [stretch(x, found.holds, found.fails, "s0")]


def _flags(found: LimitSearch) -> tuple[Flag, ...]:
    flags = []
    if found.safe is not None:
        flags.append(Flag(found.safe, f"safe {found.safe:.4g}", "good"))
    limit = found.limit.figure
    if isinstance(limit, Estimate):
        flags.append(Flag(limit.value, f"limit {with_unit(limit, PLAIN)}", "s2", lo=limit.lo, hi=limit.hi))
    return tuple(flags)


# --- the looks -----------------------------------------------------------------------------------------------------


def _looks(found: LimitSearch) -> tuple[Element | None, ...]:
    columns = tuple(zip(look_columns(found), map(list, zip(*look_rows(found), strict=True)), strict=True))
    return (
        _course(found),
        _loads_table(found),
        h("p", save_link(Data("looks", columns), "save all looks")),
        h("details", h("summary", f"{len(found.looks)} looks"), _looks_table(found)),
    )


def _course(found: LimitSearch) -> Element:
    """One look after the other: where, and whether it met what was asked."""
    looks = found.looks
    loads, order = np.array([look.load for look in looks]), np.arange(1.0, len(looks) + 1)
    x = axis("look", 0.5, len(looks) + 0.5)
    whole = tuple((value, f"{value:.0f}") for value, _ in x.ticks if value.is_integer())
    x = replace(x, ticks=whole)
    name = "Requests offered per second" if found.kind == "rate" else "Requests in flight"
    y = axis(name, float(loads.min()) / _ROOM, float(loads.max()) * _ROOM, is_log=True)
    marks: list[Element] = [line(x, y, order, loads, "muted", is_dashed=True)]
    for word, colour in (("met", "good"), ("missed", "bad"), ("spoiled", "muted")):
        is_mine = [_word(found, look) == word for look in looks]
        mine = Series.exact(np.where(is_mine, loads, np.nan))
        marks += [] if mine.is_empty else marks_of(x, y, Series.exact(order), mine, colour)
    ends = []
    if found.limit.value is not None:
        marks.append(level(y, found.limit.value, "s2"))
        ends.append(End(found.limit.value, "limit", "s2"))
    if found.safe is not None:
        marks.append(level(y, found.safe, "good"))
        ends.append(End(found.safe, "safe", "good"))
    panel = Panel(x, y, tuple(marks), f"Load of {len(looks)} looks, in their order", ends=tuple(ends), height_rem=12)
    note = "Green: the look met what was asked; red: it missed it, or its queue grew; grey: the client was in the way."
    words = [_word(found, look) for look in looks]
    data = Data("course", (("look", order), ("load", loads), ("came_out", words)))
    return figure("From look to look", [panel], data, note)


def _word(found: LimitSearch, look: LookRow) -> str:
    if look.is_spoiled:
        return "spoiled"
    return "met" if look.share is not None and look.share >= found.attainment and not look.growth else "missed"


def _loads_table(found: LimitSearch) -> Element:
    rows: list[list[Cell]] = []
    for row in found.loads:
        mark = h("span", row.verdict, class_=f"mark {_LEVELS[row.verdict]}")
        share = number_cell(found.attained(row.load), PERCENT)
        rows.append([f"{row.load:.4g}", str(row.n_looks), f"{row.n:,}", share, mark])
    head = [load_unit(found), "looks", "requests", "within limits, %", "shown"]
    return table("Every load", head, rows, "lrrrl", class_="numbers")


def _looks_table(found: LimitSearch) -> Element:
    limits = list(dict.fromkeys(limit for look in found.looks for limit in look.misses))
    rows: list[list[Cell]] = []
    for i, look in enumerate(found.looks):
        parts = [look.growth, ", ".join(look.reasons)]
        numbers = [f"{look.load:.4g}", look.stage, f"{look.n:,}", f"{look.n_worth:,.0f}"]
        missed: list[Cell] = [f"{look.misses.get(limit, 0):,}" for limit in limits]
        share = number_cell(share_of([look]), PERCENT)
        rows.append([str(i + 1), *numbers, share, *missed, "; ".join(part for part in parts if part)])
    head = ["look", load_unit(found), "stage", "requests", "worth", "within limits, %"]
    head += [f"missed {limit}" for limit in limits]
    return table("Every look", [*head, ""], rows, f"lrlrrr{'r' * len(limits)}l", class_="numbers")


def _facts(found: LimitSearch) -> dict[str, object]:
    return {
        "created": found.created,
        "limits": asked_text(found),
        "confidence": found.confidence,
        "took": format_span(found.seconds),
        "budget": format_span(found.budget_s),
        "plan": found.plan,
        "engine": found.engine,
        "host": found.host,
        "versions": found.versions,
    }
