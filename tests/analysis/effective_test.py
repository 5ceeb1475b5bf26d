# SPDX-License-Identifier: Apache-2.0
"""The effective length and its interval, the sag in the middle, and what is best kept, from answers written by hand."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from inferometer.analysis.cutting import STRATEGIES, cutting_of
from inferometer.analysis.effective import RULER_SHARE, Judged, difference, effective_of, paired_difference
from inferometer.stats import Estimate

DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def judged(size, n_right, n=100):
    return [Judged(size, size - 3, DEPTHS[i % 5], i < n_right) for i in range(n)]


def test_the_effective_length_is_the_longest_that_holds_and_ends_before_the_first_that_fails():
    found = effective_of([*judged(256, 100), *judged(512, 96), *judged(1_024, 88), *judged(2_048, 60)])
    assert [one.verdict for one in found.lengths] == ["holds", "holds", "undecided", "fails"]
    assert (found.length.value, found.length.lo, found.length.hi) == (509, 509, 2_045)
    assert found.threshold == RULER_SHARE
    assert [cell.n for cell in found.lengths[0].cells] == [20] * 5


def test_without_a_length_that_fails_the_interval_has_no_upper_end():
    found = effective_of([*judged(256, 100), *judged(512, 100)])
    assert (found.length.value, found.length.hi) == (509, None)


def test_a_longer_length_that_holds_again_is_not_the_effective_one():
    found = effective_of([*judged(256, 100), *judged(512, 50), *judged(1_024, 100)])
    assert (found.length.value, found.length.hi) == (253, 509)


def test_a_model_too_weak_for_the_threshold_is_held_against_itself():
    found = effective_of([*judged(256, 60), *judged(512, 60), *judged(1_024, 20)])
    assert found.threshold == pytest.approx(0.54)
    assert found.lengths[-1].verdict == "fails"
    assert found.length.value is None, "60 of 100 are not shown to be above 54 %"
    many = effective_of([*judged(256, 600, 1000), *judged(512, 600, 1000), *judged(1_024, 200, 1000)])
    assert (many.length.value, many.length.hi) == (509, 1_021)


def test_a_model_that_answers_nothing_right_has_none():
    found = effective_of(judged(256, 0))
    assert found.threshold is None
    assert found.length.missing == "no answer is right at the shortest length"


def test_questions_without_an_answer_say_nothing_of_the_model():
    refused = [Judged(512, None, 0.5, False, is_answered=False)] * 50
    found = effective_of([*judged(256, 100), *judged(512, 100), *refused])
    last = found.lengths[-1]
    assert (last.n_asked, last.n, last.verdict) == (150, 100, "holds")


def test_the_sag_is_the_share_at_the_ends_less_that_between():
    rows = [Judged(512, 512, depth, depth in (0.0, 1.0)) for depth in DEPTHS for _ in range(20)]
    sag = effective_of(rows).sag
    assert sag.value == 1.0
    assert sag.lo > 0.8


def test_intervals_of_differences_cover_what_they_say():
    rng = random.Random(7)
    n_in = {"independent": 0, "paired": 0}
    for _ in range(400):
        common = [rng.random() for _ in range(60)]
        a = np.array([x < 0.8 if rng.random() < 0.7 else rng.random() < 0.8 for x in common], float)
        b = np.array([x < 0.6 if rng.random() < 0.7 else rng.random() < 0.6 for x in common], float)
        for name, found in (("paired", paired_difference(a, b, "items")), ("independent", difference(a, b, "items"))):
            assert isinstance(found, Estimate)
            n_in[name] += found.lo <= 0.2 <= found.hi
    assert 0.92 < n_in["paired"] / 400 < 0.99
    assert n_in["independent"] / 400 > 0.95, "it does not know that pairs belong together"


def test_what_is_best_kept_is_told_only_where_pairs_show_it():
    tail = [True] * 45 + [False] * 55
    both = [True] * 40 + [False] * 60
    head = [False] * 100
    found = cutting_of(dict(zip(STRATEGIES, (head, tail, both), strict=True)), n_from=800, n_to=400)
    assert found.best == ["keep tail"], "five pairs differ, and all for the tail"
    close = cutting_of({"keep tail": tail, "keep both ends": tail[::-1]}, n_from=800, n_to=400)
    assert close.best == ["keep tail", "keep both ends"]
    assert math.isclose(close.kept[0].share.value, 0.45)
