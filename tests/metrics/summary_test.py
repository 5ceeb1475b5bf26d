# SPDX-License-Identifier: Apache-2.0
"""The summary as a whole: degenerate runs, metamorphic properties, size."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from traces import CONTENT, MS, ROLE, awkward, closed_loop, failed, make_trace, open_loop, request, stream
from traces import S as SECOND

from inferometer.kinds import ChunkKind, Outcome, Phase
from inferometer.metrics import METRICS
from inferometer.metrics.slo import parse_limits
from inferometer.metrics.summary import summarize
from inferometer.records import CHUNK, NEVER, Trace, empty_requests
from inferometer.stats import Estimate, Missing

LIMITS = parse_limits("ttft<25ms,gap<8ms,ttft_p99<1s,error<1%")
INSTANTS = [name for name in empty_requests(0).dtype.names if name.startswith("t_")]
IN_TIME = {"s", "s/token"}  # units that grow with time; rates shrink
PER_TIME = {"1/s", "tokens/s"}


def all_statistics(summary):
    return {(m, s): e for m, found in summary.metrics.items() for s, e in found.items()}


# -- degenerate runs --------------------------------------------------------------------------------------------------


def check_sane(summary):
    """No NaN anywhere, ends in order, a reason wherever there is no number."""
    assert set(summary.metrics) == set(METRICS) == set(summary.metric_verdicts)
    for key, found in all_statistics(summary).items():
        if isinstance(found, Missing):
            assert found.reason, key
            continue
        assert not math.isnan(found.value), key
        assert found.lo <= found.value <= found.hi, key
        assert found.n > 0 or found.value == 0, key  # a rate of nothing is a rate
        assert found.method, key
        assert found.unit == METRICS[key[0]].unit, key
    for name, found in summary.fidelity.items():
        assert isinstance(found, Missing) or math.isfinite(found.value), name


@pytest.mark.parametrize("mode", ["closed", "open", "burst"])
@pytest.mark.parametrize(
    "rows",
    [
        [],
        [awkward()],
        [failed()],
        [failed(Outcome.NOT_SENT, sent=-1)],
        [failed(Outcome.NOT_SENT, due=-1, sent=-1)],
        [stream(due=0, phase=Phase.WARMUP)],
        [failed(due=i * MS) for i in range(200)],
        [request(due=i * MS, t_last_content_ns=i * MS + SECOND, end=i * MS + SECOND, tokens=9) for i in range(200)],
        [request(due=i * MS, end=i * MS + SECOND, tokens=9) for i in range(200)],
        [request(due=i * MS, chunks=[(i * MS + 1, ROLE)], tokens=-1) for i in range(20)],
        [stream(due=0) for _ in range(300)],
        [stream(due=i * MS, outcome=Outcome.CENSORED, t_end_ns=NEVER, n_output_tokens=-1) for i in range(50)],
        [stream(due=i * SECOND, trial=i % 3) for i in range(9)],
    ],
    ids=[
        "nothing", "one", "one failure", "one unsent", "one never due", "only warm-up", "only failures", "not streamed",
        "swallowed", "role only", "all equal", "cut off", "tiny trials",
    ],
)  # fmt: skip
def test_every_run_has_a_summary(rows, mode):
    check_sane(summarize(make_trace(*rows, plan={"mode": mode}), LIMITS))


def test_answers_that_were_not_streamed_say_so():
    rows = [request(due=i * MS, t_last_content_ns=i * MS + SECOND, end=i * MS + SECOND, tokens=9) for i in range(200)]
    summary = summarize(make_trace(*rows, plan={"is_streamed": False}))
    assert summary.metrics["ttft_s"]["p50"] == Missing("needs a streamed answer with text; none of 200 is that", 0, "s")
    assert summary.metrics["e2e_s"]["p50"].value == pytest.approx(1.0)
    assert summary.verdict.level == "valid"


def test_a_cut_off_run_counts_its_open_requests():
    trace = closed_loop(200, meta={"is_cut_off": True})
    trace.requests["outcome"][-4:] = Outcome.CENSORED
    summary = summarize(trace)
    assert summary.is_cut_off
    assert summary.counts["unfinished"] == summary.counts["censored"] == 4
    assert summary.metrics["ttft_s"]["p99"].n == 196
    assert summary.metrics["ttft_s"]["p99_with_failures"].n == 200
    assert summary.metrics["ttft_s"]["p99_with_failures"].value == math.inf  # 2 % of them: age known, latency not
    assert summary.metrics["error_ratio"]["value"].n == 196


def test_counts_add_up():
    rows = [stream(due=0, phase=Phase.WARMUP), *[stream(due=i) for i in range(6)]]
    rows += [failed(), failed(), failed(Outcome.STALLED), failed(Outcome.CANCELLED), failed(Outcome.NOT_SENT, due=-1)]
    counts = summarize(make_trace(*rows)).counts
    assert counts["planned"] == counts["ok"] + counts["failed"] + counts["unfinished"] == 10
    assert (counts["ok"], counts["failed"], counts["unfinished"], counts["warmup"]) == (6, 3, 1, 1)
    assert (counts["reset"], counts["stalled"], counts["cancelled"]) == (2, 1, 1)


def test_counts_tell_lengths_that_were_not_obeyed():
    rows = [stream(due=i, n_output_tokens_asked=10, n_prompt_tokens=7, n_prompt_tokens_asked=8) for i in range(3)]
    rows += [stream(due=9, n=9, n_output_tokens_asked=10)]
    counts = summarize(make_trace(*rows)).counts
    assert (counts["output_length_off"], counts["prompt_length_off"]) == (1, 3)


def test_facts_come_from_the_records():
    trace = closed_loop(20, meta={"engine": {"name": "vllm"}, "host": {"n_cores": 2}})
    summary = summarize(trace)
    assert (summary.engine, summary.host) == ({"name": "vllm"}, {"n_cores": 2})
    assert summary.stamps == "kernel"
    assert summary.plan["mode"] == "closed"


def test_in_flight_over_time_is_there_to_be_drawn():
    (series,) = summarize(closed_loop(200)).in_flight
    assert len(series.t_s) == len(series.n) == 200
    assert series.n.mean() == pytest.approx(4, rel=0.01)


# -- metamorphic ------------------------------------------------------------------------------------------------------


def moved(trace, *, by=0, times=1):
    """The same run, begun later, or on a clock that runs faster."""
    requests, chunks = trace.requests.copy(), trace.chunks.copy()
    for name in INSTANTS:
        requests[name] = np.where(requests[name] == NEVER, NEVER, requests[name] * times + by)
    for name in ("t_recv_ns", "t_read_ns"):
        chunks[name] = chunks[name] * times + by
    return Trace(requests, chunks, trace.samples, trace.meta)


def with_failures():
    trace = closed_loop(300)
    trace.requests["outcome"][::60] = Outcome.RESET
    return trace


@pytest.mark.parametrize("make", [with_failures, lambda: open_loop(300)], ids=["closed", "open"])
def test_a_run_that_begins_later_is_the_same_run(make):
    before, after = (summarize(t, LIMITS) for t in (make(), moved(make(), by=3600 * SECOND)))
    later = all_statistics(after)
    for key, found in all_statistics(before).items():
        assert_close(later[key], found, 1.0, key)
    assert after.verdict == before.verdict
    assert after.limits == before.limits


def test_a_run_at_half_the_speed_takes_twice_as_long():
    """Without limits, and in streams whose 9 gaps of 4 to 9 ms no absolute threshold touches."""
    before, after = (all_statistics(summarize(t)) for t in (with_failures(), moved(with_failures(), times=2)))
    for key, found in before.items():
        unit = METRICS[key[0]].unit
        assert_close(after[key], found, 2.0 if unit in IN_TIME else 0.5 if unit in PER_TIME else 1.0, key)


def assert_close(found, expected, factor, key):
    if isinstance(expected, Missing):
        assert found == expected, key
        return
    for name in ("value", "lo", "hi"):
        assert getattr(found, name) == pytest.approx(factor * getattr(expected, name), rel=1e-6, abs=1e-9), (key, name)
    assert found.n == expected.n, key


def test_the_order_of_rows_does_not_matter():
    trace = with_failures()
    order = np.random.default_rng(1).permutation(len(trace.requests))
    shuffled = Trace(trace.requests[order], trace.chunks, trace.samples, trace.meta)
    assert dataclasses.replace(summarize(shuffled, LIMITS), in_flight=()) == dataclasses.replace(
        summarize(trace, LIMITS), in_flight=()
    )


def test_a_run_split_into_two_files_and_merged_is_the_same_run():
    trace = with_failures()
    first, second = (
        (trace.requests[part], trace.chunks[np.isin(trace.chunks["request_id"], trace.requests["id"][part])])
        for part in (slice(None, 100), slice(100, None))
    )
    merged = Trace(
        np.concatenate([second[0], first[0]]), np.concatenate([second[1], first[1]]), trace.samples, trace.meta
    )
    after = all_statistics(summarize(merged, LIMITS))
    for key, found in all_statistics(summarize(trace, LIMITS)).items():
        assert_close(after[key], found, 1.0, key)


def test_twice_the_same_trial_has_the_value_of_one_and_no_width():
    rows = [stream(due=i * 50 * MS + trial * 60 * SECOND, ttft=(10 + i % 7) * MS, trial=trial)
            for trial in range(2) for i in range(100)]  # fmt: skip
    one = all_statistics(summarize(make_trace(*rows[:100])))
    two = all_statistics(summarize(make_trace(*rows, plan={"n_trials": 2})))
    for key in [("ttft_s", "p90"), ("ttft_s", "mean"), ("gap_s", "p50"), ("output_throughput_tokens_per_s", "value")]:
        assert two[key].value == pytest.approx(one[key].value)
        assert two[key].hi - two[key].lo == pytest.approx(0, abs=1e-6)
        assert two[key].n == 2


# -- size -------------------------------------------------------------------------------------------------------------


def test_a_million_chunks_are_summarised_without_a_loop_over_them():
    """As many requests as a loop over rows in Python would need minutes for: the test's own time limit judges."""
    n_requests, n_each = 50_000, 20
    rng = np.random.default_rng(1)
    requests = empty_requests(n_requests)
    due = np.sort(rng.integers(0, 300 * SECOND, n_requests))
    stamps = due[:, None] + np.cumsum(rng.integers(1 * MS, 20 * MS, (n_requests, n_each)), axis=1)
    chunks = np.zeros(n_requests * n_each, CHUNK)
    chunks["request_id"] = np.repeat(np.arange(n_requests), n_each)
    chunks["kind"], chunks["n_tokens"] = ChunkKind.CONTENT, -1
    chunks["read_id"] = np.arange(len(chunks))
    chunks["t_recv_ns"] = chunks["t_read_ns"] = stamps.ravel()
    for name in ("t_first_content_ns", "t_first_answer_ns", "t_head_ns"):
        requests[name] = stamps[:, 0]
    requests["t_last_content_ns"] = requests["t_end_ns"] = stamps[:, -1]
    requests["t_due_ns"] = requests["t_sent_ns"] = due
    requests["n_output_tokens"] = n_each
    requests["outcome"] = Outcome.OK
    summary = summarize(Trace(requests, chunks, meta={"plan": {"mode": "open"}}), LIMITS)
    gaps = np.diff(stamps, axis=1).ravel() / SECOND
    p99 = summary.metrics["gap_s"]["p99"]
    assert isinstance(p99, Estimate)
    assert p99.value == pytest.approx(np.quantile(gaps, 0.99))
    assert p99.n == n_requests * (n_each - 1)
    assert summary.metrics["gap_max_s"]["mean"].value == pytest.approx(
        np.diff(stamps, axis=1).max(axis=1).mean() / SECOND
    )


def test_chunks_that_carry_no_text_are_in_no_gap():
    trace = make_trace(request(chunks=[(1 * MS, ROLE), (2 * MS, CONTENT), (3 * MS, ChunkKind.PING), (9 * MS, CONTENT)]))
    assert summarize(trace).metrics["gap_s"]["max"].value == pytest.approx(0.007)
