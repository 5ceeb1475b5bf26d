# SPDX-License-Identifier: Apache-2.0
"""The top of a run's page: may it be believed, what was asked and came of it, the numbers, the doubts, the limits."""

from __future__ import annotations

from inferometer.metrics.slo import RunLimitResult
from inferometer.metrics.summary import Summary
from inferometer.report.distributions import counts_failures
from inferometer.report.figures import PLAIN, Scale, scale_of
from inferometer.report.html.element import Element, h
from inferometer.report.html.words import TITLES, Cell, table, tile, top, unit_of, verdict_box, with_unit
from inferometer.report.text import asked_parts, engine_parts, meaning_of, served_parts
from inferometer.stats import Estimate, Missing

_NOTHING = Missing("not carried by this sample", 0, "")


def heading(summary: Summary) -> list[Element | None]:
    """Who was measured, and the verdict."""
    engine = summary.engine
    model = str(engine.get("model") or "a model without a name")
    told = [*engine_parts(summary)[:1], *asked_parts(summary)]
    return [
        *top("a run", model, told),
        verdict_box(summary.verdict.level, summary.verdict.level.upper(), meaning_of(summary.verdict)),
        h("p", "The records are cut off: the run was killed.", class_="note") if summary.is_cut_off else None,
    ]


def answer(summary: Summary) -> tuple[Element | None, ...]:
    """The section that most people read."""
    return (
        h("p", f"{'; '.join(served_parts(summary))}.", class_="lead"),
        h("dl", *_felt(summary), class_=f"tiles {summary.verdict.level}"),
        h("dl", *_carried(summary), class_=f"tiles carried {summary.verdict.level}"),
        _counted(summary),
        *_doubts(summary),
        _limits(summary),
        _notes(summary),
    )


# --- numbers -------------------------------------------------------------------------------------------------------


def _felt(summary: Summary) -> list[Element]:
    """What one request takes."""
    return [_latency_tile(summary, name) for name in ("ttft_s", "tpot_s", "e2e_s")]


def _carried(summary: Summary) -> list[Element]:
    """What all of them together get."""
    tiles = [
        _rate_tile(summary, "Output", "output_throughput_tokens_per_s", "tokens/s"),
        _rate_tile(summary, "Answered", "request_throughput_per_s", "requests/s"),
    ]
    if summary.limits.per_request:
        share = with_unit(_value(summary, "attainment_ratio"))
        tiles.append(_rate_tile(summary, "Within limits", "goodput_per_s", "requests/s", ("of requests", share)))
    if counts_failures(summary):
        failed = _value(summary, "error_ratio")
        tiles.append(tile("Failed", failed, scale_of([failed]), "of requests", (), _level(summary, "error_ratio")))
    return tiles


def _latency_tile(summary: Summary, name: str) -> Element:
    statistics = summary.metrics[name]
    scale = scale_of([number for number in [statistics.get("p50")] if number is not None])
    scale = Scale(scale.factor, scale.unit.removesuffix("/token"))
    more = [(which, with_unit(number, scale)) for which in ("p95", "p99") if (number := statistics.get(which))]
    median = statistics.get("p50", _NOTHING)
    return tile(TITLES[name], median, scale, f"{unit_of(scale)} median", more, _level(summary, name))


def _rate_tile(summary: Summary, title: str, name: str, unit: str, *more: tuple[str, str]) -> Element:
    return tile(title, _value(summary, name), PLAIN, unit, more, _level(summary, name))


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
    rows += [[h("code", limit.text), _met_by(share)] for limit, share in limits.per_request]
    if len(rows) > 1:
        rows.append(["all of these", _met_by(_value(summary, "attainment_ratio"))])
    rows += [[h("code", result.limit.text), _result(result)] for result in limits.per_run]
    return table("Limits", ["limit", "result"], rows, "ll") if rows else None


def _met_by(share: Estimate | Missing) -> str:
    return f"met by {with_unit(share)}{' of requests' if isinstance(share, Estimate) else ''}"


def _result(result: RunLimitResult) -> Element:
    level = {"pass": "valid", "fail": "invalid", "undecided": "suspect"}[result.result]
    return h("span", h("span", result.result, class_=f"mark {level}"), " ", f"observed {with_unit(result.observed)}")


def _notes(summary: Summary) -> Element | None:
    """Remarks of those who asked the server and made the plan."""
    notes = [str(note) for facts in (summary.plan, summary.engine) for note in facts.get("notes") or ()]
    return h("div", h("h3", "Notes"), h("ul", *(h("li", note) for note in notes), class_="note")) if notes else None
