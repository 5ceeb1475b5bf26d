# SPDX-License-Identifier: Apache-2.0
"""`inferometer show`: the slowest requests of a run under the magnifier."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from inferometer.cli.options import width

RunPath = Annotated[str, typer.Argument(metavar="RUN", help="Folder of the run.", show_default=False)]


def show(
    path: RunPath,
    slowest: Annotated[int, typer.Option("--slowest", metavar="N", min=1, help="The N with the longest latency.")] = 5,
    request: Annotated[
        int | None, typer.Option("--request", metavar="ID", help="This one instead.", show_default=False)
    ] = None,
    all_reads: Annotated[bool, typer.Option("--all-reads", help="Print every read, however many there are.")] = False,
) -> None:
    """Waterfall, raw bytes and a curl line of the slowest requests: where the time went, in the server's own bytes."""
    from inferometer.cli import magnifier
    from inferometer.run_folder import Run

    run = Run.open(path)
    ids = [request] if request is not None else None
    max_reads = None if all_reads else 40
    for text in magnifier.waterfalls(run, n_slowest=slowest, ids=ids, width=width(), max_reads=max_reads):
        sys.stdout.write(text + "\n")
