# SPDX-License-Identifier: Apache-2.0
"""One line out of an error answer, whatever its shape: any engine's JSON, FastAPI's, a proxy's HTML, plain text."""

from __future__ import annotations

import html
import json
import re
from typing import Any

MAX_CHARS = 300
_MAX_BYTES = 64 << 10  # of a body that are looked at
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def error_text(body: bytes) -> str:
    """At most MAX_CHARS printable characters on one line; "" out of nothing."""
    text = body[:_MAX_BYTES].decode("utf-8", errors="replace").strip()
    try:
        said = _of_json(json.loads(text)) if text[:1] in ("{", "[", '"') else ""
    except (ValueError, RecursionError):
        said = ""
    return _one_line(said or _of_html(text) or text)


def _of_json(value: Any) -> str:
    """The first thing in it meant for people."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, map(_of_json, value[:3])))
    if not isinstance(value, dict):
        return ""
    for name in ("error", "message", "detail", "errors", "msg"):
        if said := _of_json(value.get(name)):
            place = value.get("loc")  # FastAPI: where in the request body
            return f"{'.'.join(map(str, place))}: {said}" if isinstance(place, list) else said
    for name in ("type", "error_type", "code", "status"):
        if isinstance(value.get(name), str | int):
            return str(value[name])
    return ""


def _of_html(text: str) -> str:
    if not text.startswith("<"):
        return ""
    title = _TITLE.search(text)
    return html.unescape(title[1] if title else _TAG.sub(" ", text))


def _one_line(text: str) -> str:
    """Printable, single spaces: nothing in it can move a terminal's cursor."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_CHARS else line[: MAX_CHARS - 1] + "…"
