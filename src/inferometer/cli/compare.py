# SPDX-License-Identifier: Apache-2.0
"""`inferometer compare`: which side is better, by how much, and how sure that is."""

from __future__ import annotations

from typing import Annotated

import typer

from inferometer.cli.options import Ignore, Metrics, OutFile, ReportFormat, ReportFormatOption, RunsIn, Tolerance

Sides = Annotated[
    list[str],
    typer.Argument(metavar="A B [C ...]", help="Run folders, folders of them, or labels.", show_default=False),
]
Screen = Annotated[
    bool, typer.Option("--screen", help="Say which of all other metrics may differ too: hints, no verdicts.")
]


def compare(
    sides: Sides,
    metrics: Metrics = None,
    tolerance: Tolerance = "5%",
    ignore: Ignore = None,
    screen: Screen = False,
    runs: RunsIn = "inferometer-runs",
    format: ReportFormatOption = ReportFormat.TEXT,
    out: OutFile = None,
) -> None:
    """Compare runs: a permutation test over trials, each ratio with its interval, one verdict per metric.

    A side is a run with --repeats, or several runs: folders with commas between, a folder that holds them, a --label.
    Everything is held against A. Five trials a side are needed, eight in pairs as `ab` makes them.
    """
    from inferometer.cli import comparing
    from inferometer.cli.output import refuse_page_on_terminal
    from inferometer.errors import UsageError
    from inferometer.units import parse_percent

    if len(sides) < 2:
        raise UsageError("there is nothing to compare with", "give two or more: inferometer compare A B")
    refuse_page_on_terminal(format.value, out)
    ignored, quantities = comparing.kinds_of(ignore), comparing.quantities_of(metrics)
    found = comparing.compared(
        [comparing.side_of(side, runs) for side in sides],
        ignored=ignored,
        quantities=quantities,
        tolerance=parse_percent(tolerance),
    )
    screening = comparing.screened(found, quantities) if screen else None
    comparing.print_comparison(found, format.value, out=out, screening=screening)
