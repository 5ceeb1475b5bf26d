# SPDX-License-Identifier: Apache-2.0
"""What a run says of a candidate: goodput and share within limits, within half of them and twice as wide ones."""

from __future__ import annotations

import pytest
from tests.metrics.traces import CONTENT, MS, closed_loop, make_trace, request

from inferometer.analysis.turn import ASKED, LOOSE, TIGHT, points_of, scaled
from inferometer.metrics.slo import parse_limits
from inferometer.metrics.summary import summarize


def answered(due_ms, ttft_ms):
    first = (due_ms + ttft_ms) * MS
    return request(due=due_ms * MS, chunks=[(first, CONTENT, 1), (first + 10 * MS, CONTENT, 1)])


def points(trace, slo):
    return points_of(trace, summarize(trace), parse_limits(slo), workload=1, load=4.0, folder="points/w2-c4")


def test_limits_are_scaled_the_way_that_makes_them_wider():
    limits = scaled(parse_limits("ttft<200ms,user_speed>20"), LOOSE)
    assert [limit.value for limit in limits.per_request] == [0.4, 10.0]
    limits = scaled(parse_limits("ttft<200ms,user_speed>20"), TIGHT)
    assert [limit.value for limit in limits.per_request] == [0.1, 40.0]


def test_shares_within_half_the_limits_all_of_them_and_twice_as_much():
    rows = [answered(100 * i, ttft) for i, ttft in enumerate((50, 150, 350, 50))]
    (point,) = points(make_trace(*rows), "ttft<200ms")
    assert [point.held[scale].share for scale in (TIGHT, ASKED, LOOSE)] == [0.5, 0.75, 1.0]
    assert (point.workload, point.load, point.folder) == (1, 4.0, "points/w2-c4")


def test_a_limit_on_what_no_answer_has_is_met_by_none():
    (point,) = points(make_trace(request(due=0), request(due=MS)), "ttft<200ms")
    assert (point.held[ASKED].n_met, point.held[ASKED].goodput_per_s) == (0, 0.0)
    assert "ttft" not in point.measures


def test_goodput_is_that_of_the_report():
    trace = closed_loop(plan={"slo": "ttft<25ms"})
    summary = summarize(trace)
    (point,) = points(trace, "ttft<25ms")
    assert point.held[ASKED].goodput_per_s == pytest.approx(summary.metrics["goodput_per_s"]["value"].value)
    assert point.measures["ttft"] == pytest.approx(summary.metrics["ttft_s"]["p50"].value)
    assert point.held[TIGHT].goodput_per_s < point.held[ASKED].goodput_per_s < point.held[LOOSE].goodput_per_s


def test_a_client_that_was_late_spoils_the_run():
    (point,) = points(closed_loop(lateness=50 * MS), "ttft<1s")
    assert "late_sends" in point.reasons
    assert point.is_spoiled
