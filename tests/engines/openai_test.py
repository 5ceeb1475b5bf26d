# SPDX-License-Identifier: Apache-2.0
"""The OpenAI dialects on what no transcript holds: odd but legal events, faults, and what goes out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.engines.engine import OUTPUT_TOKENS_ASKED, Delta, DialectError, Usage
from inferometer.engines.openai import CHAT, COMPLETIONS
from inferometer.kinds import ChunkKind as K
from inferometer.plan.request import Request, Sampling


def chunk(delta=None, **more):
    """One chat event; `finish` belongs to its choice."""
    finish, ids = more.pop("finish", None), more.pop("token_ids", None)
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish, "token_ids": ids}]
    return json.dumps({"object": "chat.completion.chunk", "choices": choices} | more).encode()


def decode(*events, dialect=CHAT):
    """Deltas of events given as data, or as (type, data)."""
    state, deltas = dialect.start(), []
    for event in events:
        event_type, data = event if isinstance(event, tuple) else ("message", event)
        state, said = dialect.decode(state, event_type, data)
        deltas += said
    return deltas


def running(n_output, n_prompt=9):
    return {"prompt_tokens": n_prompt, "completion_tokens": n_output, "total_tokens": n_prompt + n_output}


# -- what an event bears --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delta", "kind", "text"),
    [
        ({"role": "assistant"}, K.ROLE, ""),
        ({"role": "assistant", "content": ""}, K.ROLE, ""),
        ({"role": "assistant", "content": None}, K.ROLE, ""),
        ({"role": "assistant", "content": "Hi"}, K.CONTENT, "Hi"),
        ({"content": "Hi"}, K.CONTENT, "Hi"),
        ({"content": " "}, K.CONTENT, " "),
        ({"content": ""}, K.EMPTY, ""),
        ({}, K.EMPTY, ""),
        ({"reasoning": "so"}, K.REASONING, "so"),
        ({"reasoning_content": "so"}, K.REASONING, "so"),
        ({"reasoning": "so", "reasoning_content": "so"}, K.REASONING, "so"),
        ({"content": None, "refusal": "no"}, K.CONTENT, "no"),
        ({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]}, K.TOOL, '{"a":'),
        ({"tool_calls": [{"id": "x", "function": {"name": "add", "arguments": ""}}]}, K.TOOL, "add"),
        ({"tool_calls": [{"id": "x"}]}, K.EMPTY, ""),
    ],
)
def test_what_an_event_bears(delta, kind, text):
    assert decode(chunk(delta)) == [Delta(kind, text)]


def test_an_event_with_two_kinds_of_text_is_two_deltas():
    deltas = decode(chunk({"reasoning": "so", "content": "Hi"}, finish="stop", usage=running(2)))
    assert deltas == [Delta(K.REASONING, "so"), Delta(K.CONTENT, "Hi", None, "stop", Usage(9, 2))]


def test_a_finish_reason_of_nothing_is_none():
    """TGI writes "" until the end."""
    assert decode(chunk({"content": "a"}, finish="")) == [Delta(K.CONTENT, "a")]


def test_a_role_with_a_finish_reason_is_an_ending():
    assert decode(chunk({"role": "assistant", "content": ""}, finish="stop")) == [Delta(K.EMPTY, finish="stop")]


@pytest.mark.parametrize("data", [b"[DONE]", b" [DONE]", b"[DONE] "])
def test_the_end_marker(data):
    assert decode(data) == [Delta(K.DONE)]


def test_other_event_types():
    assert decode(("ping", b"{}")) == [Delta(K.PING)]
    assert decode(("error", b'{"message": "boom"}')) == [Delta(K.ERROR, "boom")]
    assert decode(("error", b"boom")) == [Delta(K.ERROR, "boom")]
    assert decode(("completion", chunk({"content": "a"}))) == [Delta(K.CONTENT, "a")]


def test_empty_data_and_empty_choices_are_empty():
    assert decode(b"") == decode(b"  ") == [Delta(K.EMPTY)]
    assert decode(chunk(prompt_filter_results=[])) == [Delta(K.EMPTY)]


# -- usage ----------------------------------------------------------------------------------------------------------


def test_usage_early_late_inside_or_alone():
    usage = Usage(9, 2)
    early = decode(chunk(usage=running(2)), chunk({"content": "a"}))
    inside = decode(chunk({"content": "a"}), chunk({"content": "b"}, finish="stop", usage=running(2)))
    ending = decode(chunk({"content": "a"}), chunk({}, finish="stop", usage=running(2)))
    alone = decode(chunk({"content": "a"}), chunk({"content": "b"}, finish="stop"), chunk(usage=running(2)))
    assert early == [Delta(K.USAGE, usage=usage), Delta(K.CONTENT, "a")]
    assert inside == [Delta(K.CONTENT, "a"), Delta(K.CONTENT, "b", None, "stop", usage)]
    assert ending == [Delta(K.CONTENT, "a"), Delta(K.EMPTY, "", None, "stop", usage)]
    assert alone[2] == Delta(K.USAGE, usage=usage)


def test_details_of_usage():
    usage = running(5) | {
        "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3},
        "queue_time": 0.1,
    }
    assert decode(chunk(usage=usage)) == [Delta(K.USAGE, usage=Usage(9, 5, 8, 3))]
    nothing = {"prompt_tokens_details": None, "completion_tokens_details": None}
    assert decode(chunk(usage=nothing)) == [Delta(K.USAGE, usage=Usage())]


@pytest.mark.parametrize("count", [-1, 1 << 31])
def test_a_count_that_cannot_be_is_not_told(count):
    assert decode(chunk(usage=running(2, n_prompt=count)))[0].usage == Usage(None, 2)


def test_llama_cpp_timings_stand_in_for_usage():
    timings = {"cache_n": 8, "prompt_n": 1, "predicted_n": 5, "predicted_ms": 1.5}
    assert decode(chunk({}, finish="stop", timings=timings))[0].usage == Usage(9, 5, 8)
    assert decode(chunk(usage=running(6), timings=timings))[0].usage == Usage(9, 6, 8)


# -- tokens per event -----------------------------------------------------------------------------------------------


def counts(*events):
    return [delta.n_tokens for delta in decode(*events)]


def test_a_running_count_tells_the_tokens_of_each_event():
    assert counts(
        chunk({"role": "assistant", "content": ""}, usage=running(0)),
        chunk({"content": "a"}, usage=running(1)),
        chunk({"content": "bcd"}, usage=running(4)),
        chunk({"content": ""}, usage=running(5)),  # its text is held back and comes with the next
        chunk({"content": "ef"}, usage=running(6)),
        chunk(usage=running(6)),
    ) == [None, 1, 3, None, 2, None]


@pytest.mark.parametrize(
    "events",
    [
        [chunk({"content": "a"}), chunk({"content": "b"}, usage=running(2))],  # only the last event tells
        [chunk({"content": "a"}, usage=running(0)), chunk({"content": "b"}, usage=running(2))],  # stands still
        [chunk({"content": "a"}, usage={"prompt_tokens": 9}), chunk({"content": "b"}, usage=running(2))],
    ],
    ids=["last only", "standing", "prompt only"],
)
def test_a_count_that_does_not_run_tells_nothing(events):
    assert counts(*events) == [None, None]


def test_a_count_that_stops_running_tells_nothing_from_there_on():
    events = [chunk({"content": c}, usage=running(n)) for c, n in (("a", 1), ("b", 3), ("c", 3), ("d", 5))]
    assert counts(*events) == [1, 2, None, None]


def test_tokens_that_never_became_text_are_counted_with_the_finish_reason():
    """An end-of-sequence token, or a character that the length cut in two."""
    events = [chunk({"content": "a"}, usage=running(1)), chunk({"content": "b"}, usage=running(2))]
    assert counts(*events, chunk({}, finish="length", usage=running(5))) == [1, 1, 3]
    assert counts(*events, chunk({}, finish="length", usage=running(2))) == [1, 1, None]
    assert counts(*events, chunk({}, usage=running(5))) == [1, 1, None]


def test_an_answer_of_swallowed_tokens_has_no_first_one():
    events = [
        chunk({"role": "assistant", "content": ""}, usage=running(0)),
        chunk({}, finish="length", usage=running(60)),
    ]
    assert [d.kind for d in decode(*events)] == [K.ROLE, K.EMPTY]


def test_token_ids_are_tokens_also_without_text():
    deltas = decode(
        chunk({"content": ""}, token_ids=[235]), chunk({"content": "é!"}, token_ids=[169, 0]), chunk({}, token_ids=[])
    )
    assert [(d.kind, d.n_tokens) for d in deltas] == [(K.CONTENT, 1), (K.CONTENT, 2), (K.EMPTY, None)]


def test_token_ids_and_a_running_count_go_together():
    events = [
        chunk({"content": "a"}, token_ids=[1], usage=running(1)),
        chunk({"content": "bc"}, token_ids=[2, 3], usage=running(3)),
        chunk({"content": "d"}, usage=running(4)),
    ]
    assert counts(*events) == [1, 2, 1]


def test_several_choices_are_borne_with():
    event = {"choices": [{"index": 1, "delta": {"content": "x"}}, {"index": 0, "delta": {"content": "y"}}]}
    assert [d.text for d in decode(json.dumps(event | {"usage": running(2)}).encode())] == ["x", "y"]


# -- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"message": "boom", "type": "server_error", "code": 500}},
        {"error": {"message": "boom", "http_status_code": 422}},
        {"error": "boom", "error_type": "overloaded"},
        {"message": "boom", "type": "BadRequestError", "code": 400, "object": "error", "param": None},
        {"message": "boom", "code": 400},
        {"choices": [], "error": {"message": "boom"}},
    ],
)
def test_an_error_in_any_shape_is_an_error(event):
    data = json.dumps(event).encode()
    assert decode(data) == CHAT.decode_body(data) == [Delta(K.ERROR, "boom")]


@pytest.mark.parametrize("error", [None, ""])
def test_an_error_field_without_error_is_none(error):
    assert decode(chunk({"content": "a"}, error=error)) == [Delta(K.CONTENT, "a")]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"choices": [', "not JSON"),
        (b"hello", "not JSON"),
        (b'{"choices": []} {}', "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (b'{"choices":[{"delta":{"content":"\xff"}}]}', "not JSON: the bytes are no UTF-8"),
        (b"[1, 2]", "not the shape of an OpenAI answer"),
        (b"null", "not the shape of an OpenAI answer"),
        (b'{"choices": [{"delta": {"content": 3}}]}', r"not the shape of an OpenAI answer: .*`\$.choices\[0\]"),
        (b'{"choices": {}}', "not the shape of an OpenAI answer"),
        (b'{"id": "x"}', "an event with no choices, no usage and no error"),
        (b"[" * 100_000, "not the shape of an OpenAI answer"),
        (b'{"choices":[],"x":' + b"[" * 100_000, "not JSON"),
    ],
)
def test_what_is_not_of_the_dialect_is_refused(data, says):
    with pytest.raises(DialectError, match=says) as caught:
        decode(data)
    assert "\n" not in str(caught.value)


def test_half_an_emoji_is_text():
    """A proxy may cut a surrogate pair in two; JSON allows each half."""
    halves = [b'{"choices":[{"delta":{"content":"%s"}}]}' % half for half in (rb"\ud83d", rb"\ude42")]
    assert [d.text for d in decode(*halves)] == ["\ud83d", "\ude42"]


# JSON made of the words of the protocol, with values of all kinds in all places.
LEAVES = st.none() | st.booleans() | st.integers(-2, 40_000) | st.floats() | st.text(max_size=3)
NAMES = st.sampled_from(
    [
        "choices",
        "delta",
        "message",
        "text",
        "content",
        "role",
        "reasoning",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "finish_reason",
        "token_ids",
        "usage",
        "prompt_tokens",
        "completion_tokens",
        "prompt_tokens_details",
        "cached_tokens",
        "timings",
        "predicted_n",
        "cache_n",
        "error",
        "object",
    ]
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4))


CHOICES = st.lists(st.dictionaries(NAMES, st.dictionaries(NAMES, LEAVES | VALUES, max_size=3) | LEAVES, max_size=3))
EVENTS = st.fixed_dictionaries({"choices": CHOICES}, optional={"usage": st.dictionaries(NAMES, st.integers())})


@given(st.lists(EVENTS | VALUES, max_size=4), st.binary(max_size=30))
def test_whatever_comes_is_deltas_or_a_dialect_error_and_nothing_else(values, junk):
    state = CHAT.start()
    for data in [json.dumps(value).encode() for value in values] + [junk]:
        for event_type in ("message", "error", "ping", "other"):
            try:
                state, deltas = CHAT.decode(state, event_type, data)
            except DialectError:
                continue
            assert all(isinstance(delta, Delta) for delta in deltas)
        try:
            CHAT.decode_body(data)
        except DialectError:
            continue


# -- an answer in one piece -----------------------------------------------------------------------------------------


def test_an_answer_in_one_piece():
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "so", "tool_calls": []}
    body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": running(5)}
    assert CHAT.decode_body(json.dumps(body).encode()) == [
        Delta(K.REASONING, "so"),
        Delta(K.CONTENT, "Hi", None, "stop", Usage(9, 5)),
        Delta(K.DONE),
    ]


@pytest.mark.parametrize("body", [b"", b"  \n", b"<html>", b'{"id": 1}'])
def test_a_body_that_is_no_answer_is_refused(body):
    with pytest.raises(DialectError):
        COMPLETIONS.decode_body(body)


# -- what goes out --------------------------------------------------------------------------------------------------


def sent(dialect, request, extras=None):
    encoded = dialect.encode(request, "tiny", extras or {})
    assert encoded.path == dialect.path
    return json.loads(encoded.body)


def test_a_chat_as_it_goes_out():
    assert sent(CHAT, Request(0, "Hi \N{SLIGHTLY SMILING FACE}", 3, 7, Sampling(0.5, 11))) == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Hi \N{SLIGHTLY SMILING FACE}"}],
        "max_tokens": 7,
        "temperature": 0.5,
        "seed": 11,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_completion_of_token_ids_that_is_not_streamed():
    request = Request(0, (3, 1, 2), 3, 7, is_streamed=False)
    assert sent(COMPLETIONS, request) == {"model": "tiny", "prompt": [3, 1, 2], "max_tokens": 7, "temperature": 0.0}


def test_messages_take_the_place_of_the_single_turn():
    request = Request(0, "", 3, 7, messages=(("system", "Be short."), ("user", "Hi")))
    assert sent(CHAT, request)["messages"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hi"},
    ]


def test_extras_are_merged_filled_in_and_taken_out():
    extras = {
        "ignore_eos": True,
        "min_tokens": OUTPUT_TOKENS_ASKED,
        "max_tokens": None,
        "max_completion_tokens": OUTPUT_TOKENS_ASKED,
        "stream_options": {"continuous_usage_stats": True},
        "temperature": None,
        "no_such_field": None,
    }
    body = sent(CHAT, Request(0, "Hi", 3, 7), extras)
    assert body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "ignore_eos": True,
        "min_tokens": 7,
        "max_completion_tokens": 7,
    }


def test_stream_options_go_only_with_a_stream_and_can_be_left_out():
    extras = {"stream_options": {"continuous_usage_stats": True}}
    assert "stream_options" not in sent(CHAT, Request(0, "Hi", 3, 7, is_streamed=False), extras)
    assert "stream_options" not in sent(CHAT, Request(0, "Hi", 3, 7), {"stream_options": None})


def test_what_a_route_cannot_carry_is_a_bug_of_the_caller():
    with pytest.raises(ValueError, match="not token ids"):
        CHAT.encode(Request(0, (1, 2), 2, 7), "tiny", {})
    with pytest.raises(ValueError, match="not messages"):
        COMPLETIONS.encode(Request(0, "", 2, 7, messages=(("user", "Hi"),)), "tiny", {})
