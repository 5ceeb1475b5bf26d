# SPDX-License-Identifier: Apache-2.0
"""`inferometer self-test`: how wrong this tool is on this machine, against a server that knows the truth."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def self_test(
    quick: Annotated[bool, typer.Option("--quick", help="Only the first four loads.")] = False,
) -> None:
    """Measure a ground-truth server over a ladder of loads and print the tool's own error against the server's log.

    Takes about a minute. Ends where the error exceeds one millisecond: up to there this machine can be trusted.
    """
    from inferometer.cli import truth_ladder

    within = truth_ladder.climb_and_print(sys.stdout, n_loads=4 if quick else None)
    if not within:
        raise typer.Exit(4)
