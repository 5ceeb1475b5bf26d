# SPDX-License-Identifier: Apache-2.0
"""TGI's /generate_stream, as its source has it."""

from __future__ import annotations

import json

import pytest

from inferometer.engines.engine import Delta, DialectError, Tokens, Usage
from inferometer.engines.tgi import ENGINE, GENERATE
from inferometer.kinds import ChunkKind as K
from inferometer.plan.request import Request, Sampling


def event(text, special=False, **more):
    token = {"id": 7, "text": text, "logprob": -1.5, "special": special}
    return json.dumps({"index": 1, "token": token, "generated_text": None, "details": None} | more).encode()


def decode(data):
    return GENERATE.decode(None, "message", data)[1]


def test_every_event_is_one_token_also_one_without_text():
    assert decode(event(" a")) == [Delta(K.CONTENT, " a", 1)]
    assert decode(event("")) == [Delta(K.CONTENT, "", 1)]
    assert decode(event("</s>", special=True)) == [Delta(K.CONTENT, "", 1)]


def test_the_last_event_has_the_counts_if_there_are_details():
    details = {"finish_reason": "length", "generated_tokens": 20, "seed": None, "input_length": 9}
    assert decode(event("!", generated_text="all!", details=details)) == [
        Delta(K.CONTENT, "!", 1, "length", Usage(9, 20)),
        Delta(K.DONE),
    ]
    assert decode(event("!", generated_text="all!")) == [Delta(K.CONTENT, "!", 1), Delta(K.DONE)]


def test_an_answer_in_one_piece_with_and_without_a_list_around_it():
    whole = {"generated_text": "all!", "details": {"finish_reason": "stop_sequence", "generated_tokens": 2}}
    for body in (whole, [whole]):
        assert GENERATE.decode_body(json.dumps(body).encode())[0] == Delta(
            K.CONTENT, "all!", None, "stop_sequence", Usage(None, 2)
        )
    assert GENERATE.decode_body(b'{"error": "x", "error_type": "generation"}') == [Delta(K.ERROR, "x")]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"[3]", b'{"generated_text": 3}'])
def test_a_body_that_is_no_answer_is_refused(body):
    with pytest.raises(DialectError):
        GENERATE.decode_body(body)


def sent(request, extras=None):
    encoded = GENERATE.encode(request, "m", extras or {})
    return encoded.path, json.loads(encoded.body)


def test_what_goes_out():
    assert sent(Request(0, "Hi", 3, 7)) == (
        "/generate_stream",
        {"inputs": "Hi", "parameters": {"max_new_tokens": 7, "details": True, "do_sample": False}},
    )
    path, body = sent(Request(0, "Hi", 3, 7, Sampling(0.5, 11), is_streamed=False), {"parameters.truncate": 512})
    assert path == "/generate"
    assert body["parameters"] == {
        "max_new_tokens": 7,
        "details": True,
        "do_sample": True,
        "temperature": 0.5,
        "seed": 11,
        "truncate": 512,
    }


def test_tokens_of_a_text_and_of_a_chat():
    tokens = [{"id": 1, "text": "", "start": 0, "stop": 0}, {"id": 306, "text": "I", "start": 0, "stop": 1}]
    text = ENGINE.tokenize_text("m", "I")
    assert (text.path, text.body) == ("/tokenize", {"inputs": "I"})
    assert text.read(tokens) == Tokens(2, (1, 306))
    (way,) = ENGINE.tokenize_chats
    chat = way("m", (("user", "I"),))
    assert chat.body == {"model": "m", "messages": [{"role": "user", "content": "I"}]}
    assert chat.read({"tokenize_response": tokens, "templated_text": "I"}) == Tokens(2, (1, 306))
