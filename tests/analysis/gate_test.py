# SPDX-License-Identifier: Apache-2.0
"""Conditions of a gate: what is understood, what is refused, and when it fails, warns and passes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.analysis.points import point

from inferometer.analysis.compare import Comparison, rows_of
from inferometer.analysis.curve import Sweep, law_of, throughputs_by_law
from inferometer.analysis.gate import is_well_below, judge, knee_of, knee_warning, parse_conditions, unlike
from inferometer.errors import UsageError
from inferometer.report.gate import verdict_of
from inferometer.stats import Missing
from inferometer.stats.usl import usl


def test_conditions():
    first, second = parse_conditions("ttft_p99>+5%, output_throughput<-3%")
    assert (first.quantity.name, first.is_above, first.limit) == ("ttft_p99", True, pytest.approx(1.05))
    assert (second.quantity.name, second.is_above, second.limit) == ("output_throughput", False, pytest.approx(0.97))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ttft_p99", "not a condition"),
        ("ttft_p99>5%", "not a condition"),
        ("ttft_p99>+5", "not a condition"),
        ("ttft_p99<-5%", "what gets better"),
        ("output_throughput>+5%", "what gets better"),
        ("ttft_p99>-5%", "without any change"),
        ("ttft>+5%", "which statistic"),
        ("ttf_p99>+5%", "not a metric"),
        ("output_throughput<-100%", "more than 100 %"),
        (" , ", "no condition"),
    ],
)
def test_what_is_no_condition(text, word):
    with pytest.raises(UsageError, match=word.replace("%", "%")):
        parse_conditions(text)


def judged(text, *, change, spread=0.005, n=5, seed=3):
    """Results of conditions on trials that really changed by a factor."""
    rng = np.random.default_rng(seed)
    conditions = parse_conditions(text)
    a = {c.quantity: np.exp(spread * rng.normal(size=n)) for c in conditions}
    b = {c.quantity: change * np.exp(spread * rng.normal(size=n)) for c in conditions}
    rows = rows_of([a, b], rng=rng, is_paired=False)
    gate = judge(Comparison((), rows, 0.05, False, len(rows)), conditions)
    return gate, [each.result for each in gate.judged]


def test_it_fails_where_the_whole_interval_lies_beyond():
    gate, results = judged("ttft_p99>+5%", change=1.10)
    assert (results, gate.is_failed) == (["fail"], True)


def test_a_change_within_the_limit_passes_however_sure_it_is():
    gate, results = judged("ttft_p99>+5%", change=1.03)
    assert (results, gate.is_failed) == (["pass"], False)


def test_an_interval_that_reaches_beyond_warns():
    gate, results = judged("ttft_p99>+5%", change=1.05, spread=0.05)
    assert (results, gate.is_failed) == (["warn"], False)


def test_what_should_not_fall():
    assert judged("output_throughput<-3%", change=0.9)[1] == ["fail"]
    assert judged("output_throughput<-3%", change=1.2)[1] == ["pass"]


def test_getting_better_never_fails():
    assert judged("ttft_p99>+5%,tpot_p50>+5%", change=0.5)[1] == ["pass", "pass"]


def test_several_conditions_must_be_surer_than_one():
    """At the limit itself one in twenty families fails at most."""
    n_failed = sum(
        judged("ttft_p99>+5%,tpot_p50>+5%,e2e_p50>+5%", change=1.05, seed=seed)[0].is_failed for seed in range(200)
    )
    assert n_failed <= 15


def test_a_candidate_among_failures_fails():
    conditions = parse_conditions("ttft_p99>+5%")
    quantity = conditions[0].quantity
    rng = np.random.default_rng(1)
    rows = rows_of([{quantity: np.ones(5)}, {quantity: np.full(5, math.inf)}], rng=rng, is_paired=False)
    assert judge(Comparison((), rows, 0.05, False, 1), conditions).is_failed


def test_a_gate_that_can_judge_nothing_is_undecided():
    conditions = parse_conditions("ttft_p99>+5%")
    all_failed = {conditions[0].quantity: np.full(5, math.inf)}
    rows = rows_of([all_failed, all_failed], rng=np.random.default_rng(1), is_paired=False)
    gate = judge(Comparison((), rows, 0.05, False, 0), conditions)
    assert (gate.is_undecided, gate.is_failed) == (True, False)
    assert not judged("ttft_p99>+5%", change=1.0)[0].is_undecided


def test_a_gate_of_which_one_condition_cannot_be_judged_is_undecided_unless_another_fails():
    conditions = parse_conditions("ttft_p99>+5%,e2e_p50>+5%")
    ttft, e2e = (condition.quantity for condition in conditions)
    failures, steady = np.full(5, math.inf), np.exp(0.005 * np.random.default_rng(3).normal(size=5))

    rng = np.random.default_rng(1)

    def of(change):
        values = [{ttft: failures, e2e: steady}, {ttft: failures, e2e: change * steady[::-1]}]
        gate = judge(Comparison((), rows_of(values, rng=rng, is_paired=False), 0.05, False, 1), conditions)
        return gate.is_failed, gate.is_undecided, verdict_of(gate)[0]

    assert of(1.0) == (False, True, "UNDECIDED")
    assert of(1.5) == (True, False, "FAILED")


def test_the_knee():
    assert knee_warning(8, 10, "requests/s") == ""
    assert "95 % of the 10" in knee_warning(9.5, 10, "requests/s")


def sweep_of(kind, points, **more):
    facts = {"engine": {"model": "reader"}, "plan": {"input_tokens": "128"}, "host": {}, "versions": {}, "created": ""}
    loads = [each.load for each in points]
    return Sweep(kind, False, loads, points, "", 60.0, **(facts | more))


def test_the_knee_of_a_sweep_over_concurrency_is_a_load_and_a_throughput():
    points = [point(load, usl(load, 10, 0.2, 0.001)) for load in (1, 2, 4, 8, 16, 32)]
    sweep = sweep_of("concurrency", points, law=law_of(points))
    knee = knee_of(sweep, "concurrency")
    assert knee.value == pytest.approx(3.8, abs=0.05)
    per_s = knee_of(sweep, "rate")
    assert per_s.value == pytest.approx(float(throughputs_by_law(sweep.law, np.array([knee.value]))[0]))
    assert per_s.unit == "1/s"


def test_the_knee_of_a_sweep_over_rates_is_the_highest_that_was_sustained():
    sweep = sweep_of("rate", [point(2, 2.0), point(4, 4.0), point(8, 5.0, limit="the queue grows")])
    assert knee_of(sweep, "rate").value == 4
    assert "requests in flight" in knee_of(sweep, "concurrency").reason


def test_what_an_invalid_run_bore_is_not_known():
    late = point(4, 4.0, verdict="invalid", reasons=["late_sends"])
    sweep = sweep_of("rate", [point(2, 2.0), late, point(8, 5.0, limit="the queue grows")])
    assert (sweep.sustained.load, sweep.beyond.load) == (2, 4)
    assert knee_of(sweep, "rate").reason == "no saturation seen up to 2/s"


def test_a_sweep_that_saw_no_knee_tells_none():
    assert isinstance(knee_of(sweep_of("rate", [point(2, 2.0)]), "rate"), Missing)
    assert knee_of(sweep_of("concurrency", [point(1, 1.0)], no_law="needs 6 loads"), "rate").reason == "needs 6 loads"


def test_a_gate_well_below_what_was_sustained_needs_no_knee():
    sweep = sweep_of("rate", [point(2, 2.0), point(8, 8.0)])
    assert isinstance(knee_of(sweep, "rate"), Missing)
    assert is_well_below(sweep, 7.2, "rate")
    assert not is_well_below(sweep, 7.5, "rate")
    assert not is_well_below(sweep, 1.0, "concurrency")


def test_a_sweep_of_another_load_is_told():
    sweep = sweep_of("rate", [point(2, 2.0)])
    assert unlike(sweep, {"input_tokens": "128"}, {"model": "reader"}) == ""
    assert unlike(sweep, {"input_tokens": "64"}, {"model": "reader"}) == "input_tokens 128 and 64"
