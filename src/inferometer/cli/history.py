# SPDX-License-Identifier: Apache-2.0
"""`inferometer history`: one number of many runs over time, read from their folders."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from inferometer.cli.options import width


class HistoryFormat(StrEnum):
    """How a history is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


Directory = Annotated[str, typer.Argument(metavar="[DIR]", help="Where the run folders are, at any depth.")]
MetricName = Annotated[str, typer.Option("--metric", metavar="NAME", help="What is shown: ttft_p99, error, ...")]
Label = Annotated[
    str | None, typer.Option("--label", metavar="NAME", help="Only runs of this label; * stands for anything.")
]
Engine = Annotated[
    str | None, typer.Option("--engine", metavar="TEXT", help="Only engines whose name and version hold this.")
]
Model = Annotated[str | None, typer.Option("--model", metavar="TEXT", help="Only models whose name holds this.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="DATE", help="Only runs made on this day (UTC) or later.")
]
Last = Annotated[int, typer.Option("--last", metavar="N", min=1, help="The latest N of them.")]


def history(
    directory: Directory = "inferometer-runs",
    metric: MetricName = "ttft_p99",
    label: Label = None,
    engine: Engine = None,
    model: Model = None,
    since: Since = None,
    last: Last = 30,
    format: Annotated[HistoryFormat, typer.Option("--format", help="text, json or csv.")] = HistoryFormat.TEXT,
) -> None:
    """List the runs of a directory over time: label, commit, engine version, and one number with its interval.

    Nothing is stored beside the run folders; they are asked anew each time.
    """
    from inferometer.analysis.side import parse_quantity
    from inferometer.cli import past
    from inferometer.report import history as page

    quantity = parse_quantity(metric)
    lines = past.lines_of(directory, quantity, past.Wanted(label, engine, model, past.day_of(since)))[-last:]
    if format is HistoryFormat.JSON:
        sys.stdout.write(page.to_json(lines, metric=quantity.metric, statistic=quantity.statistic).decode())
    elif format is HistoryFormat.CSV:
        sys.stdout.write(page.to_csv(lines, what=quantity.name))
    else:
        sys.stdout.write(page.render(lines, what=quantity.name, width=width(160)))  # a plot may be wider than text
