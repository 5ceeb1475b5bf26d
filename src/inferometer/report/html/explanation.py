# SPDX-License-Identifier: Apache-2.0
"""The page of an explanation: six challenges at a glance, then each with all that was found, and what was not measured.

Rule: nothing is computed here but places on a page.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.analysis.explanation import Explanation, Verified
from inferometer.analysis.finding import Finding, Row
from inferometer.analysis.scale import ScaleExamination
from inferometer.report.explain import level_of
from inferometer.report.figures import PLAIN
from inferometer.report.findings import bound_text, remedy_parts, scale_for_number
from inferometer.report.html.element import Element, h
from inferometer.report.html.page import Section, page
from inferometer.report.html.scale import scale_figures
from inferometer.report.html.words import Cell, table, unit_of, value_and_bracket, with_unit
from inferometer.report.layout import software_of
from inferometer.stats import Estimate
from inferometer.units import format_span

# The colours of a run's verdict, for levels that mean as much.
_CLASS = {"wrong": "invalid", "bad": "invalid", "fair": "suspect", "ok": "valid", "-": ""}
_SIGNS = {"wrong": "✕", "bad": "✕", "fair": "?", "ok": "✓", "-": "-"}
_SAYS = {
    "wrong": "answers are lost, cut or false",
    "bad": "something is beyond what it is held against",
    "fair": "nothing is beyond its bounds; some of it is worth knowing",
    "ok": "nothing was found in what was measured",
    "-": "nothing could be measured",
}


def render(found: Explanation, scale: ScaleExamination | None = None, *, folder: str = "") -> str:
    """The whole document. `scale`: drawn in its section, where it was examined."""
    sections = [
        Section("challenges", "Six challenges", _overview(found)),
        *(
            Section(row.challenge, row.challenge.capitalize(), _section(row, scale))
            for row in found.rows
            if _is_told(row)
        ),
        Section("verified", "Remedies that were tried", _verified(found.verified)),
        Section("not-measured", "What was not measured", _not_measured(found.rows)),
    ]
    model = str(found.engine.get("model") or "a model without a name")
    made_of = f" from the runs in {folder}" if folder else ""
    foot = [h("p", f"Made by inferometer{made_of}. [a, b] is the 95 % interval of the figure before it.")]
    return page(f"{_worst(found).upper()}: {model}", _heading(found), sections, foot)


def _worst(found: Explanation) -> str:
    order = ("wrong", "bad", "fair", "ok", "-")
    return min((level_of(row) for row in found.rows), key=order.index, default="-")


def _heading(found: Explanation) -> list[Element | None]:
    engine, level = found.engine, _worst(found)
    n_unknown = sum(level_of(row) == "-" for row in found.rows)
    missing = f"; {n_unknown} of {len(found.rows)} could not be told" if 0 < n_unknown < len(found.rows) else ""
    software = software_of(engine)
    spent = f"{format_span(found.seconds)} of {format_span(found.budget_s)}, {found.n_requests:,} requests"
    return [
        h("p", "inferometer, explanation of an engine and its model", class_="kind"),
        h("h1", str(engine.get("model") or "a model without a name")),
        h("p", "; ".join(part for part in (software, spent) if part), class_="asked"),
        h(
            "p",
            h("span", _SIGNS[level], class_="sign", aria_hidden="true"),
            h("strong", level.upper() if level != "-" else "NOT KNOWN"),
            f" {_SAYS[level]}{missing}",
            class_=f"verdict {_CLASS[level]}".strip(),
        ),
        h("p", f"It ended early: {found.stopped}", class_="note") if found.stopped else None,
    ]


# --- at a glance ---------------------------------------------------------------------------------------------------


def _is_told(row: Row) -> bool:
    """There is something to say of it beside why it was not measured."""
    return bool(row.findings) or row.figure.value is not None


def _overview(found: Explanation) -> tuple[Element | None, ...]:
    tiles = [_tile(row) for row in found.rows]
    return (h("dl", *tiles, class_="tiles six"),)


def _tile(row: Row) -> Element:
    level = level_of(row)
    figure = row.figure.figure
    mark = h("span", level, class_=f"mark {_CLASS[level]}".strip()) if level != "-" else None
    title = h("dt", h("a", row.challenge, href=f"#{row.challenge}") if _is_told(row) else row.challenge, mark)
    if not isinstance(figure, Estimate):
        value: tuple[Element | None, ...] = (h("span", "-", class_="big"), h("span", figure.reason, class_="bracket"))
    else:
        scale = scale_for_number(row.figure)
        text, bracket = value_and_bracket(figure, scale)
        value = (
            h("span", h("span", text, class_="big"), " ", unit_of(scale), class_="value"),
            h("span", bracket, class_="bracket") if bracket else None,
        )
    bound = h("span", h("b", "bound"), f" {bound_text(row.bound)}", class_="more") if row.bound is not None else None
    return h("div", title, h("dd", *value, h("span", row.headline, class_="more"), bound))


# --- one challenge -------------------------------------------------------------------------------------------------


def _section(row: Row, scale: ScaleExamination | None) -> tuple[Element | None, ...]:
    spent = f"{format_span(row.seconds)}, {row.n_requests:,} requests." if row.seconds else ""
    drawn = scale_figures(scale) if row.challenge == "scale" and scale is not None else ()
    return (
        h("p", f"{row.headline}.", class_="lead"),
        h("p", f"{spent} {row.figure.method}".strip(), class_="note") if spent or row.figure.method else None,
        h("ul", *(_finding(finding) for finding in row.findings), class_="doubts") if row.findings else None,
        h("p", "Nothing was found.", class_="note") if not row.findings and row.figure.value is not None else None,
        *drawn,
    )


def _finding(finding: Finding) -> Element:
    parts = [
        h("span", h("b", "cause"), f" {finding.cause}; shown by {finding.shown_by}", class_="remedy"),
        h("span", h("b", "figure"), f" {_figure(finding)}", class_="remedy"),
    ]
    if finding.remedy is not None:
        parts.append(h("span", h("b", "remedy"), f" {'; '.join(remedy_parts(finding))}", class_="remedy"))
        if finding.remedy.source:
            parts.append(h("span", h("b", "from"), f" {finding.remedy.source}", class_="remedy"))
    mark = h("span", finding.level, class_=f"mark {_CLASS[finding.level]}")
    return h("li", mark, " ", finding.claim, " ", h("code", finding.code), *parts)


def _figure(finding: Finding) -> str:
    told = with_unit(finding.figure.figure, scale_for_number(finding.figure))
    bound = f", bound {bound_text(finding.bound)}" if finding.bound is not None else ""
    return f"{told}{bound} (n = {finding.figure.n:,})"


# --- the rest ------------------------------------------------------------------------------------------------------


def _verified(verified: Sequence[Verified]) -> tuple[Element | None, ...]:
    if not verified:
        return (h("p", "None. With --verify the worst one that is a setting is tried.", class_="note"),)
    head = ("against", "settings", "figure", "before", "after", "ratio", "it", "rounds")
    return (table("Started anew for every round, in turns", head, [_trial(each) for each in verified], "lllrrrlr"),)


def _trial(each: Verified) -> list[Cell]:
    settings = h("code", " ".join(f"--set {setting}" for setting in each.settings))
    if each.problem:
        return [h("code", each.code), settings, each.problem, "-", "-", "-", "undecided", f"{each.n_rounds}"]
    more = f", {each.n_to_settle} would settle it" if each.n_to_settle is not None else ""
    return [
        h("code", each.code),
        settings,
        f"{each.quantity}, {each.load}",
        with_unit(each.before.figure),
        with_unit(each.after.figure),
        with_unit(each.ratio.figure, PLAIN),
        each.verdict,
        f"{each.n_rounds}{more}",
    ]


def _not_measured(rows: Sequence[Row]) -> tuple[Element | None, ...]:
    items = [h("li", h("b", row.challenge), f": {reason}") for row in rows for reason in row.not_measured]
    return (h("ul", *items, class_="told") if items else h("p", "Nothing was left out.", class_="note"),)
