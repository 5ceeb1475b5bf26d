# SPDX-License-Identifier: Apache-2.0
"""One candidate of a choice as a row: its state against the preferred one, its figures where it stands, its score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from inferometer.analysis.alike import answers_of
from inferometer.analysis.choice import Candidate, Fact, Kind, Part, State
from inferometer.analysis.contest import (
    CHOICE,
    CRITERIA,
    EASE,
    MEMORY,
    START,
    THROUGHPUT,
    Series,
    Sheet,
    Standing,
    Where,
    Word,
    alpha_of,
)
from inferometer.analysis.number import number_of
from inferometer.analysis.turn import Turn
from inferometer.stats import LEVEL, Estimate, Missing, wilson
from inferometer.stats.trials import geometric_mean


@dataclass(frozen=True, slots=True)
class Entry:
    """A candidate, as it is known beside what was measured. `points`: on which its ease rests."""

    name: str
    kind: Kind
    target: str
    n_devices: int = 1
    price_per_h: float | None = None
    engine: str = ""
    version: str = ""
    model: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    points: Mapping[str, float] = field(default_factory=dict)
    facts: tuple[Fact, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """How the contest went. `round_s`: what one more round would take."""

    turns: Sequence[Turn]
    dropped: Mapping[int, int]
    n_rounds: int
    spent_s: float
    round_s: float
    stopped: str


def candidate_of(
    k: int,
    entry: Entry,
    sheet: Sheet,
    standing: Standing,
    course: Course,
    word: Word | None,
    more_rounds: int | None,
) -> Candidate:
    """`word`: how it stands to the leader, None where nothing holds it against that."""
    terms = sheet.terms
    best = sheet.best(k, CHOICE)
    place = best if isinstance(best, Where) else None
    state, why = _state(k, sheet, standing, course, word)
    goodput = mean_figure(sheet.goodput(k, best), "1/s", "goodput") if isinstance(best, Where) else best
    gap = standing.gaps.get(k)
    alpha = alpha_of(terms.n_candidates)
    ratio: Estimate | Missing = gap.ratio(alpha) if gap is not None else Missing(why, 0, "ratio")
    parts = _parts(k, sheet)
    measured = {
        name: number_of(mean_figure(sheet.measure(k, name, place) if place is not None else {}, unit, statistic))
        for name, unit, statistic in _MEASURED
    }
    return Candidate(
        name=entry.name,
        kind=entry.kind,
        target=entry.target,
        engine=entry.engine,
        version=entry.version,
        model=entry.model,
        settings=dict(entry.settings),
        n_devices=entry.n_devices,
        price_per_h=entry.price_per_h,
        state=state,
        why=why,
        n_rounds=len({turn.round for turn in course.turns if turn.candidate == k}),
        dropped_after=course.dropped.get(k, 0),
        load=place.load if place is not None else None,
        goodput=number_of(goodput),
        per_device=number_of(_times(goodput, 1 / entry.n_devices)),
        cost=number_of(_cost(goodput, entry)),
        attainment=number_of(_attainment(k, sheet, place)),
        ttft_p50=measured["ttft"],
        ttft_p99=measured["ttft_p99"],
        tpot_p50=measured["tpot"],
        e2e_p50=measured["e2e"],
        output_throughput=measured["output_throughput"],
        memory=number_of(mean_figure(sheet.measure(k, MEMORY, CHOICE), "bytes", "peak of its processes")),
        start=number_of(mean_figure(sheet.measure(k, START, CHOICE), "s", "time to ready")),
        ratio=number_of(ratio),
        more_rounds=more_rounds,
        answers=answers_of(k, standing.leader, course.turns),
        score=_score(parts),
        parts=parts if list(terms.weights) != [THROUGHPUT] else [],
        points=dict(entry.points),
        facts=list(entry.facts),
        notes=list(entry.notes),
    )


_MEASURED = (
    ("ttft", "s", "p50"),
    ("ttft_p99", "s", "p99"),
    ("tpot", "s/token", "p50"),
    ("e2e", "s", "p50"),
    ("output_throughput", "tokens/s", "value"),
)


def _state(k: int, sheet: Sheet, standing: Standing, course: Course, word: Word | None) -> tuple[State, str]:
    if k == standing.leader:
        return "preferred", "ahead of all others" if standing.gaps else "the only one with a figure"
    failed = next((turn.failed for turn in course.turns if turn.candidate == k and turn.failed), "")
    if failed:
        return "failed", failed
    if k in standing.missing:
        reason = standing.missing[k].reason
        if not any(sheet.held(k, Where(0, load)).n for load in sheet.terms.loads):
            return "failed", "no run of it can be used: the client was late, or nothing was asked"
        if word == "open":
            return "open", f"{reason}, and that it misses them is not yet sure"
        if isinstance(sheet.best(k, CHOICE), Missing):
            is_shown = sheet.is_beyond(k, CHOICE, alpha_of(sheet.terms.n_candidates + 1))
            return "misses", reason + ("" if is_shown else ", though that is not yet sure")
        return "failed", reason
    if k not in standing.gaps:
        return "failed", "there is nothing to hold it against"
    if word == "worse" and k in course.dropped:
        return "worse", f"shown to be worse after {course.dropped[k]} rounds, and not measured any more"
    if word in ("worse", "same"):
        told = "shown to be worse" if word == "worse" else f"the same within {100 * sheet.terms.tolerance:g} %"
        return ("worse" if word == "worse" else "same"), told
    return "open", "the interval holds both better and worse"


def mean_figure(series: Series, unit: str, statistic: str) -> Estimate | Missing:
    """Geometric mean over rounds; of one there is no interval."""
    values = np.array([value for value in series.values() if value > 0])
    if not len(values):
        return Missing("could not be told", 0, unit)
    if len(values) == 1:
        return Estimate(float(values[0]), -math.inf, math.inf, LEVEL, 1, unit, f"{statistic} of one run")
    return geometric_mean(values, unit=unit, statistic=statistic)


def _times(figure: Estimate | Missing, factor: float) -> Estimate | Missing:
    if isinstance(figure, Estimate):
        lo, hi = figure.lo * factor, figure.hi * factor
        return Estimate(figure.value * factor, lo, hi, figure.level, figure.n, figure.unit, figure.method)
    return figure


def _cost(goodput: Estimate | Missing, entry: Entry) -> Estimate | Missing:
    """Of 1,000 requests of this workload."""
    unit = "price/1000 requests"
    if entry.price_per_h is None:
        return Missing("no price was given", 0, unit)
    if not isinstance(goodput, Estimate):
        return Missing("it has no goodput", 0, unit)
    per = entry.price_per_h * entry.n_devices / 3600 * 1000
    ends = [per / end if math.isfinite(end) and end > 0 else math.inf for end in (goodput.hi, goodput.lo)]
    lo = ends[0] if math.isfinite(ends[0]) else -math.inf
    return Estimate(per / goodput.value, lo, ends[1], goodput.level, goodput.n, unit, "price of its devices by goodput")


def _attainment(k: int, sheet: Sheet, place: Where | None) -> Estimate | Missing:
    if place is None:
        shares = [sheet.held(k, Where(0, load)) for load in sheet.terms.loads]
        known = [held for held in shares if held.n]
        if not known:
            return Missing("it was not measured", 0, "ratio")
        held = max(known, key=lambda one: one.share)
    else:
        held = sheet.held(k, place)
    return wilson(held.n_met, held.n, n_eff=held.n_worth, of="requests due in the windows")


def _parts(k: int, sheet: Sheet) -> list[Part]:
    """Each criterion as measured, and as a share of the best candidate's."""
    parts = []
    for name, weight in sheet.terms.weights.items():
        is_more_better, unit, _ = CRITERIA[name]
        values = {other: _value(other, name, sheet) for other in range(sheet.terms.n_candidates)}
        known = [value for value in values.values() if value is not None]
        mine, share = values[k], None
        if mine is not None:
            share = mine / max(known) if is_more_better else min(known) / mine
        place = sheet.best(k, CHOICE)
        series = sheet.part(k, name, place) if isinstance(place, Where) else place
        number = series if isinstance(series, Missing) else mean_figure(series, unit, name)
        if name == EASE and isinstance(number, Estimate):
            number = Estimate(number.value, number.value, number.value, LEVEL, 1, unit, "by rule, from facts")
        parts.append(Part(name, weight, number_of(number), share))
    return parts


def _value(k: int, name: str, sheet: Sheet) -> float | None:
    place = sheet.best(k, CHOICE)
    series = sheet.part(k, name, place) if isinstance(place, Where) else place
    if isinstance(series, Missing) or not series:
        return None
    return math.exp(float(np.mean(np.log(list(series.values())))))


def _score(parts: Sequence[Part]) -> float | None:
    if [part.name for part in parts] == [THROUGHPUT] or any(part.share is None for part in parts):
        return None
    return math.exp(sum(part.weight * math.log(part.share or 1.0) for part in parts))
