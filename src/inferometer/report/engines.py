# SPDX-License-Identifier: Apache-2.0
"""Engines as text and JSON: what is installed, what can run here, and all that is known of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from inferometer.report.layout import columns, cut, wrapped

SCHEMA = "inferometer/engines/1"
_INDENT = 14
_NO = "no"


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One engine on this machine. `version`: of the installed program, None if there is none ("": not known).
    `device`: what it would run on, "" if nothing here suits, and then `why_not`. `model`: what stands against serving
    the model that was asked about, "" nothing, None not asked."""

    name: str
    version: str | None
    install: str
    device: str
    why_not: str
    speaks: tuple[str, ...]
    has_metrics: bool | None
    proven_on: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its lines; `known`: how each is known, "" where it is no claim."""

    title: str
    lines: tuple[tuple[str, str], ...]


def render_table(rows: Sequence[EngineRow], machine: Sequence[str], *, width: int = 100) -> str:
    """The machine, the table, and below it what is missing: how to install, and why something cannot run."""
    lines = [
        line
        for part in machine
        for line in wrapped("machine" if part is machine[0] else "", part, width=width, indent=_INDENT)
    ]
    heads = [("engine", "installed", "runs here on", "speaks", "metrics", "proven on")]
    cells = [
        (
            row.name,
            _NO if row.version is None else cut(row.version or "yes", 26),
            row.device or _NO,
            _apis(row.speaks),
            {True: "yes", False: _NO, None: "?"}[row.has_metrics],
            row.proven_on,
        )
        for row in rows
    ]
    lines += ["", *(cut(line, width) for line in columns([*heads, *cells], "<<<<<<"))]
    for title, told in (
        ("to install", [(row.name, row.install) for row in rows if row.version is None and row.install]),
        ("cannot run", [(row.name, row.why_not) for row in rows if row.why_not]),
        ("the model", [(row.name, row.model or "can be served") for row in rows if row.model is not None]),
    ):
        lines += _list(title, told, width)
    return "\n".join([*lines, "", "next          inferometer engines NAME     inferometer serve NAME --model M", ""])


def _apis(speaks: Sequence[str]) -> str:
    """OpenAI's routes, its own, or both."""
    is_own = [word.startswith("native") for word in speaks]
    return ", ".join([*(["OpenAI"] if not all(is_own) else []), *(["its own"] if any(is_own) else [])]) or "-"


def _list(title: str, told: Sequence[tuple[str, str]], width: int) -> list[str]:
    if not told:
        return []
    names = max(len(name) for name, _ in told) + 2
    lines = [""]
    for i, (name, text) in enumerate(told):
        label = (title if i == 0 else "").ljust(_INDENT) + name
        lines += wrapped(label, text, width=width, indent=_INDENT + names)
    return lines


def render_facts(title: str, sections: Sequence[Section], *, width: int = 100) -> str:
    """All that is known of one engine, each line with how it is known."""
    lines = [title]
    for section in sections:
        lines.append("")
        for i, (text, known) in enumerate(section.lines):
            told = f"{text} ({known})" if known else text
            lines += wrapped(section.title if i == 0 else "", told, width=width, indent=_INDENT)
    return "\n".join([*lines, ""])


def table_json(rows: Sequence[EngineRow], machine: Mapping[str, Any]) -> bytes:
    """`{"schema", "machine", "engines": [...]}`."""
    return _json({"schema": SCHEMA, "machine": machine, "engines": [asdict(row) for row in rows]})


def facts_json(name: str, row: EngineRow, sections: Sequence[Section]) -> bytes:
    """`{"schema", "engine": {...}, "facts": {title: [{"text", "known"}]}}`."""
    facts = {s.title: [{"text": text, "known": known} for text, known in s.lines] for s in sections}
    return _json({"schema": SCHEMA, "engine": asdict(row), "facts": facts})


def _json(document: Mapping[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
