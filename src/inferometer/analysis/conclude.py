# SPDX-License-Identifier: Apache-2.0
"""From turns to a `Choice`: who is preferred, how each of the others stands to it, and where it would be another.

Rule: nothing separates two candidates until an interval does. Within the tolerance on both sides they are the same;
what is neither is open, and says how many more rounds would settle it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from inferometer.analysis.answer import answer_of
from inferometer.analysis.candidate import Course, Entry, candidate_of, mean_figure
from inferometer.analysis.choice import (
    Cell,
    Choice,
    LeftOut,
    LoadKind,
    Place,
    PlaceKind,
    PointRow,
    TurnRow,
    Verdict,
    Workload,
)
from inferometer.analysis.contest import THROUGHPUT, Gap, Sheet, Standing, Terms, Where, Word, alpha_of, stand, unsure
from inferometer.analysis.number import number_of
from inferometer.analysis.places import flip_of, leads, places_of
from inferometer.analysis.turn import ASKED, LOOSE, Turn
from inferometer.stats import LEVEL, Missing
from inferometer.stats.anytime import n_to_settle


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, as far as the contest itself does not need it."""

    workloads: tuple[Workload, ...]
    kind: LoadKind
    slo: str
    preset: str
    source: str
    window_s: float
    warmup_s: float
    budget_s: float
    again: str
    created: str


def conclude(
    entries: Sequence[Entry],
    left_out: Sequence[LeftOut],
    terms: Terms,
    asked: Asked,
    course: Course,
    *,
    host: Mapping[str, Any],
    versions: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> Choice:
    """All of it. Entries are in the order of the terms."""
    sheet = Sheet(terms, course.turns)
    failed = {turn.candidate for turn in course.turns if turn.failed}
    able = [k for k in range(len(entries)) if k not in course.dropped and k not in failed]
    standing = stand(sheet, among=able, alpha=alpha_of(terms.n_candidates))
    words: dict[int, Word] = {k: word for k, word in standing.words(terms.tolerance).items() if k not in failed}
    words |= dict.fromkeys(unsure(sheet, standing, able), "open")
    more = {k: _more_rounds(gap, terms) for k, gap in standing.gaps.items() if words.get(k) == "open"}
    candidates = [
        candidate_of(k, entry, sheet, standing, course, words.get(k), more.get(k)) for k, entry in enumerate(entries)
    ]
    names = [entry.name for entry in entries]
    found = Choice(
        verdict=_verdict(standing, words),
        preferred=names[standing.leader] if standing.leader is not None else "",
        answer="",
        figure=_figure(terms, entries),
        weights=dict(terms.weights),
        workloads=list(asked.workloads),
        kind=asked.kind,
        loads=list(terms.loads),
        slo=asked.slo,
        preset=asked.preset,
        source=asked.source,
        attainment=terms.attainment,
        confidence=LEVEL,
        tolerance=terms.tolerance,
        candidates=candidates,
        left_out=list(left_out),
        places=[] if standing.leader is None else _places(sheet, standing.leader, names, asked, failed),
        turns=[_turn_row(turn, names, asked) for turn in course.turns],
        n_rounds=course.n_rounds,
        window_s=asked.window_s,
        warmup_s=asked.warmup_s,
        budget_s=asked.budget_s,
        seconds=course.spent_s,
        more_s=_more_s([k for k, word in words.items() if word == "open"], more, standing, course),
        stopped=course.stopped,
        again=asked.again,
        notes=list(notes),
        created=asked.created,
        host=dict(host),
        versions=dict(versions),
    )
    return msgspec.structs.replace(found, answer=answer_of(found))


def _verdict(standing: Standing, words: Mapping[int, str]) -> Verdict:
    if standing.leader is None:
        return "none"
    if "open" in words.values():
        return "cannot tell"
    return "same" if "same" in words.values() else "prefer"


def _figure(terms: Terms, entries: Sequence[Entry]) -> str:
    per = "price" if entries and entries[0].price_per_h is not None else "device"
    if list(terms.weights) == [THROUGHPUT]:
        return f"goodput per {per}"
    told = ", ".join(f"{name} {100 * weight:.0f} %" for name, weight in terms.weights.items())
    return f"a score of {told}, where {THROUGHPUT} is goodput per {per}"


def _more_rounds(gap: Gap, terms: Terms) -> int | None:
    """A difference as large as the one seen can be shown, or one as small can be shown to be within the tolerance."""
    if gap.differences is None:
        return None
    room, seen = math.log1p(terms.tolerance), abs(gap.mean)
    return n_to_settle(max(seen, room - seen), gap.differences, alpha_of(terms.n_candidates))


def _more_s(open_: Sequence[int], more: Mapping[int, int | None], standing: Standing, course: Course) -> float | None:
    """What would settle all that is open; None where nothing is, or more would not settle some of it for sure."""
    missing = []
    for k in open_:
        needed, gap = more.get(k), standing.gaps.get(k)
        if needed is None or gap is None or gap.differences is None:
            return None
        missing.append(needed - len(gap.differences))
    return max(missing) * course.round_s if missing else None


# --- places and turns ----------------------------------------------------------------------------------------------


def _places(sheet: Sheet, preferred: int, names: Sequence[str], asked: Asked, failed: Collection[int]) -> list[Place]:
    return [_place(sheet, where, preferred, names, asked, failed) for where in places_of(sheet.terms)]


def _place(
    sheet: Sheet, where: Where, preferred: int, names: Sequence[str], asked: Asked, failed: Collection[int]
) -> Place:
    """Nothing flips to one that failed."""
    terms = sheet.terms
    flip = flip_of([lead for lead in leads(sheet, where, preferred) if lead.candidate not in failed])
    standing = stand(sheet, where=where, leader=preferred, alpha=alpha_of(terms.n_candidates, len(places_of(terms))))
    kind, title = _title(where, asked)
    cells = [_cell(sheet, where, k, preferred, names[k], standing) for k in range(len(names))]
    if flip is not None and flip.gap is None:
        cells[flip.candidate] = msgspec.structs.replace(cells[flip.candidate], word="better")
    return Place(
        kind,
        title,
        asked.workloads[where.workload].name,
        where.load,
        asked.slo if where.scale == ASKED else f"{where.scale:g} x {asked.slo}",
        cells,
        names[flip.candidate] if flip is not None else "",
    )


def _title(where: Where, asked: Asked) -> tuple[PlaceKind, str]:
    if where.load is not None:
        of = "requests/s" if asked.kind == "rate" else "in flight"
        return "load", f"at {where.load:g} {of}"
    if where.workload:
        return "lengths", f"with the workload {asked.workloads[where.workload].name}"
    return "limits", f"within {'twice' if where.scale == LOOSE else 'half'} the limits"


def _cell(sheet: Sheet, where: Where, k: int, preferred: int, name: str, standing: Standing) -> Cell:
    best = sheet.best(k, where)
    place = best if isinstance(best, Where) else where if where.load is not None else None
    series = sheet.goodput(k, place) if place is not None else {}
    held = sheet.held(k, place) if place is not None else None
    gap = standing.gaps.get(k)
    alpha = alpha_of(sheet.terms.n_candidates, len(places_of(sheet.terms)))
    missing = (
        Missing("", 0, "ratio")
        if k == preferred
        else standing.missing.get(k) or Missing("the preferred one is not within the limits there", 0, "ratio")
    )
    return Cell(
        name,
        len(series),
        number_of(mean_figure(series, "1/s", "goodput")),
        held.share if held is not None and held.n else None,
        number_of(gap.ratio(alpha) if gap is not None else missing),
        "preferred" if k == preferred else gap.word(sheet.terms.tolerance) if gap is not None else "open",
    )


def _turn_row(turn: Turn, names: Sequence[str], asked: Asked) -> TurnRow:
    rows = []
    for point in turn.points:
        held = point.held[ASKED]
        share = held.share if held.n else None
        name = asked.workloads[point.workload].name
        rows.append(PointRow(name, point.load, point.folder, held.goodput_per_s, share, held.n, list(point.reasons)))
    number = max(turn.round, 0)
    return TurnRow(names[turn.candidate], number, turn.start_s, turn.memory_bytes, turn.seconds, rows, turn.failed)
