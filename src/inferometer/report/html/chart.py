# SPDX-License-Identifier: Apache-2.0
"""A chart: marks in an SVG that stretches, and around it words in HTML that do not.

Rule 1: a plot is 1000 wide and 1000 high, whatever its size on the screen; strokes and dots keep theirs
(non-scaling-stroke). So a phone gets the same marks and letters as large as on a wide screen.
Rule 2: what a mark is stands beside it. Colour and dash repeat the words and are told apart by eyes that see no red.
Rule 3: values come as they are in base units; an axis knows the unit that is written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from inferometer.report.html.axis import Axis
from inferometer.report.html.element import Element, h
from inferometer.stats import FloatArray

SIZE = 1000
LINE_REM = 1.25  # height of a line of words, as the style sheet has it
BAR_REM = 0.25
FLAG_REM = 1.5  # the same with room for the bar of an interval
N_SHADES = 8  # of cells
MAX_ON_PHONE = 4  # words along an axis
OPEN_LENGTH = 90.0  # of an interval that has no end
LETTER_SHARE = 0.035  # of the width of a plot on a phone


@dataclass(frozen=True, slots=True)
class Flag:
    """A vertical line at `x` with words at its top, each in a line of its own; below the words a bar from `lo` to `hi`,
    an interval, which fades out where it has no end."""

    x: float
    text: str
    colour: str
    is_dashed: bool = False
    lo: float = math.nan
    hi: float = math.nan


@dataclass(frozen=True, slots=True)
class End:
    """Words at the right edge, at the height of what they name."""

    y: float
    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Label:
    """A word beside a mark. Of labels that would lie on each other on a phone the first stays."""

    x: float
    y: float
    text: str
    colour: str = "ink"


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot. `shown`: what somebody who cannot see it is told. `has_x`: the words of the x axis are below it."""

    x: Axis
    y: Axis
    marks: tuple[Element, ...]
    shown: str
    flags: tuple[Flag, ...] = ()
    ends: tuple[End, ...] = ()
    labels: tuple[Label, ...] = ()
    height_rem: float = 11.0
    is_one_row: bool = False  # the words of all flags, which are short, side by side
    has_x: bool = True


def panel_element(panel: Panel, *, y_ch: int, end_ch: int) -> Element:
    """The panel as HTML. `y_ch`, `end_ch`: characters kept free left and right, equal where panels are stacked."""
    head_rem = FLAG_REM * (min(len(panel.flags), 1) if panel.is_one_row else len(panel.flags))
    grid = [_rule(y=float(at)) for at in _places(panel.y)]
    plot = h(
        "svg",
        h("g", *grid, *rules(panel.x), class_="grid"),
        *panel.marks,
        viewBox=f"0 0 {SIZE} {SIZE}",
        preserveAspectRatio="none",
        role="img",
        aria_label=panel.shown,
    )
    style = f"--y:{y_ch}ch;--end:{end_ch}ch;--head:{head_rem:g}rem;--plot:{panel.height_rem:g}rem"
    return h(
        "div",
        h("p", panel.y.name, class_="axis-name") if panel.y.name else None,
        h("div", *_y_words(panel), class_="y-words", aria_hidden="true"),
        h("div", plot, *_flag_words(panel), *_label_words(panel), class_="plot"),
        h("div", *_end_words(panel), class_="end-words", aria_hidden="true"),
        h("div", *x_words(panel.x), class_="x-words", aria_hidden="true") if panel.has_x else None,
        h("p", panel.x.name, class_="axis-name below") if panel.has_x else None,
        class_="panel",
        style=style,
    )


# --- words ---------------------------------------------------------------------------------------------------------


def _places(axis: Axis) -> FloatArray:
    return axis.at(np.array([value for value, _ in axis.ticks]))


def _percent(place: float) -> str:
    return f"{100 * place:.2f}%"


def _y_words(panel: Panel) -> Iterable[Element]:
    for place, (_, text) in zip(_places(panel.y), panel.y.ticks, strict=True):
        yield h("span", text, style=f"bottom:{_percent(place)}")


def x_words(axis: Axis) -> Iterable[Element]:
    """Every second one may go where there is no room, if there are many."""
    are_many = len(axis.ticks) > MAX_ON_PHONE
    for i, (place, (_, text)) in enumerate(zip(_places(axis), axis.ticks, strict=True)):
        yield h("span", text, class_="spare" if i % 2 and are_many else None, style=f"left:{_percent(place)}")


def _flag_words(panel: Panel) -> Iterable[Element]:
    for i, flag in enumerate(panel.flags):
        row = 0 if panel.is_one_row else i
        place = float(panel.x.at(flag.x))
        is_left = place > 0.5 and not panel.is_one_row
        side = f"right:{_percent(1 - place)}" if is_left else f"left:{_percent(place)}"
        classes = f"flag {flag.colour}{' dashed' if flag.is_dashed else ''}{' before' if is_left else ''}"
        yield h("span", h("b", flag.text), class_=classes, style=f"{side};top:{row * FLAG_REM:g}rem")
        yield from _reach(panel.x, flag, row)


def _reach(x: Axis, flag: Flag, row: int) -> Iterable[Element]:
    if not (math.isfinite(flag.lo) or math.isfinite(flag.hi)):
        return
    left, right = float(x.at(max(flag.lo, x.lo))), float(x.at(min(flag.hi, x.hi)))
    fades = "" if math.isfinite(flag.lo) and math.isfinite(flag.hi) else " up" if math.isfinite(flag.lo) else " down"
    style = f"left:{_percent(left)};right:{_percent(1 - right)};top:{(row + 1) * FLAG_REM - BAR_REM:g}rem"
    yield h("span", class_=f"reach {flag.colour}{fades}", style=style)


def _label_words(panel: Panel) -> Iterable[Element]:
    """Above its mark, or below one that is close to the top."""
    line = LINE_REM / panel.height_rem
    taken: list[tuple[float, float, float]] = []
    for label in panel.labels:
        x, y = float(panel.x.at(label.x)), float(panel.y.at(label.y))
        bottom = y + 0.4 * line if y < 1 - 1.4 * line else y - 1.4 * line
        half = 0.5 * LETTER_SHARE * (len(label.text) + 1)
        if any(abs(x - other) < half + width and abs(bottom - at) < line for other, at, width in taken):
            continue
        taken.append((x, bottom, half))
        place = f"left:{_percent(x)};bottom:calc(var(--plot) * {bottom:.4f})"
        yield h("span", label.text, class_=f"label {label.colour}", style=place, aria_hidden="true")


def _end_words(panel: Panel) -> Iterable[Element]:
    """At their heights, pushed apart where they would lie on each other."""
    room = LINE_REM / panel.height_rem
    ends = sorted(panel.ends, key=lambda end: end.y)
    places = [float(panel.y.at(end.y)) for end in ends]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + room)
    top = 1.0
    for i in reversed(range(len(places))):
        places[i] = top = min(places[i], top)
        top -= room
    for end, place in zip(ends, places, strict=True):
        yield h("span", end.text, class_=end.colour, style=f"bottom:{_percent(place)}")


# --- marks ---------------------------------------------------------------------------------------------------------


def rules(x: Axis) -> list[Element]:
    """A line upwards from each step of an axis."""
    return [_rule(x=float(at)) for at in _places(x)]


def _rule(x: float | None = None, y: float | None = None) -> Element:
    d = f"M{SIZE * x:.1f} 0V{SIZE}" if x is not None else f"M0 {SIZE * (1 - (y or 0)):.1f}H{SIZE}"
    return h("path", d=d)


def level(y: Axis, value: float, colour: str) -> Element:
    """A dashed line across the plot: a limit."""
    return h("path", d=f"M0 {SIZE * (1 - float(y.at(value))):.1f}H{SIZE}", class_=f"line dashed {colour}")


def line(x: Axis, y: Axis, xs: FloatArray, ys: FloatArray, colour: str, *, is_dashed: bool = False) -> Element:
    """From point to point; a gap where y is NaN."""
    pieces, is_down = [], False
    for a, b, known in zip(_xs(x, xs), _ys(y, ys), np.isfinite(ys), strict=True):
        if known:
            pieces.append(f"{'L' if is_down else 'M'}{a:.1f} {b:.1f}")
        is_down = bool(known)
    return h("path", d="".join(pieces), class_=f"line {colour}{' dashed' if is_dashed else ''}")


def steps(x: Axis, y: Axis, edges: FloatArray, values: FloatArray, colour: str, *, is_filled: bool = False) -> Element:
    """A value from each edge to the next, as a line or as an area down to the axis; a gap where it is NaN."""
    at, heights = _xs(x, edges), _ys(y, values)
    pieces, is_down = [], False
    for left, right, height, known in zip(at, at[1:], heights, np.isfinite(values), strict=False):
        if not known:
            pieces.append(f"V{SIZE}Z" if is_down and is_filled else "")
        elif is_down:
            pieces.append(f"V{height:.1f}H{right:.1f}")
        else:
            pieces.append(f"M{left:.1f} {SIZE if is_filled else height:.1f}V{height:.1f}H{right:.1f}")
        is_down = bool(known)
    d = "".join(pieces) + (f"V{SIZE}Z" if is_down and is_filled else "")
    return h("path", d=d, class_=f"{'area' if is_filled else 'line'} {colour}")


def stretch(x: Axis, lo: float, hi: float, colour: str) -> Element:
    """Shading from one value to another over the whole height."""
    left, right = (SIZE * float(x.at(value)) for value in (lo, hi))
    return h("path", d=f"M{left:.1f} 0H{right:.1f}V{SIZE}H{left:.1f}Z", class_=f"stretch {colour}")


def whiskers(
    x: Axis, y: Axis, xs: FloatArray, ys: FloatArray, lo: FloatArray, hi: FloatArray, colour: str, *, is_flat: bool
) -> Element:
    """The interval of each point, upright about its y, or with `is_flat` along the x axis about its x. Dashed and short
    where it has no end."""
    across, middle = (_ys(y, ys), _xs(x, xs)) if is_flat else (_xs(x, xs), _ys(y, ys))
    strokes: dict[bool, list[str]] = {True: [], False: []}  # those with an end, and those without
    for bounds, outward in ((lo, -OPEN_LENGTH), (hi, OPEN_LENGTH)):
        has_end = np.isfinite(bounds)
        ends = _xs(x, np.where(has_end, bounds, 0)) if is_flat else _ys(y, np.where(has_end, bounds, 0))
        ends = np.where(has_end, ends, np.clip(middle + (outward if is_flat else -outward), 0, SIZE))
        is_known = np.isfinite(xs) & np.isfinite(ys) & ~np.isnan(bounds)
        for a, start, end, is_closed in zip(*(part[is_known] for part in (across, middle, ends, has_end)), strict=True):
            d = f"M{start:.1f} {a:.1f}H{end:.1f}" if is_flat else f"M{a:.1f} {start:.1f}V{end:.1f}"
            strokes[bool(is_closed)].append(d)
    open_ = h("path", d="".join(strokes[False]), class_=f"line whisker dashed {colour}") if strokes[False] else None
    return h("g", h("path", d="".join(strokes[True]), class_=f"line whisker {colour}"), open_)


def points(x: Axis, y: Axis, xs: FloatArray, ys: FloatArray, colour: str) -> Element:
    """A mark for each that is known, of few."""
    known = np.isfinite(xs) & np.isfinite(ys)
    drawn = [h("path", d=f"M{a:.1f} {b:.1f}h0") for a, b in zip(_xs(x, xs[known]), _ys(y, ys[known]), strict=True)]
    return h("g", *drawn, class_=f"points {colour}")


def dots(x: Axis, y: Axis, xs: FloatArray, ys: FloatArray, colour: str) -> Element:
    """One dot each; where many lie on each other it is darker."""
    points = [h("path", d=f"M{a:.1f} {b:.1f}h0") for a, b in zip(_xs(x, xs), _ys(y, ys), strict=True)]
    return h("g", *points, class_=f"dots {colour}")


def cells(x: Axis, y: Axis, x_edges: FloatArray, y_edges: FloatArray, counts: FloatArray, colour: str) -> Element:
    """A grid of counts in shades, even steps of the logarithm: one request can still be seen beside a thousand."""
    lefts, tops = _xs(x, x_edges), _ys(y, y_edges)
    shades = np.zeros(counts.shape, int)
    seen = counts > 0
    shades[seen] = 1 + np.floor(np.log(counts[seen]) / max(np.log(counts.max()), 1e-9) * (N_SHADES - 1e-9))
    layers = []
    for shade in range(1, N_SHADES + 1):
        rows, columns = np.nonzero(shades == shade)
        d = "".join(
            f"M{lefts[c]:.1f} {tops[r]:.1f}H{lefts[c + 1]:.1f}V{tops[r + 1]:.1f}H{lefts[c]:.1f}Z"
            for r, c in zip(rows, columns, strict=True)
        )
        if d:
            layers.append(h("path", d=d, style=f"fill-opacity:{0.12 + 0.88 * (shade - 1) / (N_SHADES - 1):.2f}"))
    return h("g", *layers, class_=f"cells {colour}")


def _xs(axis: Axis, values: FloatArray) -> FloatArray:
    return SIZE * axis.at(values)


def _ys(axis: Axis, values: FloatArray) -> FloatArray:
    return SIZE * (1 - axis.at(np.nan_to_num(values)))


def widest(texts: Sequence[str]) -> int:
    """Characters to keep free for the longest of some words."""
    return max(map(len, texts), default=0)
