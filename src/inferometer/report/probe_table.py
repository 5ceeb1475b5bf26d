# SPDX-License-Identifier: Apache-2.0
"""The points of a sweep and the looks of a limit search as tables: a row each, exact and in base units; and as CSV.

Rule: numbers are not rounded, and what is missing or without bound is an empty cell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from inferometer.analysis.curve import Point, Sweep
from inferometer.analysis.limit import LimitSearch
from inferometer.analysis.number import Number

_NUMBERS = {  # column -> field of a point
    "request_throughput_per_s": "request_throughput",
    "output_throughput_tokens_per_s": "output_throughput",
    "in_flight_requests": "in_flight",
    "ttft_s_p50": "ttft_p50",
    "ttft_s_p99": "ttft_p99",
    "tpot_s_p50": "tpot_p50",
    "e2e_s_mean": "e2e_mean",
    "attainment_ratio": "attainment",
    "error_ratio": "error",
}
_LOOK = ("load", "stage", "n", "n_worth", "share", "growth", "seconds", "reasons", "folder")


def sweep_csv(sweep: Sweep) -> str:
    """Header and a row for each point; lines end in a line feed."""
    return _written(point_columns(), point_rows(sweep))


def limit_csv(found: LimitSearch) -> str:
    """Header and a row for each look."""
    return _written(look_columns(found), look_rows(found))


def point_columns() -> list[str]:
    numbers = [f"{name}{end}" for name in _NUMBERS for end in ("", "_lo", "_hi")]
    return ["load", "is_repeat", *numbers, "verdict", "reasons", "short", "limit", "resource", "folder"]


def point_rows(sweep: Sweep) -> Iterator[list[str]]:
    for point in sweep.points:
        numbers = [cell for name in _NUMBERS.values() for cell in _cells(getattr(point, name))]
        yield [_exact(point.load), str(point.is_repeat).lower(), *numbers, *_words(point)]


def _words(point: Point) -> list[str]:
    return [point.verdict, " ".join(point.reasons), point.short, point.limit, point.resource, point.folder]


def look_columns(found: LimitSearch) -> list[str]:
    return [*_LOOK, *(f"missed {limit}" for limit in _limits(found))]


def look_rows(found: LimitSearch) -> Iterator[list[str]]:
    """In the order in which they were taken."""
    for look in found.looks:
        numbers = [_exact(look.load), look.stage, str(look.n), _exact(look.n_worth), _exact(look.share)]
        words = [look.growth, _exact(look.seconds), " ".join(look.reasons), look.folder]
        yield [*numbers, *words, *(str(look.misses.get(limit, 0)) for limit in _limits(found))]


def _limits(found: LimitSearch) -> list[str]:
    """Each limit that a look counted misses of."""
    return list(dict.fromkeys(limit for look in found.looks for limit in look.misses))


def _cells(number: Number) -> list[str]:
    return [_exact(number.value), _exact(number.lo), _exact(number.hi)]


def _exact(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def _written(head: Sequence[str], rows: Iterator[list[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return out.getvalue()
