# SPDX-License-Identifier: Apache-2.0
"""A forest plot: one ratio with its interval in each row, all on one axis, the tolerance shaded.

Rule: rows are HTML, so that on a phone the words go above their interval instead of pressing it flat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferometer.report.html.axis import Axis, axis
from inferometer.report.html.chart import SIZE, points, rules, stretch, whiskers, x_words
from inferometer.report.html.element import Element, h
from inferometer.stats import Estimate, Missing

MAX_LINEAR = 3.0  # the ratio, or its inverse, up to which the axis tells changes in percent; beyond it, factors


@dataclass(frozen=True, slots=True)
class Tree:
    """A row. `value`, `bracket`: the ratio as it is written; `word`: how it came out, in `colour`, its mark by
    `level`."""

    name: Element | str
    note: str
    ratio: Estimate | Missing
    value: str
    bracket: str
    word: str
    level: str
    colour: str


def forest(trees: Sequence[Tree], tolerance: float, *, against: str) -> Element:
    """`against`: what the ratios are of, `B against A`."""
    x = _axis(trees, tolerance, against)
    return h(
        "div",
        *(_row(tree, x, tolerance) for tree in trees),
        h(
            "div",
            h("div", *x_words(x), class_="x-words", aria_hidden="true"),
            h("p", x.name, class_="axis-name below"),
            class_="forest-foot",
        ),
        class_="forest",
        role="list",
    )


def _axis(trees: Sequence[Tree], tolerance: float, against: str) -> Axis:
    """Over every interval that has ends, and at least twice the tolerance."""
    told = [tree.ratio for tree in trees if isinstance(tree.ratio, Estimate)]
    ends = [end for ratio in told for end in (ratio.lo, ratio.value, ratio.hi) if math.isfinite(end) and end > 0]
    ends += [1 + 2 * tolerance, 1 / (1 + 2 * tolerance)]
    if max(ends) <= MAX_LINEAR and min(ends) >= 1 / MAX_LINEAR:
        made = axis(f"change, {against}", min(ends) - 1, max(ends) - 1, unit="ratio", is_rounded=True, n_steps=4)
        ticks = tuple((1 + value, f"{'+' if value > 0 else ''}{text}") for value, text in made.ticks)
        return Axis(made.name, 1 + made.lo, 1 + made.hi, is_log=False, ticks=ticks)
    return axis(f"factor, {against}", min(ends), max(ends), is_log=True)


def _row(tree: Tree, x: Axis, tolerance: float) -> Element:
    name = h("p", tree.name, " ", h("small", tree.note), class_="name")
    mark = h("p", h("span", tree.word, class_=f"mark {tree.level}"), class_="word")
    if isinstance(tree.ratio, Missing):
        told, drawn = h("p", class_="told"), h("p", tree.ratio.reason, class_="drawn note")
    else:
        told = h("p", tree.value, " ", h("small", tree.bracket), class_="told")
        drawn = h("div", _drawn(tree, tree.ratio, x, tolerance), class_="drawn")
    return h("div", name, told, drawn, mark, class_="forest-row", role="listitem")


def _drawn(tree: Tree, ratio: Estimate, x: Axis, tolerance: float) -> Element:
    y = Axis("", 0.0, 1.0, is_log=False, ticks=())
    at, middle = np.array([ratio.value]), np.array([0.5])
    return h(
        "svg",
        h("g", *rules(x), class_="grid"),
        stretch(x, 1 / (1 + tolerance), 1 + tolerance, "s0"),
        h("path", d=f"M{SIZE * float(x.at(1.0)):.1f} 0V{SIZE}", class_="line muted"),
        whiskers(x, y, at, middle, np.array([ratio.lo]), np.array([ratio.hi]), tree.colour, is_flat=True),
        points(x, y, at, middle, tree.colour) if math.isfinite(ratio.value) else None,
        viewBox=f"0 0 {SIZE} {SIZE}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{tree.value} {tree.bracket}, {tree.word}",
    )
