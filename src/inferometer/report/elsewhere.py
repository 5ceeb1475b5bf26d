# SPDX-License-Identifier: Apache-2.0
"""A run by another tool's definitions: text, Markdown and JSON. Each number stands under the tool's own word for it.

Rule: the definition stands in the line. These are the tool's numbers: no interval, because it gives none.
"""

from __future__ import annotations

from typing import Any

import msgspec

from inferometer.metrics.elsewhere import ElsewhereReport, Told
from inferometer.report.figures import Scale, scale_of, value_text
from inferometer.report.json import finite
from inferometer.report.layout import columns, wrapped
from inferometer.report.markdown import code, table
from inferometer.stats import Missing, exact

SCHEMA = "inferometer/elsewhere/1"
_WHY = (
    "same bytes, same instants: arrivals are those stamped here. A client that stamps later than the kernel would have "
    "printed larger numbers, and `inferometer report` without --as has ours, with intervals"
)


def render(report: ElsewhereReport, *, width: int = 100) -> str:
    """The numbers, then what each of them is."""
    tool = report.tool
    head = [f"{tool.title} {tool.version} ({tool.run_as}) would have reported, of {report.n_requests:,} requests:"]
    rows = [["", "", *tool.prints]]
    rows += [_row(told) for told in report.told if not isinstance(told.statistics, Missing)]
    missing = [told for told in report.told if isinstance(told.statistics, Missing)]
    formulas = [
        line
        for told in report.told
        for line in wrapped(told.definition.name, told.definition.formula, width=width, indent=32)
    ]
    blocks = [
        head,
        columns(rows, "<<" + ">" * len(tool.prints), indent=2),
        [line for told in missing for line in wrapped("", f"- {_reason(told)}", width=width, indent=2)],
        ["defined as", *[f"  {line}" for line in formulas]],
        wrapped("note", _WHY, width=width, indent=10),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def to_markdown(report: ElsewhereReport) -> str:
    """One table, definitions beside the numbers."""
    tool = report.tool
    rows = []
    for told in report.told:
        cells = _cells(told) if not isinstance(told.statistics, Missing) else ["-", *[""] * (len(tool.prints) - 1)]
        rows.append([code(told.definition.name), _unit(told), *cells, told.definition.formula.replace("|", "/")])
    head = ["", "unit", *tool.prints, "defined as"]
    lines = [f"{tool.title} {tool.version} ({tool.run_as}), {report.n_requests:,} requests", ""]
    lines += table(head, rows, "ll" + "r" * len(tool.prints))
    lines += ["", *[f"- {_reason(told)}" for told in report.told if isinstance(told.statistics, Missing)], f"- {_WHY}"]
    return "\n".join(lines) + "\n"


def to_json(report: ElsewhereReport) -> bytes:
    """Numbers exact and in base units, under the tool's own words."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "tool": {name: getattr(report.tool, name) for name in ("key", "title", "version", "url", "run_as")},
        "n_requests": report.n_requests,
        "metrics": [
            {
                "name": told.definition.name,
                "quantity": told.definition.quantity,
                "unit": told.definition.unit,
                "formula": told.definition.formula,
                "source": told.definition.source,
                "n": told.n,
                **_statistics(told),
            }
            for told in report.told
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _statistics(told: Told) -> dict[str, Any]:
    if isinstance(told.statistics, Missing):
        return {"statistics": None, "missing": told.statistics.reason}
    return {"statistics": {name: finite(value) for name, value in told.statistics.items()}}


def _scale(told: Told) -> Scale:
    statistics = {} if isinstance(told.statistics, Missing) else told.statistics
    if told.definition.quantity == "success":
        return Scale(1.0, "")
    return scale_of([exact(value, n=told.n, unit=told.definition.unit, method="") for value in statistics.values()])


def _unit(told: Told) -> str:
    return _scale(told).unit.strip()


def _cells(told: Told) -> list[str]:
    """One text per statistic that the tool prints; what it has one number of stands first."""
    assert not isinstance(told.statistics, Missing)
    scale = Scale(_scale(told).factor, "")
    texts = [
        value_text(exact(value, n=told.n, unit=told.definition.unit, method=""), scale)
        for value in told.statistics.values()
    ]
    if told.definition.quantity == "success":
        texts = [f"{told.statistics['successes']:,.0f} of {told.n:,}"]
    return texts + [""] * (len(told.definition.tool.prints) - len(texts))


def _row(told: Told) -> list[str]:
    return [told.definition.name, _unit(told), *_cells(told)]


def _reason(told: Told) -> str:
    assert isinstance(told.statistics, Missing)
    return f"{told.definition.name}: {told.statistics.reason}"
