# SPDX-License-Identifier: Apache-2.0
"""The screen of a choice: the answer as a paragraph, every candidate beside it, where it flips, what is known.

Rule: nothing is computed here; what a line needs is in the `Choice`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from inferometer.analysis.choice import Candidate, Choice, LeftOut, Workload
from inferometer.analysis.compare import letter as nth_letter
from inferometer.analysis.contest import CRITERIA, EASE
from inferometer.analysis.number import Number
from inferometer.report.figures import PLAIN, UNKNOWN, figure_text
from inferometer.report.layout import columns, cut, filled, printable, wrapped
from inferometer.units import format_span

INDENT = 11
_SHOWN_FACTS = ("hugging face", "licence", "upkeep")


def render(found: Choice, *, folder: str, width: int = 100) -> str:
    """The whole report as text."""
    blocks = [
        wrapped("answer", found.answer, width=width, indent=INDENT),
        _asked(found, width),
        _who(found, width),
        _table(found, width),
        _beside(found, width),
        _places(found, width),
        _score(found, width),
        _facts(found, width),
        _left_out(found.left_out, width),
        [line for note in found.notes for line in wrapped("note", note, width=width, indent=INDENT)],
        _where(found, folder),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def headline(found: Choice) -> tuple[str, str]:
    """A level of the three verdicts or `plain`, and a word, for above the paragraph."""
    word: str = found.verdict
    level = {"prefer": "valid", "same": "plain", "cannot tell": "suspect", "none": "invalid"}[word]
    return level, word.upper()


def asked_parts(found: Choice) -> list[str]:
    """Limits, the share that must meet them, and the load that decides."""
    workload = found.workloads[0]
    asked = [f"{found.slo} by {100 * found.attainment:g} % of requests"]
    asked += [f"preset {found.preset}, {found.source}"] if found.preset else []
    return [*asked, f"{workload.name}: {workload.input_tokens} tokens in, {workload.output_tokens} out"]


def _asked(found: Choice, width: int) -> list[str]:
    spent = [
        f"{format_span(found.seconds)} of {format_span(found.budget_s)}",
        f"rounds of turns: {found.n_rounds}, with {format_span(found.window_s)} a load",
        *([found.stopped] if found.stopped else []),
    ]
    return [
        *filled("asked", asked_parts(found), width=width, indent=INDENT),
        *filled("decides", [found.figure], width=width, indent=INDENT),
        *filled("sure", [sure_text(found)], width=width, indent=INDENT),
        *filled("spent", spent, width=width, indent=INDENT),
    ]


def sure_text(found: Choice) -> str:
    """How sure the intervals are; those against what was measured elsewhere are of one look."""
    told = f"{100 * found.confidence:g} % that all intervals against the preferred one hold, at every look together"
    is_elsewhere = any(
        one.kind == "elsewhere" and (one.state == "preferred" or one.ratio.value is not None)
        for one in found.candidates
    )
    return told + (", of what was measured elsewhere at the last look only" if is_elsewhere else "")


# --- candidates ----------------------------------------------------------------------------------------------------


def ranked(found: Choice) -> list[tuple[str, Candidate]]:
    """The preferred one first, then by what decides, those without a figure last; each with its letter."""
    ordered = sorted(
        found.candidates, key=lambda one: -(math.inf if one.state == "preferred" else one.ratio.value or 0)
    )
    return [(nth_letter(i), one) for i, one in enumerate(ordered)]


def _who(found: Choice, width: int) -> list[str]:
    """The letters by which the tables call the candidates, with how each stands to A."""
    lines: list[str] = []
    for letter, one in ranked(found):
        told = [one.name, *([] if one.state == "preferred" else [one.why])]
        if one.more_rounds:
            told.append(f"{one.more_rounds} rounds in all would tell in 9 of 10 cases")
        lines += filled(letter, [*told, *one.notes], width=width, indent=INDENT)
    return lines


def _table(found: Choice, width: int) -> list[str]:
    """What decides, and how each stands."""
    if not found.candidates:
        return []
    unit = "requests/s" if found.kind == "rate" else "in flight"
    rows = [["", unit, "goodput/s", "in limits", "to A", "rounds", ""]]
    for letter, one in ranked(found):
        rows.append(
            [
                letter,
                UNKNOWN if one.load is None else f"{one.load:g}",
                UNKNOWN if one.goodput.value is None else figure_text(one.goodput.figure, PLAIN),
                cell_text(one.attainment),
                UNKNOWN if one.ratio.value is None else figure_text(one.ratio.figure, PLAIN),
                str(one.n_rounds),
                one.state,
            ]
        )
    return _tables(rows, "<>>>>><", width)


def _beside(found: Choice, width: int) -> list[str]:
    """What else was measured, each candidate at the load where it stands."""
    rows = [["", "ttft p50", "ttft p99", "tpot p50", "e2e p50", "memory", "start", "answers", "cost"]]
    for letter, one in ranked(found):
        rows.append(
            [
                letter,
                *(cell_text(number) for number in (one.ttft_p50, one.ttft_p99, one.tpot_p50, one.e2e_p50)),
                cell_text(one.memory),
                cell_text(one.start),
                answers_text(one),
                UNKNOWN if one.cost.value is None else figure_text(one.cost.figure, PLAIN),
            ]
        )
    used = [i for i in range(len(rows[0])) if i == 0 or any(row[i] != UNKNOWN for row in rows[1:])]
    if len(used) == 1:
        return []
    told = []
    if any(one.answers for one in found.candidates):
        told.append("answers: greedy ones that are the same as those of A (as its own, from start to start)")
    if any(one.cost.value is not None for one in found.candidates):
        told.append("cost: of 1,000 requests, in the unit of the price")
    lines = _tables([[row[i] for i in used] for row in rows], "<" + ">" * (len(used) - 1), width)
    return lines + (filled("", told, width=width, indent=0) if told else [])


def _tables(rows: Sequence[Sequence[str]], align: str, width: int) -> list[str]:
    """One below the other, each with the first column and as many of the others as fit."""

    def some(start: int, stop: int) -> list[str]:
        return columns([[row[0], *row[start:stop]] for row in rows], align[0] + align[start:stop])

    lines: list[str] = []
    start = 1
    while start < len(align):
        stop = start + 1
        while stop < len(align) and max(map(len, some(start, stop + 1))) <= width:
            stop += 1
        lines += [cut(line, width) for line in some(start, stop)]
        start = stop
    return lines


def cell_text(number: Number) -> str:
    """With its interval; of time per token without saying so again."""
    return UNKNOWN if number.value is None else figure_text(number.figure).removesuffix("/token")


def answers_text(one: Candidate) -> str:
    if one.answers is None:
        return UNKNOWN
    n = one.answers.n
    own = "" if one.answers.own is None else f" ({round(n * one.answers.own)} of {n})"
    return f"{round(n * one.answers.same)} of {n}{own}"


# --- places --------------------------------------------------------------------------------------------------------


def _places(found: Choice, width: int) -> list[str]:
    """At each place the preferred one and who is nearest to it, or ahead of it."""
    if len(found.candidates) < 2 or not found.places:
        return []
    letter_of = {one.name: letter for letter, one in ranked(found)}
    rows = [["place", "A", "best other", "", "to A", ""]]
    for place in found.places:
        mine = next(cell for cell in place.cells if cell.word == "preferred")
        others = [cell for cell in place.cells if cell.word != "preferred" and cell.goodput.value is not None]
        best = max(others, key=lambda cell: (cell.candidate == place.flips_to, cell.ratio.value or 0.0), default=None)
        rows.append(
            [
                place.title,
                _goodput(mine.goodput),
                UNKNOWN if best is None else letter_of[best.candidate],
                UNKNOWN if best is None else _goodput(best.goodput),
                UNKNOWN if best is None or best.ratio.value is None else figure_text(best.ratio.figure, PLAIN),
                "flips" if place.flips_to else "" if best is None else best.word,
            ]
        )
    return [cut(line, width) for line in columns(rows, "<><>><")]


def _goodput(number: Number) -> str:
    return UNKNOWN if number.value is None else f"{number.value:.3g}/s"


# --- what was weighed, what is known -------------------------------------------------------------------------------


def _score(found: Choice, width: int) -> list[str]:
    """How the score comes about, so that anybody can reckon it again."""
    if not any(one.parts for one in found.candidates):
        return []
    names = list(found.weights)
    rows = [["", "score", *(f"{name} {100 * found.weights[name]:.0f} %" for name in names)]]
    for letter, one in ranked(found):
        cells = [UNKNOWN if part.share is None else f"{part.share:.2f}" for part in one.parts]
        rows.append([letter, UNKNOWN if one.score is None else f"{one.score:.3f}", *cells])
    rule = "each as a share of the best candidate's, to the power of its weight, multiplied"
    what = [f"{name}: {CRITERIA[name][2]}" for name in names]
    lines = [cut(line, width) for line in columns(rows, "<" + ">" * (len(names) + 1))]
    return [
        *lines,
        *filled("score", [rule, *what], width=width, indent=INDENT),
        *(_ease(found, width) if EASE in names else []),
    ]


def _ease(found: Choice, width: int) -> list[str]:
    """On what it rests, once for all that rest on the same."""
    by_points: dict[tuple[tuple[str, float], ...], list[str]] = {}
    for letter, one in ranked(found):
        by_points.setdefault(tuple(one.points.items()), []).append(letter)
    lines: list[str] = []
    for points, those in by_points.items():
        told = [f"{text} {share:.2g}" for text, share in points] or ["nothing is known"]
        told[0] = f"{', '.join(those)}: {told[0]}"
        lines += filled("" if lines else "ease", told, width=width, indent=INDENT)
    return lines


def _facts(found: Choice, width: int) -> list[str]:
    """What no stopwatch sees, once per engine."""
    lines: list[str] = []
    seen: set[str] = set()
    for _, one in ranked(found):
        if not one.facts or one.engine in seen:
            continue
        seen.add(one.engine)
        kinds = [fact.topic.removeprefix("on ") for fact in one.facts if fact.topic.startswith("on ")]
        told = {fact.topic: fact.text for fact in one.facts}
        name = f"{one.engine or one.name} {one.version}".strip()
        parts = [f"{topic}: {told[topic]}" for topic in _SHOWN_FACTS if topic in told]
        told_parts = [f"{name}: runs on {', '.join(kinds)}", *parts]
        lines += filled("" if lines else "known", told_parts, width=width, indent=INDENT)
    return lines


def _left_out(left_out: Sequence[LeftOut], width: int) -> list[str]:
    lines: list[str] = []
    for one in left_out:
        remedy = f" -> {one.remedy}" if one.remedy else ""
        lines += wrapped("" if lines else "left out", f"{one.name}: {one.reason}{remedy}", width=width, indent=INDENT)
    return lines


def _where(found: Choice, folder: str) -> list[str]:
    lines = [f"{'folder'.ljust(INDENT)}{printable(folder)}"]
    point = next((point for turn in found.turns if turn.round for point in turn.points), None)
    if point is not None:
        lines.append(f"{'next'.ljust(INDENT)}inferometer report {printable(folder)}/{point.folder}")
    return lines


# --- what would be done --------------------------------------------------------------------------------------------


def render_plan(
    candidates: Sequence[tuple[str, str, str]],
    left_out: Sequence[LeftOut],
    workloads: Sequence[Workload],
    *,
    loads: Sequence[float],
    kind: str,
    slo: str,
    attainment: float,
    weights: Mapping[str, float],
    window_s: float,
    round_s: float,
    budget_s: float,
    width: int = 100,
) -> str:
    """A dry run: who would take turns, who is out and why, how long it would take."""
    unit = "requests/s" if kind == "rate" else "in flight"
    lines: list[str] = []
    for name, how, target in candidates:
        told = name if target == name else f"{name}: {target}"
        lines += wrapped("" if lines else "would try", f"{told} ({how})", width=width, indent=INDENT)
    lines = lines or wrapped("would try", "nobody", width=width, indent=INDENT)
    lines += ["", *filled("loads", [f"{', '.join(f'{load:g}' for load in loads)} {unit}"], width=width, indent=INDENT)]
    for workload in workloads:
        told = f"{workload.name}: {workload.input_tokens} tokens in, {workload.output_tokens} out"
        source = [workload.source] if workload.source else []
        lines += filled("workload", [told, *source], width=width, indent=INDENT)
    lines += filled("within", [f"{slo} by {100 * attainment:g} % of requests"], width=width, indent=INDENT)
    weighed = ", ".join(f"{name} {100 * weight:.0f} %" for name, weight in weights.items())
    lines += filled("weighs", [weighed], width=width, indent=INDENT)
    n_rounds = int(budget_s // round_s) if round_s else 0
    lines += filled(
        "time",
        [
            f"{format_span(window_s)} a load, so a round of turns takes about {format_span(round_s)}",
            f"{n_rounds} fit into {format_span(budget_s)}; whoever is dropped makes room for more",
        ],
        width=width,
        indent=INDENT,
    )
    blocks = ["\n".join(lines), "\n".join(_left_out(left_out, width))]
    return "\n\n".join(block for block in blocks if block) + "\n"
