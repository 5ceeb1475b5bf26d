# SPDX-License-Identifier: Apache-2.0
"""Where a document goes: to stdout, to the file that `--out` names, into the folder of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.errors import UsageError
from inferometer.run_folder import REPORT, Run, write_atomically
from inferometer.units import format_bytes

if TYPE_CHECKING:
    from inferometer.metrics.summary import Summary


def refuse_page_on_terminal(format: str, out: str | None) -> None:
    """Raises: UsageError for a page that would be poured into a terminal."""
    if format == "html" and out is None and sys.stdout.isatty():
        raise UsageError("a page of HTML is nothing for a terminal", "give it a file: --out report.html")


def put(document: str, out: str | None) -> None:
    """Print it, or write it to the file `out`. Raises: RunError if it cannot be written."""
    if out is None:
        sys.stdout.write(document)
        sys.stdout.flush()
    else:
        data = document.encode()
        write_atomically(Path(out), data)
        print(f"{out}: {format_bytes(len(data))}", file=sys.stderr)


def keep_report(run: Run, summary: Summary) -> None:
    """The report of a run into its folder, where `history` and other programs find it. Raises: RunError."""
    from inferometer.report import json as json_report

    write_atomically(run.path / REPORT, json_report.to_json(summary))
