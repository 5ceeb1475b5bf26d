# SPDX-License-Identifier: Apache-2.0
"""Latencies of requests written by hand."""

from __future__ import annotations

import numpy as np
import pytest
from traces import CONTENT, MS, REASONING, ROLE, TOOL, USAGE, awkward, failed, make_trace, request
from traces import S as SECOND

from inferometer.metrics import latency


def approx(values):
    return pytest.approx(values, nan_ok=True)


def test_the_awkward_stream_comes_out_as_it_was_sent():
    trace = make_trace(awkward())
    assert latency.ttft(trace) == approx([0.300])
    assert latency.e2e(trace) == approx([1.060])
    assert latency.tpot(trace) * 1e3 == approx([19.487179])
    assert latency.usage_tail(trace) == approx([0.250])
    assert latency.ttfb(trace) == approx([0.001])


def test_the_worked_example_of_three_definitions(reference):
    row = reference["tpot_worked"]
    chunks = [(200 * MS, CONTENT), (2190 * MS, CONTENT)]
    trace = make_trace(request(chunks=chunks, tokens=row["output_tokens"]))
    assert latency.ttft(trace) == approx([row["ttft_s"]])
    assert latency.e2e(trace) == approx([row["e2e_s"]])
    assert latency.tpot(trace) * 1e3 == approx([row["tpot_excluding_first_ms"]])
    assert latency.normalized_latency(trace) * 1e3 == approx([row["normalized_latency_ms_per_token"]])
    assert latency.user_speed(trace) == approx([100.0])


def test_ttft_counts_from_due_and_skips_the_role_chunk():
    trace = make_trace(request(due=0, sent=5 * MS, chunks=[(9 * MS, ROLE), (30 * MS, CONTENT)]))
    assert latency.ttft(trace) == approx([0.030])
    assert latency.ttft_sent(trace) == approx([0.025])
    assert latency.lateness(trace) == approx([0.005])


def test_a_request_sent_twice_counts_from_due_and_is_no_lateness_of_the_client():
    trace = make_trace(request(due=0, sent=90 * MS, chunks=[(130 * MS, CONTENT)], attempt=2))
    assert latency.ttft(trace) == approx([0.130])
    assert latency.ttft_sent(trace) == approx([0.040])
    assert np.isnan(latency.lateness(trace)).all()


@pytest.mark.parametrize("kind", [CONTENT, REASONING, TOOL])
def test_text_reasoning_and_tool_calls_are_tokens(kind):
    assert latency.ttft(make_trace(request(chunks=[(7 * MS, kind)]))) == approx([0.007])


def test_e2e_is_ttft_plus_the_other_tokens_at_tpot():
    rng = np.random.default_rng(1)
    rows = []
    for n in range(2, 30):
        stamps = np.sort(rng.integers(1, SECOND, n))
        rows.append(request(chunks=[(int(t), CONTENT) for t in stamps]))
    trace = make_trace(*rows)
    n_tokens = trace.requests["n_output_tokens"]
    assert latency.e2e(trace) == approx(latency.ttft(trace) + (n_tokens - 1) * latency.tpot(trace))


def test_tpot_of_a_single_token_or_a_single_event_is_not_defined():
    one_token = request(chunks=[(5 * MS, CONTENT)], tokens=1)
    one_event = request(chunks=[(5 * MS, CONTENT)], tokens=10)
    untold = request(chunks=[(5 * MS, CONTENT), (6 * MS, CONTENT)], tokens=-1)
    assert latency.tpot(make_trace(one_token, one_event, untold)) == approx([np.nan] * 3)


def test_swallowed_tokens_have_no_first_one():
    trace = make_trace(request(chunks=[(1 * MS, ROLE), (90 * MS, USAGE)], tokens=12))
    for fn in (latency.ttft, latency.ttft_sent, latency.tpot, latency.e2e, latency.normalized_latency):
        assert fn(trace) == approx([np.nan])


def test_an_answer_in_one_piece_has_an_end_and_no_first_token():
    trace = make_trace(request(tokens=12, t_last_content_ns=80 * MS, end=80 * MS))
    assert latency.ttft(trace) == approx([np.nan])
    assert latency.e2e(trace) == approx([0.080])
    assert latency.normalized_latency(trace) == approx([0.080 / 12])


def test_time_to_first_answer_token_is_undefined_where_nobody_reasons():
    assert latency.ttfat(make_trace(awkward())) == approx([np.nan])


def test_time_to_first_answer_token_skips_the_reasoning():
    thinks = request(chunks=[(10 * MS, REASONING), (20 * MS, REASONING), (50 * MS, CONTENT)])
    answers = request(chunks=[(15 * MS, CONTENT)])
    never_answers = request(chunks=[(10 * MS, REASONING)])
    trace = make_trace(thinks, answers, never_answers)
    assert latency.ttft(trace) == approx([0.010, 0.015, 0.010])
    assert latency.ttfat(trace) == approx([0.050, 0.015, np.inf])  # it never came


def test_usage_inside_or_before_the_text_leaves_no_tail():
    inside = request(chunks=[(10 * MS, CONTENT)], t_usage_ns=10 * MS)
    early = request(chunks=[(1 * MS, USAGE), (10 * MS, CONTENT)])
    none = request(chunks=[(10 * MS, CONTENT)])
    assert latency.usage_tail(make_trace(inside, early, none)) == approx([0.0, 0.0, np.nan])


def test_a_request_that_never_left_has_no_latency():
    trace = make_trace(failed(sent=-1))
    for fn in (latency.ttft_sent, latency.lateness, latency.e2e, latency.ttfb):
        assert fn(trace) == approx([np.nan])


def test_read_lag_is_between_the_two_stamps_of_a_chunk():
    trace = make_trace(awkward())
    trace.chunks["t_read_ns"] += 21_000
    assert latency.read_lag(trace) == approx([21e-6] * 22)
