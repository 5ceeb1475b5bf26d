# SPDX-License-Identifier: Apache-2.0
"""Who is measured next, who is dropped, and when enough is known: rounds of turns, one of each that is still in.

Rule 1: pure. `take` takes a turn; what takes turns of a simulation has the same rounds.
Rule 2: in every round each candidate has one turn, in an order drawn by lot and turned around in the next round: a
drift of the machine favours nobody.
Rule 3: dropped is who was shown to be worse than the leader, and is ahead of it nowhere else; and who was shown to
miss the limits at every load. The interval holds at every look, so that looking after each round costs nothing.
Rule 4: what was measured elsewhere is in no round, and the interval against it holds at one look: that is at the end,
so nobody is dropped by it, and it never ends the contest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from inferometer.analysis.answer import MIN_ROUNDS
from inferometer.analysis.contest import CHOICE, Sheet, Terms, alpha_of, stand, unsure
from inferometer.analysis.places import leads, places_of
from inferometer.analysis.turn import Turn

NEARLY = 1.05  # of the budget, that a round may be expected to end at
OUT_OF_TIME, NONE_LEFT, SETTLED = "the budget is spent", "no candidate is left to measure", "everything is settled"

Take = Callable[[int, int], Turn]


@dataclass(slots=True)
class Elimination:
    """One contest; `run()` once. `candidates`: those that can be measured; `turns`: also those measured elsewhere.

    `take(candidate, round)` may raise: what was found until then stays in `turns`. `after_turn` is called after each.
    `dropped`: after which round; `stopped`: why no further one was taken.
    """

    terms: Terms
    candidates: Sequence[int]
    take: Take
    budget_s: float
    rng: np.random.Generator
    after_turn: Callable[[], None] = lambda: None
    turns: list[Turn] = field(default_factory=list)
    dropped: dict[int, int] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    n_rounds: int = 0
    spent_s: float = 0.0
    stopped: str = ""

    @property
    def active(self) -> list[int]:
        return [one for one in self.candidates if one not in self.dropped and one not in self.failed]

    def run(self) -> str:
        """Round after round; why it ended."""
        order: list[int] = []
        while not self.stopped:
            order = order[::-1] if self.n_rounds % 2 else self.rng.permutation(list(self.candidates)).tolist()
            if not self._has_time():
                self.stopped = OUT_OF_TIME
                break
            for candidate in order:
                if candidate in self.active:
                    self._take(candidate)
            self.n_rounds += 1
            self.stopped = self._drop() or self._why_enough()
        return self.stopped

    def _take(self, candidate: int) -> None:
        turn = self.take(candidate, self.n_rounds + 1)
        self.turns.append(turn)
        self.spent_s += turn.seconds
        if turn.failed:
            self.failed.add(candidate)
        self.after_turn()

    def _has_time(self) -> bool:
        """The first round is taken whatever it takes."""
        return self.spent_s + self.round_s() <= NEARLY * self.budget_s or not self.n_rounds

    def round_s(self) -> float:
        """What the next round will take, by the last turn of each that is still in."""
        last = {turn.candidate: turn.seconds for turn in self.turns}
        return sum(last.get(candidate, 0.0) for candidate in self.active)

    def _drop(self) -> str:
        """Why there is nobody left to be measured, or ""."""
        sheet, n = Sheet(self.terms, self.turns), self.terms.n_candidates
        for candidate in self.active:
            if sheet.is_beyond(candidate, CHOICE, alpha_of(n + 1)):
                self.dropped[candidate] = self.n_rounds
        standing = stand(sheet, among=self.active, alpha=alpha_of(n))
        if standing.leader is not None:
            words = standing.words(self.terms.tolerance)
            for candidate in self.active:
                if words.get(candidate) == "worse" and not self._leads(sheet, candidate, standing.leader):
                    self.dropped[candidate] = self.n_rounds
        return "" if self.active else NONE_LEFT

    def _able(self) -> list[int]:
        """Whoever may be preferred: those still in, and those measured elsewhere."""
        return [*self.active, *(k for k in range(self.terms.n_candidates) if k not in self.candidates)]

    def _leads(self, sheet: Sheet, candidate: int, leader: int) -> bool:
        """Somewhere else it seems to be ahead by more than the tolerance, and that is still to be shown."""
        return any(
            lead.candidate == candidate and not lead.is_shown
            for where in places_of(self.terms)
            for lead in leads(sheet, where, leader)
        )

    def _why_enough(self) -> str:
        """Everything is settled: the choice, and every other place at which somebody seems to be ahead."""
        if self.n_rounds < MIN_ROUNDS:
            return ""
        sheet = Sheet(self.terms, self.turns)
        standing = stand(sheet, among=self._able(), alpha=alpha_of(self.terms.n_candidates))
        if standing.leader is None:
            return ""
        words, able = standing.words(self.terms.tolerance), self._able()
        if any(words.get(candidate) == "open" for candidate in able):
            return ""
        if any(gap.differences is None for candidate, gap in standing.gaps.items() if candidate in able):
            return ""
        if unsure(sheet, standing, able):
            return ""
        if any(self._leads(sheet, candidate, standing.leader) for candidate in self.active):
            return ""
        return SETTLED
