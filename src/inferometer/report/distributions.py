# SPDX-License-Identifier: Apache-2.0
"""The table of latencies: one row per metric, its percentiles beside each other, and under it what must be known to
read it.

Rule 1: columns are given up by importance until the table fits; rows are not.
Rule 2: a metric of which nothing is known has no row but a line that says what was needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inferometer.metrics.summary import Summary
from inferometer.report.figures import figure, scale_of
from inferometer.report.layout import filled
from inferometer.stats import LEVEL, Estimate, Missing

Statistics = Mapping[str, Estimate | Missing]

WITH_FAILURES = "_with_failures"
MARKS = {"valid": "", "suspect": "?", "invalid": "!"}
INDENT = 10
# In the order in which columns are given up last; what is shown stands in the order of NATURAL.
_IMPORTANCE = ("p50", "p99", "p95", "mean", "p90", "p99_9")
NATURAL = ("mean", "p50", "p90", "p95", "p99", "p99_9")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `definition`: which of the usual definitions the number follows, where the name leaves it
    open; `has_failures`: a second line counts failed requests as the worst."""

    metric: str
    name: str
    definition: str = ""
    has_failures: bool = False


_ROWS = (
    Row("ttft_s", "ttft", "from due", has_failures=True),
    Row("ttft_sent_s", "ttft sent"),
    Row("ttfat_s", "answer", "first token after reasoning, from due"),
    Row("tpot_s", "tpot", "mean of each request"),
    Row("gap_token_s", "gap", "per token"),
    Row("gap_s", "gap", "per chunk"),
    Row("e2e_s", "e2e", "from due", has_failures=True),
)
_OPTIONAL = ("ttfat_s", "gap_token_s")  # not asked for where the answers do not have it


def distribution_lines(summary: Summary, width: int) -> list[str]:
    """The table with its header, what is missing from it, and its legend."""
    wanted, told = rows_of(summary)
    columns, lines = _table(summary, told, width) if told else ([], [])
    for part in missing_parts(summary, wanted, told):
        lines += filled("  -", [part], width=width, indent=INDENT)
    return lines + (_legend(summary, told, columns, width) if told else [])


def rows_of(summary: Summary) -> tuple[list[Row], list[Row]]:
    """The rows that a table should have, and those of them of which something is known."""
    wanted = [row for row in _ROWS if row.metric in summary.metrics]
    told = [row for row in wanted if _has_any(summary.metrics[row.metric])]
    if any(row.metric == "gap_token_s" for row in told):
        wanted, told = ([row for row in rows if row.metric != "gap_s"] for rows in (wanted, told))
    return wanted, told


def _has_any(statistics: Statistics) -> bool:
    return any(isinstance(statistics.get(name), Estimate) for name in NATURAL)


# --- the table -----------------------------------------------------------------------------------------------------


def _table(summary: Summary, rows: Sequence[Row], width: int) -> tuple[list[str], list[str]]:
    """The statistics that fit into `width`, and header and body made of them."""
    columns = [
        name for name in _IMPORTANCE if any(isinstance(summary.metrics[row.metric].get(name), Estimate) for row in rows)
    ]
    while True:
        shown = sorted(columns, key=NATURAL.index)
        lines = _laid_out(summary, rows, shown)
        if len(columns) == 1 or max(map(len, lines)) <= width:
            return shown, lines
        columns.pop()


def _laid_out(summary: Summary, rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    body: list[list[tuple[str, str]]] = []
    heads: list[tuple[str, str, str]] = []
    for row in rows:
        statistics = summary.metrics[row.metric]
        mark = MARKS[summary.metric_verdicts[row.metric].level]
        _add(heads, body, row.name + mark, [statistics.get(name) for name in columns])
        worst = [statistics.get(name + WITH_FAILURES) for name in columns]
        if row.has_failures and counts_failures(summary) and any(isinstance(cell, Estimate) for cell in worst):
            _add(heads, body, " +failed", worst)
    sizes = [
        [max([len(cells[i][part]) for cells in body] + ([len(name)] if part == 0 else [])) for part in (0, 1)]
        for i, name in enumerate(columns)
    ]
    edge = [max(len(head[i]) for head in heads) for i in range(3)]
    edge[2] = max(edge[2], 1)
    lines = ["  ".join([" " * (edge[0] + 2 + edge[1]), "n".rjust(edge[2]), *_header(columns, sizes)]).rstrip()]
    for (name, unit, n), cells in zip(heads, body, strict=True):
        parts = [name.ljust(edge[0]), unit.ljust(edge[1]), n.rjust(edge[2])]
        parts += [
            f"{value:>{value_size}} {interval:<{interval_size}}".ljust(value_size + 1 + interval_size)
            for (value, interval), (value_size, interval_size) in zip(cells, sizes, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return lines


def _add(
    heads: list[tuple[str, str, str]],
    body: list[list[tuple[str, str]]],
    name: str,
    cells: Sequence[Estimate | Missing | None],
) -> None:
    """One more row: its name, unit and n, and a value and an interval per column."""
    known = [cell for cell in cells if cell is not None]
    scale = scale_of(known)
    unit = scale.unit.strip().removesuffix("/token")
    n = next((f"{cell.n:,}" for cell in known if isinstance(cell, Estimate)), "")
    heads.append((name, unit, n))
    body.append([("", "") if cell is None else figure(cell, scale) for cell in cells])


def _header(columns: Sequence[str], sizes: Sequence[Sequence[int]]) -> list[str]:
    return [
        f"{name.replace('_', '.'):>{value_size}}".ljust(value_size + 1 + interval_size)
        for name, (value_size, interval_size) in zip(columns, sizes, strict=True)
    ]


def counts_failures(summary: Summary) -> bool:
    """Are there failures that percentiles over the successes leave out?"""
    return summary.counts.get("failed", 0) + summary.counts.get("unfinished", 0) > 0


# --- under the table -----------------------------------------------------------------------------------------------


def missing_parts(summary: Summary, wanted: Sequence[Row], told: Sequence[Row]) -> list[str]:
    """`p99 of ttft, tpot: needs 100 requests, has 57`: what has no number, by reason."""
    by_reason: dict[str, dict[str, list[str]]] = {}
    for row in wanted:
        statistics = summary.metrics[row.metric]
        if row in told:
            cells = {name: statistics.get(name) for name in NATURAL}
        elif row.metric in _OPTIONAL:
            continue
        else:
            cells = {"": statistics.get("p50")}
        for name, cell in cells.items():
            if isinstance(cell, Missing):
                by_reason.setdefault(cell.reason, {}).setdefault(name, []).append(row.name)
    parts = []
    for reason, cells_of in by_reason.items():
        what = "; ".join(f"{name} of {', '.join(rows)}" if name else ", ".join(rows) for name, rows in cells_of.items())
        parts.append(f"{what}: {reason}")
    return parts


def _legend(summary: Summary, rows: Sequence[Row], columns: Sequence[str], width: int) -> list[str]:
    """Which definition each row follows, what n counts, where the intervals come from, what the marks mean."""
    by_definition: dict[str, list[str]] = {}
    for row in rows:
        if row.definition:
            by_definition.setdefault(row.definition, []).append(row.name)
    parts = [f"{', '.join(names)}: {definition}" for definition, names in by_definition.items()]
    if counts_failures(summary):
        parts.append("+failed: failures as the worst")
    parts += [_counted(summary, rows), *_methods(summary, rows, columns)]
    marked = {summary.metric_verdicts[row.metric].level for row in rows}
    parts += [f"{MARKS[level]} {level}" for level in ("suspect", "invalid") if level in marked]
    return filled("  read as", parts, width=width, indent=INDENT)


def _counted(summary: Summary, rows: Sequence[Row]) -> str:
    if summary.counts.get("trials", 1) > 1:
        return "n: trials"
    has_gaps = any(row.name == "gap" for row in rows)
    return "n: requests, of gap chunks" if has_gaps else "n: requests"


def _methods(summary: Summary, rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """`95 % interval: binomial rank (p50 p95 p99), t (mean)`, and what else the brackets on the screen mean."""
    names = [name + more for name in columns for more in ("", WITH_FAILURES)]
    cells = [(name, summary.metrics[row.metric].get(name)) for row in rows for name in names]
    by_method: dict[str, dict[str, None]] = {}
    is_dependent = is_one_sided = is_unbounded = False
    for name, cell in cells:
        if isinstance(cell, Estimate):
            method, _, worth = cell.method.rpartition("; ")[2].partition(", dependent")
            by_method.setdefault(method.replace(" interval", ""), {})[name.removesuffix(WITH_FAILURES)] = None
            is_dependent |= bool(worth)
            is_one_sided |= math.isfinite(cell.lo) and not math.isfinite(cell.hi)
            is_unbounded |= not math.isfinite(cell.lo)
    told = ", ".join(f"{method} ({' '.join(names)})" for method, names in by_method.items())
    parts = [f"[a, b]: {100 * LEVEL:.0f} % by {told}" + (", wider for dependence" if is_dependent else "")]
    if is_one_sided:
        parts.append("[>= a]: no upper bound from this sample")
    if is_unbounded:
        parts.append("[?]: no bound at all")
    return parts
