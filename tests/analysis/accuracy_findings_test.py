# SPDX-License-Identifier: Apache-2.0
"""From judged answers to findings: each rule with answers that call for it, and with those that do not."""

from __future__ import annotations

from dataclasses import replace

from inferometer.analysis.accuracy import Against, Mark, change, only_changed_in_second, right_of_whole
from inferometer.analysis.accuracy_findings import Evidence, findings_of
from inferometer.analysis.agreement import Said, Token, agreement
from inferometer.analysis.hallucination import Judged, hallucination

N = 100
WAYS = ("alone", "8 in flight")


def marks(n_wrong=0, text="w", *, is_ok=True, is_of_another=False):
    """N answers, of which the first are wrong."""
    wrong = [Mark("grounded", f"{text}{i}", False, is_ok, is_of_another) for i in range(n_wrong)]
    return wrong + [Mark("grounded", f"a{i}", True, True, False) for i in range(n_wrong, N)]


def invented(n_invented, n_refused=0):
    told = [Judged(True, "right", True, 5)] * (50 - n_refused) + [Judged(True, "abstained", False, 7)] * n_refused
    untold = [Judged(False, "wrong", True, 5)] * n_invented + [Judged(False, "abstained", False, 7)] * (50 - n_invented)
    return hallucination("made-up facts", told + untold)


def said(text, p, rival):
    return Said(text, False, (Token(text, p, ((text, p), ("x", rival))),))


FLOOR = agreement("itself, alone", [(said("a", -0.1, -3.0), said("a", -0.1, -3.0))] * 40)


def seen(alone=None, again=None, loaded=None, **more):
    alone, again, loaded = (marks() if each is None else each for each in (alone, again, loaded))
    n_load, n_again = only_changed_in_second(alone, again, loaded)
    return Evidence(
        concurrency=8,
        understood=right_of_whole(alone),
        right=right_of_whole(alone),
        again=change(("alone", "again"), alone, again),
        load=change(WAYS, alone, loaded),
        n_load_only=n_load,
        n_again_only=n_again,
        floor=more.get("floor", FLOOR),
        under_load=more.get("under_load"),
        hallucination=more.get("hallucination", invented(0)),
        against=more.get("against"),
    )


def codes(evidence):
    return [finding.code for finding in findings_of(evidence)]


def test_what_is_as_it_should_be_has_no_finding():
    assert codes(seen()) == []
    assert codes(seen(hallucination=invented(3, 3))) == []


def test_fewer_right_under_load_is_wrong_and_a_few_by_chance_are_not():
    (found,) = findings_of(seen(loaded=marks(12)))
    assert (found.code, found.level) == ("answers_change_under_load", "wrong")
    assert "12 of 100 answers are others with 8 in flight" in found.claim
    assert "depends on the requests beside it" in found.cause
    assert found.figure.hi < 0
    assert codes(seen(loaded=marks(3))) == []


def test_the_cause_is_what_became_of_the_answers():
    lost, mixed = marks(12, "", is_ok=False), marks(12, is_of_another=True)
    assert "lost: 12 of the 12" in findings_of(seen(loaded=lost))[0].cause
    assert "mixed up: 12 of the 12" in findings_of(seen(loaded=mixed))[0].cause


def test_other_answers_as_right_as_before_are_fair_where_all_were_ties():
    alone = [replace(mark, is_right=False) if i < 12 else mark for i, mark in enumerate(marks(12))]
    loaded = [replace(mark, text="z") if i < 12 else mark for i, mark in enumerate(alone)]
    ties = agreement("busy", [(said("a", -0.7, -0.71), said("b", -0.7, -0.71))] * 12)
    clear = agreement("busy", [(said("a", -0.1, -3.0), said("b", -0.7, -0.71))] * 12)
    assert [(f.code, f.level) for f in findings_of(seen(alone, alone, loaded, under_load=ties))] == [
        ("answers_change_under_load", "fair")
    ]
    assert findings_of(seen(alone, alone, loaded, under_load=clear))[0].level == "bad"
    (untold,) = findings_of(seen(alone, alone, loaded))
    assert (untold.level, "was not measured" in untold.cause) == ("fair", True)
    mixed = [replace(mark, is_of_another=True) for mark in loaded]
    assert findings_of(seen(alone, alone, mixed))[0].level == "bad", "whose answer it is needs no margin"


def test_what_an_engine_does_to_itself_alone_is_not_blamed_on_load():
    noisy = [replace(mark, text=f"{mark.text}?") if i % 3 == 0 else mark for i, mark in enumerate(marks())]
    other = [replace(mark, text=f"{mark.text}!") if i % 3 == 1 else mark for i, mark in enumerate(marks())]
    assert codes(seen(again=noisy, loaded=other)) == ["answers_not_repeated"]


def test_who_does_not_repeat_itself_is_bad_only_beyond_rounding():
    noisy = [replace(mark, text=f"{mark.text}?") if i % 3 == 0 else mark for i, mark in enumerate(marks())]
    ties = agreement("itself", [(said("a", -0.7, -0.71), said("b", -0.7, -0.71))] * 12)
    clear = agreement("itself", [(said("a", -0.1, -3.0), said("b", -0.7, -0.71))] * 12)
    words = agreement("itself", [(Said("a", False), Said("b", False))] * 12)
    found = [findings_of(seen(again=noisy, floor=floor))[0] for floor in (ties, clear, words, None)]
    assert [finding.code for finding in found] == ["answers_not_repeated"] * 4
    assert [finding.level for finding in found] == ["fair", "bad", "fair", "fair"]
    assert "as good as equal" in found[0].cause
    assert "by more than rounding" in found[1].cause
    assert "was not measured" in found[2].cause


def test_inventions_are_told_with_where_they_come_from():
    (found,) = findings_of(seen(hallucination=invented(15)))
    assert (found.code, found.level) == ("invents_answers", "wrong")
    assert "takes something else from it" in found.cause
    assert "30.0 % of the questions that the text does not answer" in found.claim


def test_refusing_what_is_told_is_bad():
    assert codes(seen(hallucination=invented(0, 20))) == ["refuses_what_is_told"]


def test_of_who_understands_nothing_no_invention_is_told():
    wrong = marks(90)
    assert codes(seen(wrong, wrong, wrong, hallucination=invented(50))) == ["mostly_wrong"]


def test_answers_that_were_cut_or_failed_say_nothing_of_the_model():
    thinking = [replace(mark, is_cut=True) for mark in marks(100)]
    failed = [replace(mark, is_ok=False) for mark in marks(90)]
    for broken in (thinking, failed):
        assert codes(seen(broken, broken, broken, hallucination=None)) == []
    assert "100 of 100 answers failed or were cut" in right_of_whole(thinking).missing
    few = [replace(mark, is_cut=i < 10) for i, mark in enumerate(marks(10))]
    assert right_of_whole(few).value == 1.0


def against(theirs, n_same_prompts=N, n_other=0):
    same = said("a", -0.1, -3.0)
    pairs = [(same, same)] * (40 - n_other) + [(same, said("b", -0.1, -3.0))] * n_other
    return Against(
        target="other",
        engine={},
        change=change(("this one", "other"), marks(10), theirs),
        agreement=agreement("other", pairs, FLOOR),
        n_same_prompts=n_same_prompts,
        n_prompts=N,
        differs=["model q4 and f16"],
    )


def test_another_that_is_right_more_often_is_told_with_what_differs():
    alone = marks(10)
    better = [replace(mark, is_right=True, text=f"a{i}") for i, mark in enumerate(alone)]
    (found,) = findings_of(seen(alone, alone, alone, against=against(better)))
    assert (found.code, found.level) == ("less_right_than_other", "bad")
    assert "10 of 100 answers" in found.claim
    assert "model q4 and f16" in found.cause
    worse = marks(40)
    assert codes(seen(alone, alone, alone, against=against(worse))) == ["more_right_than_other"]


def test_other_words_alone_are_worth_knowing_and_another_template_is_the_first_suspect():
    alone = marks(10)
    (found,) = findings_of(seen(alone, alone, alone, against=against(alone, n_same_prompts=60, n_other=8)))
    assert (found.code, found.level) == ("differs_from_other", "fair")
    assert "another chat template" in found.cause
    assert codes(seen(alone, alone, alone, against=against(alone, n_other=2))) == []
