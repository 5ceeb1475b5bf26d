# SPDX-License-Identifier: Apache-2.0
"""Questions without sense, for the beginning: names and what belongs to them, among words that mean nothing.

To find what belongs to a name, wherever both stand: most tasks come down to it. From sensible sentences a small model
learns it slowly: questions are few among many words, and to guess one of the things told is nearly as good.
Here every second word matters, and how far words that belong together stand apart changes from row to row.

Rule 1: names and values side by side first, then noise between them. What takes 1 M tokens without noise is learned in
another 0.3 M with it; begun with noise, or among sensible sentences, it was not found in 5 M.
Rule 2: names and words are those of the training split; nothing here is ever asked for in evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from random import Random

from inferometer.tasks import UNKNOWN_ANSWER, Passage, Split, Task, Turn, make_passage
from inferometer.tasks.fresh import Fresh

_NOISE = (
    *("=", ":", "-", "is", "has", "the", "a", "of", "for", "to", "was", "what", "which", "does", "here", "now"),
    *("text", "list", "code", "number", "town", "word", "in", "by"),
)
_KINDS = ("colour", "food", "pet", "job", "room", "age", "friend", "home", "sport", "badge", "password", "instrument")
_MOST_NOISE = 6  # words between two that matter
_SHARE_OF_KINDS = 0.6  # of passages in the end: what belongs to a name is of several kinds, one of which is asked for
_SHARE_OF_UNKNOWN = 0.3  # of the questions there
_N_PEOPLE, _N_KINDS = (2, 3), (2, 3)
_SHARE_OF_SUMS = 0.25  # of passages
_TOKENS_OF_A_SUM = 11


def drill(rng: Random, n_tokens: int, level: float) -> Passage:
    """A passage of about `n_tokens` tokens: as many questions as facts, or sums. `level`, 0..1: how hard it is."""
    if rng.random() < _SHARE_OF_SUMS:
        return _sums(rng, n_tokens // _TOKENS_OF_A_SUM)
    n_noise = rng.randint(0, round(_MOST_NOISE * level))

    def noise() -> str:
        return "".join(f" {rng.choice(_NOISE)}" for _ in range(rng.randint(0, n_noise)))

    fresh = Fresh(Split.TRAIN, rng)
    value = rng.choice((fresh.name, fresh.word, lambda: fresh.number(2), lambda: fresh.number(3)))
    make = _of_kinds if rng.random() < _SHARE_OF_KINDS * min(1.0, 2.0 * level) else _of_names
    return make(rng, fresh, value, noise, max(2, n_tokens // (16 + 3 * n_noise)))


def _sums(rng: Random, n_sums: int) -> Passage:
    """Nothing but sums: as tasks ask for them they take twice the tokens, and they need many examples."""
    turns = []
    for turn in make_passage(Task.ARITHMETIC, Split.TRAIN, rng, n_facts=0, n_turns=max(1, n_sums)).turns:
        numbers = [int(number) for number in re.findall(r"\d+", turn.question)]
        a, b = sorted(numbers, reverse=True) if turn.about == "-" else numbers
        turns.append(replace(turn, question=f" {a} {turn.about} {b}"))
    return Passage("", "", tuple(turns), Task.ARITHMETIC)


def _of_names(rng: Random, fresh: Fresh, value: Callable[[], str], noise: Callable[[], str], n_facts: int) -> Passage:
    """One thing belongs to each name."""
    facts = [(fresh.name(), value()) for _ in range(n_facts)]
    joint = noise()
    context = "".join(f"{noise()} {name}{joint} {told}." for name, told in facts)
    turns = [_turn(f"{noise()} {name}{noise()}?", told) for name, told in rng.sample(facts, len(facts))]
    return Passage("", context, tuple(turns), Task.RETRIEVAL)


def _of_kinds(rng: Random, fresh: Fresh, value: Callable[[], str], noise: Callable[[], str], n_facts: int) -> Passage:
    """Things of some kinds belong to some names; both are asked for, in either order, and not all pairs are told."""
    people = [fresh.name() for _ in range(max(rng.choice(_N_PEOPLE), n_facts // 3))]
    kinds = rng.sample(_KINDS, max(rng.choice(_N_KINDS), -(-n_facts // len(people))))
    pairs = rng.sample([(name, kind) for name in people for kind in kinds], len(people) * len(kinds))
    facts = [(pair, value()) for pair in pairs[:n_facts]]

    def words(pair: tuple[str, str]) -> str:
        first, second = pair if rng.random() < 0.5 else reversed(pair)
        return f"{noise()} {first}{noise()} {second}{noise()}"

    context = "".join(f"{words(pair)} {told}." for pair, told in facts)
    turns = []
    missing = pairs[n_facts:]
    for pair, told in rng.sample(facts, len(facts)):
        if missing and rng.random() < _SHARE_OF_UNKNOWN:
            turns.append(_turn(f"{words(missing.pop())}?", UNKNOWN_ANSWER))
        turns.append(_turn(f"{words(pair)}?", told))
    rng.shuffle(turns)
    return Passage("", context, tuple(turns), Task.GROUNDED)


def _turn(question: str, answer: str) -> Turn:
    return Turn(question, answer, Task.UNKNOWN if answer == UNKNOWN_ANSWER else Task.GROUNDED)
