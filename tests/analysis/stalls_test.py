# SPDX-License-Identifier: Apache-2.0
"""Stalls and what coincides with them, on streams written out by hand."""

from __future__ import annotations

import numpy as np
from traces import CONTENT, MS, S, gauges, make_trace, request

from inferometer.analysis.stalls import find_stalls, hold_up


def stream(stall_at_ms, *, due_ms=0, n=400, stall_ms=400, gap_ms=10):
    """Tokens every 10 ms, and a silence before those at these instants."""
    gaps = np.full(n, gap_ms)
    for at in stall_at_ms:
        gaps[at // gap_ms] = stall_ms
    t_ms = due_ms + np.cumsum(gaps)
    return request(due=due_ms * MS, chunks=[(int(t) * MS, CONTENT, 1) for t in t_ms], n_prompt_tokens=10)


def test_no_stalls_are_none():
    found = find_stalls([make_trace(stream([]), stream([]))])
    assert (found.n_stalls, found.n_events, found.cause, found.lost) == (0, 0, "", 0.0)
    assert found.length.value is None


def test_stalls_of_all_streams_at_once_are_one_event_and_nobody_knows_why():
    at = [500, 1_000, 2_300]
    found = find_stalls([make_trace(stream(at), stream(at), stream(at))])
    assert (found.n_stalls, found.n_events) == (9, 3)
    assert found.whole_engine == 1.0
    assert found.cause == ""
    assert found.length.value == 0.4


def test_even_distances_are_a_period():
    at = list(range(300, 3_600, 400))
    found = find_stalls([make_trace(stream(at), stream(at))])
    assert found.cause == "period"
    assert found.period_s == 0.8 - 0.01, "from one to the next, silences included"


def test_few_distances_are_a_period_only_if_they_are_very_even():
    even = find_stalls([make_trace(stream([500, 1_000, 1_500, 2_010]))])
    assert even.period_s is not None
    assert even.cause == "period"
    so_so = find_stalls([make_trace(stream([500, 1_000, 1_600, 2_300]))])
    assert so_so.n_events == 4
    assert so_so.period_s is None


def test_prompts_that_are_computed_during_every_stall_are_the_cause():
    stalled = stream([500, 1_000, 1_500, 2_200])
    starts_ms = [500, 1_390, 2_280, 3_370]  # a silence of 400 ms begins 10 ms before the token that it delays
    prompts = [
        request(
            due=t * MS,
            chunks=[((t + 390) * MS, CONTENT, 1), ((t + 395) * MS, CONTENT, 1)],
            n_prompt_tokens=4_000,
            server_prefill_ns=380 * MS,
        )
        for t in starts_ms
    ]
    found = find_stalls([make_trace(stalled, *prompts)])
    assert found.n_events == 4
    assert found.cause == "prefill"
    told = {one.name: one for one in found.coincidences}
    assert told["prefill"].share == 1.0
    assert told["prefill"].share_else < 0.1
    assert not told["preemption"].is_told


def test_preemptions_that_rise_with_every_stall_are_the_cause():
    at = [500, 1_100, 2_000, 2_600]
    trace = make_trace(stream(at), stream(at))
    ends_ns = np.flatnonzero(np.diff(trace.chunks["t_recv_ns"][:400]) > 300 * MS)
    t_ns = trace.chunks["t_recv_ns"][ends_ns]
    samples = []
    for i, t in enumerate(t_ns.tolist()):
        samples += [
            (t - 5 * MS, "server", "n_preemptions", float(i)),
            (t + 405 * MS, "server", "n_preemptions", i + 1.0),
        ]
    trace = make_trace(stream(at), stream(at), samples=sorted(samples))
    assert find_stalls([trace]).cause == "preemption"


def test_a_client_that_had_no_core_is_the_cause():
    at = [500, 1_100, 2_000, 2_600]
    plain = make_trace(stream(at), stream(at))
    ends_ns = np.flatnonzero(np.diff(plain.chunks["t_recv_ns"][:400]) > 300 * MS)
    samples, delay_s = [(0, "client", "run_delay_s", 0.0)], 0.0
    for t in plain.chunks["t_recv_ns"][ends_ns].tolist():
        samples.append((t - 5 * MS, "client", "run_delay_s", delay_s))
        delay_s += 0.38
        samples.append((t + 405 * MS, "client", "run_delay_s", delay_s))
    assert find_stalls([make_trace(stream(at), stream(at), samples=samples)]).cause == "client"


def test_a_gauge_that_rises_all_the_time_explains_nothing():
    at = [500, 1_100, 2_000, 2_600]
    trace = make_trace(stream(at), stream(at), samples=gauges(6 * S, server_n_preemptions=50.0))
    assert find_stalls([trace]).cause == ""


def test_what_is_no_stall_at_the_speed_of_before_is_none():
    trace = make_trace(stream([500, 1_000, 1_500], stall_ms=300))
    assert find_stalls([trace]).n_events == 3
    assert find_stalls([trace], [2.0]).n_events == 0


def test_how_long_a_prompt_holds_up_others_is_told_of_the_longer_ones():
    # A token every 10 ms; every second a prompt of 1,000 tokens for 300 ms, and a short one of 20 ms.
    gaps_ms = ([10] * 70 + [300]) * 12
    t_ms = np.cumsum(gaps_ms)
    long_ms = t_ms[np.flatnonzero(np.array(gaps_ms) == 300)]

    def prompt(t, n_tokens, lasts):
        chunks = [(int(t) * MS, CONTENT, 1), (int(t) * MS + MS, CONTENT, 1)]
        return request(due=int(t - lasts) * MS, chunks=chunks, n_prompt_tokens=n_tokens, server_prefill_ns=lasts * MS)

    streams = [request(chunks=[(int(t) * MS, CONTENT, 1) for t in t_ms], n_prompt_tokens=5)]
    trace = make_trace(*streams, *(prompt(t, 1000, 300) for t in long_ms), *(prompt(t - 400, 50, 20) for t in long_ms))
    found = hold_up([trace])
    assert found.n_tokens == 1000
    assert found.length.value == 0.3
    assert found.share == 1.0
    assert found.usual_s == 0.01


def test_nothing_is_told_of_few_prompts():
    found = hold_up([make_trace(stream([]), stream([]))])
    assert found.reason == "needs 9 prompts computed beside streams, has 0"
