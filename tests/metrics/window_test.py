# SPDX-License-Identifier: Apache-2.0
"""Windows, their steady part, and the number in flight over time."""

from __future__ import annotations

import numpy as np
from traces import MS, closed_loop, failed, make_trace, open_loop, request, stream
from traces import S as SECOND

from inferometer.kinds import Outcome, Phase
from inferometer.metrics.window import Window, flights, steady, windows_of


def test_recorded_windows_win():
    told = [{"trial": 0, "t_start_ns": 5, "t_end_ns": 50}]
    assert windows_of(make_trace(stream(due=7), windows=told)) == [Window(0, 5, 50)]


def test_without_a_record_a_window_lasts_from_first_to_last_due():
    warm = stream(due=0, phase=Phase.WARMUP)
    trace = make_trace(warm, stream(due=2 * SECOND), stream(due=5 * SECOND), stream(due=9 * SECOND, trial=1))
    assert windows_of(trace) == [Window(0, 2 * SECOND, 5 * SECOND), Window(1, 9 * SECOND, 9 * SECOND)]


def test_a_burst_lasts_until_its_last_answer():
    trace = make_trace(stream(due=1, ttft=9 * MS, n=1), stream(due=1, ttft=99 * MS, n=1), plan={"mode": "burst"})
    assert windows_of(trace) == [Window(0, 1, 99 * MS + 1)]


def test_a_trial_in_which_nothing_became_due_has_no_window():
    assert windows_of(make_trace(failed(Outcome.NOT_SENT, due=-1, sent=-1))) == []


def test_flights_between_any_edges():
    rows = make_trace(
        request(due=0, end=4 * SECOND),
        request(due=1 * SECOND, end=3 * SECOND),
        failed(Outcome.NOT_SENT, sent=-1),
        request(due=3 * SECOND, outcome=Outcome.CENSORED),
    ).requests
    edges = np.array([0, 1, 2, 3, 4, 5, 6]) * SECOND
    assert flights(rows, 6 * SECOND).means(edges.astype(float)).tolist() == [1, 2, 2, 2, 1, 1]
    assert flights(rows[:0], SECOND).means(edges.astype(float)).tolist() == [0] * 6


def test_a_settled_run_is_not_cut():
    trace = closed_loop(400)
    (window,) = windows_of(trace)
    assert steady(window, trace.requests) == window


def test_a_slow_beginning_is_cut():
    trace = closed_loop(400)
    slow = trace.requests["t_due_ns"] < SECOND
    for name in ("t_first_content_ns", "t_last_content_ns", "t_end_ns"):
        trace.requests[name][slow] += 50 * MS
    (window,) = windows_of(trace)
    assert 900 * MS < steady(window, trace.requests).t_start_ns < 1500 * MS


def test_after_a_warm_up_noise_is_not_taken_for_a_ramp():
    n_cut = {True: 0, False: 0}
    for seed in range(20):
        for is_warm in n_cut:
            trace = open_loop(200, rate_per_s=40, seed=seed)  # two thirds of what the servers do: queues come and go
            if is_warm:
                trace.requests["phase"][:20] = Phase.WARMUP
            (window,) = windows_of(trace)
            n_cut[is_warm] += steady(window, trace.requests) != window
    assert n_cut[True] <= 3 < n_cut[False]


def test_after_a_warm_up_a_glaring_change_is_still_cut():
    trace = closed_loop(400)
    trace.requests["phase"][:20] = Phase.WARMUP
    (window,) = windows_of(trace)
    slow = trace.requests["t_due_ns"] < 2 * SECOND
    for name in ("t_first_content_ns", "t_last_content_ns", "t_end_ns"):
        trace.requests[name][slow] += 50 * MS
    assert steady(window, trace.requests).t_start_ns > 1900 * MS


def test_a_run_that_never_settles_is_not_cut():
    rows = [stream(due=i * 100 * MS, ttft=(10 + i) * MS) for i in range(200)]
    trace = make_trace(*rows)
    (window,) = windows_of(trace)
    assert steady(window, trace.requests) == window
