# SPDX-License-Identifier: Apache-2.0
"""The candidates of a choice as a table: a row each, exact and in base units; and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from inferometer.analysis.choice import Candidate, Choice
from inferometer.report.choice import ranked

_NUMBERS = {  # column -> field of a candidate
    "goodput_per_s": "goodput",
    "goodput_per_device": "per_device",
    "cost_per_1000_requests": "cost",
    "ratio_to_preferred": "ratio",
    "attainment_ratio": "attainment",
    "ttft_s_p50": "ttft_p50",
    "ttft_s_p99": "ttft_p99",
    "tpot_s_p50": "tpot_p50",
    "e2e_s_p50": "e2e_p50",
    "output_throughput_tokens_per_s": "output_throughput",
    "memory_bytes": "memory",
    "start_s": "start",
}
_FIRST = ("candidate", "kind", "engine", "version", "model", "settings", "state", "why", "rounds", "load", "score")


def columns() -> list[str]:
    return [*_FIRST, *(f"{name}{end}" for name in _NUMBERS for end in ("", "_lo", "_hi"))]


def rows(found: Choice) -> Iterator[list[str]]:
    """The preferred one first."""
    for _, one in ranked(found):
        numbers = [getattr(one, name) for name in _NUMBERS.values()]
        yield [*_words(one), *(_exact(end) for number in numbers for end in (number.value, number.lo, number.hi))]


def to_csv(found: Choice) -> str:
    """Header and rows; lines end in a line feed, what is missing is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns())
    writer.writerows(rows(found))
    return out.getvalue()


def _words(one: Candidate) -> list[str]:
    settings = " ".join(f"{name}={value}" for name, value in one.settings.items())
    told = [one.name, one.kind, one.engine, one.version, one.model, settings, one.state, one.why, str(one.n_rounds)]
    return [*told, _exact(one.load), _exact(one.score)]


def _exact(value: float | None) -> str:
    return "" if value is None else repr(float(value))
