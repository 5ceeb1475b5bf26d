# SPDX-License-Identifier: Apache-2.0
"""What a choice comes to: the verdict, the state of each candidate, the flips, and the paragraph that says so."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from tests.analysis.turns import point, terms, turns

from inferometer.analysis.alike import alike_share, same_share
from inferometer.analysis.candidate import Course, Entry
from inferometer.analysis.choice import Choice, LeftOut, Workload
from inferometer.analysis.conclude import Asked, conclude
from inferometer.analysis.turn import Turn

ASKED = Asked(
    (Workload("default", "128", "uniform:32-64", 0, ""), Workload("long", "1024", "64", 0, "")),
    "concurrency",
    "ttft<500ms",
    "",
    "",
    8.0,
    2.0,
    600.0,
    "inferometer choose a b",
    "2026-11-30T10:00:00+00:00",
)


def chosen(all_turns, n, *, loads=(4.0,), dropped=None, left_out=(), stopped="everything is settled", **changes):
    entries = changes.pop("entries", [Entry(name, "started", name) for name in "abcdef"[:n]])
    live = sorted({turn.candidate for turn in all_turns if turn.round > 0})
    n_rounds = max((turn.round for turn in all_turns), default=0)
    course = Course(all_turns, dropped or {}, n_rounds, 10.0 * len(all_turns), 10.0 * len(live), stopped)
    found = conclude(entries, left_out, terms(n, loads=loads, **changes), ASKED, course, host={}, versions={})
    assert msgspec.json.decode(msgspec.json.encode(found), type=Choice) == found
    return found


def states(found):
    return {one.name: one.state for one in found.candidates}


def test_a_winner():
    found = chosen(turns(0, {4.0: 10.0}, 6) + turns(1, {4.0: 7.0}, 6) + turns(2, {4.0: 5.0}, 3), 3, dropped={2: 3})
    assert (found.verdict, found.preferred) == ("prefer", "a")
    assert states(found) == {"a": "preferred", "b": "worse", "c": "worse"}
    assert found.answer.startswith("Prefer a: ")
    assert "1.43 times [" in found.answer
    assert "as much as b, and more than that ahead of one other" in found.answer
    assert "No other was ahead within half the limits, within twice the limits." in found.answer
    assert found.answer.endswith("To repeat: inferometer choose a b")
    assert found.candidates[2].dropped_after == 3


def test_a_tie_is_no_choice():
    found = chosen(turns(0, {4.0: 10.0}, 8) + turns(1, {4.0: 10.0}, 8), 2)
    assert found.verdict == "same"
    assert found.answer.startswith("Nothing separates ")
    assert "they are the same within 5 %" in found.answer
    assert set(states(found).values()) == {"preferred", "same"}


def test_too_little_is_told_with_how_much_more_it_takes():
    found = chosen(turns(0, {4.0: 10.0}, 3) + turns(1, {4.0: 9.7}, 3), 2, stopped="the budget is spent")
    assert found.verdict == "cannot tell"
    (other,) = (one for one in found.candidates if one.state == "open")
    assert other.more_rounds > 3
    assert found.more_s == pytest.approx((other.more_rounds - 3) * 20.0)
    assert "would settle it in 9 of 10 cases" in found.answer


def test_what_more_rounds_would_not_settle_is_not_said_to_be_settled_by_them():
    """b needs more rounds; c differs so much from round to round that no number can be planned for."""
    wild = [Turn(2, i + 1, (point(9.9 * (3.0 if i % 2 else 1 / 3)),)) for i in range(3)]
    found = chosen(turns(0, {4.0: 10.0}, 3) + turns(1, {4.0: 9.7}, 3) + wild, 3, stopped="the budget is spent")
    assert states(found) == {"a": "preferred", "b": "open", "c": "open"}
    assert found.candidates[1].more_rounds > 3
    assert found.candidates[2].more_rounds is None
    assert found.more_s is None
    assert "to say how many more would settle it." in found.answer


def test_rounds_in_which_only_one_could_be_read_do_not_count_towards_what_is_needed():
    late = [replace(turn, points=(point(9.7, is_spoiled=True),)) for turn in turns(1, {4.0: 9.7}, 5)[3:]]
    found = chosen(turns(0, {4.0: 10.0}, 5) + turns(1, {4.0: 9.7}, 3) + late, 2, stopped="the budget is spent")
    assert found.more_s == pytest.approx((found.candidates[1].more_rounds - 3) * 20.0)


def test_two_rounds_have_no_interval():
    found = chosen(turns(0, {4.0: 10.0}, 2) + turns(1, {4.0: 5.0}, 2), 2)
    assert found.verdict == "cannot tell"
    assert "2 times [no interval yet]" in found.answer
    assert "An interval needs 3 rounds" in found.answer


def test_none_that_keeps_the_limits():
    found = chosen([Turn(0, 1, (point(5.0, share=0.8),)), Turn(1, 1, (point(9.0, share=0.3),))], 2)
    assert (found.verdict, found.preferred) == ("none", "")
    assert "None keeps ttft<500ms for 95 % of the requests at 4 in flight; the nearest is a with 80 %" in found.answer
    assert states(found) == {"a": "misses", "b": "misses"}


def misses(candidate, goodput, n_rounds, share):
    return [Turn(candidate, i + 1, (point(goodput, share=share),)) for i in range(n_rounds)]


def test_the_one_that_keeps_the_limits_is_not_preferred_while_a_faster_one_may_keep_them_too():
    found = chosen(turns(0, {4.0: 3.2}, 4) + misses(1, 4.0, 4, 0.945), 2, stopped="the budget is spent")
    assert found.verdict == "cannot tell"
    assert states(found) == {"a": "preferred", "b": "open"}
    assert "of b at most 94.5 % of its requests are within the limits, and that it misses them is not" in found.answer
    assert "More rounds may settle it: give more --budget." in found.answer


def test_a_preferred_one_at_the_edge_of_the_limits_says_so():
    sure, edge = (chosen(misses(0, 4.0, 4, share) + turns(1, {4.0: 2.0}, 4), 2) for share in (0.99, 0.955))
    assert sure.preferred == edge.preferred == "a"
    assert "not yet sure" not in sure.answer
    assert "That a keeps the limits is not yet sure: 95.5 % [94.4, 96.4] of its requests were within" in edge.answer


def test_a_slower_one_that_may_keep_the_limits_changes_nothing():
    found = chosen(turns(0, {4.0: 4.0}, 4) + misses(1, 2.0, 4, 0.945), 2)
    assert (found.verdict, found.preferred) == ("prefer", "a")
    assert "b misses the limits at 4 in flight, though that is not yet sure." in found.answer


def test_one_that_was_dropped_by_one_that_then_missed_the_limits_is_not_forgotten():
    found = chosen(turns(0, {4.0: 3.2}, 3) + misses(1, 4.0, 5, 0.945), 2, dropped={0: 3})
    assert (found.verdict, found.preferred) == ("cannot tell", "a")
    assert states(found) == {"a": "preferred", "b": "open"}


def test_nothing_at_all():
    assert chosen([], 0).answer.startswith("None: no candidate could be tried.")


def test_who_failed_says_why_and_is_never_preferred():
    found = chosen([*turns(0, {4.0: 5.0}, 4), replace(turns(1, {4.0: 50.0}, 1)[0], failed="its server ended")], 2)
    assert found.preferred == "a"
    assert states(found)["b"] != "preferred"


def test_who_was_ahead_and_failed_is_neither_open_nor_where_it_flips():
    ahead = turns(0, {1.0: 2.0, 4.0: 4.0}, 2)
    ahead[-1] = replace(ahead[-1], failed="its server ended at 4 in flight")
    found = chosen(ahead + turns(1, {1.0: 1.5, 4.0: 3.0}, 5), 2, loads=(1.0, 4.0))
    assert (found.verdict, found.preferred) == ("prefer", "b")
    assert states(found) == {"a": "failed", "b": "preferred"}
    assert found.candidates[0].ratio.value > 1.3
    assert "a failed: its server ended at 4 in flight." in found.answer
    assert "no other can be held against it" in found.answer
    assert "flip" not in found.answer


def test_who_never_started_failed():
    found = chosen([*turns(0, {4.0: 5.0}, 4), Turn(1, 1, (), failed="it did not start")], 2)
    assert states(found)["b"] == "failed"
    assert "b failed: it did not start." in found.answer


def test_a_flip_is_told_with_its_place():
    two = turns(0, {1.0: 2.0, 4.0: 10.0}, 8) + turns(1, {1.0: 2.6, 4.0: 7.0}, 8)
    found = chosen(two, 2, loads=(1.0, 4.0))
    assert [place.title for place in found.places if place.flips_to] == ["at 1 in flight"]
    assert "The answer flips at 1 in flight, where b is 1.30 times [" in found.answer


def test_what_was_not_tried_is_told():
    out = [LeftOut("vllm", "it is not installed", "install it")]
    found = chosen(turns(0, {4.0: 10.0}, 4), 1, left_out=out)
    assert "it was the only one to try" in found.answer
    assert "Not tried: vllm (it is not installed)." in found.answer


def test_a_price_is_per_thousand_requests():
    entries = [Entry("a", "started", "a", price_per_h=3.6), Entry("b", "started", "b", price_per_h=36.0)]
    found = chosen(turns(0, {4.0: 10.0}, 5) + turns(1, {4.0: 20.0}, 5), 2, entries=entries, divisors=(3.6, 36.0))
    assert found.preferred == "a"
    assert found.figure == "goodput per price"
    assert found.candidates[0].cost.value == pytest.approx(0.1, rel=0.05)
    assert found.candidates[0].cost.lo < 0.1 < found.candidates[0].cost.hi


def test_a_score_can_be_reckoned_again_from_its_parts():
    weights = {"throughput": 0.75, "start": 0.25}
    slow = turns(1, {4.0: 12.0}, 6, start_s=40.0)
    found = chosen(turns(0, {4.0: 10.0}, 6) + slow, 2, weights=weights)
    assert found.preferred == "a"
    for one in found.candidates:
        product = 1.0
        for part in one.parts:
            product *= part.share**part.weight
        assert one.score == pytest.approx(product)
    assert found.candidates[1].parts[1].share == pytest.approx(2 / 40)


def test_answers_are_held_against_the_preferred_one_and_against_themselves():
    a = [replace(turn, answers=("one two", "three")) for turn in turns(0, {4.0: 10.0}, 4)]
    b = [replace(turn, answers=("one too", "three")) for turn in turns(1, {4.0: 5.0}, 4)]
    found = chosen(a + b, 2)
    assert found.candidates[0].answers.same == 1.0
    assert found.candidates[1].answers.same == 0.5
    assert found.candidates[1].answers.alike == pytest.approx((5 / 7 + 1) / 2)
    assert found.candidates[1].answers.own == 1.0


def test_agreement_of_texts():
    assert same_share(["a", "b"], ["a", "c"]) == 0.5
    assert alike_share(["abcd"], ["abXd"]) == 0.5
    assert alike_share(["", "x"], ["", "x"]) == 1.0
    assert alike_share([""], ["x"]) == 0.0
