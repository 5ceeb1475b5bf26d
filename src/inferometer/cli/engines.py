# SPDX-License-Identifier: Apache-2.0
"""`inferometer engines`: what is installed, what can run on this machine, and all that is known of one engine."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated, TypeAlias

import typer

from inferometer.cli.options import Format, FormatOption, width

Name: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="All that is known of this one.", show_default=False)
]
ModelAsked: TypeAlias = Annotated[
    str | None,
    typer.Option("--model", metavar="MODEL", help="Say also which of them could serve this one.", show_default=False),
]


def engines(name: Name = None, model: ModelAsked = None, format: FormatOption = Format.TEXT) -> None:
    """List the engines: installed or how to install, whether this machine can run them, what they speak.

    With a NAME: hardware, model formats, strengths, licence, upkeep, knobs and traps of that one.
    """
    from inferometer.cli import survey
    from inferometer.engines.registry import engine_named
    from inferometer.report import engines as page

    machine = survey.look()
    if name is None:
        rows = survey.rows(machine, model)
        if format is Format.JSON:
            sys.stdout.write(page.table_json(rows, asdict(machine)).decode())
        else:
            sys.stdout.write(page.render_table(rows, survey.machine_lines(machine), width=width()))
        return
    engine = engine_named(name)
    row = survey.row_of(engine, machine, model)
    sections = survey.sections_of(engine, row)
    if format is Format.JSON:
        sys.stdout.write(page.facts_json(engine.name, row, sections).decode())
    else:
        sys.stdout.write(page.render_facts(f"{engine.title} ({engine.name})", sections, width=width()))
