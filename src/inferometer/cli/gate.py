# SPDX-License-Identifier: Apache-2.0
"""`inferometer gate`: exit code 5 if a run is worse than its baseline by more than is allowed, and that is sure."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from inferometer.cli.options import ComparisonFormat, ComparisonFormatOption, Ignore, RunsIn

RunSide = Annotated[str, typer.Argument(metavar="RUN", help="Run folders or a label, as in `compare`.")]
Baseline = Annotated[str, typer.Option("--baseline", metavar="SIDE", help="What it is held against: the same.")]
Fail = Annotated[
    str, typer.Option("--fail", metavar="CONDITIONS", help="'ttft_p99>+5%,output_throughput<-3%': when to fail.")
]
Knee = Annotated[
    float | None,
    typer.Option(
        "--knee",
        metavar="LOAD",
        min=0.0,
        help="Load at which this server saturates, in the run's own unit: requests/s or requests in flight. Warns if "
        "the gate sits on it.",
        show_default=False,
    ),
]

Sweep = Annotated[
    str | None,
    typer.Option(
        "--sweep",
        metavar="DIR",
        help="Folder of a sweep of this server, which tells the knee in place of --knee.",
        show_default=False,
    ),
]


def gate(
    run: RunSide,
    baseline: Baseline,
    fail: Fail,
    knee: Knee = None,
    sweep: Sweep = None,
    ignore: Ignore = None,
    runs: RunsIn = "inferometer-runs",
    format: ComparisonFormatOption = ComparisonFormat.TEXT,
) -> None:
    """Fail (exit code 5) if the run is worse than the baseline by more than is allowed, with 95 % confidence.

    The whole interval must lie beyond the limit; where it only reaches beyond, the gate warns and passes.
    """
    from inferometer.analysis.compare import TOLERANCE
    from inferometer.analysis.gate import parse_conditions
    from inferometer.cli import comparing, gating
    from inferometer.errors import GateFailed, RunError

    conditions = parse_conditions(fail)
    found = comparing.compared(
        [comparing.side_of(baseline, runs), comparing.side_of(run, runs)],
        ignored=comparing.kinds_of(ignore),
        quantities=tuple(condition.quantity for condition in conditions),
        tolerance=TOLERANCE,
    )
    judged = gating.judge(found, conditions, knee, sweep)
    gating.print_gate(judged, format.value)
    if judged.is_failed:
        sys.exit(GateFailed.exit_code)
    sys.exit(RunError.exit_code if judged.is_undecided else 0)
