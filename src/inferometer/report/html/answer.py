# SPDX-License-Identifier: Apache-2.0
"""The top of a run's page: may it be believed, what was asked and came of it, the numbers, the doubts, the limits."""

from __future__ import annotations

from inferometer.metrics.slo import RunLimitResult
from inferometer.metrics.summary import Summary
from inferometer.report.distributions import counts_failures
from inferometer.report.figures import PLAIN, scale_of
from inferometer.report.html.element import Element, h
from inferometer.report.html.words import TITLES, Cell, table, unit_of, value_and_bracket, with_unit
from inferometer.report.text import asked_parts, engine_parts, meaning_of, served_parts
from inferometer.stats import Estimate, Missing

_SIGNS = {"valid": "✓", "suspect": "?", "invalid": "✕"}


def heading(summary: Summary) -> list[Element | None]:
    """Who was measured, and the verdict."""
    engine = summary.engine
    model = str(engine.get("model") or "a model without a name")
    told = [*engine_parts(summary)[:1], *asked_parts(summary)]
    level = summary.verdict.level
    return [
        h("p", "inferometer, report of a run", class_="kind"),
        h("h1", model),
        h("p", "; ".join(told), class_="asked"),
        h(
            "p",
            h("span", _SIGNS[level], class_="sign", aria_hidden="true"),
            h("strong", level.upper()),
            " ",
            meaning_of(summary.verdict),
            class_=f"verdict {level}",
        ),
        h("p", "The records are cut off: the run was killed.", class_="note") if summary.is_cut_off else None,
    ]


def answer(summary: Summary) -> tuple[Element | None, ...]:
    """The section that most people read."""
    tiles = _tiles(summary)
    return (
        h("p", f"{'; '.join(served_parts(summary))}.", class_="lead"),
        h("dl", *tiles, class_=f"tiles {summary.verdict.level}{' thirds' if len(tiles) % 3 == 0 else ''}"),
        _counted(summary),
        *_doubts(summary),
        _limits(summary),
        _notes(summary),
    )


# --- numbers -------------------------------------------------------------------------------------------------------


def _tiles(summary: Summary) -> list[Element]:
    tiles = [_latency_tile(summary, name) for name in ("ttft_s", "tpot_s", "e2e_s")]
    tiles.append(
        _tile(
            "Output",
            _value(summary, "output_throughput_tokens_per_s"),
            "tokens/s",
            [("requests", _value(summary, "request_throughput_per_s"), "/s")],
            _level(summary, "output_throughput_tokens_per_s"),
        )
    )
    if summary.limits.per_request:
        shares = [("of requests", _value(summary, "attainment_ratio"), " %")]
        tiles.append(
            _tile(
                "Within limits",
                _value(summary, "goodput_per_s"),
                "requests/s",
                shares,
                _level(summary, "goodput_per_s"),
            )
        )
    if counts_failures(summary):
        tiles.append(_tile("Failed", _value(summary, "error_ratio"), "", [], _level(summary, "error_ratio")))
    return tiles


def _latency_tile(summary: Summary, name: str) -> Element:
    statistics = summary.metrics[name]
    nothing = Missing("not carried by this sample", 0, "")
    return _tile(
        f"{TITLES[name]}, median",
        statistics.get("p50", nothing),
        "",
        [(which, statistics.get(which, nothing), "") for which in ("p95", "p99")],
        _level(summary, name),
    )


def _tile(
    name: str, number: Estimate | Missing, words: str, more: list[tuple[str, Estimate | Missing, str]], level: str
) -> Element:
    """A number, its bracket, and others of the same thing below it. `words`: in place of the unit."""
    if isinstance(number, Missing):
        return h(
            "div", h("dt", name), h("dd", h("span", "-", class_="big"), h("span", number.reason, class_="bracket"))
        )
    scale = PLAIN if words else scale_of([number])
    value, bracket = value_and_bracket(number, scale)
    rows = [h("span", h("b", which), " ", _in_row(other, unit), class_="more") for which, other, unit in more]
    return h(
        "div",
        h("dt", name, h("span", level, class_=f"mark {level}") if level != "valid" else None),
        h(
            "dd",
            h("span", h("span", value, class_="big"), " ", words or unit_of(scale), class_="value"),
            h("span", bracket or "exact", class_="bracket") if bracket else None,
            *rows,
        ),
    )


def _in_row(number: Estimate | Missing, unit: str) -> str:
    if unit == "/s" and isinstance(number, Estimate):
        value, bracket = value_and_bracket(number, PLAIN)
        return f"{value}/s {bracket}".strip()
    return with_unit(number)


def _counted(summary: Summary) -> Element:
    """What the brackets are."""
    n_trials = summary.counts.get("trials", 1)
    over = f"over {n_trials} trials" if n_trials > 1 else f"over {summary.counts['ok']:,} answers of one trial"
    failures = "; failed requests are in none of the latencies" if counts_failures(summary) else ""
    return h(
        "p",
        f"[a, b] is the 95 % interval {over}, [≥ a] one without an upper end in this sample{failures}. Latencies count "
        "from the instant a request was due.",
        class_="note",
    )


def _value(summary: Summary, name: str) -> Estimate | Missing:
    return summary.metrics[name]["value"]


def _level(summary: Summary, name: str) -> str:
    return summary.metric_verdicts[name].level


# --- doubts and limits ---------------------------------------------------------------------------------------------


def _doubts(summary: Summary) -> list[Element]:
    if not summary.verdict.reasons:
        return []
    items = [
        h(
            "li",
            h("span", reason.level, class_=f"mark {reason.level}"),
            " ",
            reason.text,
            h("span", f"{reason.code}: {reason.remedy}", class_="remedy"),
        )
        for reason in summary.verdict.reasons
    ]
    return [h("h3", "Doubts, and what to do about them"), h("ul", *items, class_="doubts")]


def _limits(summary: Summary) -> Element | None:
    limits = summary.limits
    rows: list[list[Cell]] = []
    rows += [[h("code", limit.text), f"met by {with_unit(share)} of requests"] for limit, share in limits.per_request]
    if len(rows) > 1:
        rows.append(["all of these", f"met by {with_unit(_value(summary, 'attainment_ratio'))} of requests"])
    rows += [[h("code", result.limit.text), _result(result)] for result in limits.per_run]
    return table("Limits", ["limit", "result"], rows, "ll") if rows else None


def _result(result: RunLimitResult) -> Element:
    level = {"pass": "valid", "fail": "invalid", "undecided": "suspect"}[result.result]
    return h("span", h("span", result.result, class_=f"mark {level}"), " ", f"observed {with_unit(result.observed)}")


def _notes(summary: Summary) -> Element | None:
    """Remarks of those who asked the server and made the plan."""
    notes = [str(note) for facts in (summary.plan, summary.engine) for note in facts.get("notes") or ()]
    return h("div", h("h3", "Notes"), h("ul", *(h("li", note) for note in notes), class_="note")) if notes else None
