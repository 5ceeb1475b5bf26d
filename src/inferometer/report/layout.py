# SPDX-License-Identifier: Apache-2.0
"""Layout of plain text: foreign words made harmless, long names cut, columns aligned, words coloured.

Rule 1: what we write ourselves is ASCII; what others wrote (model names, errors, answers) is escaped until it can
neither move the cursor nor break a line.
Rule 2: colour only repeats what the words already say.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

COLOURS = {"valid": "32", "suspect": "33", "invalid": "31", "bold": "1", "dim": "2"}  # SGR parameters


def printable(text: str) -> str:
    """The same text on one line, without control characters: `\\n`, `\\x1b` are written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def cut(text: str, width: int) -> str:
    """At most `width` columns, the end given up: `connection reset by p...`."""
    text = printable(text)
    if len(text) <= width:
        return text
    return text[: max(width - 3, 0)] + "..."[:width]


def cut_middle(text: str, width: int) -> str:
    """At most `width` columns, the middle given up: the ends of model names are what tells them apart."""
    text = printable(text)
    if len(text) <= width or width < 8:
        return cut(text, width)
    n_tail = (width - 3) // 2
    return text[: width - 3 - n_tail] + "..." + text[-n_tail:]


def software_of(engine: Mapping[str, Any]) -> str:
    """What a manifest's engine calls itself, with its version as far as it is known; "" if it has no name."""
    return f"{engine.get('title') or engine.get('name') or ''} {engine.get('version') or ''}".strip()


def wrapped(label: str, text: str, *, width: int, indent: int) -> list[str]:
    """`text` in a column that starts at `indent`, with `label` beside its first line."""
    room = max(width - indent, 20)
    parts = textwrap.wrap(printable(text), room, break_on_hyphens=False) or [""]
    lines = [label.ljust(indent - 1) + " " + parts[0]]
    return [line.rstrip() for line in lines + [" " * indent + part for part in parts[1:]]]


def filled(label: str, parts: Sequence[str], *, width: int, indent: int) -> list[str]:
    """Parts joined by `; `, lines broken between parts where possible: a number stays beside its interval."""
    room = max(width - indent, 20)
    lines: list[str] = []
    for i, part in enumerate(parts):
        text = printable(part) + (";" if i < len(parts) - 1 else "")
        if lines and len(lines[-1]) + 1 + len(text) <= room:
            lines[-1] += f" {text}"
        else:
            lines += textwrap.wrap(text, room, break_on_hyphens=False)
    return [(label if not i else "").ljust(indent) + line for i, line in enumerate(lines or [""])]


def columns(rows: Sequence[Sequence[str]], aligns: str, *, indent: int = 0, gap: int = 2) -> list[str]:
    """Rows of equal length as aligned lines. `aligns`: one of `<` (left) or `>` (right) per column."""
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(len(aligns))]
    return [
        (
            " " * indent
            + (" " * gap).join(f"{cell:{align}{width}}" for cell, align, width in zip(row, aligns, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def painted(text: str, colour: str, *, is_colour: bool) -> str:
    """Wrapped in the SGR sequence of `colour`, or as it is. Paint last: the codes have no width."""
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if is_colour else text
