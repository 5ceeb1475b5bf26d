# SPDX-License-Identifier: Apache-2.0
"""The screen of `explain accuracy`, from answers made by hand."""

from __future__ import annotations

import math

import msgspec

from inferometer.analysis.accuracy import AccuracyExamination, Against, Mark, Tally, change, share_right
from inferometer.analysis.accuracy_findings import INVENTED
from inferometer.analysis.agreement import Said, Token, agreement
from inferometer.analysis.finding import Row
from inferometer.analysis.hallucination import Judged, consistency, hallucination
from inferometer.report.explain_accuracy import render


def said(text, p=0.9, rival=0.05):
    return Said(text, False, (Token(text, math.log(p), ((text, math.log(p)), ("x", math.log(rival)))),))


def marks(n_wrong):
    return [Mark("grounded", f"a{i}", i >= n_wrong, True, False) for i in range(40)]


def examination(**fields):
    judged = [Judged(True, "right", True, 5)] * 20 + [Judged(False, "abstained", False, 7)] * 18
    judged += [Judged(False, "wrong", True, 5)] * 2
    told = hallucination("made-up facts", judged)
    floor = agreement("itself, alone", [(said("a"), said("a"))] * 30)
    busy = agreement("itself, 8 in flight", [(said("a"), said("a"))] * 22 + [(said("a"), said("b"))] * 8, floor)
    other = change(("this one", "other"), marks(2), marks(9))
    return AccuracyExamination(
        row=Row("accuracy", "questions that the text does not answer", told.invented, INVENTED, n_requests=300),
        concurrency=8,
        tallies=[Tally("grounded", 40, share_right(marks(2)), share_right(marks(3)), 0.0, 0.05)],
        again=change(("alone", "again alone"), marks(2), marks(2)),
        load=change(("alone", "8 in flight"), marks(2), marks(3)),
        floor=floor,
        under_load=busy,
        hallucination=told,
        consistency=consistency([["a", "a"], ["a", "b"]] * 6, judged[14:26], temperature=1.0),
        against=Against("other", {"title": "vLLM"}, other, busy, 39, 40, ["engine llama.cpp and vLLM"]),
        seed=0,
        created="",
        engine={"title": "llama.cpp", "version": "b1", "model": "m"},
        plan={},
        host={},
        versions={},
        **fields,
    )


def test_every_block_tells_its_numbers_with_interval_and_n():
    text = render(examination(), folder="f", width=100)
    whole = " ".join(text.split())
    for line in (
        "accuracy nothing wrong was found",
        "grounded 40 95.0 [83.5, 98.6] %",
        "load 8 in flight: 0 of 40 answers are others; 1 right ones lost, 0 won;",
        "a point would take 1,963 questions",
        "100 [89, 100] % of 30 long answers the same to the end as of itself, alone",
        "0 part at a tie, 8 where the choice had been clear",
        "times the floor",
        "10 [3, 30] % of 20 questions without an answer in the text get one",
        "points a question if a wrong one costs 1:",
        "2 answers each at temperature 1",
        "39 of 40 prompts have as many tokens there",
        "7 right ones lost, 0 won",
        "folder f",
    ):
        assert line in whole, line
    assert max(map(len, text.splitlines())) <= 100
    assert text.isascii()


def test_what_was_not_asked_has_no_line():
    found = examination()
    bare = msgspec.structs.replace(found, again=None, load=None, floor=None, under_load=None, against=None)
    bare = msgspec.structs.replace(bare, hallucination=None, consistency=None, stopped="it went away")
    text = render(bare, folder="f", width=100)
    assert [line.split(" ")[0] for line in text.splitlines() if line and line[0] != " "] == [
        "accuracy",
        "engine",
        "right",
        "grounded",
        "folder",
    ]
