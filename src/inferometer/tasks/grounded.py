# SPDX-License-Identifier: Apache-2.0
"""Grounded answers: a paragraph of made-up facts about people, and questions that it answers, or that it does not.

Rule 1: paragraphs are made before anything is asked, so nothing about a paragraph tells whether the answer is there.
Rule 2: a question without an answer is mostly about a person of whom something is told, and something that is told of
another person: the pair has to be looked for, not one of its halves.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from inferometer.tasks.depth import asked, depth_of
from inferometer.tasks.draw import below, pick, sample
from inferometer.tasks.fresh import Fresh
from inferometer.tasks.passage import UNKNOWN_ANSWER, Passage, Task, Turn
from inferometer.tasks.relations import RELATIONS, Relation
from inferometer.tasks.split import Split
from inferometer.tasks.wording import wordings

SHARE_OF_UNKNOWN = 0.35  # of the turns after the first
_SHARE_OF_PAIRS = 0.7  # of unknown turns: person and relation occur, but not together
_SHARE_OF_RELATIONS = 0.15  # of unknown turns: nobody has that relation; the rest: nobody has that name
_MAX_TRIES = 30

_INSTRUCTIONS = wordings(
    (
        "[Read the text and answer|Answer from the text alone] [with|in] [one|a single] word. "
        "[Say|Answer|Write] unknown if [the text does not tell|it is not there].",
        "[Answer|Reply] [with|in] [one|a single] word. "
        "[Say|Answer|Write] unknown if [the text does not tell|it is not there].",
    )
)


@dataclass(frozen=True, slots=True)
class _Fact:
    person: str
    relation: Relation
    value: str


def make(task: Task, split: Split, rng: Random, n_facts: int, n_turns: int, depth: float | None) -> Passage:
    """The first turn is of `task`; those after it are of either kind."""
    fresh = Fresh(split, rng)
    facts = _facts(rng, fresh, n_facts)
    told = [pick(rng, fact.relation.facts.of(split)).format(name=fact.person, value=fact.value) for fact in facts]
    open_facts = asked(rng, n_facts, n_turns, depth if task is Task.GROUNDED else None)
    missing = _Missing(rng, fresh, facts)
    turns = []
    for n_turn in range(n_turns):
        is_unknown = rng.random() < SHARE_OF_UNKNOWN if n_turn else task is Task.UNKNOWN
        if is_unknown:
            person, relation, why = missing.draw()
            question = pick(rng, relation.questions.of(split)).format(name=person)
            turns.append(Turn(question, UNKNOWN_ANSWER, Task.UNKNOWN, None, f"{relation.name}: {why}"))
        elif open_facts:
            i = open_facts.pop(0)
            question = pick(rng, facts[i].relation.questions.of(split)).format(name=facts[i].person)
            turns.append(Turn(question, facts[i].value, Task.GROUNDED, depth_of(i, n_facts), facts[i].relation.name))
    return Passage(pick(rng, _INSTRUCTIONS.of(split)), " ".join(["Text:", *told]), tuple(turns), task)


def _facts(rng: Random, fresh: Fresh, n_facts: int) -> list[_Fact]:
    """Different pairs of person and relation, two to six a person, in any order.

    Few more relations than needed: the same relation is told of several people, so that it does not give the fact away.
    """
    n_people = max(min(2, n_facts), round(n_facts / (2 + 4 * rng.random())))
    n_kinds = min(len(RELATIONS), -(-n_facts // n_people) + 1 + below(rng, 3))
    kinds = [RELATIONS[i] for i in sample(rng, len(RELATIONS), n_kinds)]
    people = [fresh.name() for _ in range(n_people)]
    pairs = ((people[i // n_kinds], kinds[i % n_kinds]) for i in sample(rng, n_people * n_kinds, n_facts))
    return [_Fact(person, relation, relation.value(fresh)) for person, relation in pairs]


class _Missing:
    """Questions that the facts do not answer, no two the same."""

    def __init__(self, rng: Random, fresh: Fresh, facts: list[_Fact]) -> None:
        self._rng, self._fresh = rng, fresh
        self._people = list(dict.fromkeys(fact.person for fact in facts))
        self._told = list(dict.fromkeys(fact.relation for fact in facts))
        names = {relation.name for relation in self._told}
        self._untold = [relation for relation in RELATIONS if relation.name not in names]
        self._closed = {(fact.person, fact.relation.name) for fact in facts}

    def draw(self) -> tuple[str, Relation, str]:
        """Person, relation, and what is missing."""
        kind = self._rng.random()
        if kind < _SHARE_OF_PAIRS and (pair := self._pair(self._told)):
            return *pair, "pair"
        if kind < _SHARE_OF_PAIRS + _SHARE_OF_RELATIONS and self._untold and (pair := self._pair(self._untold)):
            return *pair, "relation"
        return self._fresh.name(), pick(self._rng, self._told), "person"

    def _pair(self, relations: list[Relation]) -> tuple[str, Relation] | None:
        for _ in range(_MAX_TRIES):
            person, relation = pick(self._rng, self._people), pick(self._rng, relations)
            if (person, relation.name) not in self._closed:
                self._closed.add((person, relation.name))
                return person, relation
        return None
