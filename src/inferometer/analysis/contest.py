# SPDX-License-Identifier: Apache-2.0
"""Who is ahead: turns of candidates to one deciding figure each, and to ratios with intervals.

Rule 1: a candidate stands at its best load: of those at which the share asked for is within the limits, the one with
the highest goodput. At a place that names a load it stands there.
Rule 2: candidates of the same rounds are compared round by round, with an interval that holds at every look; one that
was measured elsewhere by what its runs differ by (Welch).
Rule 3: what is weighed is weighed as logarithms: a score is the weighted geometric mean of ratios, and so its own ratio
has an interval like any other.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from inferometer.analysis.turn import ASKED, Held, Turn
from inferometer.stats import LEVEL, Estimate, FloatArray, Missing, t_critical
from inferometer.stats.anytime import always_interval
from inferometer.stats.sequential import evidence

Series = dict[int, float]  # a value by round
Word = Literal["better", "worse", "same", "open"]
ALPHA = 1 - LEVEL
THROUGHPUT, EASE, START, MEMORY = "throughput", "ease", "start", "memory"
# What may be weighed: name -> (is more better, unit, what it is).
CRITERIA = {
    THROUGHPUT: (True, "1/s", "goodput within the limits, per device or per price"),
    "ttft": (False, "s", "median time to first token at that load"),
    "tpot": (False, "s/token", "median time per output token at that load"),
    "e2e": (False, "s", "median latency of a request at that load"),
    START: (False, "s", "from the command to an engine that is ready"),
    MEMORY: (False, "bytes", "most that its processes were seen to hold"),
    EASE: (True, "ratio", "mean of Hugging Face, hardware range, licence and upkeep, each from 0 to 1"),
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a contest is by. `weights`: shares of 1 by criterion. Per candidate: `divisors`, devices or what they cost
    in an hour; `ease`, None where nothing is known. `attainment`: share of requests that must be within the limits."""

    attainment: float
    tolerance: float
    weights: Mapping[str, float]
    loads: tuple[float, ...]
    n_workloads: int
    divisors: tuple[float, ...]
    ease: tuple[float | None, ...]

    @property
    def n_candidates(self) -> int:
        return len(self.divisors)


@dataclass(frozen=True, slots=True)
class Where:
    """A place: of which workload, at which load (None: each at its best), within how wide limits."""

    workload: int = 0
    load: float | None = None
    scale: float = ASKED


CHOICE = Where()


@dataclass(frozen=True, slots=True)
class Gap:
    """Of the logarithms of two figures: mean, ends of its interval, the differences by round (none: unpaired)."""

    mean: float
    lo: float
    hi: float
    n: int
    differences: FloatArray | None

    def word(self, tolerance: float) -> Word:
        """Same where the whole interval lies within the tolerance, else as its ends say."""
        room = math.log1p(tolerance)
        if -room <= self.lo and self.hi <= room:
            return "same"
        return "worse" if self.hi < 0 else "better" if self.lo > 0 else "open"

    def ratio(self, alpha: float) -> Estimate:
        how = "rounds; interval that holds at every look" if self.differences is not None else "runs; Welch"
        lo = math.exp(self.lo) if math.isfinite(self.lo) else -math.inf
        hi = math.exp(self.hi) if math.isfinite(self.hi) else math.inf
        return Estimate(math.exp(self.mean), lo, hi, 1 - alpha, self.n, "ratio", f"ratio over {self.n} {how}")


class Sheet:
    """All turns, looked up by candidate and place."""

    def __init__(self, terms: Terms, turns: Sequence[Turn]) -> None:
        self.terms = terms
        self._held: dict[tuple[int, int, float], dict[int, Mapping[float, Held]]] = {}
        self._measured: dict[tuple[int, int, float, str], Series] = {}
        self._of_turn: dict[tuple[int, str], Series] = {}
        for turn in turns:
            for name, value in ((START, turn.start_s), (MEMORY, turn.memory_bytes)):
                if value is not None and value > 0:
                    self._of_turn.setdefault((turn.candidate, name), {})[turn.round] = value
            for point in turn.points:
                if point.is_spoiled:
                    continue
                key = (turn.candidate, point.workload, point.load)
                self._held.setdefault(key, {})[turn.round] = point.held
                for name, value in point.measures.items():
                    self._measured.setdefault((*key, name), {})[turn.round] = value

    def goodput(self, candidate: int, where: Where) -> Series:
        """Requests per second by round; where.load must be said."""
        return {i: held[where.scale].goodput_per_s for i, held in self._at(candidate, where).items()}

    def held(self, candidate: int, where: Where) -> Held:
        """All its rounds together."""
        all_ = [held[where.scale] for held in self._at(candidate, where).values()]
        n, n_met = sum(one.n for one in all_), sum(one.n_met for one in all_)
        return Held(math.nan, n, n_met, sum(one.n_worth for one in all_))

    def _at(self, candidate: int, where: Where) -> dict[int, Mapping[float, Held]]:
        if where.load is None:
            raise AssertionError("a place without a load was asked for its runs")
        return self._held.get((candidate, where.workload, where.load), {})

    def best(self, candidate: int, where: Where) -> Where | Missing:
        """The same place with the load at which this candidate stands."""
        if where.load is not None:
            return where if self._is_within(candidate, where) else Missing(self._why_not(candidate, [where]), 0, "1/s")
        places = [Where(where.workload, load, where.scale) for load in self.terms.loads]
        within = [place for place in places if self._is_within(candidate, place)]
        if not within:
            return Missing(self._why_not(candidate, places), 0, "1/s")
        return max(within, key=lambda place: _log_mean(self.goodput(candidate, place)))

    def _is_within(self, candidate: int, where: Where) -> bool:
        values = self.goodput(candidate, where)
        held = self.held(candidate, where)
        return bool(values) and min(values.values()) > 0 and held.share >= self.terms.attainment

    def _why_not(self, candidate: int, places: Sequence[Where]) -> str:
        shares = [held.share for place in places if (held := self.held(candidate, place)).n]
        if not shares:
            return "it was not measured there"
        return f"at most {100 * max(shares):.3g} % of its requests are within the limits"

    def is_beyond(self, candidate: int, where: Where, alpha: float) -> bool:
        """Whether the share within the limits was shown to be below the one asked for, at every load of the place."""
        loads = self.terms.loads if where.load is None else (where.load,)
        for load in loads:
            held = self.held(candidate, Where(where.workload, load, where.scale))
            if not held.n:
                return False
            found = evidence(held.share * held.n_worth, held.n_worth, self.terms.attainment)
            if found.verdict(alpha / len(loads)) != "below":
                return False
        return True

    def is_safe(self, candidate: int, where: Where, alpha: float) -> bool:
        """Whether it was shown to be above, where this candidate stands."""
        place = self.best(candidate, where)
        if isinstance(place, Missing):
            return False
        held = self.held(candidate, place)
        return evidence(held.share * held.n_worth, held.n_worth, self.terms.attainment).verdict(alpha) == "above"

    def measure(self, candidate: int, name: str, where: Where) -> Series:
        """A measure by round, at a place with its load; those of a whole turn wherever."""
        if name in (START, MEMORY):
            return dict(self._of_turn.get((candidate, name), {}))
        return dict(self._measured.get((candidate, where.workload, where.load or 0.0, name), {}))

    def part(self, candidate: int, name: str, where: Where) -> Series | Missing:
        """One of the criteria by round, all above 0, or why there is none. `where`: with its load."""
        if name == EASE:
            ease = self.terms.ease[candidate]
            if ease is None:
                return Missing("nothing is known of the ease of this engine; give it: ease = 0.8 in --configs", 0, "")
            return dict.fromkeys(self.goodput(candidate, where), ease)
        if name == THROUGHPUT:
            return {i: v / self.terms.divisors[candidate] for i, v in self.goodput(candidate, where).items()}
        found = {i: v for i, v in self.measure(candidate, name, where).items() if v > 0}
        return found or Missing(f"{name} could not be told", 0, CRITERIA[name][1])

    def figure(self, candidate: int, where: Where = CHOICE) -> Series | Missing:
        """Logarithm of what decides, by round."""
        place = self.best(candidate, where)
        return place if isinstance(place, Missing) else self.figure_at(candidate, place)

    def figure_at(self, candidate: int, place: Where) -> Series | Missing:
        """The same at a place with its load, whether it keeps the limits there or not."""
        total: Series | None = None
        for name, weight in self.terms.weights.items():
            part = self.part(candidate, name, place)
            if isinstance(part, Missing):
                return part
            sign = weight if CRITERIA[name][0] else -weight
            logs = {i: sign * math.log(value) for i, value in part.items()}
            total = logs if total is None else {i: total[i] + log for i, log in logs.items() if i in total}
        return total or Missing("no round has all that is weighed", 0, "")


def _log_mean(values: Mapping[int, float]) -> float:
    return float(np.mean(np.log(list(values.values()))))


def mean_of(series: Series) -> float:
    return float(np.mean(list(series.values())))


def gap_of(a: Series, b: Series, alpha: float) -> Gap:
    """a over b, as logarithms. In rounds if they have some; of one round alone, or one run, nothing is known."""
    rounds = [i for i in a if i > 0 and i in b]
    if any(i > 0 for i in a) and any(i > 0 for i in b):
        differences = np.array([a[i] - b[i] for i in rounds])
        if not len(differences):
            return Gap(mean_of(a) - mean_of(b), -math.inf, math.inf, 0, differences)
        return Gap(float(differences.mean()), *always_interval(differences, alpha), len(rounds), differences)
    return _welch(np.array(list(a.values())), np.array(list(b.values())), alpha)


def _welch(a: FloatArray, b: FloatArray, alpha: float) -> Gap:
    mean, n = float(a.mean() - b.mean()), len(a) + len(b)
    if min(len(a), len(b)) < 2:
        return Gap(mean, -math.inf, math.inf, n, None)
    errors = [float(side.var(ddof=1)) / len(side) for side in (a, b)]
    whole = sum(errors)
    if not whole:
        return Gap(mean, mean, mean, n, None)
    dof = whole**2 / sum(error**2 / (len(side) - 1) for error, side in zip(errors, (a, b), strict=True))
    half = t_critical(dof, 1 - alpha) * math.sqrt(whole)
    return Gap(mean, mean - half, mean + half, n, None)


@dataclass(frozen=True, slots=True)
class Standing:
    """How all stand at a place: `leader`, None where nobody has a figure; `gaps` to it of all others that have one;
    `missing`: why the rest has none."""

    where: Where
    leader: int | None
    gaps: Mapping[int, Gap]
    missing: Mapping[int, Missing]

    def words(self, tolerance: float) -> dict[int, Word]:
        return {candidate: gap.word(tolerance) for candidate, gap in self.gaps.items()}


def alpha_of(n_candidates: int, n_places: int = 1) -> float:
    """Of one comparison, so that all with one candidate are right together: who is truly the best loses to one of the
    others with no more than ALPHA."""
    return ALPHA / max(1, n_candidates - 1) / max(1, n_places)


def stand(
    sheet: Sheet, *, where: Where = CHOICE, leader: int | None = None, among: Collection[int] = (), alpha: float
) -> Standing:
    """`leader`: held against all; else the one that is ahead `among` those."""
    figures: dict[int, Series] = {}
    missing: dict[int, Missing] = {}
    for candidate in range(sheet.terms.n_candidates):
        found = sheet.figure(candidate, where)
        if isinstance(found, Missing):
            missing[candidate] = found
        else:
            figures[candidate] = found
    if leader is None:
        able = [candidate for candidate in among if candidate in figures]
        leader = max(able, key=lambda candidate: mean_of(figures[candidate]), default=None)
    if leader is None or leader not in figures:
        return Standing(where, leader if leader in figures else None, {}, missing)
    gaps = {other: gap_of(series, figures[leader], alpha) for other, series in figures.items() if other != leader}
    return Standing(where, leader, gaps, missing)


def unsure(sheet: Sheet, standing: Standing, among: Collection[int]) -> set[int]:
    """Those `among` that miss the limits, though that is not shown, and would not be worse than the leader if they kept
    them: while there is one, the leader is not the answer. For the choice itself."""
    if standing.leader is None or isinstance(leading := sheet.figure(standing.leader), Missing):
        return set()
    missing = [k for k in among if k in standing.missing and isinstance(sheet.best(k, CHOICE), Missing)]
    return {k for k in missing if any(_may_matter(sheet, k, Where(0, load), leading) for load in sheet.terms.loads)}


def _may_matter(sheet: Sheet, candidate: int, place: Where, leading: Series) -> bool:
    terms, goodput = sheet.terms, sheet.goodput(candidate, place)
    if not goodput or min(goodput.values()) <= 0:
        return False
    if sheet.is_beyond(candidate, place, alpha_of(terms.n_candidates + 1) / len(terms.loads)):
        return False
    figure = sheet.figure_at(candidate, place)
    if isinstance(figure, Missing):
        return False
    return gap_of(figure, leading, alpha_of(terms.n_candidates)).word(terms.tolerance) != "worse"
