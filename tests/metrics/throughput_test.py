# SPDX-License-Identifier: Apache-2.0
"""Rates and shares of a trial: what happened inside the window, whoever began it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from traces import CONTENT, MS, REASONING, ROLE, USAGE, closed_loop, failed, make_trace, open_loop, request, stream
from traces import S as SECOND

from inferometer.kinds import Outcome, Phase
from inferometer.metrics import load, stalls, throughput
from inferometer.metrics.trial import trials_of
from inferometer.stats import Estimate, Missing


def window(start, end, trial=0):
    return [{"trial": trial, "t_start_ns": start, "t_end_ns": end}]


def only(trace, is_met=None):
    (trial,) = trials_of(trace, is_met)
    return trial


def test_tokens_count_where_they_arrived_not_where_their_request_ended():
    # 10 tokens at 0.5 s, 1.0 s, ...: those at 1.0 up to 2.5 s lie inside [1, 3).
    row = request(due=0, chunks=[(500 * MS * (i + 1), CONTENT) for i in range(10)], end=5 * SECOND)
    trial = only(make_trace(row, plan={"mode": "burst"}, windows=window(1 * SECOND, 3 * SECOND)))
    assert throughput.output_throughput(trial).value == pytest.approx(4 / 2)
    assert throughput.request_throughput(trial).value == pytest.approx(2 / 5 / 2)  # two of its five seconds


def slots_of_one_second(n_slots=8, n_requests=40):
    return [
        request(due=i // n_slots * SECOND, chunks=[((i // n_slots + 1) * SECOND, CONTENT)]) for i in range(n_requests)
    ]


def test_a_closed_loop_has_no_fence_posts():
    trial = only(make_trace(*slots_of_one_second()), np.ones(40, bool))
    assert throughput.request_throughput(trial).value == pytest.approx(8.0)
    assert throughput.goodput(trial).value == pytest.approx(8.0)
    assert load.little_law(trial).value == pytest.approx(1.0, abs=0.02)


def test_a_window_of_few_latencies_carries_no_rate_except_a_burst():
    rows = slots_of_one_second(n_requests=24)
    trial = only(make_trace(*rows))
    for found in (throughput.request_throughput(trial), throughput.output_throughput(trial), load.little_law(trial)):
        assert found.reason == "needs a window of 3 mean latencies, has 2"
    burst = [request(due=0, chunks=[((1 + i % 2) * SECOND, CONTENT)]) for i in range(8)]
    assert throughput.request_throughput(only(make_trace(*burst, plan={"mode": "burst"}))).value == pytest.approx(4.0)


def test_tokens_of_warm_up_requests_count_for_what_they_did_inside_the_window():
    warm = stream(due=0, ttft=100 * MS, gap=100 * MS, n=20, phase=Phase.WARMUP)
    main = stream(due=SECOND, ttft=50 * MS, gap=100 * MS, n=20)
    trial = only(make_trace(warm, main, plan={"mode": "burst"}, windows=window(SECOND, 2 * SECOND)))
    assert throughput.output_throughput(trial).value == pytest.approx(10 + 10)


def test_neither_ramp_nor_drain_dilutes_a_rate():
    """n requests of duration D sent at rate L: count over first-send-to-last-end would be low by D / (n/L + D)."""
    rows = [stream(due=i * 100 * MS, ttft=200 * MS, gap=200 * MS, n=100) for i in range(1000)]
    trial = only(make_trace(*rows, plan={"mode": "open"}))
    assert trial.steady.t_start_ns > 15 * SECOND  # the ramp of 20 s is cut
    assert throughput.output_throughput(trial).value == pytest.approx(10 * 100, rel=0.01)
    assert throughput.request_throughput(trial).value == pytest.approx(10, rel=0.01)


def test_usage_is_spread_where_events_do_not_tell_and_the_method_says_so():
    row = request(chunks=[(i * 100 * MS, CONTENT) for i in range(10)], tokens=20)
    found = throughput.output_throughput(only(make_trace(row, plan={"mode": "burst"}, windows=window(0, 500 * MS))))
    assert found.value == pytest.approx(5 * 2 / 0.5)
    assert "usage spread" in found.method
    exact = request(chunks=[(i * 100 * MS, CONTENT) for i in range(10)], tokens=10)
    assert (
        "spread"
        not in throughput.output_throughput(
            only(make_trace(exact, plan={"mode": "burst"}, windows=window(0, SECOND)))
        ).method
    )


def test_tokens_add_up_to_usage_however_events_are_counted():
    rows = [
        request(due=0, chunks=[(100 * MS, CONTENT, 1), (200 * MS, CONTENT, 3)], tokens=5),  # one without text
        request(due=0, chunks=[(100 * MS, CONTENT), (300 * MS, REASONING)], tokens=9),
        request(due=0, chunks=[(100 * MS, ROLE), (300 * MS, USAGE)], tokens=4),  # swallowed: counts at its end
    ]
    trace = make_trace(*rows, plan={"mode": "burst"}, windows=window(0, SECOND))
    assert throughput.output_throughput(only(trace)).value == pytest.approx(5 + 9 + 4)


def test_tokens_nobody_counted_make_no_rate():
    row = request(chunks=[(100 * MS, CONTENT)], tokens=-1)
    trial = only(make_trace(row, windows=window(0, SECOND)))
    assert isinstance(throughput.output_throughput(trial), Missing)
    assert isinstance(throughput.total_throughput(trial), Missing)


def test_prompts_count_when_their_prefill_ended():
    inside = stream(due=0, ttft=500 * MS, n_prompt_tokens=100)
    outside = stream(due=0, ttft=1500 * MS, n_prompt_tokens=1000)
    untold = stream(due=0, ttft=600 * MS, n_prompt_tokens_asked=50)
    whole = request(t_last_content_ns=700 * MS, end=700 * MS, n_prompt_tokens=7)
    trial = only(make_trace(inside, outside, untold, whole, plan={"mode": "burst"}, windows=window(0, SECOND)))
    assert throughput.input_throughput(trial).value == pytest.approx(157)
    n_output = 20  # of the two streams that ran inside the window
    assert throughput.total_throughput(trial).value == pytest.approx(157 + n_output)


def test_prompts_of_unknown_length_are_not_minus_one_token():
    untold = [stream(due=0, ttft=500 * MS) for _ in range(3)]
    burst = {"plan": {"mode": "burst"}, "windows": window(0, SECOND)}
    trial = only(make_trace(*untold, **burst))
    assert isinstance(throughput.input_throughput(trial), Missing)
    assert isinstance(throughput.total_throughput(trial), Missing)
    found = throughput.input_throughput(only(make_trace(*untold, stream(due=0, n_prompt_tokens_asked=50), **burst)))
    assert found.value == pytest.approx(50)
    assert "lengths as asked" in found.method


def test_the_interval_of_a_rate_holds_the_rate():
    found = throughput.output_throughput(only(closed_loop(400)))
    assert found.is_bounded
    assert found.lo < found.value < found.hi
    assert (found.hi - found.lo) / found.value < 0.1
    assert found.unit == "tokens/s"


def test_a_window_without_length_has_no_rate():
    assert isinstance(throughput.request_throughput(only(make_trace(stream(due=5)))), Missing)


def test_goodput_counts_requests_that_met_their_limits_inside_the_window():
    rows = [stream(due=i * 100 * MS) for i in range(10)]
    is_met = np.arange(10) % 2 == 0
    trial = only(make_trace(*rows, windows=window(0, SECOND)), is_met)
    assert throughput.goodput(trial).value == pytest.approx(5)
    assert stalls.attainment(trial).value == pytest.approx(0.5)
    assert isinstance(throughput.goodput(only(make_trace(*rows))), Missing)


def test_failed_and_unfinished_requests_missed_their_limits():
    rows = [stream(due=0), failed(), failed(Outcome.CENSORED), failed(Outcome.NOT_SENT, sent=-1)]
    trial = only(make_trace(*rows, windows=window(0, SECOND)), np.array([True, False, False, False]))
    assert stalls.attainment(trial).value == 0.25


def test_the_error_rate_leaves_out_what_never_ended():
    rows = [stream(due=0), stream(due=0), stream(due=0), failed(), failed(Outcome.CENSORED), failed(Outcome.CANCELLED)]
    found = stalls.error(only(make_trace(*rows)))
    assert (found.value, found.n) == (0.25, 4)


def test_requests_that_never_became_due_are_nobodys_failure():
    trial = only(make_trace(stream(due=0), failed(Outcome.NOT_SENT, due=-1, sent=-1)), np.array([True, False]))
    assert stalls.attainment(trial).value == 1.0


def test_the_prefix_hit_share_is_over_prompt_tokens():
    rows = [stream(due=0, n_prompt_tokens=100, n_cached_tokens=n) for n in (0, 30, 60)]
    assert throughput.prefix_hit(only(make_trace(*rows))).value == pytest.approx(0.3)
    assert isinstance(throughput.prefix_hit(only(make_trace(stream(due=0, n_prompt_tokens=100)))), Missing)


# -- stalls of a trial ------------------------------------------------------------------------------------------------


def test_stalls_are_told_per_1000_tokens_as_time_and_as_requests():
    smooth = [stream(due=i * SECOND, gap=10 * MS, n=25) for i in range(9)]
    stamps = [10 * MS * i + (500 * MS if i >= 12 else 0) for i in range(25)]
    stalled = request(due=9 * SECOND, chunks=[(9 * SECOND + t, CONTENT) for t in stamps])
    trial = only(make_trace(*smooth, stalled))
    assert stalls.stalls(trial).value == pytest.approx(1 / 0.250)
    assert stalls.stalled_time(trial).value == pytest.approx(0.510 / (9 * 0.240 + 0.740))
    assert stalls.stalled_requests(trial).value == 0.1
    longest = stalls.longest_pause(trial)
    assert (longest.value, longest.lo, longest.hi) == (pytest.approx(0.510), pytest.approx(0.510), math.inf)


def test_no_stall_in_few_tokens_is_not_known_to_be_none():
    trial = only(make_trace(*[stream(due=i * SECOND, n=25) for i in range(10)]))
    found = stalls.stalls(trial)
    assert (found.value, found.lo) == (0.0, 0.0)
    assert found.hi == pytest.approx(-math.log(0.025) / 0.250)
    assert stalls.stalled_time(trial).hi == pytest.approx(-math.log(0.025) / 10)


@pytest.mark.parametrize("outcome", [Outcome.DEADLINE, Outcome.RESET, Outcome.CENSORED, Outcome.CANCELLED])
def test_the_silence_before_any_bad_end_is_a_pause(outcome):
    def run(silence):
        return only(make_trace(stream(due=0, n=5, end=36 * MS + silence, outcome=outcome)))  # last chunk at 36 ms

    assert stalls.longest_pause(run(3 * SECOND)).value == pytest.approx(3.0)
    assert stalls.stalled_requests(run(3 * SECOND)).value == 1.0
    assert stalls.stalled_requests(run(50 * MS)).value == 0.0


def test_no_stream_no_stalls():
    trial = only(make_trace(request(t_last_content_ns=5 * MS, end=5 * MS, tokens=3)))
    assert isinstance(stalls.stalls(trial), Missing)
    assert isinstance(stalls.longest_pause(trial), Missing)


# -- load -------------------------------------------------------------------------------------------------------------


def test_mean_in_flight_is_a_time_integral():
    # 1 in flight during [0, 2), 2 during [2, 3), 1 during [3, 4)
    rows = [request(due=0, end=3 * SECOND), request(due=2 * SECOND, end=4 * SECOND)]
    trial = only(make_trace(*rows, windows=window(0, 4 * SECOND)))
    assert load.in_flight(trial).value == pytest.approx((2 * 1 + 1 * 2 + 1 * 1) / 4)


def test_a_request_without_an_end_stays_in_flight():
    trial = only(make_trace(request(due=0, outcome=Outcome.CENSORED), windows=window(0, 4 * SECOND)))
    assert load.in_flight(trial).value == pytest.approx(1.0)


def test_littles_law_holds_up_to_the_edges():
    assert load.little_law(only(closed_loop(400))).value == pytest.approx(1.0, abs=0.02)
    rows = [request(due=0, end=3 * SECOND), request(due=2 * SECOND, end=4 * SECOND)]
    assert load.little_law(only(make_trace(*rows, windows=window(0, 8 * SECOND)))).value == pytest.approx(1.0)


def test_an_open_loop_offers_a_rate_and_a_closed_one_does_not():
    rows = [stream(due=i * 100 * MS, sent=i * 125 * MS) for i in range(11)]
    trial = only(make_trace(*rows, plan={"mode": "open"}))
    assert load.offered(trial).value == pytest.approx(10.0)
    assert load.delivered(trial).value == pytest.approx(8.0)
    assert isinstance(load.offered(only(make_trace(*rows))), Missing)
    assert isinstance(load.offered(only(make_trace(stream(due=0), plan={"mode": "open"}))), Missing)


def test_a_healthy_open_loop_delivers_what_it_offers():
    trial = only(open_loop(300, rate_per_s=20))
    offered, delivered = load.offered(trial), load.delivered(trial)
    assert isinstance(offered, Estimate)
    assert delivered.value == pytest.approx(offered.value, rel=1e-3)
    assert offered.value == pytest.approx(20, rel=0.2)
