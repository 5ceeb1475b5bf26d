# SPDX-License-Identifier: Apache-2.0
"""What is found wrong with token limits, from measurements written by hand; and what is left alone."""

from __future__ import annotations

from inferometer.analysis.effective import Judged, effective_of
from inferometer.analysis.reach import PARTS, Part
from inferometer.analysis.token_limits import Output
from inferometer.analysis.token_limits_findings import findings_of
from inferometer.analysis.window import Trial, Window

REFUSED = Trial(4_096, "refused", None, 400, "the limit is 4096")
HEALTHY = Window(4_096, 4_095, REFUSED, True, 2, [])
CLAMPED = Output(4_064, 64, "shortened", 32, "length", "", True)
WHOLE = Output(32, 4_064, "given", 4_064, "length", "", True)


def parts(n_tokens, **verdicts):
    return [Part(n_tokens, name, 4, 4, 0, verdicts.get(name, "read")) for name in PARTS]


def answers(**shares):
    """`answers(at_512=1.0)`: 100 questions at that length."""
    return effective_of(
        [
            Judged(int(name.removeprefix("at_")), int(name.removeprefix("at_")), 0.5, i < 100 * share)
            for name, share in shares.items()
            for i in range(100)
        ]
    )


def codes(window=HEALTHY, overflow=CLAMPED, outputs=(WHOLE,), reach=(), effective=None):
    return [finding.code for finding in findings_of(window, overflow, outputs, reach, effective)]


def test_a_refusal_and_an_answer_that_ends_with_the_window_are_no_faults():
    assert codes(reach=parts(3_800), effective=answers(at_512=1.0, at_3800=0.97)) == []


def test_a_prompt_that_is_cut_without_a_word_is_wrong_and_what_is_lost_is_named():
    window = Window(4_096, 1_700, Trial(1_701, "cut", 1_700), True, 4, [])
    (found,) = findings_of(window, None, [WHOLE], parts(2_550, head="lost"), None)
    assert (found.code, found.level, found.figure.value) == ("prompt_cut_silently", "wrong", 1_700)
    assert "loses the head of it" in found.claim
    assert "1,701 tokens sent, 1,700 counted" in found.shown_by
    assert found.bound.value == 4_096


def test_a_part_that_is_lost_but_counted_is_found_and_not_blamed_on_the_model():
    reach = [*parts(3_800, middle="lost"), *parts(2_047)]
    (found,) = findings_of(HEALTHY, CLAMPED, [WHOLE], reach, answers(at_512=1.0, at_3800=0.4))
    assert (found.code, found.level) == ("middle_lost", "wrong")
    assert (found.figure.lo, found.figure.hi) == (2_047, 3_800)
    assert "16" not in found.shown_by
    assert "4 of 4 pairs" in found.shown_by


def test_an_answer_that_is_cut_while_the_window_has_room_is_wrong():
    short = Output(32, 4_064, "shortened", 300, "length", "", True)
    assert codes(outputs=[short]) == ["answers_cut_silently"]
    assert codes(overflow=Output(4_064, 64, "shortened", 10, "length", "", True)) == ["answers_cut_silently"]
    assert codes(outputs=[Output(32, 4_064, "ended", 300, "stop")]) == [], "the model may end what is not forced"
    assert codes(outputs=[Output(32, 4_128, "shortened", 4_064, "length", "", True)]) == []


def test_a_limit_below_the_one_told_is_bad_and_one_token_less_is_not():
    lower = Window(4_096, 2_000, Trial(2_001, "refused", None, 400, "no"), True, 20, [])
    (found,) = findings_of(lower, None, [], (), None)
    assert (found.code, found.remedy.settings) == ("less_than_advertised", ()), "what is told already need not be set"
    assert codes(window=Window(4_096, 4_064, REFUSED, True, 9, [])) == []


def test_a_prompt_that_brings_it_down_is_wrong():
    lost = Window(None, 1_024, Trial(4_096, "lost", None, 0, "cut off"), False, 2, [], "undecided")
    assert codes(window=lost, overflow=None, outputs=[]) == ["no_answer_when_too_long"]


def test_answers_that_fall_within_the_window_are_the_models_own():
    reach = parts(3_800, head="reaches", middle="reaches")
    (found,) = findings_of(HEALTHY, CLAMPED, [WHOLE], reach, answers(at_512=1.0, at_1024=0.6))
    assert (found.code, found.level) == ("effective_shorter_than_window", "bad")
    assert (found.figure.value, found.figure.hi) == (512, 1_024)
    assert "up to 512 tokens and fall to 60 % at 1,024" in found.claim


def test_what_cannot_be_told_is_no_finding():
    assert codes(effective=answers(at_512=1.0, at_1024=0.88)) == []
    assert codes(effective=answers(at_512=0.0)) == []
    assert codes(reach=parts(3_800, middle="cannot tell")) == []
