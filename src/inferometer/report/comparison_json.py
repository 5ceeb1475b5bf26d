# SPDX-License-Identifier: Apache-2.0
"""A comparison as JSON, for programs. See docs/reference/json.md.

Schema history (SCHEMA): "inferometer/comparison/1" first.
"""

from __future__ import annotations

from typing import Any

import msgspec

from inferometer.analysis.compare import Comparison, Row, letter
from inferometer.analysis.screen import Screening
from inferometer.analysis.side import Side
from inferometer.report.json import estimate, finite
from inferometer.report.screening import to_dict as screening_dict
from inferometer.stats import LEVEL

SCHEMA = "inferometer/comparison/1"


def to_json(comparison: Comparison, screening: Screening | None = None) -> bytes:
    """The document as UTF-8, indented, with a final newline; with what was screened, if it was."""
    document = to_dict(comparison) | ({} if screening is None else {"screening": screening_dict(screening)})
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """The document as plain dicts, lists, strings, numbers, booleans and None."""
    return {
        "schema": SCHEMA,
        "verdicts": {letter(i): comparison.overall(i) for i in comparison.candidates},
        "sides": {letter(i): _side(side) for i, side in enumerate(comparison.sides)},
        "rows": [_row(row) for row in comparison.rows],
        "tolerance": comparison.tolerance,
        "level": LEVEL,
        "is_paired": comparison.is_paired,
        "n_tests": comparison.n_tests,
        "correction": "holm",
        "ignored": list(comparison.ignored),
        "notes": list(comparison.notes),
    }


def _side(side: Side) -> dict[str, Any]:
    engine = side.members[0].summary.engine
    return {
        "title": side.title,
        "n_trials": side.n_trials,
        "trials_are": "runs" if side.are_runs else "trials of one run",
        "runs": [member.path for member in side.members],
        "verdicts": [member.summary.verdict.level for member in side.members],
        "engine": {name: engine.get(name) for name in ("name", "title", "version", "model", "settings")},
        "revision": side.members[0].facts.get("revision"),
        "n_requests": sum(member.summary.counts["planned"] for member in side.members),
        "n_failed": sum(member.summary.counts["failed"] for member in side.members),
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "candidate": letter(row.candidate),
        "metric": row.quantity.metric,
        "statistic": row.quantity.statistic,
        "baseline": estimate(row.a),
        "value": estimate(row.b),
        "ratio": estimate(row.ratio),
        "p": finite(row.p),
        "p_family": finite(row.p_family),
        "verdict": row.verdict,
        "n_to_settle": row.n_to_settle,
        "n_to_find_tolerance": row.n_to_find,
        "finds_change_of": finite(row.sees),
    }
