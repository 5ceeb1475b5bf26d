# SPDX-License-Identifier: Apache-2.0
"""Numbers about the measurement itself."""

from __future__ import annotations

import numpy as np
import pytest
from traces import CONTENT, MS, closed_loop, failed, gauges, make_trace, request, stream
from traces import S as SECOND

from inferometer.kinds import Outcome, Phase
from inferometer.metrics.fidelity import fidelity_numbers
from inferometer.metrics.samples import counted
from inferometer.metrics.window import Window, windows_of
from inferometer.records import NEVER, SAMPLE
from inferometer.stats import Missing


def numbers(trace):
    return fidelity_numbers(trace, windows_of(trace))


def test_lateness_is_of_every_counted_request_that_was_sent():
    rows = [stream(due=i * SECOND, sent=i * SECOND + (i + 1) * MS) for i in range(4)]
    rows += [failed(due=9 * SECOND, sent=9 * SECOND + 5 * MS)]
    rows += [stream(due=0, sent=SECOND, phase=Phase.WARMUP), failed(Outcome.NOT_SENT, sent=NEVER)]
    found = numbers(make_trace(*rows))
    assert found["lateness_p50_s"].value == pytest.approx(0.003)
    assert found["lateness_max_s"].value == pytest.approx(0.005)
    assert found["lateness_p99_s"] == Missing("needs 100 requests, has 5", 5, "s")


def test_read_lag_is_that_of_kernel_stamped_chunks():
    trace = closed_loop(50)
    trace.chunks["t_read_ns"][::50] += 1 * MS
    found = numbers(trace)
    assert found["read_lag_p50_s"].value == pytest.approx(30e-6)
    assert found["read_lag_max_s"].value == pytest.approx(1030e-6)
    user = type(trace)(trace.requests, trace.chunks, trace.samples, {**trace.meta, "stamps": "user"})
    assert isinstance(numbers(user)["read_lag_p50_s"], Missing)


def test_merged_reads_are_counted_within_one_request_only():
    first = request(chunks=[(10 * MS, CONTENT, 1, 0), (20 * MS, CONTENT, 1, 1), (20 * MS, CONTENT, 1, 1)])
    second = request(chunks=[(20 * MS, CONTENT, 1, 1), (30 * MS, CONTENT, 1, 2)])
    assert numbers(make_trace(first, second))["merged_ratio"].value == pytest.approx(1 / 3)
    assert isinstance(numbers(make_trace(request(chunks=[(1, CONTENT)])))["merged_ratio"], Missing)


def samples(*rows):
    return np.array(list(rows), SAMPLE)


def test_counters_are_read_between_samples_and_summed_over_windows():
    table = samples(*[(t * SECOND, "client", "cpu_s", float(t**2)) for t in range(0, 11, 2)])
    windows = [Window(0, 1 * SECOND, 3 * SECOND), Window(1, 6 * SECOND, 8 * SECOND)]
    # at 1: 2 (between 0 and 4), at 3: 10 (between 4 and 16)
    assert counted(table, "client", "cpu_s", windows) == pytest.approx((10 - 2) + (64 - 36))
    assert counted(table, "client", "run_delay_s", windows) is None
    assert counted(table[:1], "client", "cpu_s", windows) is None


def test_shares_of_the_machine():
    trace = closed_loop(400)
    (window,) = windows_of(trace)
    rises = {"client_cpu_s": 0.1, "host_steal_s": 0.2, "host_cpu_busy_s": 0.5, "client_run_delay_s": 0.05}
    table = [*gauges(window.t_end_ns, **{k: v * window.span_s for k, v in rises.items()}), (0, "host", "n_cores", 4.0)]
    found = numbers(type(trace)(trace.requests, trace.chunks, samples(*sorted(table)), trace.meta))
    assert found["client_cpu_ratio"].value == pytest.approx(0.1)
    assert found["steal_ratio"].value == pytest.approx(0.05)
    assert found["host_busy_ratio"].value == pytest.approx(0.125)
    assert found["client_run_delay_ratio"].value == pytest.approx(0.05)
    assert found["engine_run_delay_ratio"] == Missing("was not sampled", 0, "ratio")


def test_counters_over_milliseconds_are_not_read():
    trace = closed_loop(50)  # 0.8 s
    (window,) = windows_of(trace)
    table = gauges(window.t_end_ns, client_cpu_s=0.1, engine_cpu_s=0.1, engine_run_delay_s=0.1, host_cpu_busy_s=0.3)
    found = numbers(type(trace)(trace.requests, trace.chunks, samples(*table), trace.meta))
    for name in ("client_cpu_ratio", "engine_run_delay_ratio", "engine_waited_ratio"):
        assert found[name].reason.startswith("needs a window of 5 s, has 0."), name


def test_length_errors_are_over_the_answers_that_tell():
    rows = [
        stream(due=0, n_output_tokens=8, n_output_tokens_asked=10),
        stream(due=0, n_output_tokens=11, n_output_tokens_asked=10),
        stream(due=0, n_output_tokens=-1, n_output_tokens_asked=10),
        failed(n_output_tokens=1, n_output_tokens_asked=10),
    ]
    found = numbers(make_trace(*rows))
    assert found["output_length_error_ratio"].value == pytest.approx(3 / 20)
    assert isinstance(found["input_length_error_ratio"], Missing)


@pytest.mark.parametrize(
    ("plan", "excess"),
    [
        ({"n_template_tokens": 10}, (0 + 30 + 70) / 300),
        ({"n_template_tokens": 10, "shared_prefix": 40}, 30 / 300),
        ({"n_template_tokens": 0}, (10 + 40 + 80) / 300),
        ({}, (0 + 30 + 70) / 300),  # the smallest hit stands for the template
    ],
)
def test_prefix_hits_beyond_what_is_expected(plan, excess):
    rows = [stream(due=0, n_prompt_tokens=100, n_cached_tokens=n) for n in (10, 40, 80)]
    assert numbers(make_trace(*rows, plan=plan))["prefix_excess_ratio"].value == pytest.approx(excess)


def test_hits_on_most_of_every_prompt_are_no_chat_template():
    rows = [stream(due=0, n_prompt_tokens=128, n_cached_tokens=112) for _ in range(3)]
    assert numbers(make_trace(*rows))["prefix_excess_ratio"].value == pytest.approx((112 - 32) / 128)
    rows = [stream(due=0, n_prompt_tokens=40, n_cached_tokens=30) for _ in range(3)]
    assert numbers(make_trace(*rows))["prefix_excess_ratio"].value == pytest.approx((30 - 10) / 40)
