# SPDX-License-Identifier: Apache-2.0
"""`inferometer report`: what a run says, from its folder: screen, page or table; also of a run that was killed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from inferometer.cli.options import OutFile, ReportFormat, ReportFormatOption
from inferometer.errors import UsageError

COMPARISON = "ab.json"


def report(
    path: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER", help="Folder of a run, sweep, limit, ab, choice or explain.", show_default=False
        ),
    ],
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
    format: ReportFormatOption = ReportFormat.TEXT,
    out: OutFile = None,
) -> None:
    """Print the report of a run, or of what was made of runs, from its folder.

    Of a run that was killed: everything up to the last completed pass.
    """
    from inferometer.cli import outcome
    from inferometer.cli.output import refuse_page_on_terminal
    from inferometer.run_folder import Run

    refuse_page_on_terminal(format.value, out)
    kind = _probe_of(path)
    if kind is not None:
        for name, value in (("--slo", slo), ("--as", as_)):
            if value is not None:
                raise UsageError(f"{name} is for the report of a run", "give it the folder of one of its runs")
    if kind == COMPARISON:
        from inferometer.cli import turns

        turns.report(Path(path), format.value, out)
    elif kind is not None:
        from inferometer.cli import probing

        sys.exit(probing.report(probing.KINDS[kind], Path(path), format.value, out))
    elif as_ is not None:
        outcome.report_as(Run.open(path), as_, format.value, out)
    else:
        sys.exit(outcome.report(Run.open(path), format.value, slo, out))


def _probe_of(path: str) -> str | None:
    """The file that says that a folder is a probe's, None if it is a run's."""
    from inferometer.analysis.finding import CHALLENGES

    # The first counts: an explanation holds those of its rows in folders below it.
    names = ("explain.json", "sweep.json", "limit.json", "choice.json", COMPARISON)
    return next(
        (name for name in (*names, *(f"{each}.json" for each in CHALLENGES)) if (Path(path) / name).is_file()), None
    )
