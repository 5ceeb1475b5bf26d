# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from training.table import accuracy_table, loss_table, percent
from training.verdicts import ONCE, Cell, baselines, can_still_be_right, judge, loss, share

from inferometer.stats.estimate import Missing
from inferometer.tasks import Split, Task, make_item


def items(task, n=40, n_facts=6):
    return [make_item(task, Split.HELD_OUT, 1, i, n_facts=n_facts) for i in range(n)]


def test_a_share_has_wilsons_interval():
    # Wilson 1927; the numbers are those of R's prop.test(485, 500, correct = FALSE).
    found = share([True] * 485 + [False] * 15)
    assert (found.value, found.n) == (0.97, 500)
    assert (found.lo, found.hi) == (pytest.approx(0.95113, abs=5e-5), pytest.approx(0.98172, abs=5e-5))
    assert percent(found) == "97.0 [95.1, 98.2]"


def test_all_right_is_not_certainty():
    found = share([True] * 500)
    assert found.hi == 1
    assert found.lo == pytest.approx(500 / (500 + 1.959964**2))


def test_no_answers_give_no_number():
    assert isinstance(share([]), Missing)
    assert percent(share([])) == "needs 1 of questions, has 0"


def test_an_answer_is_kept_with_its_question_and_verdict():
    item = items(Task.RETRIEVAL)[0]
    right, wrong = judge("F16", item, f" {item.answer}."), judge("F16", item, "nonsense")
    assert (right.is_right, wrong.is_right) == (True, False)
    assert (right.prompt, right.expected, right.said) == (item.prompt, item.answer, f" {item.answer}.")
    assert (right.engine, right.index, right.depth) == ("F16", 0, item.depth)


@pytest.mark.parametrize(
    ("begun", "is_possible"),
    [
        *(("", True), (" ", True), (" Tor", True), (" tormi", True), (" Tormi.", True), (" Tormi. ", True)),
        *((" Torma", False), (" Tormi x", False), ("x", False), (" Tormi..", False)),
    ],
)
def test_a_wrong_answer_is_given_up_at_its_first_wrong_letter(begun, is_possible):
    assert can_still_be_right("Tormi", begun) is is_possible


def test_the_majority_knows_no_answer_that_is_drawn_fresh_and_every_unknown():
    assert baselines(items(Task.RETRIEVAL))["majority"].value < 0.1
    assert baselines(items(Task.UNKNOWN))["majority"].value == 1
    assert baselines(items(Task.UNKNOWN))["copy"].value == 0


def test_copying_what_lies_nearest_is_right_where_that_is_the_task():
    assert baselines(items(Task.COPYING, n_facts=4))["copy"].value == 1
    assert baselines(items(Task.RETRIEVAL, n_facts=12))["copy"].value < 0.5


def test_a_loss_is_told_by_the_questions_on_which_two_differ():
    before = [True] * 90 + [False] * 10
    after = [True] * 70 + [False] * 20 + [True] * 2 + [False] * 8
    found = loss(before, after)
    assert (found.n, found.n_lost, found.n_won) == (100, 20, 2)
    assert found.share_lost.value == pytest.approx(20 / 22)
    assert found.share_lost.lo > 0.5  # a loss beyond doubt
    assert loss(after, before).share_lost.hi < 0.5
    assert isinstance(loss(before, before).share_lost, Missing)
    with pytest.raises(ValueError, match="zip"):
        loss(before, after[:-1])


def test_tables_have_a_row_for_each_cell_and_a_column_for_each_engine():
    half = share([True, False] * 50)
    rows = {
        Cell(Task.RETRIEVAL, 64): {"copy": half, "F16": half},
        Cell(Task.ARITHMETIC, ONCE): {"copy": half, "F16": half},
    }
    assert accuracy_table(rows, 100).splitlines() == [
        "| task | prompt tokens | n | copy | F16 |",
        "| --- | --- | --- | --- | --- |",
        "| retrieval | 64 | 100 | 50.0 [40.4, 59.6] | 50.0 [40.4, 59.6] |",
        "| arithmetic | any | 100 | 50.0 [40.4, 59.6] | 50.0 [40.4, 59.6] |",
    ]
    told = loss_table({"Q4_0": loss([True] * 10, [False] * 4 + [True] * 6)}, "F16")
    assert told.splitlines()[-1] == "| Q4_0 | 10 | 4 | 0 | 100.0 [39.8, 100.0] |"
