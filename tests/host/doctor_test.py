# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys

import numpy as np
import pytest

from inferometer.host.doctor import (
    Watched,
    check_clock,
    check_cores,
    check_disk,
    check_embedded,
    check_governor,
    check_kernel_stamps,
    check_load,
    check_open_files,
    check_steal,
    check_swap,
    check_timer_slack,
    check_timers,
    doctor,
    measure_stamp_lags_ns,
    watch,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="kernel stamps are Linux's")


def watched(late_ms=0.1, steal_ratio=0.0, busy_cores=0.0, busiest=(), swapped_bytes=0):
    return Watched(np.full(900, late_ms / 1e3), steal_ratio, busy_cores, busiest, swapped_bytes)


@linux_only
def test_the_kernel_stamps_a_real_socket_and_never_before_the_send():
    lags_ns = measure_stamp_lags_ns(100)
    # Some are missing where the kernel turns stamps on only now; each that came is between the send and a second later.
    assert 10 <= len(lags_ns) <= 100
    assert all(-50_000 < lag_ns < 1_000_000_000 for lag_ns in lags_ns)
    check = check_kernel_stamps()
    assert check.level == "valid"
    assert "of 40 reads over loopback carried a kernel receive stamp" in check.text


def test_a_whole_examination_names_each_check_once_and_every_trouble_has_a_remedy(tmp_path):
    checks = doctor(tmp_path)
    codes = [check.code for check in checks]
    assert len(set(codes)) == len(codes) >= 8
    assert {check.level for check in checks} <= {"valid", "suspect", "invalid"}
    assert all(check.text for check in checks)
    assert all(check.remedy for check in checks if check.level != "valid")


def test_watching_sees_timers_fire_late_but_never_early():
    seen = watch(0.05)
    assert len(seen.late_s) > 0
    assert np.all(seen.late_s >= 0)
    assert seen.busy_cores >= 0


def test_the_clock_is_named_with_its_price():
    assert "a reading takes" in check_clock().text


@pytest.mark.parametrize(("late_ms", "level"), [(0.1, "valid"), (3, "suspect"), (20, "invalid")])
def test_late_timers(late_ms, level):
    check = check_timers(watched(late_ms=late_ms))
    assert check.level == level
    assert (f"{late_ms:.2f} ms (p99)" if 1 <= late_ms < 10 else " (p99)") in check.text


@pytest.mark.parametrize(("ratio", "level"), [(0.0, "valid"), (0.01, "suspect"), (0.2, "invalid")])
def test_steal(ratio, level):
    check = check_steal(watched(steal_ratio=ratio))
    assert check.level == level
    assert f"{ratio:.1%}" in check.text


def test_steal_that_is_not_known_is_not_told():
    assert check_steal(watched(steal_ratio=None)) is None


@pytest.mark.parametrize(
    ("busy_cores", "n_cores", "level"),
    [(0.05, 2, "valid"), (0.3, 2, "suspect"), (0.9, 2, "invalid"), (2.0, 16, "suspect"), (15.9, 16, "invalid")],
)
def test_others_that_work_are_named(busy_cores, n_cores, level):
    check = check_load(watched(busy_cores=busy_cores, busiest=(("make", 42, busy_cores),)), n_cores, 1.5)
    assert check.level == level
    assert f"make (pid 42) {busy_cores:.2f}" in check.text
    assert "load average 1.50" in check.text


@pytest.mark.parametrize(
    ("n_cores", "quota", "level"), [(2, None, "valid"), (1, None, "suspect"), (8, 1.5, "suspect"), (8, 4.0, "valid")]
)
def test_an_engine_beside_us_needs_a_second_core(n_cores, quota, level):
    assert check_cores(n_cores, quota).level == level


@pytest.mark.parametrize(
    ("limits", "level", "text"),
    [
        ((1024, 1_048_576), "valid", "1,024, raised on demand up to 1,048,576"),
        ((1024, sys.maxsize), "valid", "up to any number"),
        ((256, 1024), "suspect", "at most some 960 requests"),
    ],
)
def test_open_files(limits, level, text):
    check = check_open_files(limits)
    assert check.level == level
    assert text in check.text


@pytest.mark.parametrize(("free_bytes", "level"), [(80e9, "valid"), (1e9, "suspect"), (50e6, "invalid")])
def test_room_on_disk(free_bytes, level):
    assert check_disk(int(free_bytes)).level == level


def test_swapping_timer_slack_and_a_saving_governor_are_suspect():
    assert check_swap(watched()).level == "valid"
    assert check_swap(watched(swapped_bytes=4096)).level == "suspect"
    assert check_timer_slack(50_000).level == "valid"
    assert check_timer_slack(40_000_000).level == "suspect"
    assert check_timer_slack(None) is None
    assert check_governor("performance").level == "valid"
    assert check_governor("powersave").level == "suspect"
    assert check_governor(None) is None


def test_a_missing_engine_is_told_with_the_remedy():
    assert check_embedded({"xllamacpp": "2026.10", "gguf": "0.19"}).level == "valid"
    check = check_embedded({"gguf": "0.19"})
    assert check.level == "suspect"
    assert "xllamacpp missing" in check.text
    assert check.remedy == "pip install 'inferometer[embedded]'"
