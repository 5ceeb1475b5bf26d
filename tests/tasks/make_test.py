# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from hashlib import sha256
from random import Random

import pytest

from inferometer.tasks import (
    Split,
    Task,
    items_of_tokens,
    make_item,
    make_passage,
    messages,
    n_facts_for,
    prompt,
    smallest_size,
)


def count(text: str) -> int:
    """Tokens of a simple kind: digits one by one, words in pieces of four letters."""
    return len(re.findall(r"\d|[A-Za-z]{1,4}|[^\w\s]|\n", text))


def test_the_same_arguments_give_the_same_item_everywhere():
    text = "\0".join(
        f"{item.prompt}\0{item.answer}\0{item.depth}"
        for task in Task
        for split in Split
        for index in range(20)
        for item in [make_item(task, split, 7, index, n_facts=1 + index)]
    )
    # Changes only with the tables: then held-out figures of before and after are not of the same items.
    assert sha256(text.encode()).hexdigest()[:16] == "a2696411e4b19c8d"


def test_seed_index_split_and_size_each_give_another_item():
    items = [
        make_item(Task.RETRIEVAL, split, seed, index, n_facts=n_facts).prompt
        for split in Split
        for seed in (1, 2)
        for index in (0, 1)
        for n_facts in (4, 5)
    ]
    assert len(set(items)) == len(items)


@pytest.mark.parametrize("task", Task)
def test_turns_are_all_different_questions(task):
    for index in range(40):
        passage = make_passage(task, Split.TRAIN, Random(index), n_facts=10, n_turns=6)
        assert len({turn.question for turn in passage.turns}) == len(passage.turns)


@pytest.mark.parametrize(("task", "n_turns"), [(Task.RETRIEVAL, 3), (Task.COPYING, 8), (Task.ARITHMETIC, 8)])
def test_there_are_as_many_turns_as_there_are_facts_to_ask_for(task, n_turns):
    assert len(make_passage(task, Split.TRAIN, Random(1), n_facts=3, n_turns=8).turns) == n_turns


def test_later_turns_of_a_chat_are_bare_questions():
    passage = make_passage(Task.RETRIEVAL, Split.TRAIN, Random(1), n_facts=5, n_turns=2)
    first, second = passage.turns
    assert messages(passage) == [
        {"role": "user", "content": prompt(passage)},
        {"role": "assistant", "content": first.answer},
        {"role": "user", "content": second.question},
        {"role": "assistant", "content": second.answer},
    ]
    assert messages(passage, " ")[1]["content"] == f" {first.answer}"


@pytest.mark.parametrize("n_tokens", [64, 128, 512, 2048])
@pytest.mark.parametrize("task", Task)
def test_prompts_have_nearly_the_tokens_asked_for_and_never_more(task, n_tokens):
    items = list(items_of_tokens(task, Split.HELD_OUT, 1, 12, n_tokens=n_tokens, count=count, depths=(0.0, 0.5, 1.0)))
    lengths = [count(item.prompt) for item in items]
    assert max(lengths) <= n_tokens
    assert min(lengths) > n_tokens * 0.94 - 32  # a fact or a word more would not have fitted
    if task in (Task.RETRIEVAL, Task.GROUNDED):
        assert {round(item.depth or 0.0) for item in items} >= {0, 1}


@pytest.mark.parametrize("task", Task)
def test_the_smallest_size_is_what_is_left_when_nothing_fits(task):
    assert n_facts_for(task, Split.TRAIN, 1, count) == smallest_size(task)
    (item,) = items_of_tokens(task, Split.TRAIN, 1, 1, n_tokens=1, count=count)
    assert item.n_facts == smallest_size(task)


@pytest.mark.parametrize(
    ("task", "n_facts", "n_turns"), [(Task.RETRIEVAL, 0, 1), (Task.ARITHMETIC, -1, 1), (Task.GROUNDED, 3, 0)]
)
def test_sizes_that_make_no_sense_are_refused(task, n_facts, n_turns):
    with pytest.raises(ValueError, match="facts"):
        make_passage(task, Split.TRAIN, Random(1), n_facts=n_facts, n_turns=n_turns)
