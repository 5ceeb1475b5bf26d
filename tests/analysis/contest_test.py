# SPDX-License-Identifier: Apache-2.0
"""Who is ahead: figures at the best load, ratios round by round, and where another one is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from tests.analysis.turns import point, terms, turns

from inferometer.analysis.contest import CHOICE, Sheet, Where, alpha_of, gap_of, mean_of, stand
from inferometer.analysis.places import flip_of, leads, places_of
from inferometer.analysis.turn import ASKED, LOOSE, TIGHT, Held, Turn
from inferometer.stats import Missing


def test_a_candidate_stands_at_its_best_load_within_the_limits():
    misses = replace(point(9.0, load=16.0, share=0.9))
    sheet = Sheet(terms(1, loads=(1.0, 4.0, 16.0)), [Turn(0, 1, (point(2.0, load=1.0), point(5.0), misses))])
    assert sheet.best(0, CHOICE) == Where(0, 4.0)
    assert sheet.figure(0) == {1: pytest.approx(math.log(5.0))}


def test_who_misses_the_limits_at_every_load_has_no_figure_and_is_shown_to():
    sheet = Sheet(terms(1), [Turn(0, 1, (point(5.0, share=0.8),))])
    figure = sheet.figure(0)
    assert isinstance(figure, Missing)
    assert figure.reason == "at most 80 % of its requests are within the limits"
    assert sheet.is_beyond(0, CHOICE, 0.01)
    assert not Sheet(terms(1), [Turn(0, 1, (point(5.0, share=0.94),))]).is_beyond(0, CHOICE, 0.01)


def test_a_round_without_any_request_within_the_limits_is_no_place_to_stand():
    sheet = Sheet(terms(1), [Turn(0, 1, (point(5.0),)), Turn(0, 2, (point(0.0),))])
    assert isinstance(sheet.figure(0), Missing)


def test_what_the_client_spoiled_counts_for_nothing():
    sheet = Sheet(terms(1), [Turn(0, 1, (point(5.0),)), Turn(0, 2, (point(50.0, is_spoiled=True),))])
    assert sheet.goodput(0, Where(0, 4.0)) == {1: 5.0}


def test_rounds_are_pairs_so_that_a_drift_cancels():
    """The machine swings by 20 %, the two differ by 10 % in every round."""
    sheet = Sheet(terms(2), turns(0, {4.0: 11.0}, 6) + turns(1, {4.0: 10.0}, 6))
    standing = stand(sheet, among=[0, 1], alpha=alpha_of(2))
    assert standing.leader == 0
    gap = standing.gaps[1]
    assert gap.n == 6
    assert math.exp(gap.mean) == pytest.approx(10 / 11, rel=0.01)
    assert gap.word(0.05) == "worse"
    assert gap.lo < math.log(10 / 11) < gap.hi < 0


def test_words_of_a_gap():
    values = {i: 0.001 * (-1) ** i for i in range(1, 9)}
    same = gap_of(values, dict.fromkeys(values, 0.0), 0.05)
    assert same.word(0.05) == "same"
    two = gap_of({1: 0.5, 2: 0.5}, {1: 0.0, 2: 0.0}, 0.05)
    assert (two.word(0.05), two.lo, two.hi) == ("open", -math.inf, math.inf)
    assert two.ratio(0.05).value == pytest.approx(math.exp(0.5))
    assert not two.ratio(0.05).is_bounded


def test_what_was_measured_elsewhere_is_no_pair():
    here = {1: math.log(10), 2: math.log(10.2), 3: math.log(9.9)}
    there = {0: math.log(20), -1: math.log(20.2), -2: math.log(19.8)}
    gap = gap_of(there, here, 0.05)
    assert gap.differences is None
    assert gap.word(0.05) == "better"
    assert gap_of({0: 1.0}, here, 0.05).word(0.05) == "open"


def test_goodput_is_per_device_or_per_price():
    sheet = Sheet(terms(2, divisors=(1.0, 4.0)), turns(0, {4.0: 10.0}, 4) + turns(1, {4.0: 30.0}, 4))
    assert stand(sheet, among=[0, 1], alpha=0.05).leader == 0


def test_weights_are_powers_of_ratios():
    quick = [replace(turn, points=(point(8.0, measures={"ttft": 0.05}),)) for turn in turns(0, {4.0: 1.0}, 4)]
    strong = [replace(turn, points=(point(10.0, measures={"ttft": 0.1}),)) for turn in turns(1, {4.0: 1.0}, 4)]
    sheet = Sheet(terms(2, weights={"throughput": 0.75, "ttft": 0.25}), quick + strong)
    a, b = sheet.figure(0), sheet.figure(1)
    assert not isinstance(a, Missing)
    assert not isinstance(b, Missing)
    assert math.exp(mean_of(a) - mean_of(b)) == pytest.approx(0.8**0.75 * 2**0.25)


def test_what_is_weighed_must_be_known():
    sheet = Sheet(terms(1, weights={"throughput": 0.5, "ease": 0.5}), turns(0, {4.0: 1.0}, 2))
    figure = sheet.figure(0)
    assert isinstance(figure, Missing)
    assert "ease = 0.8" in figure.reason


def test_places_are_loads_other_lengths_and_other_limits():
    assert places_of(terms(2, loads=(1.0, 4.0), n_workloads=2)) == [
        Where(0, 1.0),
        Where(0, 4.0),
        Where(1),
        Where(0, None, TIGHT),
        Where(0, None, LOOSE),
    ]


def test_a_flip_with_the_load_is_found():
    two = turns(0, {1.0: 2.0, 4.0: 10.0}, 6) + turns(1, {1.0: 2.6, 4.0: 7.0}, 6)
    sheet = Sheet(terms(2, loads=(1.0, 4.0)), two)
    found = leads(sheet, Where(0, 1.0), 0)
    assert [(lead.candidate, lead.is_shown) for lead in found] == [(1, True)]
    assert flip_of(leads(sheet, Where(0, 4.0), 0)) is None


def test_who_keeps_tighter_limits_that_the_preferred_one_misses_is_a_flip():
    def held(tight_share):
        return {
            TIGHT: Held(5.0, 400, round(400 * tight_share), 400.0),
            ASKED: Held(10.0, 400, 400, 400.0),
            LOOSE: Held(10.0, 400, 400, 400.0),
        }

    rounds = [
        Turn(k, i, (replace(point(10.0 - k), held=held(share)),))
        for k, share in ((0, 0.5), (1, 1.0))
        for i in (1, 2, 3)
    ]
    (lead,) = leads(Sheet(terms(2), rounds), Where(0, None, TIGHT), 0)
    assert (lead.candidate, lead.gap, lead.is_shown) == (1, None, True)
