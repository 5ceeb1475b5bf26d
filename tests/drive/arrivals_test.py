# SPDX-License-Identifier: Apache-2.0
"""Arrivals: when the next request is due in open and closed loop, what is warm-up, and where the window lies."""

from __future__ import annotations

import numpy as np

from inferometer.drive.arrivals import FAR_NS, Arrivals
from inferometer.kinds import Phase
from inferometer.plan.schedule import Stage


def test_open_loop_is_due_at_the_planned_instants_whatever_happens():
    arrivals = Arrivals(Stage(due_ns=np.array([0, 10, 30]), n_warmup=1, n_requests=3), t_start_ns=100)
    assert [arrivals.take() for _ in range(3)] == [(100, Phase.WARMUP), (110, Phase.MAIN), (130, Phase.MAIN)]
    assert arrivals.next_ns == FAR_NS
    assert arrivals.is_over(0)


def test_closed_loop_is_due_when_a_slot_frees():
    arrivals = Arrivals(Stage(concurrency=2, n_requests=3), t_start_ns=100)
    assert [arrivals.take()[0], arrivals.take()[0]] == [100, 100]
    assert arrivals.next_ns == FAR_NS
    assert not arrivals.is_over(10**12)
    arrivals.freed(175)
    assert arrivals.take() == (175, Phase.MAIN)
    arrivals.freed(180)
    assert arrivals.next_ns == FAR_NS
    assert arrivals.is_over(180)


def test_a_slot_freed_before_the_stop_is_due_even_if_noticed_after_it():
    arrivals = Arrivals(Stage(concurrency=1, duration_ns=50), t_start_ns=100)
    arrivals.take()
    arrivals.freed(149)
    assert not arrivals.is_over(now_ns=1_000)
    assert arrivals.take()[0] == 149
    arrivals.freed(150)
    assert arrivals.next_ns == FAR_NS
    assert arrivals.is_over(now_ns=1_000)


def test_warm_up_by_time_starts_the_window_at_its_end():
    arrivals = Arrivals(Stage(concurrency=1, duration_ns=100, warmup_ns=40), t_start_ns=1_000)
    phases = []
    for t_freed_ns in (1_030, 1_055, 1_200):
        phases.append(arrivals.take()[1])
        arrivals.freed(t_freed_ns)
    assert phases == [Phase.WARMUP, Phase.WARMUP, Phase.MAIN]
    window = arrivals.window(0, now_ns=1_200, is_cut_short=False)
    assert (window.t_start_ns, window.t_end_ns) == (1_040, 1_100)


def test_a_counted_window_runs_from_the_first_to_the_last_due_instant():
    arrivals = Arrivals(Stage(concurrency=1, n_requests=3, n_warmup=1), t_start_ns=0)
    for t_freed_ns in (10, 20, 30):
        arrivals.take()
        arrivals.freed(t_freed_ns)
    window = arrivals.window(4, now_ns=35, is_cut_short=False)
    assert (window.trial, window.t_start_ns, window.t_end_ns) == (4, 10, 20)


def test_a_burst_window_ends_with_the_last_answer():
    arrivals = Arrivals(Stage(due_ns=np.zeros(3, np.int64), n_requests=3), t_start_ns=5)
    for _ in range(3):
        arrivals.take()
    window = arrivals.window(0, now_ns=99, is_cut_short=False)
    assert (window.t_start_ns, window.t_end_ns) == (5, 99)


def test_a_slot_that_frees_early_does_not_wait_for_slots_that_open_later():
    arrivals = Arrivals(Stage(concurrency=3, n_requests=9), t_start_ns=0, stagger_ns=100)
    assert arrivals.take()[0] == 0
    arrivals.freed(10)
    assert [arrivals.take()[0] for _ in range(3)] == [10, 100, 200]


def test_a_counted_warm_up_does_not_eat_the_time_that_was_asked_for():
    arrivals = Arrivals(Stage(concurrency=1, duration_ns=100, n_warmup=2), t_start_ns=0)
    phases = []
    for t_freed_ns in (400, 900, 950, 1_100):
        phases.append(arrivals.take()[1])
        arrivals.freed(t_freed_ns)
    assert phases == [Phase.WARMUP, Phase.WARMUP, Phase.MAIN, Phase.MAIN]
    assert arrivals.is_over(now_ns=1_100)
    window = arrivals.window(0, now_ns=1_100, is_cut_short=False)
    assert (window.t_start_ns, window.t_end_ns) == (900, 1_000)


def test_a_window_cut_short_in_the_drain_ends_where_it_was_to_end():
    arrivals = Arrivals(Stage(concurrency=1, duration_ns=100), t_start_ns=0)
    arrivals.take()
    window = arrivals.window(0, now_ns=500, is_cut_short=True)
    assert (window.t_start_ns, window.t_end_ns) == (0, 100)
