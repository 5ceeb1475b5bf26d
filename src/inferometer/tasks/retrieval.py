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

_SHARE_OF_MARKS = 0.5  # of lists are lines behind marks, the others sentences
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
    # What is listed and how comes first, so that from the same seed it is the same for any number of facts.
    noun, fresh = pick(rng, NOUNS), Fresh(split, rng)
    instruction, head = pick(rng, noun.instructions.of(split)), pick(rng, noun.heads.of(split))
    mark = pick(rng, noun.marks.of(split)) if rng.random() < _SHARE_OF_MARKS else None
    pairs = [(fresh.name(), noun.value(fresh)) for _ in range(n_facts)]
    turns = []
    for i in asked(rng, n_facts, n_turns, depth):
        key, value = pairs[i]
        question = pick(rng, noun.questions.of(split)).format(key=key)
        turns.append(Turn(question, value, Task.RETRIEVAL, depth_of(i, n_facts), noun.noun))
    if mark:  # one wording throughout, as lists are
        context = "\n".join([head, *(mark.format(key=key, value=value) for key, value in pairs)])
    else:
        wordings = noun.sentences.of(split)
        context = " ".join([head, *(pick(rng, wordings).format(key=key, value=value) for key, value in pairs)])
    return Passage(instruction, context, tuple(turns), Task.RETRIEVAL)
