# SPDX-License-Identifier: Apache-2.0
"""`inferometer report`: the screen of a run again, from its folder; also of a run that was killed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from inferometer.cli.options import ReportFormat
from inferometer.errors import UsageError

PROBES = ("sweep.json", "limit.json")  # by which the folder of one is known


def report(
    path: Annotated[
        str, typer.Argument(metavar="FOLDER", help="Folder of a run, sweep or limit search.", show_default=False)
    ],
    slo: Annotated[
        str | None,
        typer.Option("--slo", metavar="LIMITS", help="Other limits than the run was given.", show_default=False),
    ] = None,
    format: Annotated[ReportFormat, typer.Option("--format", help="text, json or markdown.")] = ReportFormat.TEXT,
) -> None:
    """Print the report of a run, sweep or limit search from its folder.

    Of a run that was killed: everything up to the last completed pass.
    """
    from inferometer.cli import outcome
    from inferometer.run_folder import Run

    if (kind := _probe_of(path)) is not None:
        from inferometer.cli import probing

        if slo is not None:
            raise UsageError("--slo is for the report of a run", "give it the folder of one point")
        sys.exit(probing.REPORTS[kind](Path(path), format.value))
    run = Run.open(path)
    sys.exit(outcome.report(run, format.value, slo))


def _probe_of(path: str) -> str | None:
    """The file that says that a folder is a probe's, None if it is a run's."""
    return next((name for name in PROBES if (Path(path) / name).is_file()), None)
