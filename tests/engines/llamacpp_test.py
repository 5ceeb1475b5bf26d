# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's own /completion on what no transcript holds."""

from __future__ import annotations

import json

import pytest

from inferometer.engines.engine import Delta, DialectError, Usage
from inferometer.engines.llamacpp import COMPLETION
from inferometer.kinds import ChunkKind as K
from inferometer.plan.request import Request, Sampling


def event(text, n_predicted, **more):
    more = {"index": 0, "tokens": [], "stop": False, "id_slot": -1, "tokens_evaluated": 5} | more
    return json.dumps({"content": text, "tokens_predicted": n_predicted} | more).encode()


def last(text, n_predicted, **more):
    more = {"stop": True, "stop_type": "limit", "timings": {"cache_n": 2, "prompt_n": 3}} | more
    return event(text, n_predicted, **more)


def decode(*events):
    state, deltas = COMPLETION.start(), []
    for data in events:
        state, said = COMPLETION.decode(state, "message", data)
        deltas += said
    return deltas


def test_a_token_that_was_held_back_is_counted_with_the_event_that_brings_it():
    deltas = decode(event("a", 1), event("\N{SLIGHTLY SMILING FACE}", 4), event("b", 5), last("", 5))
    assert [(d.kind, d.n_tokens) for d in deltas] == [
        (K.CONTENT, 1),
        (K.CONTENT, 3),
        (K.CONTENT, 1),
        (K.EMPTY, None),
        (K.DONE, None),
    ]


def test_tokens_that_never_became_text_are_counted_with_the_last_event():
    assert decode(event("a", 1), last("", 3)) == [
        Delta(K.CONTENT, "a", 1),
        Delta(K.CONTENT, "", 2, "limit", Usage(5, 3, 2)),
        Delta(K.DONE),
    ]


def test_the_progress_of_the_prompt_is_no_token():
    progress = event("", 0, prompt_progress={"total": 500, "cache": 0, "processed": 256, "time_ms": 9})
    assert decode(progress, event("a", 1)) == [Delta(K.ROLE), Delta(K.CONTENT, "a", 1)]


@pytest.mark.parametrize("counts", [(1, None), (2, 1), (None, 2), (1, 1 << 40)])
def test_a_count_that_does_not_run_tells_nothing(counts):
    first, second = decode(*(event("x", n) for n in counts))
    assert first.n_tokens == counts[0]
    assert second.n_tokens is None
    assert (first.text, second.text) == ("x", "x")


def test_a_text_without_a_new_token_holds_none():
    assert [d.n_tokens for d in decode(event("a", 1), event("b", 1))] == [1, 0]


def test_an_error_in_mid_stream():
    error = {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}
    assert decode(event("a", 1), json.dumps(error).encode())[1] == Delta(K.ERROR, "Context size has been exceeded.")


@pytest.mark.parametrize("data", [b"{}", b'{"choices": []}', b'{"content": 3}', b"[]", b"{", b"\xff{"])
def test_what_is_not_of_the_dialect_is_refused(data):
    with pytest.raises(DialectError):
        decode(data)


def test_an_empty_body_is_no_answer():
    with pytest.raises(DialectError, match="empty"):
        COMPLETION.decode_body(b" ")


def sent(request, extras=None):
    encoded = COMPLETION.encode(request, "tiny", extras or {})
    assert encoded.path == "/completion"
    return json.loads(encoded.body)


def test_what_goes_out():
    assert sent(Request(0, "Hi", 3, 7, Sampling(0.5, 11)), {"ignore_eos": True}) == {
        "model": "tiny",
        "prompt": "Hi",
        "n_predict": 7,
        "temperature": 0.5,
        "seed": 11,
        "stream": True,
        "ignore_eos": True,
    }
    assert sent(Request(0, (3, 1), 3, 7, is_streamed=False))["prompt"] == [3, 1]
    assert not sent(Request(0, (3, 1), 3, 7, is_streamed=False))["stream"]
    with pytest.raises(ValueError, match="not messages"):
        sent(Request(0, "", 3, 7, messages=(("user", "Hi"),)))
