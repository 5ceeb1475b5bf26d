# SPDX-License-Identifier: Apache-2.0
"""What holds of every dialect: requests that are whole, extras that reach their place, and no crash on any answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.engines import DIALECTS, ENGINES
from inferometer.engines.body import encoded
from inferometer.engines.engine import OUTPUT_TOKENS_ASKED, Delta, DialectError
from inferometer.kinds import TOKEN_BEARING
from inferometer.plan.request import Request, Sampling

EVERY = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
SPEECHES = [
    pytest.param(speech, id=f"{engine.name} {api}") for engine in ENGINES for api, speech in engine.speaks.items()
]
TEXT, IDS = Request(0, "Hi there", 3, 7, Sampling(0.5, 11)), Request(0, (300, 301, 302), 3, 7)
MESSAGES = Request(0, "", 3, 7, messages=(("system", "Be short."), ("user", "Hi there")))


def fields(value, path=()):
    """Every leaf of a body, as (path, value); lists are leaves."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from fields(inner, (*path, name))
    else:
        yield path, value


@pytest.mark.parametrize("speech", SPEECHES)
@pytest.mark.parametrize("is_streamed", [True, False])
def test_each_takes_what_it_says_and_refuses_the_rest(speech, is_streamed):
    dialect = speech.dialect
    for request, is_taken in (
        (TEXT, dialect.takes_text),
        (IDS, not dialect.is_chat and (speech.takes_token_ids or not dialect.takes_text)),
        (MESSAGES, dialect.is_chat),
    ):
        request = Request(0, request.prompt, 3, 7, request.sampling, is_streamed, request.messages)
        extras = {**speech.length_extras, **speech.count_extras}
        if is_taken:
            body = json.loads(dialect.encode(request, "tiny", extras).body)
            values = [value for _, value in fields(body)]
            assert 7 in values, "the output tokens asked for"
            assert OUTPUT_TOKENS_ASKED not in json.dumps(body)
            prompt = "Hi there" if request is TEXT else list(IDS.prompt)
            assert request.messages or prompt in values or "Hi there" in json.dumps(body)
        elif request.messages or not dialect.takes_text or dialect.is_chat:
            with pytest.raises(ValueError, match="take"):
                dialect.encode(request, "tiny", extras)


def test_extras_find_their_place():
    request = Request(0, "Hi", 3, 7)
    body = {"prompt": "Hi", "seed": 3, "options": {"num_predict": 7, "top_k": 3}}
    extras = {
        "options.num_predict": OUTPUT_TOKENS_ASKED,
        "options.top_k": None,
        "parameters.details": True,
        "seed": None,
        "options": {"top_p": 1},
        "no.such": None,
    }
    assert json.loads(encoded("/x", body, request, extras).body) == {
        "prompt": "Hi",
        "options": {"num_predict": 7, "top_p": 1},
        "parameters": {"details": True},
    }


@EVERY
def test_an_end_marker_a_ping_and_an_error_event_are_known_to_all(dialect):
    if dialect.streams_as != "text/event-stream":
        return
    for event_type, data in (("message", b"[DONE]"), ("ping", b"{}"), ("error", b'{"message": "boom"}')):
        _, deltas = dialect.decode(dialect.start(), event_type, data)
        assert [d.kind.name for d in deltas] == [{"message": "DONE"}.get(event_type, event_type.upper())]


# JSON made of the words of all protocols, with values of all kinds in all places.
LEAVES = st.none() | st.booleans() | st.integers(-2, 40_000) | st.floats() | st.text(max_size=3)
WORDS = """choices delta message text content role reasoning tool_calls function name arguments finish_reason token_ids
usage prompt_tokens completion_tokens timings predicted_n cache_n error object stop stop_type tokens_predicted
tokens_evaluated token id special generated_text details generated_tokens input_length output_ids meta_info type
cached_tokens response thinking done done_reason eval_count prompt_eval_count text_output num_output_tokens
num_input_tokens sequence_length index"""
NAMES = st.sampled_from(WORDS.split())
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5))


@EVERY
@settings(max_examples=40, deadline=None)
@given(st.lists(VALUES | st.dictionaries(NAMES, VALUES, max_size=5), max_size=4), st.binary(max_size=30))
def test_whatever_comes_is_deltas_or_a_dialect_error_and_nothing_else(dialect, values, junk):
    state = dialect.start()
    for data in [json.dumps(value).encode() for value in values] + [junk]:
        for event_type in ("message", "error", "ping", "other"):
            try:
                state, deltas = dialect.decode(state, event_type, data)
            except DialectError:
                continue
            check(deltas)
        try:
            check(dialect.decode_body(data))
        except DialectError:
            continue


def check(deltas):
    for delta in deltas:
        assert isinstance(delta, Delta)
        assert delta.n_tokens is None or (delta.kind in TOKEN_BEARING and 0 <= delta.n_tokens <= 32_767)
        for count in () if delta.usage is None else (delta.usage.n_prompt_tokens, delta.usage.n_output_tokens):
            assert count is None or 0 <= count < 1 << 31
