# SPDX-License-Identifier: Apache-2.0
"""The page of a choice: the paragraph, who stands where, goodput against latency, where it flips, who is out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from inferometer.analysis.choice import Candidate, Choice, Place
from inferometer.analysis.front import on_front
from inferometer.analysis.number import Number
from inferometer.report.choice import answers_text, asked_parts, cell_text, headline, ranked, sure_text
from inferometer.report.choice_table import columns, rows
from inferometer.report.comparison import change_of
from inferometer.report.figures import PERCENT, PLAIN, UNKNOWN
from inferometer.report.html.axis import axis
from inferometer.report.html.chart import End, Label, Panel, line
from inferometer.report.html.element import Element, h
from inferometer.report.html.facts import provenance
from inferometer.report.html.figure import Data, figure, save_link
from inferometer.report.html.forest import Tree, forest
from inferometer.report.html.page import Section, page
from inferometer.report.html.series import Series, axis_over, marks_of
from inferometer.report.html.words import TITLES, Cell, number_cell, table, top, verdict_box
from inferometer.stats import FloatArray
from inferometer.units import format_span

_LEVELS = {
    "preferred": "valid", "same": "plain", "better": "valid", "worse": "invalid",
    "open": "suspect", "misses": "invalid", "failed": "invalid",
}  # fmt: skip
_COLOURS = {"preferred": "good", "same": "s1", "better": "good", "worse": "bad", "open": "muted"}
_ROOM = 1.1  # above the highest mark
_SERIES = ("s1", "s2", "s3", "s4", "ink", "muted")
_LATENCIES: tuple[tuple[str, Callable[[Candidate], Number]], ...] = (
    ("ttft_s", lambda one: one.ttft_p50),
    ("tpot_s", lambda one: one.tpot_p50),
)


def render(found: Choice, *, folder: str) -> str:
    """The whole document. `folder`: name of the choice's folder."""
    sections = [Section("answer", "Answer", _answer(found))]
    if any(one.goodput.value is not None for one in found.candidates):
        sections.append(Section("front", "Goodput against latency", (_front(found),)))
    if found.places:
        sections.append(Section("places", "Where it flips", _places(found)))
    sections += [
        Section("candidates", "The candidates", _candidates(found)),
        Section("out", "Left out", _left_out(found)),
        Section("turns", "The turns", _turns(found)),
        Section("provenance", "Configuration and provenance", provenance(_facts(found))),
    ]
    level, word = headline(found)
    name = found.preferred if found.verdict == "prefer" else f"{len(found.candidates)} candidates"
    head = [*top("a choice", name, asked_parts(found)), verdict_box(level, word, found.answer)]
    version = str(found.versions.get("inferometer") or "")
    foot = [h("p", f"Made by inferometer {version} from {folder}. Behind each turn are runs, in the same folder.")]
    return page(f"Choice: {name}", head, sections, [*foot, _again(found)])


def _again(found: Choice) -> Element:
    return h("p", "To repeat: ", h("code", found.again)) if found.again else h("p")


# --- the answer ----------------------------------------------------------------------------------------------------


def _answer(found: Choice) -> tuple[Element | None, ...]:
    spent = f"{format_span(found.seconds)} of {format_span(found.budget_s)}, rounds of turns: {found.n_rounds}"
    told = [
        f"Decides: {found.figure}.",
        f"Sure: {sure_text(found)}.",
        f"Spent: {spent}{f'; {found.stopped}' if found.stopped else ''}.",
        *found.notes,
    ]
    others = [(letter, one) for letter, one in ranked(found) if one.state != "preferred"] if found.preferred else []
    drawn = [_tree(letter, one) for letter, one in others]
    note = f"A is {found.preferred}. Shaded: the same within {100 * found.tolerance:g} %."
    return (
        h("h3", "How the others stand to A") if drawn else None,
        forest(drawn, found.tolerance, against="against A") if drawn else None,
        h("p", note, class_="note") if drawn else None,
        h("ul", *(h("li", text) for text in told), class_="told"),
    )


def _tree(letter: str, one: Candidate) -> Tree:
    name, ratio = h("span", h("strong", letter), f" {one.name}"), one.ratio.figure
    colour = _COLOURS.get(one.state, "bad")
    return Tree(name, one.why, ratio, *change_of(ratio), one.state, _LEVELS[one.state], colour)


# --- goodput against latency ---------------------------------------------------------------------------------------


def _front(found: Choice) -> Element:
    """A mark for each candidate, and a line through those that nobody beats in both."""
    told = ranked(found)
    goodput = Series.of(one.goodput.figure for _, one in told)
    x = axis_over("goodput: requests/s within the limits", [goodput], "", is_from_zero=True)
    panels: list[Panel] = []
    data: list[tuple[str, FloatArray | list[str]]] = [("candidate", [one.name for _, one in told])]
    data += goodput.columns("goodput_per_s")
    for metric, of in _LATENCIES:
        latency = Series.of(of(one).figure for _, one in told)
        if latency.is_empty:
            continue
        above = _ROOM * float(np.nanmax(latency.values))
        y = axis_over(f"{TITLES[metric]}, median", [latency], "s", more=[above])
        is_first = on_front(goodput.values, latency.values)
        order = np.argsort(goodput.values[is_first])
        marks = [line(x, y, goodput.values[is_first][order], latency.values[is_first][order], "s1", is_dashed=True)]
        for state, colour in _COLOURS.items():
            mine = latency.where([one.state == state for _, one in told])
            marks += [] if mine.is_empty else marks_of(x, y, goodput, mine, colour)
        places = zip(told, goodput.values.tolist(), latency.values.tolist(), strict=True)
        labels = tuple(Label(a, b, letter) for (letter, _), a, b in places if np.isfinite([a, b]).all())
        shown = f"{y.name} against goodput of {len(labels)} candidates"
        panels.append(Panel(x, y, tuple(marks), shown, labels=labels, height_rem=12))
        data += [*latency.columns(f"{metric}_p50"), (f"on_front_{metric}", is_first.astype(np.float64))]
    notes = (
        "Right and below is better. Each candidate at the load where it stands; bars: 95 % intervals. Dashed: those "
        "that no other beats in both, by their point values.",
        "; ".join(f"{letter}: {one.name}" for letter, one in told) + ".",
    )
    if not panels:
        return h("p", "No candidate has a latency.", class_="note")
    return figure("Goodput against latency", panels, Data("candidates-front", tuple(data)), *notes)


# --- places --------------------------------------------------------------------------------------------------------


def _places(found: Choice) -> tuple[Element | None, ...]:
    by_load = [place for place in found.places if place.kind == "load" and place.load is not None]
    return (_by_load(found, by_load) if len(by_load) > 1 else None, _places_table(found))


def _by_load(found: Choice, places: list[Place]) -> Element | None:
    series = {letter: Series.of(_goodput(place, one.name).figure for place in places) for letter, one in ranked(found)}
    series = {letter: each for letter, each in series.items() if not each.is_empty}
    if not series:
        return None
    loads = np.array([place.load for place in places], np.float64)
    name = "requests/s offered" if found.kind == "rate" else "requests in flight"
    x = axis(name, 0.0, float(loads.max()), is_rounded=True)
    y = axis_over("Goodput, requests/s within the limits", list(series.values()), "")
    marks: list[Element] = []
    ends: list[End] = []
    data: list[tuple[str, FloatArray]] = [("load", loads)]
    for i, (letter, each) in enumerate(series.items()):
        colour = _SERIES[i % len(_SERIES)]
        marks += [line(x, y, loads, each.values, colour), *marks_of(x, y, Series.exact(loads), each, colour)]
        ends.append(End(each.last, letter, colour))
        data += each.columns(f"{letter}_goodput_per_s")
    panel = Panel(x, y, tuple(marks), f"Goodput by load of {', '.join(series)}", ends=tuple(ends), height_rem=14)
    names = "; ".join(f"{letter}: {one.name}" for letter, one in ranked(found) if letter in series)
    return figure("Goodput by load", [panel], Data("goodput-by-load", tuple(data)), f"{names}. Bars: 95 % intervals.")


def _goodput(place: Place, name: str) -> Number:
    missing = Number(None, None, None, 0, "1/s", missing="was not measured there")
    return next((cell.goodput for cell in place.cells if cell.candidate == name), missing)


def _places_table(found: Choice) -> Element:
    """A row for each place and candidate that is not the preferred one."""
    letter_of = {one.name: letter for letter, one in ranked(found)}
    body: list[list[Cell]] = []
    for place in found.places:
        for cell in place.cells:
            if cell.word == "preferred" and len(place.cells) > 1:
                continue
            word = "flips" if cell.candidate == place.flips_to else cell.word
            mark = h("span", word, class_=f"mark {'suspect' if word == 'flips' else _LEVELS[cell.word]}")
            share = UNKNOWN if cell.share is None else f"{100 * cell.share:.1f} %"
            told = [f"{letter_of[cell.candidate]}: {cell.candidate}", number_cell(cell.goodput.figure, PLAIN), share]
            body.append([place.title, *told, number_cell(cell.ratio.figure, PLAIN), mark])
    return table(
        "Every place", ["place", "candidate", "goodput/s", "in limits", "to A", ""], body, "llrrrl", class_="wide"
    )


# --- candidates ----------------------------------------------------------------------------------------------------


def _candidates(found: Choice) -> tuple[Element | None, ...]:
    if not found.candidates:
        return (h("p", "Nobody was measured.", class_="note"),)
    saved = tuple(zip(columns(), map(list, zip(*rows(found), strict=True)), strict=True))
    return (
        h("p", save_link(Data("candidates", saved), "save all candidates")),
        _measured(found),
        _beside(found),
        _weighed(found),
        *_known(found),
    )


def _measured(found: Choice) -> Element:
    unit = "requests/s" if found.kind == "rate" else "in flight"
    body: list[list[Cell]] = [
        [
            h("span", h("strong", letter), f" {one.name}"),
            h("span", one.state, class_=f"mark {_LEVELS[one.state]}"),
            UNKNOWN if one.load is None else f"{one.load:g}",
            number_cell(one.goodput.figure, PLAIN),
            number_cell(one.per_device.figure, PLAIN),
            number_cell(one.cost.figure, PLAIN),
            number_cell(one.attainment.figure, PERCENT),
            str(one.n_rounds),
        ]
        for letter, one in ranked(found)
    ]
    cost = next((f", {one.cost.unit}" for one in found.candidates if one.cost.value is not None), "")
    head = ["candidate", "", unit, "goodput/s", "per device", f"cost{cost}", "in limits, %", "rounds"]
    return table("What decides", head, body, "llrrrrrr", class_="numbers")


def _beside(found: Choice) -> Element:
    body: list[list[Cell]] = [
        [
            h("strong", letter),
            *(cell_text(number) for number in (one.ttft_p50, one.ttft_p99, one.tpot_p50, one.e2e_p50)),
            cell_text(one.memory),
            cell_text(one.start),
            answers_text(one),
        ]
        for letter, one in ranked(found)
    ]
    head = ["", "ttft p50", "ttft p99", "tpot p50", "e2e p50", "memory", "start", "answers as A"]
    return table("What else was measured", head, body, "lrrrrrrr", class_="numbers")


def _weighed(found: Choice) -> Element | None:
    """How the score comes about."""
    if not any(one.parts for one in found.candidates):
        return None
    names = list(found.weights)
    body: list[list[Cell]] = [
        [
            h("strong", letter),
            UNKNOWN if one.score is None else f"{one.score:.3f}",
            *(UNKNOWN if part.share is None else f"{part.share:.2f}" for part in one.parts),
        ]
        for letter, one in ranked(found)
        if one.parts
    ]
    head = ["", "score", *(f"{name} {100 * found.weights[name]:.0f} %" for name in names)]
    caption = "Weighed: each as a share of the best candidate's, to the power of its weight, multiplied"
    return table(caption, head, body, "l" + "r" * (len(names) + 1), class_="numbers")


def _known(found: Choice) -> list[Element]:
    """What no stopwatch sees, once per engine."""
    told: dict[str, list[list[Cell]]] = {}
    for _, one in ranked(found):
        name = f"{one.engine or one.name} {one.version}".strip()
        if one.facts and name not in told:
            told[name] = [[fact.topic, h("span", fact.text, " ", h("small", fact.known))] for fact in one.facts]
    return [table(f"Known of {name}", ["", ""], facts, "ll", class_="facts") for name, facts in told.items()]


def _left_out(found: Choice) -> tuple[Element | None, ...]:
    if not found.left_out:
        return (h("p", "Nobody was left out.", class_="note"),)
    body: list[list[Cell]] = [[h("strong", one.name), one.reason, one.remedy] for one in found.left_out]
    return (table("Not tried", ["who", "why", "what would change it"], body, "lll", class_="wide"),)


def _turns(found: Choice) -> tuple[Element | None, ...]:
    body: list[list[Cell]] = [
        [
            turn.candidate,
            str(turn.round or "elsewhere"),
            point.workload,
            f"{point.load:g}",
            f"{point.goodput_per_s:.4g}",
            UNKNOWN if point.share is None else f"{100 * point.share:.1f} %",
            f"{point.n:,}",
            ", ".join(point.reasons) or turn.failed,
            h("code", point.folder),
        ]
        for turn in found.turns
        for point in turn.points
    ]
    failed = [h("li", f"{turn.candidate}, round {turn.round}: {turn.failed}") for turn in found.turns if turn.failed]
    head = ["candidate", "round", "workload", "load", "goodput/s", "in limits", "requests", "", "run"]
    return (
        h("ul", *failed, class_="told") if failed else None,
        h(
            "details",
            h("summary", f"{len(found.turns)} turns, {len(body)} runs"),
            table("Every run", head, body, "lrlrrrrll", class_="wide"),
        ),
    )


def _facts(found: Choice) -> dict[str, object]:
    workloads = [
        f"{each.name}: {each.input_tokens} in, {each.output_tokens} out{f', {each.source}' if each.source else ''}"
        for each in found.workloads
    ]
    return {
        "created": found.created,
        "limits": "; ".join(asked_parts(found)[:-1]),
        "loads": ", ".join(f"{load:g}" for load in found.loads),
        "workloads": workloads,
        "weights": found.weights,
        "window": format_span(found.window_s),
        "warmup": format_span(found.warmup_s),
        "again": found.again,
        "host": found.host,
        "versions": found.versions,
    }
