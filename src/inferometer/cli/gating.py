# SPDX-License-Identifier: Apache-2.0
"""What `inferometer gate` does with a comparison: the conditions judged, the load held against the knee, printed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from inferometer.analysis import curve
from inferometer.analysis import gate as analysis
from inferometer.analysis.compare import Comparison
from inferometer.cli.options import wants_colour, width
from inferometer.errors import UsageError
from inferometer.probes.results import read_result
from inferometer.report import gate as report
from inferometer.stats import Missing


def judge(
    found: Comparison, conditions: Sequence[analysis.Condition], knee: float | None, sweep: str | None
) -> analysis.Gate:
    """`sweep`: the folder of one that tells the knee. Raises: UsageError if there is no telling whether the run's load
    sits on a knee; FormatError."""
    if knee is not None and sweep is not None:
        raise UsageError("--knee and --sweep both say where the server saturates", "give one of them")
    if knee is not None and knee <= 0:
        raise UsageError("--knee 0 is no load", "give the load at which this server saturates, or leave it out")
    warnings = []
    if knee is not None:
        load, unit, _ = _load(found, "--knee")
        warnings = [analysis.knee_warning(load, knee, unit)]
    elif sweep is not None:
        warnings = _by_sweep(found, sweep)
    return analysis.judge(found, conditions, [text for text in warnings if text])


def _by_sweep(found: Comparison, folder: str) -> list[str]:
    path = Path(folder) / curve.FILE
    if not path.is_file():
        raise UsageError(f"{folder} is no folder of a sweep: it has no {curve.FILE}", "make one: inferometer sweep")
    result = read_result(path, curve.Sweep, curve.SCHEMA)
    load, unit, kind = _load(found, "--sweep")
    knee, is_safe = analysis.knee_of(result, kind), analysis.is_well_below(result, load, kind)
    if isinstance(knee, Missing) and not is_safe:
        raise UsageError(
            f"the sweep in {folder} tells no knee: {knee.reason}", "sweep further up, or say where it is with --knee"
        )
    summary = found.sides[1].members[0].summary
    other = analysis.unlike(result, summary.plan, summary.engine)
    return [
        "" if isinstance(knee, Missing) else analysis.knee_warning(load, knee.value, unit),
        f"the sweep and the run differ, and so may their knees: {other}" if other else "",
    ]


def _load(found: Comparison, flag: str) -> tuple[float, str, curve.Kind]:
    plan = found.sides[1].members[0].summary.plan
    if plan.get("rate_per_s"):
        return float(plan["rate_per_s"]), "requests/s", "rate"
    if plan.get("concurrency"):
        return float(plan["concurrency"]), "requests in flight", "concurrency"
    raise UsageError(f"{flag} has no meaning for a burst", "leave it out, or gate on a rate or a concurrency")


def print_gate(gate: analysis.Gate, format: str) -> None:
    """On stdout."""
    if format == "json":
        sys.stdout.write(report.to_json(gate).decode())
    elif format == "markdown":
        sys.stdout.write(report.to_markdown(gate))
    else:
        sys.stdout.write(report.render(gate, width=width(), is_colour=wants_colour(sys.stdout)))
