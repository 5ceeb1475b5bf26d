# SPDX-License-Identifier: Apache-2.0
"""What is verified, under which load, and what it is called."""

from __future__ import annotations

from tests.analysis.points import number

from inferometer.analysis.explanation import not_examined, rows_of, to_verify
from inferometer.analysis.finding import CHALLENGES, Finding, Remedy, Row, Trial
from inferometer.probes.explain.verify import with_settings

TRIAL = Trial("ttft_s", "p50", 4)


def finding(challenge, level, *settings, code="x", trial=TRIAL):
    remedy = Remedy("do it", settings)
    return Finding(code, challenge, level, "claim", "cause", "witness", number(1.0), remedy=remedy, trial=trial)


def test_the_worst_finding_with_settings_that_a_run_shows_is_verified():
    untried = finding("limits", "wrong", "context=4096", trial=None)
    rows = rows_of(
        {
            "scale": Row("scale", "s", number(1.0), findings=[finding("scale", "fair", "max_concurrency=8")]),
            "limits": Row("limits", "l", number(1.0), findings=[untried, finding("limits", "wrong")]),
            "cost": Row("cost", "c", number(1.0), findings=[finding("cost", "bad", "threads=2", code="y")]),
        },
        reason="it was not come to",
    )
    assert [row.challenge for row in rows][:3] == ["limits", "cost", "scale"]
    assert to_verify(rows).code == "y"
    assert to_verify([not_examined(challenge, "no") for challenge in CHALLENGES]) is None


def test_a_load_is_told_with_what_is_not_usual_in_it():
    assert TRIAL.load == "4 in flight"
    assert Trial("gap_max_s", "mean", 4, fields={"input_tokens": "uniform:16-999"}).load == (
        "4 in flight, input tokens uniform:16-999"
    )


def test_a_setting_takes_the_place_of_the_old_one():
    assert with_settings(("context=64", "threads=2"), ("threads=4",)) == ("context=64", "threads=4")
    assert with_settings((), ("prefix_cache=on",)) == ("prefix_cache=on",)
