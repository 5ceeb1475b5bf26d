# SPDX-License-Identifier: Apache-2.0
"""The screen of `explain limits`: what is taken and given, what becomes of the rest, up to where answers are right.

Rule: nothing is computed here; what a line needs is in the `LimitsExamination`.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.analysis.cutting import Cutting
from inferometer.analysis.effective import Effective
from inferometer.analysis.number import Number
from inferometer.analysis.reach import Part
from inferometer.analysis.token_limits import LimitsExamination, Output, Speed
from inferometer.analysis.window import Window
from inferometer.report.figures import PERCENT, Scale, figure_text, scale_of, value_text
from inferometer.report.findings import INDENT, lines_of, not_measured
from inferometer.report.layout import columns, cut_middle, filled, printable, software_of
from inferometer.stats import Estimate
from inferometer.units import format_bytes, format_span

_VERDICTS = {
    "read": "read",
    "reaches": "reaches the model, which does not find what stands there",
    "lost": "LOST",
    "cannot tell": "cannot be told",
}


def render(found: LimitsExamination, *, folder: str, width: int = 100) -> str:
    """The whole report as text."""
    blocks = [
        _head(found, width),
        [*_window(found.window, found, width), *_answers(found, width), *_parts(found.reach, width)],
        _speeds(found.speeds),
        _right(found.effective, width),
        _cutting(found.cutting, width),
        [line for finding in found.row.findings for line in lines_of(finding, width=width)],
        not_measured(found.row.not_measured, width=width),
        [f"{'folder'.ljust(INDENT)}{printable(folder)}"],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _head(found: LimitsExamination, width: int) -> list[str]:
    engine, window = found.engine, found.window
    software = software_of(engine)
    model = cut_middle(str(engine.get("model") or ""), 48)
    taken = f"{window.longest:,} tokens of prompt are taken" if window.longest is not None else "no prompt was taken"
    if window.longest is not None and not window.is_exact:
        taken = f"{taken}, perhaps more"
    right = _effective_text(found.effective)
    told = [f"{format_span(found.seconds)} of {format_span(found.budget_s)}, {found.row.n_requests:,} requests"]
    return [
        *filled("limits", [taken, *right], width=width, indent=INDENT),
        *filled("engine", [part for part in (software, model, *told) if part], width=width, indent=INDENT),
    ]


def _effective_text(effective: Effective | None) -> list[str]:
    if effective is None:
        return []
    length = effective.length.figure
    if not isinstance(length, Estimate):
        return [f"up to where answers stay right cannot be told: {length.reason}"]
    if length.is_bounded:
        end = f"shown to fall by {length.hi:,.0f}"
    elif effective.lengths[-1].verdict == "holds":
        end = "the longest that was asked"
    else:
        end = "more cannot be told"
    return [f"answers stay right up to {length.value:,.0f}, {end}"]


def _window(window: Window, found: LimitsExamination, width: int) -> list[str]:
    told = f"{window.advertised:,} tokens" if window.advertised is not None else "nothing"
    exact = "to the token" if window.is_exact else f"not to the token: {window.why}"
    if window.longest is None:
        real = [f"none was taken in {window.n_requests} requests"]
    else:
        real = [f"{window.longest:,} tokens, {exact}", f"{window.n_requests} requests"]
    real.append(f"counted by {found.counts_by}" + (f" ({found.n_counts} questions)" if found.n_counts else ""))
    lines = filled("told", [told], width=width, indent=INDENT) + filled("prompt", real, width=width, indent=INDENT)
    beyond = window.beyond
    if beyond is not None:
        words = {
            "cut": f"{beyond.n_sent:,} tokens: cut to {beyond.n_counted or 0:,} without a word, status {beyond.status}",
            "refused": f"{beyond.n_sent:,} tokens: refused: {beyond.said}",
            "lost": f"{beyond.n_sent:,} tokens: no answer: {beyond.said}",
        }
        rest = [found.far] if found.far and beyond.what != "refused" else []
        lines += filled("beyond", [words.get(beyond.what, ""), *rest], width=width, indent=INDENT)
    return lines


def _answers(found: LimitsExamination, width: int) -> list[str]:
    longest = found.longest_output
    lines = []
    if longest is not None:
        how = "its length forced" if longest.is_forced else "not forced on"
        told = f"{longest.n_given or 0:,} tokens, of {longest.n_asked:,} asked for after {longest.n_prompt:,} of prompt"
        lines += filled("answer", [told, how], width=width, indent=INDENT)
    if found.overflow is not None:
        lines += filled("both", [_overflow(found.overflow)], width=width, indent=INDENT)
    return lines


def _overflow(one: Output) -> str:
    """A prompt and an answer that fit one by one, and not together."""
    asked = f"{one.n_asked:,} tokens asked for after {one.n_prompt:,} of prompt"
    if one.what == "shortened":
        return f"{asked}: shortened to {one.n_given or 0:,}, status 200, finish reason {one.finish or 'none'}"
    if one.what == "refused":
        return f"{asked}: {one.said}"
    if one.what == "lost":
        return f"{asked}: no answer: {one.said}"
    return f"{asked}: {one.n_given if one.n_given is not None else 'an unknown number'} came"


def _parts(reach: Sequence[Part], width: int) -> list[str]:
    lines: list[str] = []
    for size in dict.fromkeys(part.n_tokens for part in reach):
        mine = [part for part in reach if part.n_tokens == size]
        told = [f"of {size:,} tokens"]
        for verdict in dict.fromkeys(part.verdict for part in mine):
            names = [part.part for part in mine if part.verdict == verdict]
            told.append(f"{', '.join(names)}: {_VERDICTS[verdict]}")
        told.append(f"{mine[0].n_pairs} pairs of prompts each")
        lines += filled("reach" if not lines else "", told, width=width, indent=INDENT)
    return lines


def _speeds(speeds: Sequence[Speed]) -> list[str]:
    """One request at a time."""
    if not speeds:
        return []
    ttft, tpot = (scale_of(number.figure for number in column) for column in _times(speeds))
    rows = [["tokens", f"first token{ttft.unit}", f"each further one{tpot.unit.removesuffix('/token')}", "memory"]]
    for speed in speeds:
        pairs = ((speed.ttft, ttft), (speed.tpot, tpot))
        times = [figure_text(number.figure, Scale(scale.factor, "")) for number, scale in pairs]
        rows.append([f"{speed.n_tokens:,}", *times, _memory(speed)])
    counts = sorted({speed.ttft.n for speed in speeds})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return [*columns(rows, ">>>>"), f"medians, one request at a time, n = {n} each"]


def _times(speeds: Sequence[Speed]) -> tuple[list[Number], list[Number]]:
    return [speed.ttft for speed in speeds], [speed.tpot for speed in speeds]


def _right(effective: Effective | None, width: int) -> list[str]:
    """Shares of right answers by length and depth."""
    if effective is None or not effective.lengths:
        return []
    rows = [["tokens", "right", "n", *(f"at {100 * cell.depth:.0f}%" for cell in effective.lengths[0].cells), ""]]
    for one in effective.lengths:
        cells = [value_text(cell.share.figure, Scale(100.0, "")) for cell in one.cells]
        rows.append([f"{one.n_tokens:,}", figure_text(one.share.figure, PERCENT), f"{one.n:,}", *cells, one.verdict])
    told = [f"holds: above {_rule(effective)}", "at 0%: the answer stands first in the prompt"]
    sag = effective.sag.figure
    if isinstance(sag, Estimate):
        told.append(f"ends less middle {figure_text(sag, PERCENT)}")
    return [*columns(rows, ">" * (len(rows[0]) - 1) + "<"), *filled("", told, width=width, indent=0)]


def _rule(effective: Effective) -> str:
    if effective.threshold is None:
        return "nothing"
    return f"{100 * effective.threshold:.1f} % ({effective.rule})"


def _memory(speed: Speed) -> str:
    parts = []
    if speed.memory_bytes.value is not None:
        parts.append(format_bytes(speed.memory_bytes.value))
    if speed.kv_ratio.value is not None:
        parts.append(f"KV {value_text(speed.kv_ratio.figure)}")
    return " ".join(parts) or "-"


def _cutting(cutting: Cutting | None, width: int) -> list[str]:
    if cutting is None:
        return []
    told = [f"{cutting.n_from:,} tokens to {cutting.n_to:,}, {cutting.n} questions each"]
    for kept in cutting.kept:
        behind = f", behind by {figure_text(kept.behind.figure, PERCENT)}" if kept.behind is not None else ""
        told.append(f"{kept.strategy} {figure_text(kept.share.figure)} right{behind}")
    best = cutting.best[0] if len(cutting.best) == 1 else f"cannot tell {' from '.join(cutting.best)}"
    return filled("cut", [f"best: {best}", *told], width=width, indent=INDENT)
