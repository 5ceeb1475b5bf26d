# SPDX-License-Identifier: Apache-2.0
"""Gaps, stalls, playback and the fluidity index: by hand, and against a loop that does it token by token."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from traces import CONTENT, MS, ROLE, TOOL, USAGE, awkward, failed, make_trace, request
from traces import S as SECOND

from inferometer.kinds import Outcome
from inferometer.metrics.pauses import pauses
from inferometer.metrics.smoothness import (
    READING_SPEED_TOKENS_PER_S,
    _running_max,
    fluidity,
    fluidity_index,
    gap,
    gap_max,
    gap_token,
    playback_wait_s,
    underrun,
)
from inferometer.metrics.tokens import token_counts

NAN = np.nan


def approx(values):
    return pytest.approx(values, nan_ok=True)


def at(*ms, kind=CONTENT):
    return [(t * MS, kind) for t in ms]


def test_gaps_lie_between_token_bearing_chunks_of_one_request():
    trace = make_trace(
        request(chunks=[(1 * MS, ROLE), *at(10, 14), (15 * MS, TOOL), (40 * MS, USAGE)]),
        request(chunks=at(12)),
        request(chunks=at(20, 26)),
    )
    assert gap(trace) == approx([NAN, NAN, 0.004, 0.001, NAN, NAN, NAN, 0.006])
    assert gap_max(trace) == approx([0.004, NAN, 0.006])


def test_gaps_add_up_to_the_stream():
    trace = make_trace(awkward())
    assert np.nansum(gap(trace)) == approx(1.060 - 0.300)


def test_a_gap_per_token_needs_the_count_of_every_event():
    told = request(chunks=[(10 * MS, CONTENT, 1), (16 * MS, CONTENT, 3)])
    assert gap_token(make_trace(told)) == approx([NAN, 0.002])
    by_usage = request(chunks=at(10, 16), tokens=2)
    assert gap_token(make_trace(by_usage)) == approx([NAN, 0.006])
    unknown = request(chunks=at(10, 16), tokens=7)
    assert gap_token(make_trace(unknown)) == approx([NAN, NAN])
    half_told = request(chunks=[(10 * MS, CONTENT, 1), (16 * MS, CONTENT)], tokens=7)
    assert gap_token(make_trace(half_told)) == approx([NAN, NAN])


def test_gaps_per_token_are_not_given_for_a_selection_of_the_answers():
    known, unknown = request(chunks=at(10, 16), tokens=2), request(chunks=at(10, 16), tokens=7)
    assert np.isnan(gap_token(make_trace(*[known] * 8, *[unknown] * 2))).all()
    assert gap_token(make_trace(*[known] * 9, unknown)) == approx([NAN, 0.006] * 9 + [NAN, NAN])


def test_tokens_per_chunk_told_spread_or_guessed():
    told = request(chunks=[(1, CONTENT, 1), (2, CONTENT, 3)])
    with_end_token = request(chunks=[(1, CONTENT, 1), (2, CONTENT, 3)], tokens=5)  # usage counts one without text
    one_each = request(chunks=at(1, 2), tokens=2)
    spread = request(chunks=at(1, 2), tokens=6)
    cut_off = request(chunks=at(1), tokens=-1, outcome=Outcome.CENSORED)
    counts = token_counts(make_trace(told, with_end_token, one_each, spread, cut_off))
    assert counts.is_exact.tolist() == [True, True, True, False, False]
    average = (4 + 4 + 2 + 6) / 8  # tokens per event of the answers that tell
    assert counts.n_tokens == approx([1, 3, 1, 3, 1, 1, 3, 3, average])


def test_tokens_nobody_counted_are_not_made_up():
    assert token_counts(make_trace(request(chunks=at(1, 2), tokens=-1))).n_tokens == approx([NAN, NAN])


# -- playback and fluidity --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("i", range(3))
def test_fluidity_agrees_with_the_reference(reference, i):
    row = reference["fluidity_index"][i]
    stamps = np.rint(np.cumsum(row["token_times"]) * SECOND).astype(int)
    trace = make_trace(request(chunks=[(int(t), CONTENT) for t in stamps]))
    assert fluidity_index(trace, row["Dp"], row["Dd"]) == approx([row["index"]] if row["index"] < 1 else [1.0])


def fluidity_by_hand(times, first, each):
    """The published loop, in integer nanoseconds."""
    slack, met, missed = 0, 0, 0
    for i, t in enumerate(times):
        deadline = first if i == 0 else each
        if t <= deadline + slack:
            slack, met = slack + deadline - t, met + 1
        else:
            missed += (t - slack - deadline) // each + 1
            slack = 0
    return 1 - missed / (met + missed)


def wait_by_hand(stamps, each):
    """A display that shows token after token, each for `each` ns at least."""
    waited, free = 0, stamps[0]
    for t in stamps:
        waited += max(0, t - free)
        free = max(free, t) + each
    return waited


TIMES = st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=25), min_size=1, max_size=6)


@given(TIMES)
def test_running_maxima_are_the_published_loop(all_times):
    rows = [request(chunks=[(int(t) * MS, CONTENT) for t in np.cumsum(times)]) for times in all_times]
    trace = make_trace(*rows)
    by_hand = [fluidity_by_hand([t * MS for t in times], 150 * MS, 50 * MS) for times in all_times]
    assert fluidity_index(trace, 0.150, 0.050) == approx(by_hand)
    waits = [wait_by_hand((np.cumsum(times) * MS).tolist(), 50 * MS) / SECOND for times in all_times]
    assert playback_wait_s(trace, 20.0) == approx(waits)


@given(TIMES)
def test_chunks_of_several_tokens_are_tokens_that_arrive_together(all_times):
    """Two tokens per chunk give what two chunks of one token at the same instant give."""
    pairs = [request(chunks=[(int(t) * MS, CONTENT, 2) for t in np.cumsum(times)]) for times in all_times]
    singles = [
        request(chunks=[(int(t) * MS, CONTENT, 1) for t in np.repeat(np.cumsum(times), 2)]) for times in all_times
    ]
    for fn in (lambda trace: fluidity_index(trace, 0.150, 0.050), lambda trace: playback_wait_s(trace, 20.0)):
        assert fn(make_trace(*pairs)) == approx(fn(make_trace(*singles)))


def test_running_maxima_of_groups_too_far_apart_for_64_bits():
    values = np.array([0, 2**61, 5, 1, 2**61 - 1, 7], np.int64)
    assert _running_max(values, np.array([0, 2, 3, 5])).tolist() == [0, 2**61, 5, 1, 2**61 - 1, 7]
    assert _running_max(np.array([3, 1, 4, 1, 5], np.int64), np.array([0, 3])).tolist() == [3, 3, 4, 1, 5]


def test_an_early_stall_hurts_and_the_same_stall_later_is_absorbed():
    def with_stall(at_token):
        times = [0.01] + [0.05] * 20
        times[at_token] = 1.0
        return request(chunks=[(round(t * SECOND), CONTENT) for t in np.cumsum(times)])

    early, late = underrun(make_trace(with_stall(1), with_stall(15)))
    assert early == pytest.approx(1.0 - 1 / READING_SPEED_TOKENS_PER_S)
    assert late == 0.0
    assert fluidity(make_trace(with_stall(1), with_stall(15)))[1] == 1.0


def test_requests_without_text_have_no_playback():
    trace = make_trace(failed(), request(chunks=[(1 * MS, ROLE)], tokens=-1))
    assert underrun(trace) == approx([NAN, NAN])
    assert fluidity(trace) == approx([NAN, NAN])
    assert gap_max(trace) == approx([NAN, NAN])


# -- stalls -----------------------------------------------------------------------------------------------------------


def test_a_stall_is_longer_than_200_ms_and_out_of_proportion():
    short = request(chunks=at(0, 10, 20, 210, 220))  # 190 ms: no
    stalled = request(chunks=at(0, 10, 20, 231, 241))  # 211 ms against a median of 10: yes
    slow = request(chunks=at(0, 300, 600, 1900, 2200))  # 1,300 ms against 5 x 300: no
    found = pauses(make_trace(short, stalled, slow))
    assert found.n_stalls.tolist() == [0, 1, 0]
    assert found.stalled_s == approx([0, 0.211, 0])
    assert found.stream_s == approx([0.220, 0.241, 2.200])
    assert found.longest_s == approx([0.190, 0.211, 1.300])
    assert found.n_tokens.tolist() == [5, 5, 5]


def test_the_silence_that_ended_a_request_is_a_stall():
    row = request(chunks=at(0, 10, 20), end=30 * SECOND, outcome=Outcome.STALLED, tokens=-1)
    found = pauses(make_trace(row))
    assert found.n_stalls.tolist() == [1]
    assert found.longest_s == approx([29.98])


def test_medians_are_of_each_request_for_even_and_odd_numbers_of_gaps():
    odd = request(chunks=at(0, 10, 40, 1040))  # gaps 10, 30, 1000: median 30, limit 200
    even = request(chunks=at(0, 10, 1010))  # gaps 10, 1000: median 505, limit 2525
    assert pauses(make_trace(odd, even)).n_stalls.tolist() == [1, 0]


def test_reading_speed_is_238_words_per_minute():
    assert math.isclose(READING_SPEED_TOKENS_PER_S, 5.289, abs_tol=1e-3)
