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
