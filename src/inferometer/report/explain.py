# SPDX-License-Identifier: Apache-2.0
"""The screen of `explain TARGET`: six rows, worst first, each with its figure, its worst finding, cause and remedy.

Rule 1: nothing is computed here; what a line needs is in the `Explanation`.
Rule 2: it is one screen. What else was found in a row is counted, and stands in the report of that row.
"""

from __future__ import annotations

from inferometer.analysis.explanation import PAGE, Explanation, Verified
from inferometer.analysis.finding import Finding, Row
from inferometer.report.figures import PLAIN, figure_text
from inferometer.report.findings import bound_text, figure_line, remedy_parts
from inferometer.report.layout import cut_middle, filled, printable, software_of
from inferometer.stats import Estimate
from inferometer.units import format_span

INDENT = 16
_GOOD = "ok"
_UNKNOWN = "-"


def render(found: Explanation, *, folder: str, width: int = 100) -> str:
    """The whole report as text."""
    blocks = [
        _head(found, width),
        *(_row(row, width) for row in found.rows),
        [line for verified in found.verified for line in _verified(verified, width)],
        _not_measured(found, width),
        _foot(found, folder, width),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def level_of(row: Row) -> str:
    """The row's worst finding in a word; `ok` where it was measured and nothing was found."""
    if row.level is not None:
        return row.level
    return _GOOD if row.figure.value is not None else _UNKNOWN


def _head(found: Explanation, width: int) -> list[str]:
    engine = found.engine
    software = software_of(engine)
    spent = f"{format_span(found.seconds)} of {format_span(found.budget_s)}, {found.n_requests:,} requests"
    parts = [software, cut_middle(str(engine.get("model") or ""), 48), spent]
    lines = filled("explain", [part for part in parts if part], width=width, indent=INDENT)
    return lines + (filled("ended", [found.stopped], width=width, indent=INDENT) if found.stopped else [])


def _row(row: Row, width: int) -> list[str]:
    told = [row.headline, *([] if row.findings or row.figure.value is not None else [row.figure.missing])]
    lines = filled(f"{level_of(row):5} {row.challenge}", told, width=width, indent=INDENT)
    if isinstance(row.figure.figure, Estimate):
        parts = [figure_line(row.figure), *([f"bound {bound_text(row.bound)}"] if row.bound is not None else [])]
        lines += filled("", parts, width=width, indent=INDENT)
    if row.findings:
        lines += _finding(row.findings[0], width)
        n_more = len(row.findings) - 1
        lines += (
            filled("", [f"and {n_more} more: {_codes(row.findings[1:])}"], width=width, indent=INDENT) if n_more else []
        )
    return lines


def _codes(findings: list[Finding]) -> str:
    return ", ".join(f"{finding.level} {finding.code}" for finding in findings)


def _finding(finding: Finding, width: int) -> list[str]:
    lines = filled("      found", [f"{finding.claim} ({finding.code})"], width=width, indent=INDENT)
    lines += filled("      cause", [finding.cause, f"shown by {finding.shown_by}"], width=width, indent=INDENT)
    if finding.remedy is not None:
        lines += filled("      remedy", remedy_parts(finding), width=width, indent=INDENT)
    return lines


def _verified(verified: Verified, width: int) -> list[str]:
    settings = " ".join(f"--set {setting}" for setting in verified.settings)
    if verified.problem:
        parts = [f"{settings} against {verified.code}: undecided: {verified.problem}"]
        return filled("verified", parts, width=width, indent=INDENT)
    parts = [
        f"{settings} against {verified.code}: {verified.verdict}",
        f"{verified.quantity} with {verified.load}: {figure_text(verified.ratio.figure, PLAIN)} of before",
        f"{figure_text(verified.before.figure)}, then {figure_text(verified.after.figure)}",
        f"{verified.n_rounds} rounds in turns",
    ]
    if verified.n_to_settle is not None:
        parts.append(f"{verified.n_to_settle} would settle it")
    return filled("verified", parts, width=width, indent=INDENT)


def _not_measured(found: Explanation, width: int) -> list[str]:
    lines = []
    for row in found.rows:
        for reason in row.not_measured if row.challenge in found.folders else ():
            lines += filled("not measured", [f"{row.challenge}: {printable(reason)}"], width=width, indent=INDENT)
    return lines


def _foot(found: Explanation, folder: str, width: int) -> list[str]:
    lines = [f"{'folder'.ljust(INDENT)}{printable(folder)}", f"{'page'.ljust(INDENT)}{printable(folder)}/{PAGE}"]
    each = [name for row in found.rows if (name := found.folders.get(row.challenge))]
    if each:
        lines.append(f"{'each row'.ljust(INDENT)}inferometer report {printable(folder)}/{each[0]}")
    return lines
