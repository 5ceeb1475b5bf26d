# SPDX-License-Identifier: Apache-2.0
"""`inferometer doctor`: what on this machine would spoil a run."""

from __future__ import annotations

import sys

import typer

from inferometer.cli.options import Format, FormatOption, wants_colour


def doctor(format: FormatOption = Format.TEXT) -> None:
    """Look at kernel stamps, clocks, cores, steal and limits, and say what would spoil a run here. Takes seconds."""
    from inferometer.host import doctor as host
    from inferometer.report import doctor as page

    checks = [page.Check(check.code, check.level, check.text, check.remedy) for check in host.doctor()]
    if format is Format.JSON:
        sys.stdout.write(page.to_json(checks).decode())
    else:
        sys.stdout.write(page.render(checks, is_colour=wants_colour(sys.stdout)))
    if page.verdict_of(checks) == "invalid":
        raise typer.Exit(4)
