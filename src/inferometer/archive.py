# SPDX-License-Identifier: Apache-2.0
"""The run folders below a directory, found and asked questions with DuckDB.

Rule: the folders are the store. What is asked is read from their manifests and reports each time; there is no index
that could be stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from inferometer import records
from inferometer.errors import FormatError, UsageError
from inferometer.run_folder import DEFAULT_PARENT, MANIFEST, REPORT, STATE_FAILED, STATE_STARTING, Run

_BLAME = "give a run folder, a folder of run folders, or a label given with --label"


@dataclass(frozen=True, slots=True)
class Entry:
    """One run, from its manifest and report alone. `number`: what was asked for, as in report.json, if it is there."""

    path: str
    created: str
    state: str
    label: str
    revision: str
    engine: str
    version: str
    model: str
    law: str
    verdict: str
    number: dict[str, Any] | None


def runs_of(side: str, parent: str = DEFAULT_PARENT) -> list[Run]:
    """The runs that a word means: folders with commas between them, a folder of run folders, or a label below `parent`.

    In the order of their making. Raises: UsageError if there are none, FormatError if one cannot be read.
    """
    found: list[Run] = []
    for word in filter(None, (word.strip() for word in side.split(","))):
        path = Path(word)
        if (path / MANIFEST).is_file():
            found.append(Run.open(word))
        elif path.is_dir():
            inner = [Run.open(str(each.parent)) for each in path.glob(f"*/{MANIFEST}")]
            if not inner:
                raise UsageError(f"{word} holds no run", _BLAME)
            found += inner
        else:
            found += _labelled(word, parent)
    return sorted(found, key=_when)


def _labelled(label: str, parent: str) -> list[Run]:
    if not Path(parent).is_dir():
        raise UsageError(f"{label!r} is no folder, and there is no {parent} with labelled runs", _BLAME)
    found = [entry for entry in entries(parent) if entry.label == label]
    if not found:
        raise UsageError(f"{label!r} is neither a folder nor a label below {parent}", _BLAME)
    measured = [entry.path for entry in found if entry.state not in (STATE_STARTING, STATE_FAILED)]
    if not measured:
        raise UsageError(f"none of the {len(found)} runs with the label {label!r} came to measure anything", _BLAME)
    return [Run.open(path) for path in measured]


def _when(run: Run) -> tuple[int, str, str]:
    """Rounds of one comparison in their order, everything else by time."""
    facts = run.manifest()
    ab = facts.get("ab") or {}
    return int(ab.get("round", 0)), str(facts.get("created", "")), str(run.path)


def entries(parent: str, *, metric: str = "", statistic: str = "") -> list[Entry]:
    """Every run below a directory, oldest first. With a metric: its number too.

    Raises: UsageError if there is no such directory.
    """
    if not Path(parent).is_dir():
        raise UsageError(f"there is no folder {parent}", "give the folder that holds the runs")
    manifests = _read(parent, MANIFEST, _FACTS)
    reports = _read(parent, REPORT, ["$.verdict.level", f'$.metrics."{metric or "-"}"."{statistic or "-"}"'])
    found = []
    for folder, facts in manifests.items():
        verdict, number = reports.get(folder, (None, None))
        created, state, label, revision, title, version, model, law = (_word(fact) for fact in facts)
        if not state:  # some other program's manifest
            continue
        value = msgspec.json.decode(number) if number else None
        found.append(Entry(folder, created, state, label, revision, title, version, model, law, _word(verdict), value))
    return sorted(found, key=lambda entry: (entry.created, entry.path))


_FACTS = [
    "$.created",
    "$.state",
    "$.label",
    "$.revision",
    "$.engine.title",
    "$.engine.version",
    "$.engine.model",
    "$.plan.law",
]


def _read(parent: str, name: str, fields: Sequence[str]) -> dict[str, tuple[str | None, ...]]:
    """Fields of a JSON file by the folder it stands in, as JSON text."""
    pattern = f"{_escaped(parent)}/**/{name}"
    cells = ", ".join("json_extract(content, ?)::VARCHAR" for _ in fields)
    try:
        with records.connected() as connection:
            rows = connection.execute(f"SELECT filename, {cells} FROM read_text(?)", [*fields, pattern]).fetchall()
    except duckdb.Error as error:
        raise FormatError(f"some {name} below {parent} cannot be read: {str(error).splitlines()[0]}") from error
    return {str(Path(row[0]).parent): tuple(row[1:]) for row in rows}


def _word(fact: str | None) -> str:
    decoded = msgspec.json.decode(fact) if fact else None
    return "" if decoded is None else str(decoded)


def _escaped(path: str) -> str:
    """A path in which nothing is a pattern."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)
