# SPDX-License-Identifier: Apache-2.0
"""From run folders to the lines of a history: which runs are wanted, and their number with its interval."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from inferometer.analysis.number import Number
from inferometer.analysis.side import Quantity
from inferometer.archive import Entry, entries
from inferometer.errors import UsageError
from inferometer.report.history import Line
from inferometer.stats import Estimate, Missing


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run must have to be listed; None: anything. `since`: a day, 2026-11-30."""

    label: str | None = None
    engine: str | None = None
    model: str | None = None
    since: str | None = None

    def fits(self, entry: Entry) -> bool:
        return (
            (self.label is None or fnmatchcase(entry.label, self.label))
            and (self.engine is None or self.engine.lower() in f"{entry.engine} {entry.version}".lower())
            and (self.model is None or self.model.lower() in entry.model.lower())
            and (self.since is None or entry.created[:10] >= self.since)
        )


def day_of(text: str | None) -> str | None:
    """Raises: UsageError if that is no date."""
    if text is not None and not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise UsageError(f"--since {text!r} is no date", "write it like 2026-11-30")
    return text


def lines_of(directory: str, quantity: Quantity, wanted: Wanted) -> list[Line]:
    """Oldest first. Raises: UsageError if there is no such directory, FormatError if a file there is damaged."""
    found = entries(directory, metric=quantity.metric, statistic=quantity.statistic)
    return [_line(entry, quantity) for entry in found if wanted.fits(entry)]


def _line(entry: Entry, quantity: Quantity) -> Line:
    return Line(
        entry.created,
        entry.label,
        entry.revision,
        entry.engine,
        entry.version,
        entry.model,
        entry.law,
        entry.state,
        entry.verdict,
        entry.path,
        _number(entry.number, quantity.of.unit),
    )


def _number(told: Mapping[str, Any] | None, unit: str) -> Estimate | Missing:
    """An estimate as report.json has it."""
    if told is None:
        return Missing("no report", 0, unit)
    return msgspec.convert({"lo": None, "hi": None} | dict(told), Number).figure
