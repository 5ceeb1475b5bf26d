# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from training.data import NOT_WANTED, TASKS, Ahead, Diet, Kitchen, pack_items

from inferometer.tasks import Split, Task, make_item

SEED = 3


@pytest.fixture(scope="module")
def kitchen(tokenizer):
    return Kitchen(tokenizer, SEED, Diet())


def is_same(first, second):
    names = ("ids", "wanted", "targets", "tasks")
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in names)


def test_a_course_is_a_function_of_seed_index_and_progress(kitchen, tokenizer):
    again, other = Kitchen(tokenizer, SEED, Diet()), Kitchen(tokenizer, SEED + 1, Diet())
    course = kitchen.course(7, 0.5)
    assert all(is_same(batch, same) for batch, same in zip(course, again.course(7, 0.5), strict=True))
    assert not is_same(course[0], kitchen.course(8, 0.5)[0])
    assert not is_same(course[0], other.course(7, 0.5)[0])


def test_rows_grow_and_little_is_padding(kitchen):
    diet = Diet()
    longest = [diet.longest(progress) for progress in np.linspace(0, 1, 21)]
    assert longest[0] == diet.n_first
    assert longest[-1] == diet.n_last
    assert longest == sorted(longest)
    batches = [batch for i in range(3) for batch in kitchen.course(i, 1.0)]
    n_all = sum(batch.ids.size for batch in batches)
    assert sum((batch.ids == 2).sum() for batch in batches) < 0.12 * n_all
    assert max(batch.ids.shape[1] for batch in batches) > 0.9 * diet.n_last
    assert max(batch.ids.size for batch in batches) <= diet.n_tokens


def test_targets_are_what_follows_the_wanted_positions(kitchen, tokenizer):
    batch = kitchen.course(0, 0.3)[0]
    is_target = batch.targets != NOT_WANTED
    rows, columns = np.nonzero(is_target)
    assert (batch.ids[rows, batch.wanted[rows, columns] + 1] == batch.targets[rows, columns]).all()
    unknown = TASKS.index(Task.UNKNOWN)
    assert (batch.tasks == unknown).any()


def test_items_end_with_their_answer(tokenizer):
    items = [make_item(task, Split.HELD_OUT, 0, i, n_facts=5) for i, task in enumerate(Task)]
    batch = pack_items(tokenizer, items)
    for item, targets in zip(items, batch.targets, strict=True):
        assert tokenizer.decode(targets[targets != NOT_WANTED].tolist()) == f" {item.answer}"


def test_a_process_makes_the_same_batches_and_a_second_one_goes_on(kitchen, tokenizer):
    courses = [*kitchen.course(0, 0.2), *kitchen.course(1, 0.2), *kitchen.course(2, 0.2)]
    n_first = len(kitchen.course(0, 0.2)) + 1
    with Ahead(tokenizer, SEED, Diet()) as ahead:
        assert all(is_same(ahead.take(0.2), batch) for batch in courses[:n_first])
        position = ahead.position
    with Ahead(tokenizer, SEED, Diet(), position) as ahead:
        assert all(is_same(ahead.take(0.9), batch) for batch in courses[n_first:])
