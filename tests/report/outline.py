# SPDX-License-Identifier: Apache-2.0
"""What is in a page: tags, ids, links, text, and the data that its links save."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser
from urllib.parse import unquote


class Outline(HTMLParser):
    """Tags, ids, links and text of a document; fails on a tag that is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all_of(self, name: str) -> list[str]:
        return [value or "" for key, value in self.attributes if key == name]


def saved(outline: Outline) -> dict[str, list[list[str]]]:
    """What each link to data saves, by file name, as rows."""
    names = outline.all_of("download")
    links = [link for link in outline.all_of("href") if link.startswith("data:")]
    texts = [unquote(link.partition(",")[2]) for link in links]
    return {name: list(csv.reader(io.StringIO(text))) for name, text in zip(names, texts, strict=True)}
