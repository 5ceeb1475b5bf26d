# SPDX-License-Identifier: Apache-2.0
"""Points of a sweep, written by hand."""

from __future__ import annotations

from typing import Any

from inferometer.analysis.curve import Point
from inferometer.analysis.number import Number


def number(value: float, unit: str = "s", *, half: float = 0.01) -> Number:
    """A value and an interval around it, half as wide as `half` of it."""
    return Number(value, value * (1 - half), value * (1 + half), 400, unit, "by hand")


def point(load: float, throughput: float, **changes: Any) -> Point:
    """So many requests per second at that load; the rest is as it may be."""
    fields: dict[str, Any] = {
        "folder": f"points/001-c{load:g}",
        "request_throughput": number(throughput, "1/s"),
        "output_throughput": number(48 * throughput, "tokens/s"),
        "in_flight": number(load, "requests"),
        "ttft_p50": number(0.02 * load),
        "ttft_p99": Number(None, None, None, 57, "s", missing="needs 100 requests, has 57"),
        "tpot_p50": number(0.004 * load, "s/token"),
        "e2e_mean": number(load / throughput),
        "attainment": number(0.97, "ratio"),
        "error": Number(0.0, 0.0, 0.01, 400, "ratio"),
        "verdict": "valid",
        "reasons": [],
    }
    return Point(load, **(fields | changes))
