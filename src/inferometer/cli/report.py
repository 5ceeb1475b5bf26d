# SPDX-License-Identifier: Apache-2.0
"""`inferometer report`: what a run says, from its folder: screen, page or table; also of a run that was killed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from inferometer.cli.options import ReportFormat
from inferometer.errors import UsageError


def report(
    path: Annotated[str, typer.Argument(metavar="RUN", help="Folder of the run.", show_default=False)],
    slo: Annotated[
        str | None,
        typer.Option("--slo", metavar="LIMITS", help="Other limits than the run was given.", show_default=False),
    ] = None,
    as_: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="TOOL",
            help="By the definitions of vllm, guidellm or aiperf instead, to reconcile numbers.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        ReportFormat, typer.Option("--format", help="text, json, markdown, html or csv.")
    ] = ReportFormat.TEXT,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FILE", help="Write it there instead of printing it.", show_default=False),
    ] = None,
) -> None:
    """Print the report of a run folder. Of a run that was killed: everything up to the last completed pass."""
    from inferometer.cli import outcome
    from inferometer.run_folder import Run

    if format is ReportFormat.HTML and out is None and sys.stdout.isatty():
        raise UsageError("a page of HTML is nothing for a terminal", "give it a file: --out report.html")
    run = Run.open(path)
    if as_ is not None:
        outcome.report_as(run, as_, format.value, out)
    else:
        sys.exit(outcome.report(run, format.value, slo, out))
