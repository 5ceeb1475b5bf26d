# SPDX-License-Identifier: Apache-2.0
"""Two or more sides compared: a family of quantities, each with a ratio, its interval and a verdict.

Rule 1: the family is chosen before anything is computed, and all of it counts: Holm's correction goes over every
quantity of every candidate. A family that so few trials could never resolve is refused.
Rule 2: "same" is a finding (the whole interval lies within the tolerance), not the absence of one. What is neither
different nor the same is undecided, and says how many trials would settle it.
Rule 3: every side is held against the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from inferometer.analysis.side import Quantity, Side
from inferometer.stats import LEVEL, Estimate, FloatArray, Missing
from inferometer.stats.trials import (
    MIN_PAIRED,
    Ratio,
    detectable,
    geometric_mean,
    holm,
    likely_spread,
    n_to_find,
    n_to_resolve,
    ratio_of_trials,
)

Word = Literal["better", "worse", "same", "different", "undecided"]
Overall = Literal["better", "worse", "mixed", "same", "different", "undecided"]
TOLERANCE = 0.05  # of the ratio: changes smaller than that are the same to whoever asks
ALPHA = 1 - LEVEL
HEADLINE = (
    Quantity("ttft_s", "p50"),
    Quantity("ttft_s", "p99"),
    Quantity("tpot_s", "p50"),
    Quantity("e2e_s", "p50"),
    Quantity("output_throughput_tokens_per_s", "value"),
)
GOODPUT = Quantity("goodput_per_s", "value")  # joins the headline where the runs have limits


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity of one candidate. `p_family`: p after Holm; NaN where there is no ratio.

    `n_to_settle`: trials a side with which 9 of 10 such comparisons would decide, `n_to_find`: which find a change as
    large as the tolerance; None: more than can be planned for. `sees`: the smallest change that as many trials as
    these find in 9 of 10. `found`: the test itself.
    """

    candidate: int
    quantity: Quantity
    a: Estimate | Missing
    b: Estimate | Missing
    ratio: Estimate | Missing
    p: float
    p_family: float
    verdict: Word
    n_to_settle: int | None = None
    n_to_find: int | None = None
    sees: float = math.nan
    found: Ratio | None = None


_Told = tuple[int, Quantity, Estimate | Missing, Estimate | Missing]  # the first fields of a Row


@dataclass(frozen=True, slots=True)
class Comparison:
    """`n_tests`: quantities that had a ratio, over all candidates. `ignored`: differences that were to be ignored."""

    sides: tuple[Side, ...]
    rows: tuple[Row, ...]
    tolerance: float
    is_paired: bool
    n_tests: int
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def candidates(self) -> range:
        """Numbers of the sides that are held against the first."""
        return range(1, len(self.sides))

    def of(self, candidate: int) -> tuple[Row, ...]:
        """Rows of one candidate; 1 is the first."""
        return tuple(row for row in self.rows if row.candidate == candidate)

    def overall(self, candidate: int) -> Overall:
        """Better in something and worse in nothing is better; the same only if all of it is."""
        words = {row.verdict for row in self.of(candidate)}
        if {"better", "worse"} <= words:
            return "mixed"
        for word in ("better", "worse", "different"):
            if word in words:
                return word
        return "same" if words == {"same"} else "undecided"


@dataclass(frozen=True, slots=True)
class TooFew:
    """These trials cannot resolve the family. `n_needed`: a side."""

    n_trials: tuple[int, ...]
    n_tests: int
    n_needed: int
    is_paired: bool


def compare(
    sides: Sequence[Side],
    family: Sequence[Quantity],
    *,
    rng: np.random.Generator,
    is_paired: bool = False,
    tolerance: float = TOLERANCE,
    ignored: Sequence[str] = (),
) -> Comparison | TooFew:
    """Every candidate against the first side.

    `is_paired`: trial i of one side was measured beside trial i of the other. The sides must be comparable.
    """
    values = [{quantity: values_of(side, quantity) for quantity in family} for side in sides]
    n_trials = tuple(side.n_trials for side in sides)
    n_tests = sum(not isinstance(both, Missing) for both in asked_of(values).values())
    needed = n_to_resolve(max(n_tests, 1), is_paired=is_paired)
    if min(n_trials) < needed:
        return TooFew(n_trials, n_tests, needed, is_paired)
    rows = rows_of(values, rng=rng, is_paired=is_paired, tolerance=tolerance)
    notes = notes_of(sides, is_paired=is_paired)
    return Comparison(tuple(sides), rows, tolerance, is_paired, n_tests, tuple(ignored), notes)


def rows_of(
    values: Sequence[Mapping[Quantity, FloatArray | Missing]],
    *,
    rng: np.random.Generator,
    is_paired: bool,
    tolerance: float = TOLERANCE,
) -> tuple[Row, ...]:
    """Verdicts from one value per trial of each side; the first side is the one that the others are held against.

    Shapes: float64[n_trials] each, above 0, infinite among failures; paired: trial by trial.
    """
    asked = asked_of(values)
    ratios = {
        key: ratio_of_trials(*both, is_paired=is_paired, rng=rng)
        for key, both in asked.items()
        if not isinstance(both, Missing)
    }
    adjusted = holm(np.array([ratio.p for ratio in ratios.values()]))
    p_family = dict(zip(ratios, adjusted.tolist(), strict=True))
    rows = []
    for key, both in asked.items():
        candidate, quantity = key
        told = (*key, _estimate(values[0][quantity], quantity), _estimate(values[candidate][quantity], quantity))
        if isinstance(both, Missing):
            rows.append(Row(*told, both, math.nan, math.nan, "undecided"))
        else:
            rows.append(_row(told, ratios[key], p_family[key], len(ratios), tolerance))
    return tuple(rows)


def family_of(sides: Sequence[Side], asked: Sequence[Quantity] = ()) -> tuple[Quantity, ...]:
    """The quantities asked for, or the headline; with goodput where every run has limits."""
    if asked:
        return tuple(dict.fromkeys(asked))
    have_limits = all(member.summary.limits.per_request for side in sides for member in side.members)
    return (*HEADLINE, GOODPUT) if have_limits else HEADLINE


def verdict_of(ratio: Ratio, p_family: float, quantity: Quantity, tolerance: float) -> Word:
    """Same where the whole interval lies within the tolerance, else better or worse where there is a difference."""
    estimate, room = ratio.estimate, math.log1p(tolerance)
    if -room <= _log(estimate.lo) and _log(estimate.hi) <= room:
        return "same"
    if p_family > ALPHA:
        return "undecided"
    if quantity.of.better == "none":
        return "different"
    return "better" if (estimate.value > 1) == (quantity.of.better == "higher") else "worse"


def _row(told: _Told, found: Ratio, p_family: float, n_tests: int, tolerance: float) -> Row:
    verdict = verdict_of(found, p_family, told[1], tolerance)
    room, spread, is_paired = math.log1p(tolerance), likely_spread(found), found.is_paired
    seen = abs(_log(found.estimate.value))
    n_here = min(found.n_a, found.n_b)
    return Row(
        *told,
        found.estimate,
        found.p,
        p_family,
        verdict,
        # A difference as large as the one seen can be found, or one as small can be shown to be within the tolerance.
        n_to_settle=n_to_find(max(seen, room - seen), spread, n_tests=n_tests, is_paired=is_paired),
        n_to_find=n_to_find(room, spread, n_tests=n_tests, is_paired=is_paired),
        sees=math.expm1(detectable(spread, n_here, n_tests=n_tests, is_paired=is_paired)),
        found=found,
    )


def _log(ratio: float) -> float:
    """Of a ratio that is 0 or infinite where one side lies among its failures."""
    return math.log(ratio) if ratio > 0 else -math.inf


def values_of(side: Side, quantity: Quantity) -> FloatArray | Missing:
    """Nothing of a metric that is not to be believed in some run, though the run as a whole is."""
    for member in side.members:
        verdict, run = member.summary.metric_verdicts.get(quantity.metric), member.summary.verdict
        if verdict is not None and verdict.level == "invalid" and run.level != "invalid":
            codes = ", ".join(dict.fromkeys(r.code for r in verdict.reasons if r.level == "invalid"))
            return Missing(f"invalid in {member.path} ({codes})", 0, quantity.of.unit)
    return side.values(quantity)


def asked_of(
    values: Sequence[Mapping[Quantity, FloatArray | Missing]],
) -> dict[tuple[int, Quantity], tuple[FloatArray, FloatArray] | Missing]:
    """Every quantity of every candidate, with the trials of both sides, or why it cannot be compared."""
    candidates = range(1, len(values))
    return {
        (c, quantity): _both(c, values[0][quantity], values[c][quantity]) for c in candidates for quantity in values[0]
    }


def _both(candidate: int, a: FloatArray | Missing, b: FloatArray | Missing) -> tuple[FloatArray, FloatArray] | Missing:
    if isinstance(a, Missing):
        return Missing(f"A {a.reason}", a.n, "ratio")
    if isinstance(b, Missing):
        return Missing(f"{letter(candidate)} {b.reason}", b.n, "ratio")
    if np.isinf(a).any() and np.isinf(b).any():
        return Missing("lies among the failed requests on both sides", len(a) + len(b), "ratio")
    return a, b


def letter(i: int) -> str:
    """What a side is called for short, A to Z, AA, AB, ...: A is the one that the others are held against."""
    return (letter(i // 26 - 1) if i >= 26 else "") + chr(ord("A") + i % 26)


def _estimate(values: FloatArray | Missing, quantity: Quantity) -> Estimate | Missing:
    if isinstance(values, Missing):
        return values
    return geometric_mean(values, unit=quantity.of.unit, statistic=quantity.statistic)


def pairs(sides: Sequence[Side]) -> bool:
    """Whether every side has one run of each of the same rounds, in the same order, so that they can be paired."""
    rounds = [[_round_of(member.facts) for member in side.members] for side in sides]
    first = rounds[0]
    return all(each is not None for each in first) and all(others == first for others in rounds[1:])


def _round_of(facts: Mapping[str, object]) -> tuple[str, int] | None:
    told = facts.get("ab")
    return (str(told["id"]), int(told["round"])) if isinstance(told, Mapping) else None


def can_pair(sides: Sequence[Side]) -> bool:
    """Paired where it can be, and there are pairs enough; else not."""
    return pairs(sides) and sides[0].n_trials >= MIN_PAIRED


def notes_of(sides: Sequence[Side], *, is_paired: bool) -> tuple[str, ...]:
    """What the design of a comparison leaves open."""
    notes = []
    for i, side in enumerate(sides):
        if not side.are_runs:
            notes.append(
                f"{letter(i)} is one run: what differs from start to start of its server is not in these numbers"
            )
        n_suspect = sum(member.summary.verdict.level == "suspect" for member in side.members)
        if n_suspect:
            which = "all" if n_suspect == len(side.members) else f"{n_suspect} of {len(side.members)}"
            notes.append(f"{which} runs of {letter(i)} are suspect: see `inferometer report` of each")
    times = [sorted(str(member.facts.get("created") or "") for member in side.members) for side in sides]
    for i in range(1, len(sides)):
        if not is_paired and (times[0][-1] <= times[i][0] or times[i][-1] <= times[0][0]):
            first, last = sorted((0, i), key=lambda side: times[side][0])
            notes.append(
                f"all of {letter(first)} was measured before {letter(last)}: a drift of the machine counts as a "
                "difference; `inferometer ab` takes turns"
            )
    return tuple(notes)
