# SPDX-License-Identifier: Apache-2.0
"""The clock: one monotonic axis, and how it is tied to the wall clock."""

from __future__ import annotations

import datetime
import time

from inferometer.clock import Clock, ClockPair, clock_resolution_s, monotonic_ns, process_cpu_ns, sleep_s, utc_now


def test_instants_are_ns_since_the_clock_was_made_and_never_go_back():
    before = time.monotonic_ns()
    clock = Clock()
    instants = [clock.now_ns() for _ in range(1000)]
    after = time.monotonic_ns()
    assert before <= clock.origin_ns <= after
    assert instants[0] >= 0
    assert instants == sorted(instants)
    assert instants[-1] <= after - clock.origin_ns
    assert all(isinstance(instant, int) for instant in instants)


def test_clocks_with_one_origin_share_an_axis():
    clock = Clock()
    other = Clock(clock.origin_ns)
    first, second, third = clock.now_ns(), other.now_ns(), clock.now_ns()
    assert first <= second <= third
    assert first + clock.origin_ns <= monotonic_ns()


def test_a_pair_ties_the_axis_to_the_wall_clock_within_its_bracket():
    clock = Clock()
    before, wall_before = clock.now_ns(), time.time_ns()
    pair = clock.pair()
    wall_after, after = time.time_ns(), clock.now_ns()
    assert before <= pair.t_ns - pair.width_ns // 2
    assert pair.t_ns + pair.width_ns // 2 <= after
    assert wall_before <= pair.realtime_ns <= wall_after
    assert pair.t_ns + pair.offset_ns == pair.realtime_ns
    assert pair.width_ns >= 0


def test_the_offset_of_a_pair_is_realtime_minus_the_axis():
    assert ClockPair(t_ns=1_000, realtime_ns=1_700_000_000_000_000_000, width_ns=40).offset_ns == (
        1_700_000_000_000_000_000 - 1_000
    )


def test_sleeping_until_an_instant_never_ends_before_it():
    clock = Clock()
    t_ns = clock.now_ns() + 3_000_000
    clock.sleep_until(t_ns)
    assert clock.now_ns() >= t_ns
    clock.sleep_until(t_ns)  # past: returns


def test_sleep_sleeps():
    clock = Clock()
    sleep_s(0.002)
    assert clock.now_ns() >= 2_000_000


def test_cpu_time_counts_work_and_not_sleep():
    begin = process_cpu_ns()
    sum(range(200_000))
    worked = process_cpu_ns()
    assert worked > begin
    sleep_s(0.05)
    assert process_cpu_ns() - worked < 50_000_000


def test_wall_time_is_aware_and_utc():
    assert utc_now().tzinfo is datetime.UTC
    assert abs(utc_now().timestamp() - time.time()) < 60


def test_resolutions_are_known():
    assert all(0 < resolution <= 0.1 for resolution in clock_resolution_s().values())
