# SPDX-License-Identifier: Apache-2.0
"""Words that a page says in several places: names of metrics, numbers with their brackets, tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inferometer.report.figures import PLAIN, Scale, figure, scale_of
from inferometer.report.html.element import Element, h
from inferometer.stats import Estimate, Missing

Cell = Element | str | None

# What a metric is to somebody who has never heard its name; those that are drawn or stand at the top.
TITLES = {
    "ttft_s": "Time to first token",
    "tpot_s": "Time per output token",
    "gap_token_s": "Gap between tokens",
    "gap_s": "Gap between stream events",
    "e2e_s": "Whole answer",
}


_SIGNS = {"valid": "✓", "suspect": "?", "invalid": "✕"}


def scale_for_metric(name: str, numbers: Sequence[Estimate | Missing]) -> Scale:
    """As in text: Little's law is a quotient near 1, not a share."""
    return PLAIN if name == "little_law_ratio" else scale_of(numbers)


def value_and_bracket(number: Estimate | Missing, scale: Scale) -> tuple[str, str]:
    """`("182", "[176, 190]")`, with the signs that a screen has and a terminal may not."""
    value, bracket = figure(number, scale)
    return value, bracket.replace(">= ", "≥ ").replace("<= ", "≤ ")


def unit_of(scale: Scale) -> str:
    """`ms`, `%`, `/s`; a micro has its own letter."""
    return scale.unit.strip().replace("us", "µs")


def with_unit(number: Estimate | Missing, scale: Scale | None = None) -> str:
    """`182 ms [176, 190]`, `- (needs 100 requests, has 57)`."""
    if isinstance(number, Missing):
        return f"- ({number.reason})"
    scale = scale_of([number]) if scale is None else scale
    value, bracket = value_and_bracket(number, scale)
    if math.isinf(number.value):
        return f"among the failed requests {bracket}".strip()
    return f"{value}{scale.unit.replace('us', 'µs')} {bracket}".strip()


def top(kind: str, name: str, told: Sequence[str]) -> list[Element]:
    """What kind of page this is, of what, and what was asked."""
    return [
        h("p", f"inferometer, report of {kind}", class_="kind"),
        h("h1", name),
        h("p", "; ".join(told), class_="asked"),
    ]


def verdict_box(level: str, word: str, text: str) -> Element:
    """The first thing that is read. `level`: of the three verdicts, or `plain` where none applies."""
    sign = _SIGNS.get(level)
    return h(
        "p",
        h("span", sign, class_="sign", aria_hidden="true") if sign else None,
        h("strong", word),
        " ",
        text,
        class_=f"verdict {level}",
    )


def tile(
    title: str,
    number: Estimate | Missing,
    scale: Scale,
    unit: str,
    more: Sequence[tuple[str, str]] = (),
    level: str = "valid",
) -> Element:
    """A number and its bracket, or why there is none; others of the same thing below it, each with its name."""
    if isinstance(number, Missing):
        return tile_of_text(title, "-", number.reason, "")
    return tile_of_text(title, *value_and_bracket(number, scale), unit, more, level)


def tile_of_text(
    title: str, value: str, bracket: str, unit: str, more: Sequence[tuple[str, str]] = (), level: str = "valid"
) -> Element:
    """The same of what is written already."""
    mark = h("span", level, class_=f"mark {level}") if level != "valid" else None
    return h(
        "div",
        h("dt", title, mark),
        h(
            "dd",
            h("span", h("span", value, class_="big"), " ", unit, class_="value"),
            h("span", bracket, class_="bracket") if bracket else None,
            *(h("span", h("b", name), " ", text, class_="more") for name, text in more),
        ),
    )


def number_cell(number: Estimate | Missing | None, scale: Scale, *, has_bracket: bool = True) -> Cell:
    """Value over its bracket."""
    if number is None:
        return None
    value, bracket = value_and_bracket(number, scale)
    return h("span", value, h("small", bracket) if bracket and has_bracket else None, class_="number")


def table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[Cell]], aligns: str, *, class_: str = ""
) -> Element:
    """A table that scrolls sideways in a box of its own where it is wider than the page.

    `aligns`: `l` or `r` per column. The first cell of a row is its name.
    """
    kinds = ["right" if align == "r" else None for align in aligns]
    return h(
        "div",
        h(
            "table",
            h("caption", caption),
            h(
                "thead",
                h("tr", *(h("th", name, scope="col", class_=kind) for name, kind in zip(head, kinds, strict=True))),
            ),
            h("tbody", *(_row(row, kinds) for row in rows)),
            class_=class_ or None,
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def _row(row: Sequence[Cell], kinds: Sequence[str | None]) -> Element:
    first, *rest = row
    return h(
        "tr",
        h("th", first, scope="row", class_=kinds[0]),
        *(h("td", cell, class_=kind) for cell, kind in zip(rest, kinds[1:], strict=True)),
    )
