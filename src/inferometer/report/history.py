# SPDX-License-Identifier: Apache-2.0
"""One number of many runs over time: a line per run, oldest first, with its interval drawn beside it.

Rule: an invalid run keeps its line and loses its number.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from inferometer.report.figures import Scale, figure, scale_of
from inferometer.report.json import estimate
from inferometer.report.layout import columns, cut, cut_middle
from inferometer.stats import Estimate, Missing
from inferometer.units import format_number

SCHEMA = "inferometer/history/1"
MIN_PLOT, MAX_PLOT = 16, 48  # columns
MAX_ENGINE, MAX_LABEL, MAX_REVISION = 24, 24, 18
_FIELDS = ("created", "label", "revision", "engine", "version", "model", "load", "state", "verdict", "path")


@dataclass(frozen=True, slots=True)
class Line:
    """One run. `number`: what was asked for; missing of a run that has none."""

    created: str
    label: str
    revision: str
    engine: str
    version: str
    model: str
    load: str
    state: str
    verdict: str
    path: str
    number: Estimate | Missing


def render(lines: Sequence[Line], *, what: str, width: int = 100) -> str:
    """A table with a plot. `what`: name of the number, `ttft_p99`."""
    if not lines:
        return "no run matches\n"
    shown = [line.number if line.verdict != "invalid" else Missing("invalid", 0, line.number.unit) for line in lines]
    scale = scale_of([number for number in shown if isinstance(number, Estimate)])
    rows = [["made", "label", "commit", "engine", f"{what}{scale.unit.rjust(len(scale.unit) + 1)}", "", ""]]
    for line, number in zip(lines, shown, strict=True):
        engine = cut_middle(f"{line.engine} {line.version}".strip(), MAX_ENGINE)
        doubt = "" if line.verdict == "valid" else line.verdict or line.state
        made, label = line.created[:16].replace("T", " "), cut(line.label, MAX_LABEL)
        rows.append([made, label, cut(line.revision, MAX_REVISION), engine, *figure(number, scale), doubt])
    table = _without_empty(rows)
    if width - max(map(len, table)) - 2 < MIN_PLOT:  # the drawing says it too
        table = _without_empty([[*row[:5], "", row[6]] for row in rows])
    indent = max(map(len, table)) + 2
    if width - indent < MIN_PLOT:
        return "\n".join(_without_empty(rows)) + "\n"
    room = min(MAX_PLOT, width - indent)
    drawn = [_axis(shown, scale, room), *plot(shown, room)]
    return "\n".join(f"{line:{indent}}{drawing}".rstrip() for line, drawing in zip(table, drawn, strict=True)) + "\n"


def _without_empty(rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned lines of the columns in which some run has something."""
    kept = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    return columns([[row[i] for i in kept] for row in rows], "".join("<<<<><<"[i] for i in kept))


def plot(numbers: Sequence[Estimate | Missing], width: int) -> list[str]:
    """One line per number, `  |--o---|`, on a common axis; `<` and `>` where an end is not known."""
    low, high = _ends(numbers)
    span = (high - low) or 1.0

    def at(value: float) -> int:
        return round((min(max(value, low), high) - low) / span * (width - 1))

    drawn = []
    for number in numbers:
        if not (isinstance(number, Estimate) and math.isfinite(number.value)):
            drawn.append("")
            continue
        cells = [" "] * width
        left, right = at(number.lo), at(number.hi)
        cells[left : right + 1] = ["-"] * (right - left + 1)
        cells[left] = "|" if math.isfinite(number.lo) else "<"
        cells[right] = "|" if math.isfinite(number.hi) else ">"
        cells[at(number.value)] = "o"
        drawn.append("".join(cells).rstrip())
    return drawn


def _axis(numbers: Sequence[Estimate | Missing], scale: Scale, width: int) -> str:
    """The numbers at both ends of the plot."""
    low, high = (format_number(end * scale.factor) for end in _ends(numbers))
    return low + high.rjust(width - len(low)) if len(low) + len(high) < width else ""


def _ends(numbers: Sequence[Estimate | Missing]) -> tuple[float, float]:
    """The smallest and the largest of all that is finite."""
    known = [number for number in numbers if isinstance(number, Estimate) and math.isfinite(number.value)]
    ends = [end for number in known for end in (number.lo, number.value, number.hi) if math.isfinite(end)]
    return min(ends, default=0.0), max(ends, default=0.0)


def to_json(lines: Sequence[Line], *, metric: str, statistic: str) -> bytes:
    """`{"schema", "metric", "statistic", "runs": [...]}`."""
    runs = [{name: getattr(line, name) for name in _FIELDS} | {"number": estimate(line.number)} for line in lines]
    document = {"schema": SCHEMA, "metric": metric, "statistic": statistic, "runs": runs}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def to_csv(lines: Sequence[Line], *, what: str) -> str:
    """A header and one line per run; what is missing is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*_FIELDS, what, f"{what}_lo", f"{what}_hi", "unit"])
    for line in lines:
        number = line.number
        ends = (number.value, number.lo, number.hi) if isinstance(number, Estimate) else (None, None, None)
        finite = ["" if end is None or not math.isfinite(end) else repr(end) for end in ends]
        writer.writerow([*[getattr(line, name) for name in _FIELDS], *finite, number.unit])
    return file.getvalue()
