# SPDX-License-Identifier: Apache-2.0
"""`inferometer report`: the screen of a run again, from its folder; also of a run that was killed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from inferometer.cli.options import ReportFormat


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
    format: Annotated[ReportFormat, typer.Option("--format", help="text, json or markdown.")] = ReportFormat.TEXT,
) -> None:
    """Print the report of a run folder. Of a run that was killed: everything up to the last completed pass."""
    from inferometer.cli import outcome
    from inferometer.run_folder import Run

    run = Run.open(path)
    if as_ is not None:
        sys.stdout.write(outcome.report_as(run, as_, format.value))
    else:
        sys.exit(outcome.report(run, format.value, slo))
