# SPDX-License-Identifier: Apache-2.0
"""A gate as text, Markdown and JSON: did it hold, by how much, and what makes the gate itself doubtful."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from inferometer.analysis.gate import Gate, Judged
from inferometer.report import comparison_json
from inferometer.report.comparison import INDENT, change, method_text, note_lines, side_lines
from inferometer.report.comparison_markdown import notes, sides
from inferometer.report.figures import value_text
from inferometer.report.json import finite
from inferometer.report.layout import columns, painted, wrapped
from inferometer.report.markdown import code, table, words
from inferometer.stats import Missing

SCHEMA = "inferometer/gate/1"
_COLOURS = {"fail": "invalid", "warn": "suspect", "undecided": "suspect", "pass": "valid"}
_HEAD = ["condition", "A", "B", "B - A", "", "p", "result"]


def verdict_of(gate: Gate) -> tuple[str, str]:
    """`("FAILED", "1 of 2 conditions: ttft_p99>+5%")`; `UNDECIDED` where one could not be judged, and none failed."""
    by_result = {name: [each for each in gate.judged if each.result == name] for name in _COLOURS}
    n = len(gate.judged)
    if by_result["fail"]:
        return "FAILED", f"{len(by_result['fail'])} of {n} conditions: {_names(by_result['fail'])}"
    text = f"{len(by_result['pass'])} of {n} conditions hold"
    if by_result["warn"]:
        text += f"; the interval reaches beyond {_names(by_result['warn'])}: more trials would tell"
    if by_result["undecided"]:
        text += f"; cannot be told: {_names(by_result['undecided'])}"
    return "UNDECIDED" if gate.is_undecided else "PASSED", text


def render(gate: Gate, *, width: int = 100, is_colour: bool = False) -> str:
    """The gate as text."""
    word, text = verdict_of(gate)
    colour = {"FAILED": "invalid", "PASSED": "valid"}.get(word, "suspect")
    first, *rest = wrapped(word, text, width=width, indent=INDENT)
    rows = columns([_HEAD, *[_cells(each) for each in gate.judged]], "<>>><><")
    blocks = [
        [first.replace(word, painted(word, colour, is_colour=is_colour), 1), *rest],
        side_lines(gate.comparison, width),
        rows + [line for each in gate.judged for line in _reason(each, width)],
        [
            *[line for text in gate.warnings for line in wrapped("warning", text, width=width, indent=INDENT)],
            *wrapped("method", _method(gate), width=width, indent=INDENT),
            *note_lines(gate.comparison, width),
        ],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def to_markdown(gate: Gate) -> str:
    """The same for a job summary or a comment."""
    word, text = verdict_of(gate)
    rows = [[code(each.condition.text), *map(words, _cells(each)[1:])] for each in gate.judged]
    blocks = [
        [f"**{word}** {words(text)}"],
        table(_HEAD, rows, "lrrrlr"),
        sides(gate.comparison),
        [
            *[f"- warning: {words(text)}" for text in gate.warnings],
            *[f"- {words(text)}" for each in gate.judged if (text := _reason_text(each))],
            f"- {_method(gate)}",
            *notes(gate.comparison),
        ],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def to_json(gate: Gate) -> bytes:
    """`{"schema", "is_failed", "conditions": [...], "warnings", "comparison"}`."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "is_failed": gate.is_failed,
        "conditions": [
            {
                "condition": each.condition.text,
                "metric": each.condition.quantity.metric,
                "statistic": each.condition.quantity.statistic,
                "limit_ratio": each.condition.limit,
                "result": each.result,
                "p": finite(each.p),
            }
            for each in gate.judged
        ],
        "warnings": list(gate.warnings),
        "comparison": comparison_json.to_dict(gate.comparison),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _cells(each: Judged) -> list[str]:
    p = "" if math.isnan(each.p) else f"{each.p:.3f}"
    return [each.condition.text, value_text(each.row.a), value_text(each.row.b), *change(each.row), p, each.result]


def _reason_text(each: Judged) -> str:
    """Why a condition could not be judged; "" if it was."""
    ratio = each.row.ratio
    return f"{each.condition.text}: {ratio.reason}" if isinstance(ratio, Missing) else ""


def _reason(each: Judged, width: int) -> list[str]:
    text = _reason_text(each)
    return wrapped("", f"- {text}", width=width, indent=2) if text else []


def _names(judged: list[Judged]) -> str:
    return ", ".join(each.condition.text for each in judged)


def _method(gate: Gate) -> str:
    return f"{method_text(gate.comparison)}; fails where the whole interval lies beyond the limit"
