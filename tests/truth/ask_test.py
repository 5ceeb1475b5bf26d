# SPDX-License-Identifier: Apache-2.0
"""Requests as bytes: whole, in pieces, and wrong."""

from __future__ import annotations

import json

import pytest

from inferometer.truth import ask
from inferometer.truth.script import PRESETS, Prescription

BODY = b'{"prompt":"a b c","max_tokens":7,"stream":true,"stream_options":{"include_usage":true},"other":[1]}'
HEAD = b"POST /v1/completions?x=1 HTTP/1.1\r\nHost: t\r\nX-Request-Id: 12-abc\r\nContent-Length: %d\r\n\r\n" % len(BODY)


def feed(data):
    """All requests in `data`, fed one byte at a time, and what is left over."""
    inbox, head, found = bytearray(), None, []
    for i in range(len(data)):
        inbox += data[i : i + 1]
        head = head or ask.read_head(inbox)
        request = ask.take_request(head, inbox) if head else None
        if request:
            found.append(request)
            head = None
    return found, bytes(inbox)


def test_a_request_is_complete_with_its_last_byte():
    requests, rest = feed(HEAD + BODY + HEAD + BODY + b"POST")
    assert len(requests) == 2
    assert requests[0] == requests[1]
    assert (requests[0].method, requests[0].path, requests[0].id) == ("POST", "/v1/completions", "12-abc")
    assert (requests[0].body, rest) == (BODY, b"POST")


def test_what_a_generation_request_says():
    (request,), _ = feed(HEAD + BODY)
    generation = ask.read_generation(request)
    assert generation.ask == ("completions", True, 7, 3, True, True, "")
    assert generation.truth == b""


@pytest.mark.parametrize(
    ("body", "n_tokens"),
    [
        ({"prompt": "one two  three"}, 3),
        ({"prompt": [5, 6, 7, 8]}, 4),
        ({"prompt": ["one two", "three"]}, 3),
        ({"prompt": [[1, 2], [3]]}, 3),
        ({"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "one"}]}, 3),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "one two"}]}]}, 2),
        ({"messages": [{"role": "assistant", "content": None}]}, 0),
    ],
)
def test_a_token_is_a_word(body, n_tokens):
    request = ask.HttpRequest("POST", "/v1/completions", {}, json.dumps(body).encode())
    assert ask.read_generation(request).ask.n_prompt_tokens == n_tokens


def test_max_completion_tokens_goes_before_max_tokens():
    request = ask.HttpRequest(
        "POST", "/v1/chat/completions", {"connection": "Close"}, b'{"max_tokens":1,"max_completion_tokens":2}'
    )
    told = ask.read_generation(request).ask
    assert (told.n_output_tokens, told.keeps_alive, told.is_streamed) == (2, False, False)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000, 431),
    ],
)
def test_what_cannot_be_served(data, status):
    with pytest.raises(ask.BadRequest) as caught:
        ask.read_head(bytearray(data))
    assert caught.value.status == status


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"max_tokens":"many"}', b'{"messages":"hello"}', b"\xff"])
def test_bodies_that_are_no_request(body):
    with pytest.raises(ask.BadRequest, match="request body"):
        ask.read_generation(ask.HttpRequest("POST", "/v1/completions", {}, body))


def test_the_request_goes_before_the_defaults():
    defaults = PRESETS["awkward"]
    told = ask.read_prescription(b'{"gap_ms": 7, "usage": "none"}', defaults)
    assert (told.gap_ms, told.usage, told.ttft_ms, told.n_chunks) == (7, "none", 300, 20)
    assert ask.read_prescription(b"{}", defaults) == defaults


@pytest.mark.parametrize("truth", [b'{"nonsense":1}', b'{"ttft_ms":"soon"}', b"[]", b'{"gap_ms":-1}'])
def test_wrong_prescriptions_name_the_field(truth):
    with pytest.raises(ask.BadRequest, match="truth: "):
        ask.read_prescription(truth, Prescription())
