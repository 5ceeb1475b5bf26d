# SPDX-License-Identifier: Apache-2.0
"""Statistics of a metric: failures as worst, dependence, trials, and what a small sample cannot tell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from traces import CONTENT, MS, REASONING, closed_loop, failed, make_trace, request, stream
from traces import S as SECOND

from inferometer.kinds import Outcome, Phase
from inferometer.metrics import METRICS
from inferometer.metrics.estimates import chunk_statistics, request_statistics
from inferometer.records import Trace
from inferometer.stats import Estimate, Missing


def statistics(trace, name="ttft_s"):
    metric = METRICS[name]
    of = request_statistics if metric.per == "request" else chunk_statistics
    return of(metric, metric.fn(trace), trace)


def test_a_small_sample_says_what_is_missing():
    found = statistics(make_trace(*[stream(due=i, ttft=(10 + i) * MS) for i in range(57)]))
    assert found["p50"].value == pytest.approx(0.038)
    assert found["p99"] == Missing("needs 100 requests, has 57", 57, "s")
    assert "p99_9" not in found
    assert found["max"].value == pytest.approx(0.066, abs=1e-6)


def test_p99_9_is_there_where_it_is_carried():
    found = statistics(closed_loop(1000))
    assert isinstance(found["p99_9"], Estimate)
    assert found["p99_9"].hi == math.inf  # 3,688 would bound it


def test_warm_up_is_in_no_statistic():
    rows = [stream(due=i, ttft=SECOND, phase=Phase.WARMUP) for i in range(5)]
    rows += [stream(due=SECOND + i, ttft=10 * MS) for i in range(5)]
    found = statistics(make_trace(*rows))
    assert (found["mean"].n, found["mean"].value) == (5, pytest.approx(0.010))
    assert statistics(make_trace(*rows), "gap_s")["mean"].n == 45


def test_failures_are_the_worst_there_is():
    rows = [stream(due=i, ttft=(10 + i) * MS) for i in range(18)]
    rows += [failed(due=20), failed(Outcome.CENSORED, due=21)]
    found = statistics(make_trace(*rows))
    assert found["p90"].n == 18
    assert found["p90"].value == pytest.approx(0.0253)
    assert found["p90_with_failures"].n == 20
    assert found["p90_with_failures"].value == math.inf  # 17.1 of 0..19: between the last success and a failure
    assert found["p50_with_failures"].value == pytest.approx(0.0195)
    assert found["max_with_failures"].value == math.inf
    assert "failures as worst" in found["p50_with_failures"].method


def test_a_failure_counts_as_worst_even_if_its_first_token_was_fast():
    rows = [stream(due=i) for i in range(9)] + [stream(due=9, ttft=1 * MS, outcome=Outcome.STALLED)]
    found = statistics(make_trace(*rows))
    assert found["mean"].n == 9
    assert found["max_with_failures"].value == math.inf


def test_failures_are_not_the_worst_of_what_no_success_has():
    whole = [request(due=i, t_last_content_ns=9 * MS, end=9 * MS, tokens=5) for i in range(30)]
    found = statistics(make_trace(*whole, failed(due=40), failed(due=41)))
    assert isinstance(found["p50_with_failures"], Missing)
    assert found["p50"] == Missing("needs a streamed answer with text; none of 30 is that", 0, "s")
    assert statistics(make_trace(*whole, failed(due=40)), "e2e_s")["p50_with_failures"].n == 31


def test_nothing_but_failures():
    found = statistics(make_trace(*[failed(due=i) for i in range(30)]))
    assert found["p50"] == Missing("needs a successful request; there is none", 0, "s")
    assert found["p50_with_failures"].value == math.inf
    assert statistics(make_trace(failed()), "gap_s")["p50"].reason == "needs a successful request; there is none"


def test_lateness_is_over_all_that_were_sent():
    rows = [stream(due=0, sent=1 * MS), failed(due=0, sent=3 * MS), failed(Outcome.NOT_SENT, sent=-1)]
    assert statistics(make_trace(*rows), "lateness_s")["mean"].value == pytest.approx(0.002)


def test_a_queue_makes_requests_depend_on_each_other_and_the_interval_says_so():
    rng = np.random.default_rng(3)
    wait, rows = 0.0, []
    for i in range(1000):  # waits of a queue at 90 % load, by Lindley's recursion
        wait = max(0.0, wait + rng.exponential(0.9) - rng.exponential(1.0))
        rows.append(stream(due=i * SECOND, ttft=int((0.1 + wait) * SECOND)))
    found = statistics(make_trace(*rows))
    for name in ("p50", "p90"):
        worth = int(found[name].method.split("worth ")[1].split(" of")[0].replace(",", ""))
        assert worth < 120, name
    assert not found["mean"].is_bounded
    assert "they depend on each other" in found["mean"].method


def test_the_order_is_that_of_due_instants_not_of_rows():
    trace = closed_loop(300)
    shuffled = np.random.default_rng(1).permutation(300)
    other = Trace(trace.requests[shuffled], trace.chunks, trace.samples, trace.meta)
    for name in ("ttft_s", "tpot_s", "gap_s", "gap_max_s", "fluidity_ratio", "underrun_s"):
        assert statistics(other, name) == statistics(trace, name)


# -- trials -----------------------------------------------------------------------------------------------------------


def three_trials(n=150):
    rows = [
        stream(due=(trial * n + i) * SECOND, ttft=(10 + trial + i % 2) * MS, trial=trial)
        for trial in range(3)
        for i in range(n)
    ]
    return make_trace(*rows, plan={"n_trials": 3})


def test_with_trials_the_interval_is_over_trials():
    found = statistics(three_trials())
    mean = found["mean"]
    assert (mean.n, mean.value) == (3, pytest.approx(0.0115))
    assert mean.hi - mean.value == pytest.approx(4.302653 * 0.001 / math.sqrt(3))  # t(2), standard deviation 1 ms
    assert "t interval over trials" in mean.method
    assert found["p99"].n == 3
    assert found["max"].value == pytest.approx(0.013)
    assert found["max"].hi == math.inf


def test_a_percentile_needs_its_values_in_each_trial():
    found = statistics(three_trials(57))
    assert found["p99"] == Missing("needs 100 requests, has 57 in each trial", 57, "s")
    assert found["p95"].n == 3


def test_gaps_are_split_by_trial_too():
    found = statistics(three_trials(), "gap_s")
    assert (found["mean"].n, found["mean"].value) == (3, pytest.approx(0.004))


def test_one_trial_that_carries_a_percentile_is_not_enough():
    rows = [stream(due=i * SECOND, trial=0) for i in range(100)] + [
        stream(due=(100 + i) * SECOND, trial=1) for i in range(50)
    ]
    assert statistics(make_trace(*rows))["p99"] == Missing("needs 2 trials that carry it, has 1", 1, "s")


# -- chunks -----------------------------------------------------------------------------------------------------------


def test_gaps_of_one_shared_batch_are_not_independent():
    """Eight streams that wait together: each slow step is eight gaps, not eight proofs."""
    rng = np.random.default_rng(2)
    steps = np.cumsum(rng.exponential(5 * MS, 400) * (1 + (np.arange(400) // 40) % 2)).astype(int)
    rows = [request(due=0, chunks=[(int(t), CONTENT) for t in steps]) for _ in range(8)]
    p50 = statistics(make_trace(*rows), "gap_s")["p50"]
    assert p50.n == 8 * 399
    assert int(p50.method.split("worth ")[1].split(" of")[0]) < 400


def test_statistics_of_gaps_are_those_of_their_values():
    trace = closed_loop(200)
    values = METRICS["gap_s"].fn(trace)
    values = values[~np.isnan(values)]
    found = statistics(trace, "gap_s")
    assert found["mean"].value == pytest.approx(values.mean())
    assert found["p90"].value == pytest.approx(np.quantile(values, 0.9))
    assert found["max"].value == values.max()
    assert found["p50"].lo < found["p50"].value < found["p50"].hi
    assert found["p99"].n == len(values) == 1800


def test_gaps_of_failed_requests_are_left_out():
    rows = [stream(due=0), stream(due=0, gap=SECOND, outcome=Outcome.STALLED)]
    assert statistics(make_trace(*rows), "gap_s")["max"].value == pytest.approx(0.004)


def test_intervals_hold_nothing_that_the_unit_cannot_be():
    rows = [stream(due=i * SECOND, ttft=(1 if i else 900) * MS, trial=i % 2) for i in range(8)]
    mean = statistics(make_trace(*rows))["mean"]
    assert mean.lo == 0.0
    assert mean.hi > mean.value
    fluid = statistics(make_trace(*[stream(due=i, gap=(1 if i else 900) * MS) for i in range(9)]), "fluidity_ratio")
    assert fluid["mean"].hi == 1.0


def test_trials_that_cannot_carry_a_percentile_do_not_vanish():
    rows = [stream(due=(200 * t + i) * SECOND, trial=t) for t in range(3) for i in range(100)]
    rows += [failed(due=(200 * t + i) * SECOND, trial=t) for t in (3, 4) for i in range(5)]
    found = statistics(make_trace(*rows))
    assert "over 3 of 5 trials" in found["p99"].method
    assert found["p99_with_failures"].value == math.inf


def test_an_answer_that_never_came_after_the_thinking_counts_as_worst():
    thinks = [(10 * MS, REASONING), (20 * MS, CONTENT)]
    rows = [request(due=0, chunks=thinks) for _ in range(9)] + [request(due=0, chunks=thinks[:1])]
    found = statistics(make_trace(*rows), "ttfat_s")
    assert (found["mean"].n, found["mean"].value) == (9, pytest.approx(0.020))
    assert found["max_with_failures"].value == math.inf
