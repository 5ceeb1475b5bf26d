# SPDX-License-Identifier: Apache-2.0
"""HTML and SVG as a tree of elements, and the tree as text.

Rule: what is a `str` is text, and is escaped when it is written; there is no way to say that a text is markup. What
others wrote (model names, errors) can so neither open a tag nor move the cursor of who looks at the source.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass

from inferometer.report.layout import printable

_VOID = ("meta", "br")
_SELF_CLOSING = ("path",)  # of SVG, of which there are many
_RAW = ("style",)  # its text is CSS; only our own file is put there


@dataclass(frozen=True, slots=True)
class Element:
    """One element. Children that are None, attributes that are None or False are left out."""

    tag: str
    children: tuple[Element | str | None, ...]
    attributes: tuple[tuple[str, str | bool | None], ...]


def h(tag: str, *children: Element | str | None, **attributes: str | bool | None) -> Element:
    """`h("td", "9.2", class_="number", aria_label="mean")`; `_` in a name is `-`, one at its end is dropped."""
    named = tuple((name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items())
    return Element(tag, children, named)


def written(root: Element) -> str:
    """The tree as text."""
    return "".join(_pieces(root))


def _pieces(node: Element | str | None) -> Iterator[str]:
    if node is None:
        return
    if isinstance(node, str):
        yield html.escape(printable(node), quote=False)
        return
    yield f"<{node.tag}"
    for name, value in node.attributes:
        if value is True:
            yield f" {name}"
        elif value is not None and value is not False:
            yield f' {name}="{html.escape(printable(value))}"'
    if node.tag in _SELF_CLOSING:
        yield "/>"
        return
    yield ">"
    if node.tag in _VOID:
        return
    if node.tag in _RAW:
        yield from (child for child in node.children if isinstance(child, str))
    else:
        for child in node.children:
            yield from _pieces(child)
    yield f"</{node.tag}>"
