# SPDX-License-Identifier: Apache-2.0
"""Rows of an explanation: the worst first."""

from __future__ import annotations

from inferometer.analysis.finding import CHALLENGES, Finding, Row, ranked, worst_first
from inferometer.analysis.number import Number

NUMBER = Number(1.0, 0.5, 1.5, 10, "s")


def finding(level, challenge="latency", code="x"):
    return Finding(code, challenge, level, "claim", "cause", "probe", NUMBER)


def row(challenge, *levels):
    return Row(challenge, "headline", NUMBER, findings=[finding(level, challenge) for level in levels])


def test_findings_go_by_level_and_keep_their_order_within_one():
    given = [
        finding("fair", code="a"),
        finding("wrong", code="b"),
        finding("bad", code="c"),
        finding("wrong", code="d"),
    ]
    assert [one.code for one in worst_first(given)] == ["b", "d", "c", "a"]


def test_rows_go_by_their_worst_finding_then_by_how_many():
    rows = [row("latency", "bad"), row("cost"), row("limits", "bad", "bad"), row("accuracy", "wrong"), row("memory")]
    assert [one.challenge for one in ranked(rows)] == ["accuracy", "limits", "latency", "cost", "memory"]


def test_rows_without_findings_come_in_the_usual_order():
    assert [one.challenge for one in ranked([row(name) for name in reversed(CHALLENGES)])] == list(CHALLENGES)
