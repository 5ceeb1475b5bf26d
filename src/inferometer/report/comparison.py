# SPDX-License-Identifier: Apache-2.0
"""The screen of a comparison: what came out, who was compared, each ratio with its interval, what is left open.

Rule: nothing is computed here; what an interval does not tell is said in words, never rounded into a verdict.
"""

from __future__ import annotations

import math

from inferometer.analysis.compare import Comparison, Overall, Row, letter
from inferometer.analysis.side import Side
from inferometer.metrics.reason import percent
from inferometer.report.figures import UNKNOWN, figure, scale_of
from inferometer.report.layout import columns, cut_middle, filled, painted, software_of, wrapped
from inferometer.stats import Estimate, Missing
from inferometer.units import format_span

INDENT = 10
MAX_TITLE = 40
AMONG_FAILURES = "failures"  # where one side's percentile lies among its failed requests
MIN_SEEN = 0.001  # changes below that are not worth a digit
COLOUR_OF: dict[Overall, str] = {
    "better": "valid",
    "same": "valid",
    "worse": "invalid",
    "mixed": "suspect",
    "different": "suspect",
    "undecided": "suspect",
}
_WORDS = ("better", "worse", "different", "same", "undecided")


def render(comparison: Comparison, *, width: int = 100, is_colour: bool = False, next_command: str = "") -> str:
    """The whole comparison as text."""
    blocks = [
        [line for candidate in comparison.candidates for line in _verdict(comparison, candidate, width, is_colour)],
        side_lines(comparison, width),
        *[_table(comparison, candidate, width) for candidate in comparison.candidates],
        _below(comparison, width),
        wrapped("next", next_command, width=10**6, indent=INDENT) if next_command else [],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def summary_of(comparison: Comparison, candidate: int) -> str:
    """`B against A: better in 3, undecided in 2 of 5`."""
    rows = comparison.of(candidate)
    counts = {word: sum(row.verdict == word for row in rows) for word in _WORDS}
    same = f"same within {percent(comparison.tolerance)}"
    told = [f"{same if word == 'same' else word} in {n}" for word, n in counts.items() if n]
    return f"{letter(candidate)} against A: {', '.join(told)} of {len(rows)}"


def side_text(side: Side) -> str:
    """`main: 5 runs of llama.cpp 2026.10, reader, commit 1234`."""
    engine, facts = side.members[0].summary.engine, side.members[0].facts
    trials = f"{side.n_trials} runs" if side.are_runs else f"{side.n_trials} trials of one run"
    settings = ", ".join(f"{name}={value}" for name, value in (engine.get("settings") or {}).items())
    software = software_of(engine)
    parts = [
        f"{cut_middle(side.title, MAX_TITLE)}: {trials}",
        software + (f" ({settings})" if settings else ""),
        cut_middle(str(engine.get("model") or ""), MAX_TITLE),
        f"commit {facts['revision']}" if facts.get("revision") else "",
    ]
    return ", ".join(part for part in parts if part)


def served_text(side: Side) -> str:
    """`1,024 requests, 3 failed`."""
    counts = [member.summary.counts for member in side.members]
    return f"{sum(c['planned'] for c in counts):,} requests, {sum(c['failed'] for c in counts):,} failed"


def method_text(comparison: Comparison) -> str:
    """How the verdicts came about."""
    if not comparison.n_tests:
        return "nothing could be compared"
    n = [side.n_trials for side in comparison.sides]
    design = f"{n[0]} pairs" if comparison.is_paired else " against ".join(map(str, n)) + " trials"
    return (
        f"permutation test over {design}; ratio of geometric means, its 95 % interval alone; "
        f"verdict at 5 % over all {comparison.n_tests} (Holm)"
    )


def settle_text(row: Row) -> str:
    """`ttft_p99 34`, or that it is out of reach."""
    return f"{row.quantity.name} {row.n_to_settle if row.n_to_settle is not None else 'more than 1,000'}"


def change(row: Row) -> tuple[str, str]:
    """The ratio of a row as people say it."""
    return change_of(row.ratio)


def change_of(ratio: Estimate | Missing) -> tuple[str, str]:
    """With digits that show its interval: `("-6.0 %", "[-7.9, -4.2]")`."""
    if isinstance(ratio, Missing):
        return UNKNOWN, ""
    if ratio.value == 0 or math.isinf(ratio.value):
        return AMONG_FAILURES, ""
    value, lo, hi = (100 * (number - 1) for number in (ratio.value, ratio.lo, ratio.hi))
    half = (hi - lo) / 2
    decimals = 0 if half >= 5 else 1 if half >= 0.5 else 2
    return f"{value:+.{decimals}f} %", f"[{lo:+.{decimals}f}, {hi:+.{decimals}f}]"


def seen_text(row: Row) -> str:
    """`ttft_p50 3.1 %`."""
    if not math.isfinite(row.sees):
        return f"{row.quantity.name} -"
    if row.sees >= 1:
        return f"{row.quantity.name} {1 + row.sees:,.0f} times"
    return f"{row.quantity.name} {percent(row.sees) if row.sees >= MIN_SEEN else '< 0.1 %'}"


def p_text(row: Row) -> str:
    """After Holm; three decimals, as far as so few labellings can tell."""
    if math.isnan(row.p_family):
        return ""
    return "< 0.001" if row.p_family < 0.001 else f"{row.p_family:.3f}"


def verdict_text(row: Row) -> str:
    """The verdict, or why there is none."""
    return f"- ({row.ratio.reason})" if isinstance(row.ratio, Missing) else row.verdict


def _verdict(comparison: Comparison, candidate: int, width: int, is_colour: bool) -> list[str]:
    word = comparison.overall(candidate)
    first, *rest = wrapped(word.upper(), summary_of(comparison, candidate), width=width, indent=INDENT + 1)
    return [first.replace(word.upper(), painted(word.upper(), COLOUR_OF[word], is_colour=is_colour), 1), *rest]


def side_lines(comparison: Comparison, width: int) -> list[str]:
    """Who was compared, and what was asked of them."""
    lines = []
    for i, side in enumerate(comparison.sides):
        lines += wrapped(letter(i), f"{side_text(side)}; {served_text(side)}", width=width, indent=INDENT)
    asked = asked_parts(comparison)
    return [*lines, *(filled("asked", asked, width=width, indent=INDENT) if asked else [])]


def asked_parts(comparison: Comparison) -> list[str]:
    """What was asked of all sides: law, length, tokens."""
    plan = comparison.sides[0].members[0].summary.plan
    if not plan:
        return []
    asked = [str(plan.get("law") or ""), _length(plan.get("duration_s"), plan.get("n_requests"))]
    asked.append(f"{plan.get('input_tokens') or '?'} tokens in, {plan.get('output_tokens') or '?'} out")
    return [part for part in asked if part]


def _length(duration_s: object, n_requests: object) -> str:
    if isinstance(duration_s, int | float):
        return f"{format_span(float(duration_s))} a trial"
    return f"{n_requests:,} requests a trial" if isinstance(n_requests, int) else ""


def _table(comparison: Comparison, candidate: int, width: int) -> list[str]:
    """One line per quantity. What has no ratio says why, in place of its numbers."""
    name = letter(candidate)
    head = ["", "", "A", "", name, "", f"{name} - A", "", "p", "verdict"]
    rows, reasons = [head], []
    for row in comparison.of(candidate):
        if isinstance(row.ratio, Missing):
            reasons.append(f"{row.quantity.name}: {row.ratio.reason}")
            rows.append([row.quantity.name, *[""] * 8, "undecided"])
            continue
        scale = scale_of([row.a, row.b])
        cells = [*figure(row.a, scale), *figure(row.b, scale), *change(row)]
        rows.append([row.quantity.name, scale.unit.strip(), *cells, p_text(row), row.verdict])
    lines = columns(rows, "<<><><><><")
    if max(map(len, lines)) > width:  # the ratio is what is compared; the intervals of the sides go first
        lines = columns([[cell for i, cell in enumerate(row) if i not in (3, 5)] for row in rows], "<<>>><><")
    return lines + [line for reason in reasons for line in wrapped("", f"- {reason}", width=width, indent=2)]


def _below(comparison: Comparison, width: int) -> list[str]:
    lines = wrapped("method", method_text(comparison), width=width, indent=INDENT)
    told = [row for row in comparison.rows if isinstance(row.ratio, Estimate)]
    if told:
        seen = [seen_text(row) for row in told]
        seen[0] = f"in 9 of 10 such comparisons a change from {seen[0]}"
        lines += filled("finds", seen, width=width, indent=INDENT)
    open_ = [row for row in told if row.verdict == "undecided"]
    if open_:
        needed = ", ".join(map(settle_text, open_))
        lines += wrapped("settle", f"trials a side, all taken afresh: {needed}", width=width, indent=INDENT)
    return lines + note_lines(comparison, width)


def note_lines(comparison: Comparison, width: int) -> list[str]:
    """What was to be ignored, and what the design leaves open."""
    told = [("ignored", text) for text in comparison.ignored] + [("note", text) for text in comparison.notes]
    return [line for label, text in told for line in wrapped(label, text, width=width, indent=INDENT)]
