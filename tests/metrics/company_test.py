# SPDX-License-Identifier: Apache-2.0
"""What goes on beside a stream, on traces small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from traces import CONTENT, MS, make_trace, request

from inferometer.metrics import company

PREFILL = "server_prefill_ns"


def tokens(*t_ms):
    return [(t * MS, CONTENT, 1) for t in t_ms]


def two_streams(**second):
    """A prompt of 10 tokens decodes from 10 ms on, every 10 ms; one of 20 comes at 12 and begins to speak at 40."""
    a = request(due=0, chunks=tokens(10, 20, 30, 40, 50, 60), n_prompt_tokens=10, **{PREFILL: 10 * MS})
    b = request(due=12 * MS, chunks=tokens(40, 50, 60), n_prompt_tokens=20, **second)
    return make_trace(a, b)


def of_first(each, name):
    return getattr(each, name)[each.rows == 0].tolist()


def test_streams_decode_from_their_first_token_to_their_last():
    each = company.gaps(two_streams())
    assert of_first(each, "n_decoding") == [1, 1, 1, 2, 2]
    assert of_first(each, "n_tokens") == [1] * 5


def test_context_is_prompt_and_answer_so_far_of_all_that_decode():
    each = company.gaps(two_streams())
    assert of_first(each, "n_context") == [11, 12, 13, 14 + 21, 15 + 22]


def test_a_prompt_is_computed_from_when_the_server_began_it():
    each = company.gaps(two_streams(**{PREFILL: 10 * MS}))
    assert of_first(each, "n_prefilled") == pytest.approx([0, 0, 20, 0, 0])


def test_without_its_word_from_the_next_token_of_anybody():
    each = company.gaps(two_streams())
    assert of_first(each, "n_prefilled") == pytest.approx([0, 10, 10, 0, 0]), "sent at 12, taken in at 20"


def test_what_was_cached_is_not_computed():
    each = company.gaps(two_streams(**{PREFILL: 10 * MS}, n_cached_tokens=15))
    assert sum(of_first(each, "n_prefilled")) == pytest.approx(5)


def test_time_to_first_token_less_queue_tells_the_prefill_too():
    done = company.prefills(two_streams(server_ttft_ns=28 * MS, server_queue_ns=8 * MS))
    assert done.t_begun_ns.tolist() == [0, 20 * MS]
    assert done.is_told.tolist() == [True, True]


def test_nobody_is_beside_a_request_alone():
    trace = make_trace(request(chunks=tokens(10, 20, 30), n_prompt_tokens=7))
    each = company.gaps(trace)
    assert each.n_decoding.tolist() == [1, 1]
    assert each.n_prefilled.tolist() == [0, 0]


def test_spans_join_gaps_and_keep_their_sums():
    trace = make_trace(request(chunks=tokens(*range(10, 220, 10)), n_prompt_tokens=100))
    whole, joined = company.gaps(trace), company.spans(trace, 8)
    assert joined.n_tokens.tolist() == [8, 12], "what is left goes with the span before it"
    assert joined.seconds.sum() == pytest.approx(whole.seconds.sum())
    assert joined.n_context.tolist() == pytest.approx([np.arange(101, 109).mean(), np.arange(109, 121).mean()])


def test_spans_do_not_reach_from_one_stream_into_another():
    trace = make_trace(*(request(due=i, chunks=tokens(10, 20, 30), n_prompt_tokens=5) for i in range(3)))
    joined = company.spans(trace, 8)
    assert joined.rows.tolist() == [0, 1, 2]
    assert joined.n_tokens.tolist() == [2, 2, 2]


def test_two_tokens_of_one_read_are_two_tokens():
    trace = make_trace(request(chunks=tokens(10, 20, 20, 40), n_prompt_tokens=5))
    each = company.gaps(trace)
    assert each.seconds.tolist() == pytest.approx([0.01, 0.0, 0.02])
    assert each.n_decoding.tolist() == [1, 1, 1]


def test_a_trace_without_streams_has_no_spans():
    trace = make_trace(request(chunks=tokens(10)), request())
    assert len(company.spans(trace).rows) == 0
