# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from inferometer.analysis.agreement import Said, Token, agreement, part, survival, without_end


def token(text, p=0.9, other="x", p_other=0.05):
    return Token(text, math.log(p), ((text, math.log(p)), (other, math.log(p_other))))


def said(*texts, is_cut=False, **fields):
    return Said("".join(texts), is_cut, tuple(token(text, **fields) for text in texts))


def test_where_answers_part_is_the_first_token_that_differs():
    parting = part(said("a", "b", "c"), said("a", "y", "c"), by_token=True)
    assert (parting.index, parting.n_compared) == (1, 2)
    assert parting.margin == pytest.approx(math.log(0.9 / 0.05))
    assert len(parting.shifts) == 1, "of the token that the second did not tell nothing is known"


def test_an_answer_that_ends_earlier_parts_at_its_end_unless_it_was_cut():
    assert part(said("a", "b"), said("a", "b", "c"), by_token=True).index == 2
    assert part(said("a", "b", is_cut=True), said("a", "b", "c"), by_token=True).index is None
    assert part(said("a", "b"), said("a", "b"), by_token=True).n_compared == 3, "the end is a place like another"


def test_an_end_that_an_engine_tells_as_a_token_is_no_place_of_its_own():
    with_end = said(" blue", " sky", "<|end|>").tokens
    assert without_end(with_end, "blue sky") == with_end[:2]
    assert without_end(with_end[:2], "blue sky") == with_end[:2]
    assert without_end(with_end, "blue s") == with_end, "what is not the text is not judged"


def test_texts_alone_are_compared_by_characters():
    found = agreement("x", [(Said("blue sky", False), Said("blue sea", False)), (Said("a", False), Said("a", False))])
    assert (found.unit, found.n_parted, found.n_compared) == ("character", 1, 7 + 2)
    assert found.first_index == 6
    assert found.top1.value is None
    assert "log-probabilities" in found.divergence.missing


def test_divergence_is_that_of_the_tokens_told_and_the_rest_as_one():
    parting = part(said("a", p=0.9, p_other=0.05), said("a", p=0.8, p_other=0.1), by_token=True)
    true = 0.9 * math.log(0.9 / 0.8) + 0.05 * math.log(0.05 / 0.1) + 0.05 * math.log(0.05 / 0.1)
    assert parting.divergences == (pytest.approx(true),)
    assert parting.shifts == (pytest.approx(math.log(0.9 / 0.8)),)
    assert part(said("a"), said("a"), by_token=True).divergences == (0.0,)


def test_margins_tell_ties_from_changes():
    tie = (said("a", p=0.46, p_other=0.45), said("b"))
    real = (said("a", p=0.9, p_other=0.05), said("b"))
    found = agreement("x", [tie, real, real])
    assert (found.n_ties, found.n_real) == (1, 2)
    assert found.top1.value == 0.0


def test_more_than_the_floor_is_told_as_a_ratio_or_as_at_least():
    same, other = (said("a", "b"), said("a", "b")), (said("a", "b"), said("a", "c"))
    quiet = agreement("again", [same] * 40)
    loud = agreement("again", [same] * 30 + [other] * 10)
    against = [same] * 20 + [other] * 20
    assert "at least" in agreement("x", against, quiet).over_floor.missing
    ratio = agreement("x", against, loud).over_floor
    assert ratio.lo < 2 < ratio.hi
    assert quiet.over_floor.missing == "this is the floor"


def test_survival_leaves_out_what_ended_before():
    pairs = (
        [(said("a", "b", "c"), said("a", "x", "c"))]
        + [(said("a"), said("a"))] * 2
        + [(said("a", "b", "c"), said("a", "b", "y"))]
    )
    curve = survival([part(*pair, by_token=True) for pair in pairs])
    assert curve == [(1, pytest.approx(3 / 4)), (2, pytest.approx(0.0))]
