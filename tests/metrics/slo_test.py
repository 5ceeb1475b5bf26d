# SPDX-License-Identifier: Apache-2.0
"""Limits: what is understood, what is refused and with which remedy, and how they come out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from traces import CONTENT, MS, closed_loop, failed, make_trace, request, stream

from inferometer.errors import UsageError
from inferometer.kinds import Outcome
from inferometer.metrics import METRICS
from inferometer.metrics.slo import Limit, judge, meets, parse_limits
from inferometer.metrics.summary import summarize
from inferometer.stats import Estimate, Missing


@pytest.mark.parametrize(
    ("text", "metric", "statistic", "op", "value"),
    [
        ("ttft<500ms", "ttft_s", "", "<", 0.5),
        ("ttft_s<=0.5", "ttft_s", "", "<=", 0.5),
        (" TTFT < 500ms ", "ttft_s", "", "<", 0.5),
        ("tpot<50ms", "tpot_s", "", "<", 0.05),
        ("gap<200ms", "gap_max_s", "", "<", 0.2),  # every gap = the longest
        ("e2e<2s", "e2e_s", "", "<", 2.0),
        ("user_speed>20", "user_speed_tokens_per_s", "", ">", 20.0),
        ("ttft_p99<500ms", "ttft_s", "p99", "<", 0.5),
        ("p99_ttft<500ms", "ttft_s", "p99", "<", 0.5),
        ("ttft_p99.9<1s", "ttft_s", "p99_9", "<", 1.0),
        ("tpot_mean<50ms", "tpot_s", "mean", "<", 0.05),
        ("gap_p99<80ms", "gap_s", "p99", "<", 0.08),
        ("gap_max<80ms", "gap_s", "max", "<", 0.08),
        ("error<1%", "error_ratio", "value", "<", 0.01),
        ("error_ratio<0.01", "error_ratio", "value", "<", 0.01),
        ("attainment>=95%", "attainment_ratio", "value", ">=", 0.95),
        ("goodput>10/s", "goodput_per_s", "value", ">", 10.0),
        ("output_throughput>1000tokens/s", "output_throughput_tokens_per_s", "value", ">", 1000.0),
    ],
)
def test_limits_are_understood(text, metric, statistic, op, value):
    limits = parse_limits(text)
    (limit,) = limits.per_request + limits.per_run
    assert (limit.metric, limit.statistic, limit.op) == (metric, statistic, op)
    assert limit.value == pytest.approx(value)
    assert bool(limits.per_request) == (statistic == "")


def test_both_kinds_may_stand_together():
    limits = parse_limits("ttft<500ms,tpot<50ms,ttft_p99<500ms")
    assert [limit.text for limit in limits.per_request] == ["ttft<500ms", "tpot<50ms"]
    assert [limit.text for limit in limits.per_run] == ["ttft_p99<500ms"]
    assert parse_limits(limits.text) == limits
    assert parse_limits("").text == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tfft<500ms", "did you mean ttft?"),
        ("ttft_p98<500ms", "did you mean ttft_p9"),
        ("goodputt>3", "did you mean goodput?"),
        ("ttft=500ms", "ttft<500ms"),
        ("ttft<", "ttft<500ms"),
        ("ttft<fast", "500ms, 60s, 2m, 1h"),
        ("error<5", "write 5%"),
        ("error<5ms", "error<1%"),
        ("goodput>5%", "error<1%"),
        ("ttft>500ms", "less is better"),
        ("goodput<3", "more is better"),
    ],
)
def test_bad_limits_are_refused_with_a_remedy(text, says):
    with pytest.raises(UsageError) as error:
        parse_limits(text)
    assert says in error.value.remedy
    assert "\n" not in f"{error.value}{error.value.remedy}"


def limit(text):
    limits = parse_limits(text)
    return (limits.per_request + limits.per_run)[0]


def met(text, *rows):
    trace = make_trace(*rows)
    found = limit(text)
    is_met = meets(found, METRICS[found.metric].fn(trace), trace.requests)
    return None if is_met is None else is_met.tolist()


def test_failures_miss_every_limit():
    assert met("ttft<500ms", stream(due=0), stream(due=0, outcome=Outcome.DEADLINE), failed(Outcome.CENSORED)) == [
        True,
        False,
        False,
    ]


def test_a_limit_is_a_border_that_is_in_or_out():
    row = stream(due=0, ttft=500 * MS)
    assert met("ttft<500ms", row) == [False]
    assert met("ttft<=500ms", row) == [True]


def test_an_answer_of_one_token_has_no_tpot_to_miss():
    one = request(chunks=[(5 * MS, CONTENT)])
    assert met("tpot<50ms", one, stream(due=0)) == [True, True]
    assert met("gap<50ms", one, stream(due=0)) == [True, True]


def test_a_swallowed_answer_misses_the_limit_on_its_first_token():
    assert met("ttft<500ms", request(tokens=4, end=9 * MS), stream(due=0)) == [False, True]


def test_a_limit_on_what_no_answer_has_cannot_be_judged():
    whole = request(tokens=4, t_last_content_ns=9 * MS, end=9 * MS)
    assert met("ttft<500ms", whole, whole) is None
    assert met("e2e<500ms", whole, whole) == [True, True]


def outcome(text, lo, value, hi):
    estimate = Estimate(value, lo, hi, 0.95, 400, "s", "by hand")
    found = limit(text)
    result = judge(found, {found.metric: {found.statistic: estimate}})
    return result.result, result.is_met


def test_a_limit_on_the_run_needs_the_whole_interval_on_one_side():
    assert outcome("ttft_p99<500ms", 0.3, 0.4, 0.49) == ("pass", True)
    assert outcome("ttft_p99<500ms", 0.51, 0.6, math.inf) == ("fail", False)
    assert outcome("ttft_p99<500ms", 0.3, 0.4, 0.6) == ("undecided", True)
    assert outcome("ttft_p99<500ms", 0.4, 0.6, 0.7) == ("undecided", False)
    assert outcome("ttft_p99<500ms", 0.3, 0.4, math.inf) == ("undecided", True)
    assert outcome("goodput>3", 3.5, 4.0, 4.5) == ("pass", True)


def test_what_is_missing_is_undecided_and_fails_no_gate():
    found = limit("ttft_p99<500ms")
    result = judge(found, {"ttft_s": {"p99": Missing("needs 100 requests, has 57", 57, "s")}})
    assert (result.result, result.is_met) == ("undecided", None)
    result = judge(limit("ttft_p99.9<1s"), {"ttft_s": {}})
    assert (result.result, result.is_met) == ("undecided", None)


def test_percentiles_of_a_limit_count_failures_as_worst():
    trace = closed_loop(400)
    trace.requests["outcome"][::50] = Outcome.RESET  # 2 %
    summary = summarize(trace, parse_limits("ttft_p90<100ms,ttft_p99<100ms,ttft_mean<100ms,error<1%"))
    by_text = {result.limit.text: result for result in summary.limits.per_run}
    assert by_text["ttft_p90<100ms"].result == "pass"
    assert by_text["ttft_p99<100ms"].is_met is False
    assert by_text["ttft_p99<100ms"].observed.value == math.inf
    assert by_text["ttft_mean<100ms"].result == "pass"  # of the successes: one failure would make it infinite
    assert by_text["error<1%"].is_met is False
    assert summary.limits.is_failed


def test_attainment_of_each_limit_and_of_all_together():
    trace = closed_loop(400)
    trace.requests["t_first_content_ns"][::4] += 60 * MS  # misses ttft, and shortens the stream: tpot fine
    trace.requests["t_last_content_ns"][::4] += 60 * MS
    summary = summarize(trace, parse_limits("ttft<60ms,tpot<1s"))
    shares = {found.text: share.value for found, share in summary.limits.per_request}
    assert shares == {"ttft<60ms": pytest.approx(0.75), "tpot<1s": pytest.approx(1.0)}
    assert summary.metrics["attainment_ratio"]["value"].value == pytest.approx(0.75)
    assert not summary.limits.is_failed


def test_the_limits_of_the_run_are_those_it_was_started_with():
    trace = closed_loop(60, plan={"slo": "e2e<1ms"})
    assert summarize(trace).metrics["attainment_ratio"]["value"].value == 0.0
    assert summarize(trace, parse_limits("e2e<1s")).metrics["attainment_ratio"]["value"].value == 1.0


def test_holds_is_the_sign_as_written():
    values = np.array([1.0, 2.0, 3.0])
    assert [[Limit("", "", "", op, 2.0).holds(v) for v in values] for op in ("<", "<=", ">", ">=")] == [
        [True, False, False],
        [True, True, False],
        [False, False, True],
        [False, True, True],
    ]
