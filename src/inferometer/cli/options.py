# SPDX-License-Identifier: Apache-2.0
"""Options that several verbs share."""

from __future__ import annotations

import os
import shutil
from enum import StrEnum
from typing import Annotated, TextIO

import typer


class Format(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


class ReportFormat(StrEnum):
    """The same, with what is passed on: a table for pull requests, a page, every number as a table."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"
    CSV = "csv"


class ComparisonFormat(StrEnum):
    """Of what holds runs against each other; `compare` has those of a report."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


ComparisonFormatOption = Annotated[
    ComparisonFormat, typer.Option("--format", help="text, json or markdown.", rich_help_panel="Output")
]
ReportFormatOption = Annotated[ReportFormat, typer.Option("--format", help="text, json, markdown, html or csv.")]
OutFile = Annotated[
    str | None,
    typer.Option("--out", metavar="FILE", help="Write it there instead of printing it.", show_default=False),
]
RunsIn = Annotated[str, typer.Option("--runs", metavar="DIR", help="Where labelled runs are looked for.")]
Metrics = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="NAMES",
        help="ttft_p50,gap_p99,... instead of the headline; all of them are corrected for together.",
        show_default=False,
    ),
]
Tolerance = Annotated[
    str, typer.Option("--tolerance", metavar="SHARE", help="Changes smaller than that are the same to you.")
]
Ignore = Annotated[
    str | None,
    typer.Option(
        "--ignore",
        metavar="KINDS",
        help="Compare in spite of: validity, plan, model, lengths, definitions, host, engine.",
        show_default=False,
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="text or json.", rich_help_panel="Output")]


def width(most: int = 120) -> int:
    """Columns of what is printed: the terminal's, 100 where there is none. `most`: wider lines are hard to read."""
    return min(most, shutil.get_terminal_size((100, 24)).columns)


def wants_colour(stream: TextIO) -> bool:
    """A terminal, unless NO_COLOR is set to something (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")
