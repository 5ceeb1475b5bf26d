# SPDX-License-Identifier: Apache-2.0
"""How bad a stall is depends on who has it: rules on stalls, out of figures by hand."""

from __future__ import annotations

import pytest
from tests.analysis.points import number

from inferometer.analysis.finding import Trial
from inferometer.analysis.latency import LoadRow
from inferometer.analysis.latency_findings import Standing, findings_of
from inferometer.analysis.number import Number
from inferometer.analysis.stalls import Coincidence, HoldUp, Stalls
from inferometer.analysis.waiting import Waiting

UNTOLD = Number(None, None, None, 0, "requests", missing="the server does not tell")
NOWHERE = Waiting(UNTOLD, UNTOLD, UNTOLD, UNTOLD, UNTOLD, 8)


def load(name, n, n_longest, inputs=""):
    return LoadRow(name, name, n, 128.0, 48.0, 3.0, 157, 0, number(0.3), None, None, NOWHERE, inputs, n_longest)


USUAL, MIXED = load("8 in flight", 8, 128.0), load("4 in flight, mixed", 4, 7_990.0, "uniform:16-7990")


def stalls(lost=0.08, cause="prefill", period_s=None, n_events=6):
    told = [Coincidence("prefill", 1.0, 0.2, 0.001, cause == "prefill")]
    return Stalls(9, n_events, lost, number(0.42), told, cause, period_s, 1.0)


def found(usual, mixed, held_up=None):
    standing = [Standing(usual, USUAL, is_explained=True), Standing(mixed, MIXED, is_explained=False)]
    return [(f.code, f.level) for f in findings_of(None, None, standing, held_up, None, {})]


def held_up(share, n_tokens):
    return HoldUp(number(0.94), share, n_tokens, 0.01)


NONE = stalls(lost=0.0)


def test_stalls_at_the_lengths_that_are_explained_are_bad():
    assert found(stalls(), NONE) == [("prefill_stalls", "bad")]
    standing = [Standing(stalls(), USUAL, is_explained=True)]
    (finding,) = findings_of(None, None, standing, held_up(0.9, 4_000), None, {})
    assert "4,000" not in finding.shown_by, "what long prompts do is no cause of what short ones have"
    assert found(NONE, NONE) == []
    assert found(stalls(cause="", n_events=2), NONE) == [], "two may be anybody's doing"


def test_stalls_that_only_longer_prompts_bring_are_worth_knowing_with_their_load():
    standing = [Standing(NONE, USUAL, is_explained=True), Standing(stalls(), MIXED, is_explained=False)]
    (finding,) = findings_of(None, None, standing, held_up(0.6, 1_481), None, {})
    assert (finding.code, finding.level) == ("prefill_stalls", "fair")
    assert "with prompts of up to 7,990 tokens, 4 in flight: 6 times" in finding.claim
    assert finding.trial == Trial("gap_max_s", "mean", 4, {"input_tokens": "uniform:16-7990"}, 0.3)


@pytest.mark.parametrize(
    ("share", "n_tokens", "level"), [(0.95, 4_000, "bad"), (0.6, 4_000, "fair"), (0.95, 1_500, "fair")]
)
def test_stalls_that_nothing_limits_are_bad(share, n_tokens, level):
    assert found(NONE, stalls(), held_up(share, n_tokens)) == [("prefill_stalls", level)]


def test_what_is_there_anyway_is_not_told_again():
    period = stalls(cause="period", period_s=4.0)
    assert found(period, period) == [("periodic_stalls", "bad")]
    assert found(period, stalls(cause="")) == [("periodic_stalls", "bad")]
    assert found(period, stalls()) == [("periodic_stalls", "bad"), ("prefill_stalls", "fair")]
