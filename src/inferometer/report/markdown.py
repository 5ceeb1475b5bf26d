# SPDX-License-Identifier: Apache-2.0
"""The report as Markdown, for pull requests and issues: verdict first, then every statistic in tables.

Rule: what others wrote stands in code spans, so that no name or error can make a link, a mention or a table of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.registry import METRICS
from inferometer.metrics.summary import Summary
from inferometer.report.distributions import WITH_FAILURES, counts_failures
from inferometer.report.figures import PLAIN, Scale, figure, figure_text, scale_of
from inferometer.report.layout import printable
from inferometer.stats import Estimate, Missing

COLUMNS = ("mean", "p50", "p90", "p95", "p99", "p99_9", "max")
_FACTS = ("title", "version", "model", "url")
_PLAN = ("law", "input_tokens", "output_tokens", "n_trials", "seed", "digest")


def render(summary: Summary) -> str:
    """The document, GitHub flavour; ends with a newline."""
    blocks = [
        _verdict(summary),
        _facts(summary),
        _distributions(summary),
        _run_values(summary),
        _limits(summary),
        _missing(summary),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _verdict(summary: Summary) -> list[str]:
    verdict = summary.verdict
    lines = [f"**{verdict.level.upper()}**"]
    if verdict.reasons:
        lines.append("")
    for reason in verdict.reasons:
        lines.append(f"- {reason.level}, {code(reason.code)}: {words(reason.text)}; {words(reason.remedy)}")
    return lines


def _facts(summary: Summary) -> list[str]:
    counts = summary.counts
    served = f"{counts['planned']:,} requests: {counts['ok']:,} ok, {counts['failed']:,} failed"
    if counts["unfinished"]:
        served += f", {counts['unfinished']:,} unfinished"
    rows = [
        ("engine", [str(summary.engine[name]) for name in _FACTS if summary.engine.get(name)]),
        ("plan", [f"{name} {summary.plan[name]}" for name in _PLAN if summary.plan.get(name) is not None]),
    ]
    told = [f"- {label}: {', '.join(map(code, facts))}" for label, facts in rows if facts]
    return [*told, f"- served: {served}"]


def _distributions(summary: Summary) -> list[str]:
    """One row per metric per request or per chunk that has a number."""
    names = [name for name, metric in METRICS.items() if metric.per != "run" and _is_told(summary, name)]
    shown = [c for c in COLUMNS if any(isinstance(summary.metrics[name].get(c), Estimate) for name in names)]
    if not names:
        return []
    rows = []
    for name in names:
        statistics = summary.metrics[name]
        level = summary.metric_verdicts[name].level
        doubt = "" if level == "valid" else level
        rows.append([code(name), *_cells(shown, [statistics.get(column) for column in shown]), doubt])
        worst = [statistics.get(column + WITH_FAILURES) for column in shown]
        if METRICS[name].is_headline and counts_failures(summary) and any(isinstance(cell, Estimate) for cell in worst):
            rows.append([f"{code(name)} with failures", *_cells(shown, worst), doubt])
    return table(
        ["metric", "unit", "n", *(c.replace("_", ".") for c in shown), "verdict"], rows, "llr" + "r" * len(shown)
    )


def _cells(names: Sequence[str], cells: Sequence[Estimate | Missing | None]) -> list[str]:
    """Unit, n and one text per statistic."""
    scale = scale_of([cell for cell in cells if cell is not None])
    n = next(cell.n for cell in cells if isinstance(cell, Estimate))
    return [scale.unit.strip(), f"{n:,}", *(_cell(name, cell, scale) for name, cell in zip(names, cells, strict=True))]


def _cell(column: str, number: Estimate | Missing | None, scale: Scale) -> str:
    """Value and interval; the largest value seen stands alone, since no sample bounds it."""
    if number is None:
        return ""
    return " ".join(figure(number, scale)[: 1 if column == "max" else 2]).strip()


def _is_told(summary: Summary, name: str) -> bool:
    return any(isinstance(summary.metrics[name].get(column), Estimate) for column in COLUMNS)


def _run_values(summary: Summary) -> list[str]:
    """One row per metric of the run as a whole."""
    rows = []
    for name, metric in METRICS.items():
        value = summary.metrics[name].get("value")
        if metric.per == "run" and isinstance(value, Estimate):
            scale = PLAIN if name == "little_law_ratio" else scale_of([value])
            level = summary.metric_verdicts[name].level
            rows.append(
                [
                    code(name),
                    " ".join(figure(value, scale)).strip(),
                    scale.unit.strip(),
                    f"{value.n:,}",
                    "" if level == "valid" else level,
                ]
            )
    return table(["metric", "value", "unit", "n", "verdict"], rows, "lrlr") if rows else []


def _limits(summary: Summary) -> list[str]:
    limits = summary.limits
    rows = [[code(limit.text), "met by", f"{figure_text(share)} of requests"] for limit, share in limits.per_request]
    rows += [[code(result.limit.text), result.result, figure_text(result.observed)] for result in limits.per_run]
    return table(["limit", "result", "observed"], rows, "lll") if rows else []


def _missing(summary: Summary) -> list[str]:
    """What has no number, by reason."""
    by_reason: dict[str, list[str]] = {}
    for name, statistics in summary.metrics.items():
        gone = {statistic: number for statistic, number in statistics.items() if isinstance(number, Missing)}
        if len(gone) == len(statistics):
            by_reason.setdefault(next(iter(gone.values())).reason, []).append(name)
            continue
        for statistic, number in gone.items():
            if statistic in COLUMNS:
                by_reason.setdefault(number.reason, []).append(f"{name} {statistic}")
    return [f"- no number: {', '.join(map(code, names))}: {words(reason)}" for reason, names in by_reason.items()]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], aligns: str) -> list[str]:
    """`aligns`: `l` or `r` per column, `l` where it ends early."""
    rule = ["---:" if align == "r" else "---" for align in aligns.ljust(len(head), "l")]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


def code(text: str) -> str:
    """A code span on one line; inside of it only backticks and, in tables, bars mean anything."""
    return f"`{printable(text).replace('`', chr(39)).replace('|', '/')}`"


def words(text: str) -> str:
    """Prose of ours that may quote others."""
    escaped = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")
    return escaped.replace("[", "&#91;").replace("@", "&#64;")
