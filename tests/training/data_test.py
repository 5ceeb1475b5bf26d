# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from random import Random

import numpy as np
import pytest
from training.data import NOT_WANTED, PAD_ID, TASKS, Ahead, Diet, Kitchen, pack_items
from training.drill import drill
from training.tokenizer import END_ID

from inferometer.tasks import Split, Task, make_item
from inferometer.tasks.split import split_of

SEED = 3
DIET = Diet(n_tokens=2048, n_batches=4)  # by the rules of the training, a sixth of its size


@pytest.fixture(scope="module")
def kitchen(tokenizer):
    return Kitchen(tokenizer, SEED, DIET)


def is_same(first, second):
    names = ("ids", "wanted", "targets", "tasks")
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in names)


def test_a_course_is_a_function_of_seed_index_and_progress(kitchen, tokenizer):
    again, other = Kitchen(tokenizer, SEED, DIET), Kitchen(tokenizer, SEED + 1, DIET)
    course = kitchen.course(7, 0.5)
    assert all(is_same(batch, same) for batch, same in zip(course, again.course(7, 0.5), strict=True))
    assert not is_same(course[0], kitchen.course(8, 0.5)[0])
    assert not is_same(course[0], other.course(7, 0.5)[0])


def test_rows_grow_and_little_of_the_long_ones_is_padding(tokenizer):
    diet = Diet()
    kitchen = Kitchen(tokenizer, SEED, diet)
    ladders = [diet.rows(progress) for progress in np.linspace(0, 1, 21)]
    assert len(ladders[0]) == diet.n_first
    assert ladders[-1] == diet.lengths
    assert ladders == sorted(ladders, key=len)
    batches = [batch for i in range(3) for batch in kitchen.course(i, 1.0)]
    longest = [batch.ids for batch in batches if batch.ids.shape[1] == diet.lengths[-1]]
    assert np.mean([(ids == PAD_ID).mean() for ids in longest]) < 0.12
    assert max(batch.ids.size for batch in batches) <= diet.n_tokens


def test_batches_have_few_shapes_and_no_row_is_cut_short(kitchen):
    shapes = {batch.ids.shape for i in range(12) for batch in kitchen.course(i, 0.5)}
    assert len(shapes) <= len(DIET.lengths)
    for batch in kitchen.course(0, 0.5):
        ends = (batch.ids != PAD_ID).sum(1) - 1
        assert (batch.ids[np.arange(len(ends)), ends] == END_ID).all()  # the end token of the last answer
        assert batch.wanted.shape[1] % 32 == 0


def test_drilled_sums_are_right_and_of_the_training_split():
    drilled = (drill(Random(i), 90, level=1.0) for i in range(200))
    turns = [turn for passage in drilled if passage.task is Task.ARITHMETIC for turn in passage.turns]
    assert len(turns) > 100
    for turn in turns:
        a, sign, b = turn.question.split()
        low, high = sorted((int(a), int(b)))
        assert int(turn.answer) == (int(a) + int(b) if sign == "+" else int(a) - int(b)) >= 0
        assert split_of(f"{high}{sign}{low}") is Split.TRAIN


def test_targets_are_what_follows_the_wanted_positions(kitchen, tokenizer):
    course = kitchen.course(0, 0.3)
    for batch in course:
        rows, columns = np.nonzero(batch.targets != NOT_WANTED)
        assert (batch.ids[rows, batch.wanted[rows, columns] + 1] == batch.targets[rows, columns]).all()
    assert any((batch.tasks == TASKS.index(Task.UNKNOWN)).any() for batch in course)


def test_items_end_with_their_answer(tokenizer):
    items = [make_item(task, Split.HELD_OUT, 0, i, n_facts=5) for i, task in enumerate(Task)]
    batch = pack_items(tokenizer, items)
    for item, targets in zip(items, batch.targets, strict=True):
        assert tokenizer.decode(targets[targets != NOT_WANTED].tolist()) == f" {item.answer}"


def test_a_process_makes_the_same_batches_and_a_second_one_goes_on(kitchen, tokenizer):
    courses = [*kitchen.course(0, 0.2), *kitchen.course(1, 0.2), *kitchen.course(2, 0.2)]
    n_first = len(kitchen.course(0, 0.2)) + 1
    with Ahead(tokenizer, SEED, DIET) as ahead:
        assert all(is_same(ahead.take(0.2), batch) for batch in courses[:n_first])
        position = ahead.position
    with Ahead(tokenizer, SEED, DIET, position) as ahead:
        assert all(is_same(ahead.take(0.9), batch) for batch in courses[n_first:])
