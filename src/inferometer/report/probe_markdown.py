# SPDX-License-Identifier: Apache-2.0
"""A sweep and a limit search as Markdown for pull requests and job summaries: the answer first, then one table."""

from __future__ import annotations

from collections.abc import Callable

from inferometer.analysis.curve import Point, Sweep
from inferometer.analysis.limit import LimitSearch
from inferometer.analysis.number import Number
from inferometer.report.figures import PERCENT, PLAIN, figure, scale_of
from inferometer.report.limit import asked_text, load_unit, shown_parts, spent_text
from inferometer.report.limit import headline as limit_headline
from inferometer.report.markdown import code, table, words
from inferometer.report.sweep import (
    asked_parts,
    drift_text,
    headline,
    law_parts,
    load_text,
    loads_text,
    peak_text,
    remarks,
)
from inferometer.units import format_span

_COLUMNS: tuple[tuple[str, Callable[[Point], Number]], ...] = (
    ("requests/s", lambda point: point.request_throughput),
    ("tokens/s", lambda point: point.output_throughput),
    ("ttft p50", lambda point: point.ttft_p50),
    ("ttft p99", lambda point: point.ttft_p99),
    ("tpot p50", lambda point: point.tpot_p50),
    ("e2e mean", lambda point: point.e2e_mean),
)


def sweep(found: Sweep) -> str:
    """The document, GitHub flavour; ends with a newline."""
    _, word, text = headline(found)
    told = [f"- {', '.join(map(code, asked_parts(found.engine, found.plan)))}"]
    told += [f"- {loads_text(found)}; {format_span(found.seconds)} in all"]
    told += [f"- ended: {words(found.stopped)}"] if found.stopped else []
    below = [f"- law: {'; '.join(law_parts(found.law))}", f"- peak: {peak_text(found.law)}"] if found.law else []
    below += [f"- drift: {drift}"] if (drift := drift_text(found)) else []
    below += [f"- {load_text(p)}: {words('; '.join(parts))}" for p in found.points if (parts := remarks(p))]
    return _joined([[f"**{word}** {words(text)}"], told, _points(found), below])


def _points(found: Sweep) -> list[str]:
    if not found.points:
        return []
    picked = [*_COLUMNS, *([("within limits", lambda point: point.attainment)] if found.slo else [])]
    head = ["in flight" if found.kind == "concurrency" else "offered/s"]
    rows = [[load_text(point)] for point in found.points]
    for name, of in picked:
        numbers = [of(point).figure for point in found.points]
        scale = PLAIN if name.endswith("/s") else scale_of(numbers)
        head.append(f"{name}, {scale.unit.strip()}" if scale.unit else name)
        for row, number in zip(rows, numbers, strict=True):
            row.append(" ".join(figure(number, scale)).strip())
    rows = [
        [*row, "" if point.verdict == "valid" else point.verdict] for row, point in zip(rows, found.points, strict=True)
    ]
    return table([*head, "verdict"], rows, "r" * len(head))


def limit(found: LimitSearch) -> str:
    """The document, GitHub flavour; ends with a newline."""
    _, word, text = limit_headline(found)
    told = [f"- {', '.join(map(code, asked_parts(found.engine, found.plan)))}", f"- asked: {words(asked_text(found))}"]
    told += [f"- shown: {'; '.join(parts)}"] if (parts := shown_parts(found)) else []
    told += [f"- binds: {code(found.binding)}"] if found.binding else []
    told += [f"- spent: {spent_text(found)}", *([f"- ended: {words(found.stopped)}"] if found.stopped else [])]
    rows = [
        [
            f"{row.load:.4g}",
            str(row.n_looks),
            f"{row.n:,}",
            " ".join(figure(found.attained(row.load), PERCENT)).strip(),
            row.verdict,
        ]
        for row in found.loads
    ]
    loads = table([load_unit(found), "looks", "requests", "within limits, %", "shown"], rows, "rrrr") if rows else []
    return _joined([[f"**{word}** {words(text)}"], told, loads, [f"- note: {words(note)}" for note in found.notes]])


def _joined(blocks: list[list[str]]) -> str:
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"
