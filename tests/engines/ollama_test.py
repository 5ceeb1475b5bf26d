# SPDX-License-Identifier: Apache-2.0
"""Ollama's own routes, line by line, as its documentation and types have them."""

from __future__ import annotations

import json

import pytest

from inferometer.engines.engine import Delta, DialectError, Timings, Usage
from inferometer.engines.ollama import CHAT, ENGINE, GENERATE
from inferometer.kinds import ChunkKind as K
from inferometer.plan.request import Request, Sampling

LAST = {"done": True, "done_reason": "length", "prompt_eval_count": 26, "eval_count": 3, "eval_duration": 7_000_000}
SPENT = Timings(decode_ns=7_000_000)


def decode(*lines):
    state, deltas = CHAT.start(), []
    for line in lines:
        data = line if isinstance(line, bytes) else json.dumps({"model": "m", "created_at": "2026"} | line).encode()
        state, said = CHAT.decode(state, "message", data)
        deltas += said
    return deltas


def test_a_completion_and_a_chat():
    generated = decode({"response": "The", "done": False}, {"response": "", "done": False}, {"response": ""} | LAST)
    chatted = decode({"message": {"role": "assistant", "content": "The"}, "done": False}, {"message": {}} | LAST)
    end = [Delta(K.EMPTY, "", None, "length", Usage(26, 3), SPENT), Delta(K.DONE)]
    assert generated == [Delta(K.CONTENT, "The"), Delta(K.EMPTY), *end]
    assert chatted == [Delta(K.CONTENT, "The"), *end]


def test_thinking_and_tools():
    call = {"function": {"name": "add", "arguments": {"a": 1}}}
    assert decode({"message": {"content": "", "thinking": "so", "tool_calls": [call]}, "done": False}) == [
        Delta(K.REASONING, "so"),
        Delta(K.TOOL, "add"),
    ]
    assert decode({"response": "", "thinking": "so", "done": False}) == [Delta(K.REASONING, "so")]


def test_the_last_line_may_hold_text_and_may_leave_counts_out():
    deltas = decode({"response": "all of it", "done": True, "done_reason": "stop", "eval_count": 4})
    assert deltas[:2] == [Delta(K.CONTENT, "all of it"), Delta(K.EMPTY, "", None, "stop", Usage(None, 4))]


def test_an_error_ends_it():
    assert decode({"error": "model runner has unexpectedly stopped"}) == [
        Delta(K.ERROR, "model runner has unexpectedly stopped")
    ]


@pytest.mark.parametrize("data", [b"{}", b"[]", b"{", b'{"done": 3}', b'data: {"done": false}'])
def test_what_is_not_of_the_dialect_is_refused(data):
    with pytest.raises(DialectError):
        GENERATE.decode(None, "message", data)


def test_what_goes_out():
    request = Request(0, "Hi", 3, 7, Sampling(0.5, 11))
    options = {"num_predict": 7, "temperature": 0.5, "seed": 11}
    assert json.loads(GENERATE.encode(request, "m", {}).body) == {
        "model": "m",
        "prompt": "Hi",
        "raw": True,
        "stream": True,
        "options": options,
    }
    assert json.loads(CHAT.encode(request, "m", {"options.num_ctx": 4096}).body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "options": options | {"num_ctx": 4096},
    }
    for request in (Request(0, (1, 2), 2, 7), Request(0, "", 2, 7, messages=(("user", "Hi"),))):
        with pytest.raises(ValueError, match="takes text"):
            GENERATE.encode(request, "m", {})
    with pytest.raises(ValueError, match="not token ids"):
        CHAT.encode(Request(0, (1, 2), 2, 7), "m", {})


def test_it_is_known_by_two_documents_and_tells_the_context_of_a_loaded_model():
    answers = {
        "/v1/models": {"data": [{"id": "llama3.2:latest", "owned_by": "library"}]},
        "/api/version": {"version": "0.13.5"},
        "/api/ps": {"models": [{"name": "llama3.2:latest", "model": "llama3.2:latest", "context_length": 4096}]},
    }
    identity = ENGINE.recognise(answers)
    assert (identity.version, identity.context_tokens) == ("0.13.5", 4096)
    assert identity.evidence == ("/api/version says 0.13.5", "/api/ps lists 1 models in memory")
    assert ENGINE.recognise(answers | {"/api/ps": {"models": []}}).context_tokens is None
    assert ENGINE.recognise(answers | {"/api/ps": None}) is None
    assert ENGINE.recognise(answers | {"/api/version": None}) is None
