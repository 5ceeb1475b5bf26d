# SPDX-License-Identifier: Apache-2.0
"""A comparison as a table: a row per quantity and candidate, exact and in base units; and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator

from inferometer.analysis.compare import Comparison, letter
from inferometer.stats import Estimate, Missing

COLUMNS = (
    *("candidate", "metric", "statistic", "unit", "baseline", "baseline_lo", "baseline_hi", "value", "lo", "hi"),
    *("ratio", "ratio_lo", "ratio_hi", "p", "p_family", "verdict", "n_to_settle", "finds_change_of", "missing"),
)


def to_csv(comparison: Comparison) -> str:
    """Header and rows; lines end in a line feed, what is missing is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows(comparison))
    return out.getvalue()


def rows(comparison: Comparison) -> Iterator[list[str]]:
    for row in comparison.rows:
        yield [
            *(letter(row.candidate), row.quantity.metric, row.quantity.statistic, row.quantity.of.unit),
            *(cell for number in (row.a, row.b, row.ratio) for cell in _cells(number)),
            *(_exact(row.p), _exact(row.p_family), row.verdict),
            "" if row.n_to_settle is None else str(row.n_to_settle),
            _exact(row.sees),
            row.ratio.reason if isinstance(row.ratio, Missing) else "",
        ]


def _cells(number: Estimate | Missing) -> list[str]:
    return (
        ["", "", ""] if isinstance(number, Missing) else [_exact(end) for end in (number.value, number.lo, number.hi)]
    )


def _exact(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else ""
