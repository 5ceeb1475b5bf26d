# SPDX-License-Identifier: Apache-2.0
"""The frame of every page: head, way around, sections, style. One file that asks nothing of anybody.

Rule: the page's own policy forbids scripts and every request, so that a name which slipped through could still do
nothing, and a page opened from an archive or a mail shows the same as at home.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from inferometer.report.html.element import Element, h, written

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Section:
    """`anchor`: its place in the page's address."""

    anchor: str
    title: str
    content: tuple[Element | None, ...]


def page(title: str, head: Sequence[Element | None], sections: Sequence[Section], foot: Sequence[Element]) -> str:
    """The whole document. `head`: what stands above the sections."""
    links = [h("a", section.title, href=f"#{section.anchor}") for section in sections]
    root = h(
        "html",
        h(
            "head",
            h("meta", charset="utf-8"),
            h("meta", http_equiv="Content-Security-Policy", content=POLICY),
            h("meta", name="viewport", content="width=device-width, initial-scale=1"),
            h("meta", name="color-scheme", content="light dark"),
            h("title", title),
            h("style", files(__package__).joinpath("page.css").read_text(encoding="utf-8")),
        ),
        h(
            "body",
            h("a", "To the first section", href=f"#{sections[0].anchor}", class_="skip") if sections else None,
            h("header", *head),
            h("nav", *links, aria_label="Sections"),
            h("main", *(_section(section) for section in sections)),
            h("footer", *foot),
        ),
        lang="en",
    )
    return f"<!doctype html>\n{written(root)}\n"


def _section(section: Section) -> Element:
    return h("section", h("h2", section.title), *section.content, id=section.anchor, tabindex="-1")
