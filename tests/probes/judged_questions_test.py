# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from inferometer.probes.explain.judged_questions import JudgedQuestion, commonest, free, made, marks, own
from inferometer.tasks import Task
from inferometer.tasks.own import OwnQuestion

ALL = tuple(Task)


def test_the_same_seed_asks_the_same_and_tasks_take_turns():
    asked = made(ALL, 10, 3, n_tokens=None, count=None)
    assert asked == made(ALL, 10, 3, n_tokens=None, count=None)
    assert asked != made(ALL, 10, 4, n_tokens=None, count=None)
    assert [question.task for question in asked[:5]] == list(Task)
    assert free(4, 3) == free(4, 3)


def test_prompts_of_a_length_are_as_long_as_they_are_counted():
    asked = made((Task.GROUNDED,), 10, 3, n_tokens=200, count=lambda text: len(text.split()))
    assert all(170 < len(question.prompt.split()) <= 200 for question in asked)


def test_an_answer_is_right_wrong_or_an_abstention():
    told = JudgedQuestion(Task.GROUNDED, "p", ("Garval",), "Text: Soga lives in Garval. Goli lives in Ravin.", "Ravin")
    assert (told.judged(" garval.").verdict, told.judged("unknown").verdict) == ("right", "abstained")
    wrong = told.judged("Ravin")
    assert (wrong.verdict, wrong.is_in_text) == ("wrong", True)
    untold = JudgedQuestion(Task.UNKNOWN, "p", (), told.text, "Ravin")
    assert untold.is_right("The text does not say.")
    assert untold.judged("unknown").verdict == "abstained"
    made_up = untold.judged("Velka")
    assert (made_up.verdict, made_up.is_in_text, made_up.is_told) == ("wrong", False, False)
    assert not untold.judged("").is_in_text


def test_an_answer_to_another_question_is_known_as_that():
    one = JudgedQuestion(Task.COPYING, "p", ("fox boxing",), "", None)
    two = JudgedQuestion(Task.GROUNDED, "q", ("Garval",), "Text: Soga lives in Garval.", None)
    found = marks([one, two], [("Garval", True, False), ("Garval", True, False)])
    assert [(mark.is_right, mark.is_of_another) for mark in found] == [(False, True), (True, False)]
    failed = marks([one, two], [("fox boxing", False, False), ("", False, False)])
    assert [(mark.is_right, mark.is_of_another) for mark in failed] == [(False, False), (False, False)]


def test_your_own_questions_are_grounded_and_nobody_guesses_them():
    (question,) = own([OwnQuestion("c", "q", ("a", "b"))])
    assert (question.task, question.is_grounded, question.copy) == ("own", True, None)
    assert question.is_right("B.")


def test_the_commonest_answer_where_there_is_none_is_unknown():
    assert commonest(Task.UNKNOWN) == "unknown"
