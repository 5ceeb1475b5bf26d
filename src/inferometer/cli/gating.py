# SPDX-License-Identifier: Apache-2.0
"""What `inferometer gate` does with a comparison: the conditions judged, the load held against the knee, printed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from inferometer.analysis import gate as analysis
from inferometer.analysis.compare import Comparison
from inferometer.cli.options import wants_colour, width
from inferometer.errors import UsageError
from inferometer.report import gate as report


def judge(found: Comparison, conditions: Sequence[analysis.Condition], knee: float | None) -> analysis.Gate:
    """Raises: UsageError if the run's load is in no unit that a knee could have."""
    warnings = [] if knee is None else [_knee_warning(found, knee)]
    return analysis.judge(found, conditions, [text for text in warnings if text])


def _knee_warning(found: Comparison, knee: float) -> str:
    plan = found.sides[1].members[0].summary.plan
    for name, unit in (("rate_per_s", "requests/s"), ("concurrency", "requests in flight")):
        if plan.get(name):
            return analysis.knee_warning(float(plan[name]), knee, unit)
    raise UsageError("--knee has no meaning for a burst", "leave it out, or gate on a rate or a concurrency")


def print_gate(gate: analysis.Gate, format: str) -> None:
    """On stdout."""
    if format == "json":
        sys.stdout.write(report.to_json(gate).decode())
    elif format == "markdown":
        sys.stdout.write(report.to_markdown(gate))
    else:
        sys.stdout.write(report.render(gate, width=width(), is_colour=wants_colour(sys.stdout)))
