# SPDX-License-Identifier: Apache-2.0
"""What is verified, under which load, and what it is called."""

from __future__ import annotations

import pytest
from tests.analysis.points import number

from inferometer.analysis.explanation import not_examined, rows_of, to_verify
from inferometer.analysis.finding import CHALLENGES, Finding, Remedy, Row
from inferometer.analysis.verification import USUAL_LOAD, trial_of
from inferometer.probes.explain.verify import with_settings


def finding(challenge, level, *settings, code="x"):
    remedy = Remedy("do it", settings)
    return Finding(code, challenge, level, "claim", "cause", "witness", number(1.0), remedy=remedy)


def test_the_worst_finding_with_settings_is_verified():
    rows = rows_of(
        {
            "scale": Row("scale", "s", number(1.0), findings=[finding("scale", "fair", "max_concurrency=8")]),
            "limits": Row("limits", "l", number(1.0), findings=[finding("limits", "wrong")]),
            "cost": Row("cost", "c", number(1.0), findings=[finding("cost", "bad", "threads=2", code="y")]),
        },
        reason="it was not come to",
    )
    assert [row.challenge for row in rows][:3] == ["limits", "cost", "scale"]
    assert to_verify(rows).code == "y"
    assert to_verify([not_examined(challenge, "no") for challenge in CHALLENGES]) is None


def test_what_a_model_answers_is_shown_by_no_load():
    assert trial_of(finding("limits", "wrong", "context=4096"), {}) is None
    assert trial_of(finding("accuracy", "bad", "kv_dtype=float16"), {}) is None


@pytest.mark.parametrize(
    ("challenge", "name"), [("scale", "output_throughput"), ("latency", "tpot_p50"), ("memory", "output_throughput")]
)
def test_each_challenge_has_its_figure(challenge, name):
    trial = trial_of(finding(challenge, "bad", "max_concurrency=8"), {})
    assert (trial.quantity.name, trial.concurrency) == (name, USUAL_LOAD)
    assert trial.load == "8 in flight"


def test_a_setting_takes_the_place_of_the_old_one():
    assert with_settings(("context=64", "threads=2"), ("threads=4",)) == ("context=64", "threads=4")
    assert with_settings((), ("prefix_cache=on",)) == ("prefix_cache=on",)
