# SPDX-License-Identifier: Apache-2.0
"""Which parts of a prompt are said to reach the model, from pairs of answers."""

from __future__ import annotations

import pytest

from inferometer.analysis.reach import PARTS, Pair, parts_of


def pairs(part, n_same, n_different, n_found=0, n_tokens=1_000):
    made = [Pair(n_tokens, part, True, 0)] * n_same + [Pair(n_tokens, part, False, 0)] * n_different
    return [Pair(n_tokens, part, pair.is_same, n_found) for pair in made]


SENSITIVE = [pair for part in PARTS for pair in pairs(part, 0, 4, n_found=2, n_tokens=100)]


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (pairs("middle", 4, 0), "lost"),
        (pairs("middle", 0, 4, n_found=2), "read"),
        (pairs("middle", 3, 1), "reaches"),
        (pairs("middle", 1, 0), "cannot tell"),  # one pair is no proof
    ],
)
def test_a_part_is_lost_when_nothing_that_stands_there_makes_a_difference(seen, verdict):
    (part,) = parts_of(seen, SENSITIVE)
    assert (part.part, part.verdict, part.n_pairs) == ("middle", verdict, len(seen))


def test_without_a_short_prompt_in_which_it_makes_a_difference_nothing_is_lost():
    same = pairs("head", 4, 0)
    assert parts_of(same, [])[0].verdict == "cannot tell"
    assert parts_of(same, pairs("head", 1, 3, n_tokens=100))[0].verdict == "cannot tell"
    assert parts_of(same, pairs("tail", 0, 4, n_tokens=100))[0].verdict == "cannot tell"


def test_a_model_that_answers_wrongly_is_no_reason_for_lost():
    wrong = [pair for part in PARTS for pair in pairs(part, 0, 4)]
    assert {part.verdict for part in parts_of(wrong, wrong)} == {"reaches"}


def test_pairs_without_an_answer_count_for_nothing():
    gone = [Pair(1_000, "tail", True, 0, is_answered=False)] * 4
    assert parts_of(gone, SENSITIVE) == []
