# SPDX-License-Identifier: Apache-2.0
"""A forest plot: one ratio with its interval in each row, all on one axis, the tolerance shaded.

Rule: rows are HTML, so that on a phone the words go above their interval instead of pressing it flat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from inferometer.analysis.compare import Row, Word
from inferometer.report.comparison import change
from inferometer.report.html.axis import Axis, axis
from inferometer.report.html.chart import SIZE, points, rules, stretch, whiskers, x_words
from inferometer.report.html.element import Element, h
from inferometer.stats import Estimate, Missing

MAX_LINEAR = 3.0  # the ratio, or its inverse, up to which the axis tells changes in percent; beyond it, factors
COLOURS: dict[Word, str] = {"better": "good", "worse": "bad", "same": "s1", "different": "s2", "undecided": "muted"}
LEVELS: dict[Word, str] = {
    "better": "valid",
    "worse": "invalid",
    "same": "plain",
    "different": "suspect",
    "undecided": "suspect",
}
_DIRECTIONS = {"lower": "less is better", "higher": "more is better", "none": ""}


def forest(rows: Sequence[Row], tolerance: float, *, against: str) -> Element:
    """The rows of one candidate. `against`: what its ratios are of, `B against A`."""
    x = _axis(rows, tolerance, against)
    return h(
        "div",
        *(_row(row, x, tolerance) for row in rows),
        h(
            "div",
            h("div", *x_words(x), class_="x-words", aria_hidden="true"),
            h("p", x.name, class_="axis-name below"),
            class_="forest-foot",
        ),
        class_="forest",
        role="list",
    )


def _axis(rows: Sequence[Row], tolerance: float, against: str) -> Axis:
    """Over every interval that has ends, and at least twice the tolerance."""
    told = [row.ratio for row in rows if isinstance(row.ratio, Estimate)]
    ends = [end for ratio in told for end in (ratio.lo, ratio.value, ratio.hi) if math.isfinite(end) and end > 0]
    ends += [1 + 2 * tolerance, 1 / (1 + 2 * tolerance)]
    if max(ends) <= MAX_LINEAR and min(ends) >= 1 / MAX_LINEAR:
        made = axis(f"change, {against}", min(ends) - 1, max(ends) - 1, unit="ratio", is_rounded=True, n_steps=4)
        ticks = tuple((1 + value, f"{'+' if value > 0 else ''}{text}") for value, text in made.ticks)
        return Axis(made.name, 1 + made.lo, 1 + made.hi, is_log=False, ticks=ticks)
    return axis(f"factor, {against}", min(ends), max(ends), is_log=True)


def _row(row: Row, x: Axis, tolerance: float) -> Element:
    direction = _DIRECTIONS[row.quantity.of.better]
    name = h("p", h("code", row.quantity.name), " ", h("small", direction), class_="name")
    mark = h("p", h("span", row.verdict, class_=f"mark {LEVELS[row.verdict]}"), class_="word")
    value, bracket = change(row)
    if isinstance(row.ratio, Missing):
        told, drawn = h("p", class_="told"), h("p", row.ratio.reason, class_="drawn note")
    else:
        told = h("p", value, " ", h("small", bracket), class_="told")
        drawn = h("div", _drawn(row, x, tolerance), class_="drawn")
    return h("div", name, told, drawn, mark, class_="forest-row", role="listitem")


def _drawn(row: Row, x: Axis, tolerance: float) -> Element:
    assert isinstance(row.ratio, Estimate)
    y = Axis("", 0.0, 1.0, is_log=False, ticks=())
    at, middle = np.array([row.ratio.value]), np.array([0.5])
    colour = COLOURS[row.verdict]
    value, bracket = change(row)
    return h(
        "svg",
        h("g", *rules(x), class_="grid"),
        stretch(x, 1 / (1 + tolerance), 1 + tolerance, "s0"),
        h("path", d=f"M{SIZE * float(x.at(1.0)):.1f} 0V{SIZE}", class_="line muted"),
        whiskers(x, y, at, middle, np.array([row.ratio.lo]), np.array([row.ratio.hi]), colour, is_flat=True),
        points(x, y, at, middle, colour) if math.isfinite(row.ratio.value) else None,
        viewBox=f"0 0 {SIZE} {SIZE}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{row.quantity.name}: {value} {bracket}, {row.verdict}",
    )
