# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from inferometer.tasks import Split, Task, Turn, is_right, majority_answer, make_item


@pytest.mark.parametrize("text", ["Velka", " Velka", "velka", "VELKA.", "  Velka .\n", "Velka.\n"])
def test_blanks_at_the_ends_one_full_stop_and_case_are_forgiven(text):
    assert is_right("Velka", text)


@pytest.mark.parametrize(
    "text", ["", ".", "Velka..", "Vel ka", "Velk", "Velkas", "It is Velka.", "Velka, Velka", "Velka!", '"Velka"']
)
def test_nothing_else_is(text):
    assert not is_right("Velka", text)


def test_copies_need_every_word_in_order_with_single_blanks():
    assert is_right("one two 3", "One two 3.")
    assert not any(
        is_right("one two 3", text) for text in ("one  two 3", "two one 3", "one two", "one, two, 3", "one\ntwo 3")
    )


def test_numbers_are_text():
    assert is_right("48", "48.")
    assert not any(is_right("48", text) for text in ("048", "48.0", "4 8", "forty-eight"))


def test_turns_and_items_are_scored_by_their_answers():
    item = make_item(Task.GROUNDED, Split.HELD_OUT, 1, 0, n_facts=4)
    assert is_right(item, item.answer)
    assert is_right(item.turn, item.answer)
    assert is_right(Turn("Where?", "unknown", Task.UNKNOWN), "Unknown.")
    assert not is_right(item, "unknown")


def test_the_commonest_answer():
    assert majority_answer(["a", "b", "b", "a", "c"]) == "a"
    with pytest.raises(ValueError, match="no answers"):
        majority_answer([])
