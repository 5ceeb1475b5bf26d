# SPDX-License-Identifier: Apache-2.0
"""Triton's generate extension with the fields of TensorRT-LLM's ensemble."""

from __future__ import annotations

import json

import pytest

from inferometer.drive.answer import Answer
from inferometer.engines.engine import Delta, DialectError, Usage
from inferometer.engines.triton import GENERATE
from inferometer.kinds import ChunkKind as K
from inferometer.kinds import Outcome
from inferometer.plan.request import Request, Sampling


def event(text, n_tokens=None):
    told = {} if n_tokens is None else {"num_input_tokens": 8, "num_output_tokens": n_tokens}
    return json.dumps({"model_name": "ensemble", "text_output": text} | told).encode()


def decode(*events):
    state, deltas = GENERATE.start(), []
    for data in events:
        state, said = GENERATE.decode(state, "message", data)
        deltas += said
    return deltas


def test_counts_of_events_are_added_up():
    assert decode(event("a", 1), event("", 2), event("b", 0)) == [
        Delta(K.CONTENT, "a", 1, None, Usage(8, 1)),
        Delta(K.CONTENT, "", 2, None, Usage(8, 3)),
        Delta(K.CONTENT, "b", 0, None, Usage(8, 3)),
    ]


def test_without_counts_nothing_is_told():
    assert decode(event("a"), event(""), event(["b", "c"])) == [
        Delta(K.CONTENT, "a"),
        Delta(K.EMPTY),
        Delta(K.CONTENT, "bc"),
    ]
    assert [d.n_tokens for d in decode(event("a", 1), event("b"), event("c", 1))] == [1, None, None]


@pytest.mark.parametrize(("n_asked", "outcome"), [(3, Outcome.OK), (4, Outcome.TRUNCATED)])
def test_an_answer_is_whole_if_it_has_the_length_asked_for(n_asked, outcome):
    """There is neither finish reason nor end marker: the end of the HTTP message has to do."""
    answer = Answer(GENERATE)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
    for i, data in enumerate((event("a", 1), event("bc", 2))):
        line = b"data: " + data + b"\n\n"
        answer.feed((head if i == 0 else b"") + b"%x\r\n%b\r\n" % (len(line), line), i)
    assert answer.outcome(n_asked)[0] is Outcome.TRUNCATED  # so far
    answer.feed(b"0\r\n\r\n", 2)
    assert answer.outcome(n_asked)[0] is outcome


def test_what_is_not_of_the_dialect_is_refused():
    for data in (b"{}", b"[]", b'{"text_output": 3}'):
        with pytest.raises(DialectError):
            decode(data)


def test_what_goes_out():
    greedy = GENERATE.encode(Request(0, "Hi", 3, 7), "my model", {})
    assert greedy.path == "/v2/models/my%20model/generate_stream"
    assert json.loads(greedy.body) == {
        "text_input": "Hi",
        "max_tokens": 7,
        "temperature": 1.0,
        "top_k": 1,
        "stream": True,
        "exclude_input_in_output": True,
    }
    sampled = GENERATE.encode(Request(0, "Hi", 3, 7, Sampling(0.5, 11), is_streamed=False), "ensemble", {})
    assert sampled.path == "/v2/models/ensemble/generate"
    assert json.loads(sampled.body)["seed"] == 11
    assert json.loads(sampled.body)["temperature"] == 0.5
