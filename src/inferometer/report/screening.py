# SPDX-License-Identifier: Apache-2.0
"""What a screening found, as lines of the screen, as Markdown and for JSON: hints, in words that do not decide."""

from __future__ import annotations

from typing import Any

from inferometer.analysis.compare import letter
from inferometer.analysis.screen import FALSE_SHARE, Hint, Screening
from inferometer.metrics.reason import percent
from inferometer.report.comparison import INDENT, change_of
from inferometer.report.json import estimate
from inferometer.report.layout import columns, wrapped
from inferometer.report.markdown import code, table

_MIN_Q = 0.001


def text(screening: Screening, *, width: int = 100) -> str:
    """What it is, then a line for each hint."""
    lines = wrapped("screen", _says(screening), width=width, indent=INDENT)
    rows = [
        [f"  {hint.quantity.name}", f"{letter(hint.candidate)} - A", *change_of(hint.ratio), _q(hint)]
        for hint in screening.hints
    ]
    return "\n".join([*lines, *columns(rows, "<<><>")]) + "\n"


def markdown(screening: Screening) -> str:
    """The same as a table."""
    rows = [
        [code(hint.quantity.name), f"{letter(hint.candidate)}: {' '.join(change_of(hint.ratio))}", _q(hint)]
        for hint in screening.hints
    ]
    shown = table(["metric", "change", "q"], rows, "lrr") if rows else []
    return "\n".join([f"**Screening** {_says(screening)}", *([""] if shown else []), *shown]) + "\n"


def to_dict(screening: Screening) -> dict[str, Any]:
    """For the JSON of a comparison."""
    return {
        "correction": "benjamini-hochberg",
        "false_share": round(FALSE_SHARE, 12),
        "n_tests": screening.n_tests,
        "hints": [
            {
                "candidate": letter(hint.candidate),
                "metric": hint.quantity.metric,
                "statistic": hint.quantity.statistic,
                "ratio": estimate(hint.ratio),
                "q": hint.q,
            }
            for hint in screening.hints
        ],
    }


def _says(screening: Screening) -> str:
    n = len(screening.hints)
    return (
        f"{n or 'none'} of {screening.n_tests} further metrics {'stands' if n < 2 else 'stand'} out; of those that do, "
        f"{percent(FALSE_SHARE)} are expected to by chance (Benjamini-Hochberg). Hints, not verdicts: to decide on "
        "one, take new runs and name it in --metrics"
    )


def _q(hint: Hint) -> str:
    return f"q < {_MIN_Q}" if hint.q < _MIN_Q else f"q {hint.q:.3f}"
