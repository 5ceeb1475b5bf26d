# SPDX-License-Identifier: Apache-2.0
"""Retrieval: a list of keys and values, and the question what belongs to one of the keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from inferometer.tasks.depth import asked, depth_of
from inferometer.tasks.draw import pick
from inferometer.tasks.fresh import Fresh
from inferometer.tasks.passage import Passage, Task, Turn
from inferometer.tasks.split import Parts, Split
from inferometer.tasks.wording import questions, wordings

# In lists every line begins with a mark, so that no key stands at the beginning of a line.
_MARKS = wordings(("[-|*|+] {key}[:| =| ->| is] {value}",))
_SENTENCES = wordings(
    (
        "The NOUN of {key} is [|now |still ]{value}[.|;]",
        "The NOUN [for|that belongs to|given to] {key} is {value}[.|;]",
        "{key} [has|holds|got|was given] the NOUN {value}[.|;]",
        "For {key} the NOUN [is|reads|stays] {value}[.|;]",
    )
)
_HEADS = wordings(
    (
        "[Here|Below] [is|comes] the [|whole |full ]list of NOUNs:",
        "[These|The following] are [the|all] NOUNs[:| of the list:]",
    )
)
_INSTRUCTIONS = wordings(
    (
        "[Answer with|Give|Write] [only|just] the NOUN[.|, nothing else.]",
        "[Answer with|Give|Write] the NOUN [alone|by itself|and nothing else].",
    )
)
_QUESTIONS = questions(
    (
        "[What|Which] is the NOUN of {key}",
        "What is the NOUN [for|that belongs to|given to] {key}",
        "Which NOUN [does {key} have|belongs to {key}|was given to {key}]",
        "Which is {key}'s NOUN",
    ),
    "list",
)


@dataclass(frozen=True, slots=True)
class _Noun:
    """What is listed: the wordings with its word filled in, and how values are drawn."""

    noun: str
    value: Callable[[Fresh], str]
    marks: Parts
    sentences: Parts
    heads: Parts
    instructions: Parts
    questions: Parts


def _noun(noun: str, value: Callable[[Fresh], str]) -> _Noun:
    def filled(wordings: Parts) -> Parts:
        return wordings.map(lambda wording: wording.replace("NOUN", noun))

    return _Noun(noun, value, _MARKS, filled(_SENTENCES), filled(_HEADS), filled(_INSTRUCTIONS), filled(_QUESTIONS))


NOUNS = (
    _noun("code", lambda fresh: fresh.number(4)),
    _noun("number", lambda fresh: fresh.number(4)),
    _noun("ticket", lambda fresh: fresh.number(3)),
    _noun("key", lambda fresh: fresh.number(5)),
    _noun("town", Fresh.name),
    _noun("team", Fresh.name),
    _noun("word", Fresh.word),
)


def make(split: Split, rng: Random, n_facts: int, n_turns: int, depth: float | None) -> Passage:
    noun, fresh = pick(rng, NOUNS), Fresh(split, rng)
    pairs = [(fresh.name(), noun.value(fresh)) for _ in range(n_facts)]
    turns = []
    for i in asked(rng, n_facts, n_turns, depth):
        key, value = pairs[i]
        question = pick(rng, noun.questions.of(split)).format(key=key)
        turns.append(Turn(question, value, Task.RETRIEVAL, depth_of(i, n_facts), noun.noun))
    instruction = pick(rng, noun.instructions.of(split))
    return Passage(instruction, _context(split, rng, noun, pairs), tuple(turns), Task.RETRIEVAL)


def _context(split: Split, rng: Random, noun: _Noun, pairs: list[tuple[str, str]]) -> str:
    """One wording throughout, as lists are; or sentences, each with a wording of its own."""
    head = pick(rng, noun.heads.of(split))
    if rng.random() < 0.5:
        line = pick(rng, noun.marks.of(split))
        return "\n".join([head, *(line.format(key=key, value=value) for key, value in pairs)])
    sentences = noun.sentences.of(split)
    return " ".join([head, *(pick(rng, sentences).format(key=key, value=value) for key, value in pairs)])
