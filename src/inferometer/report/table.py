# SPDX-License-Identifier: Apache-2.0
"""Every number of a run as one table: a row per statistic, exact and in base units; and the table as CSV.

Rule: numbers are not rounded, what is missing or without bound is an empty cell, and why stands in the row.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping

from inferometer.metrics.summary import Summary
from inferometer.stats import Estimate, Missing

COLUMNS = ("group", "name", "statistic", "value", "lo", "hi", "level", "n", "unit", "method", "missing", "verdict")


def to_csv(summary: Summary) -> str:
    """Header and rows, lines end in a line feed."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows(summary))
    return out.getvalue()


def rows(summary: Summary) -> Iterator[list[str]]:
    """Verdict, counts, metrics, limits, fidelity, what the server says; `verdict`: of the run, a metric or a limit."""
    yield ["run", "verdict", *[""] * 9, summary.verdict.level]
    for name, n in summary.counts.items():
        yield ["count", name, "value", str(n), str(n), str(n), "", str(n), "requests" * (name != "trials"), "", "", ""]
    for name, statistics in summary.metrics.items():
        yield from _numbers("metric", name, statistics, summary.metric_verdicts[name].level)
    for limit, share in summary.limits.per_request:
        yield from _numbers("limit", limit.text, {"attained": share}, "")
    for result in summary.limits.per_run:
        yield from _numbers("limit", result.limit.text, {"observed": result.observed}, result.result)
    for group, numbers in (("fidelity", summary.fidelity), ("server", summary.server)):
        for name, number in numbers.items():
            yield from _numbers(group, name, {"value": number}, "")


def _numbers(group: str, name: str, numbers: Mapping[str, Estimate | Missing], verdict: str) -> Iterator[list[str]]:
    for statistic, number in numbers.items():
        yield [group, name, statistic, *_cells(number), verdict]


def _cells(number: Estimate | Missing) -> list[str]:
    if isinstance(number, Missing):
        return ["", "", "", "", str(number.n), number.unit, "", number.reason]
    missing = "lies among the failed requests" if math.isinf(number.value) else ""
    exact = [repr(float(value)) if math.isfinite(value) else "" for value in (number.value, number.lo, number.hi)]
    return [*exact, f"{number.level:g}", str(number.n), number.unit, number.method, missing]
