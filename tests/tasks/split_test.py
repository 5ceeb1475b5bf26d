# SPDX-License-Identifier: Apache-2.0
"""What is trained on and what is asked share no name, no value, no wording and no sum, over many samples."""

from __future__ import annotations

import re
from functools import cache
from random import Random

import pytest

from inferometer.tasks import Split, Task, arithmetic, copying, grounded, make_passage, retrieval
from inferometer.tasks.relations import RELATIONS
from inferometer.tasks.split import Parts, split_of

N_PASSAGES = 400
LABELS = {"Text", "Examples"}
SIZES = (1, 3, 9, 27, 60)


@cache
def passages(task: Task, split: Split):
    rng = Random(f"{task}, {split}")
    return [make_passage(task, split, rng, n_facts=SIZES[i % len(SIZES)], n_turns=5) for i in range(N_PASSAGES)]


@cache
def answers(task: Task, split: Split) -> set[str]:
    said = " ".join(turn.answer for passage in passages(task, split) for turn in passage.turns)
    return set(said.split()) - {"unknown"}


@cache
def names(task: Task, split: Split) -> set[str]:
    """Capitalised words behind a small one: names, since wordings have their capitals in front."""
    texts = (
        text for passage in passages(task, split) for text in (passage.context, *(t.question for t in passage.turns))
    )
    return {name for text in texts for name in re.findall(r"(?:[a-z,:+*-] )([A-Z][a-z]+)", text)} - STARTERS


# Words that begin a question behind "Question:", or a sentence behind a head.
STARTERS = {"What", "Which", "In", "Where", "How", "As", "Of", "With", "On", "Who", "Whom", "For", "By", "The"}


@pytest.mark.parametrize("task", [Task.RETRIEVAL, Task.COPYING, Task.GROUNDED])
def test_no_value_is_in_both_splits(task):
    train, held_out = answers(task, Split.TRAIN), answers(task, Split.HELD_OUT)
    assert len(train) > 500
    assert len(held_out) > 300
    assert not train & held_out


def test_no_value_of_one_task_is_held_out_of_another():
    tasks = [Task.RETRIEVAL, Task.COPYING, Task.GROUNDED]
    assert not set.union(*(answers(t, Split.TRAIN) for t in tasks)) & set.union(
        *(answers(t, Split.HELD_OUT) for t in tasks)
    )


def test_no_name_is_in_both_splits():
    tasks = [Task.RETRIEVAL, Task.COPYING, Task.GROUNDED, Task.UNKNOWN]
    train, held_out = (set.union(*(names(task, split) for task in tasks)) for split in Split)
    assert len(train) > 3000
    assert len(held_out) > 600
    assert not train & held_out
    assert all(split_of(name) is Split.HELD_OUT for name in held_out)


def skeletons(task: Task, split: Split) -> set[str]:
    """Instructions, questions and sentences with a dot for what they are filled with."""
    found = set()
    for passage in passages(task, split):
        found.add(passage.instruction)
        for turn in passage.turns:
            found.add(_emptied(turn.question.rpartition(": ")[0] if turn.about == "alone" else turn.question))
        if task is not Task.COPYING:
            found |= {
                _emptied(text) for text in re.split(r"(?<=[.;:])\s|\n", passage.context) if text[:-1] not in LABELS
            }
    return found - {"", "."}


def _emptied(text: str) -> str:
    """Names, numbers, made-up and everyday words become dots: all that is no word of a wording."""
    return re.sub(r"\w+", lambda word: word[0] if word[0] in wording_words() else "·", text)


@cache
def wording_words() -> frozenset[str]:
    tables = [table for relation in RELATIONS for table in (relation.facts, relation.questions)]
    for noun in retrieval.NOUNS:
        tables += [noun.marks, noun.sentences, noun.heads, noun.instructions, noun.questions]
    for module in (arithmetic, copying, grounded):
        for value in vars(module).values():
            tables += [table for table in (value.values() if isinstance(value, dict) else [value]) if _is_table(table)]
    texts = (re.sub(r"\{\w+\}", "", text) for table in tables for text in (*table.train, *table.held_out))
    return frozenset(word for text in texts for word in re.findall(r"\w+", text))


def _is_table(value: object) -> bool:
    """Of wordings: closed sets have no blanks in them."""
    return isinstance(value, Parts) and any(" " in text for text in value.train)


@pytest.mark.parametrize("task", Task)
def test_no_wording_is_in_both_splits(task):
    train, held_out = skeletons(task, Split.TRAIN), skeletons(task, Split.HELD_OUT)
    assert len(train) > 40
    assert len(held_out) > 10
    assert not train & held_out


def sums(split: Split) -> set[tuple[str, int, int]]:
    found = set()
    for passage in passages(Task.ARITHMETIC, split):
        texts = [turn.question for turn in passage.turns] + re.findall(r"\d+ \S+ \d+", passage.context)
        for text in texts:
            low, high = sorted(map(int, re.findall(r"\d+", text)))
            sign = "-" if re.search(r" - |minus|less|difference|Subtract|Take", text) else "+"
            found.add((sign, high, low))
    return found


def test_no_sum_is_in_both_splits_not_even_the_other_way_round():
    train, held_out = sums(Split.TRAIN), sums(Split.HELD_OUT)
    assert len(train) > 5000
    assert len(held_out) > 1000
    assert not train & held_out


@pytest.mark.parametrize("task", Task)
def test_a_name_is_written_the_same_wherever_it_stands(task):
    """One capital, and a space in front."""
    for split in Split:
        known = names(task, split)
        for passage in passages(task, split)[:60]:
            for text in (passage.context, *(turn.question for turn in passage.turns)):
                assert all(
                    found[1] == " " for found in re.finditer(r"(^|.)\b([A-Z][a-z]+)", text, re.S) if found[2] in known
                )
