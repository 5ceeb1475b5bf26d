# SPDX-License-Identifier: Apache-2.0
"""The screen of a limit search: the limit, the load that is safe, what was shown at which load.

Rule: nothing is computed here; what a line needs is in the `LimitSearch`.
"""

from __future__ import annotations

from inferometer.analysis.limit import LimitSearch
from inferometer.report.figures import PLAIN, figure_text
from inferometer.report.layout import columns, filled, printable
from inferometer.report.sweep import asked_parts
from inferometer.stats import Missing
from inferometer.units import format_span

INDENT = 10


def render(found: LimitSearch, *, folder: str, width: int = 100) -> str:
    """The whole report as text."""
    blocks = [
        _answer(found, width),
        _asked(found, width),
        _table(found),
        [line for note in found.notes for line in filled("note", [note], width=width, indent=INDENT)],
        [f"{'folder'.ljust(INDENT)}{printable(folder)}", f"{'next'.ljust(INDENT)}{_next(found, folder)}"],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _answer(found: LimitSearch, width: int) -> list[str]:
    """What it came to, and what to do with it."""
    told = [("limit", limit_parts(found)), ("safe", [safe_text(found)]), ("shown", shown_parts(found))]
    told += [("binds", [found.binding] if found.binding else []), ("ended", [found.stopped] if found.stopped else [])]
    return [line for label, parts in told if parts for line in filled(label, parts, width=width, indent=INDENT)]


def headline(found: LimitSearch) -> tuple[str, str, str]:
    """The load to plan with: a level of the three verdicts, a word, and a sentence."""
    limit = found.limit.figure
    if isinstance(limit, Missing):
        return "invalid" if found.holds is None else "valid", "NO LIMIT", f"{limit.reason}."
    about = f"{figure_text(limit, PLAIN)} {load_unit(found)}"
    met = f"{100 * found.attainment:g} % of the requests are within all limits up to about {about}."
    if found.safe is None:
        return "suspect", "NOTHING SHOWN TO BE SAFE", met
    return "valid", "SAFE", f"{safe_text(found)}. {met}"


def limit_parts(found: LimitSearch) -> list[str]:
    """The estimate and what it is of, or why there is none."""
    limit = found.limit.figure
    if isinstance(limit, Missing):
        return [f"none: {limit.reason}"]
    share = f"{100 * found.attainment:g} % of the requests are within all limits up to here"
    return [f"{figure_text(limit, PLAIN)} {load_unit(found)}", share]


def safe_text(found: LimitSearch) -> str:
    """The load to plan with."""
    if found.safe is None:
        return "no load was shown to be"
    return f"{found.safe:.4g} {load_unit(found)}: shown to hold, and no more than {found.safe_share:g} of the limit"


def shown_parts(found: LimitSearch) -> list[str]:
    """The bracket, and how sure that is; nothing where there is none."""
    parts = [f"holds up to {found.holds:.4g}"] if found.holds is not None else []
    parts += [f"fails from {found.fails:.4g} on"] if found.fails is not None else []
    level = f"{100 * found.confidence:.0f} % sure of all of this together, however often it was looked at"
    return [*parts, level] if parts else []


def load_unit(found: LimitSearch) -> str:
    return "requests/s" if found.kind == "rate" else "requests in flight"


def asked_text(found: LimitSearch) -> str:
    """The limits, and which share must meet them."""
    preset = f"; preset {found.preset}, {found.source}" if found.preset else ""
    return f"{found.slo} by {100 * found.attainment:g} % of requests{preset}"


def spent_text(found: LimitSearch) -> str:
    return f"{format_span(found.seconds)} of {format_span(found.budget_s)}, {len(found.looks)} looks"


def _asked(found: LimitSearch, width: int) -> list[str]:
    alone = f"{figure_text(found.alone_share.figure)} within the limits"
    told = [
        ("engine", asked_parts(found.engine, found.plan)),
        ("asked", asked_text(found).split("; ")),
        ("alone", [alone]),
        ("spent", [spent_text(found)]),
    ]
    return [line for label, parts in told for line in filled(label, parts, width=width, indent=INDENT)]


def _table(found: LimitSearch) -> list[str]:
    """Every load that was looked at."""
    if not found.loads:
        return []
    rows = [["in flight" if found.kind == "concurrency" else "requests/s", "looks", "requests", "in limits", ""]]
    for row in found.loads:
        share = "-" if row.share is None else f"{100 * row.share:.1f} %"
        rows.append([f"{row.load:.4g}", str(row.n_looks), f"{row.n:,}", share, row.verdict])
    return columns(rows, ">>>><")


def _next(found: LimitSearch, folder: str) -> str:
    if found.looks:
        return f"inferometer report {printable(folder)}/{found.looks[-1].folder}"
    return f"inferometer report {printable(folder)}/points/001-c1"
