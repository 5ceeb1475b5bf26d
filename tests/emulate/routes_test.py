# SPDX-License-Identifier: Apache-2.0
"""Routes of emulated engines as functions: whatever a body holds, it is answered or refused, and never a crash."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.emulate.answer import Moment
from inferometer.emulate.batch import Batch
from inferometer.emulate.catalogue import EMULATIONS, make_setting
from inferometer.emulate.emulation import Live, Refused
from inferometer.emulate.gauges import Gauges
from inferometer.emulate.prefixes import PrefixCache
from inferometer.emulate.spoken import speak
from inferometer.kinds import TOKEN_BEARING

ROUTES = [(one, path) for one in EMULATIONS for path in one.routes]
PAGES = [(one, key) for one in EMULATIONS for key in one.pages]
TEXT = st.sampled_from(["", "hello", " a b c ", "<|user|>", "🌊", "w " * 600])
NUMBER = st.sampled_from([None, -1, 0, 1, 7, 300, 10**6])
PROMPT = st.one_of(TEXT, st.lists(st.integers(0, 9), max_size=4), st.lists(TEXT, max_size=2), st.none())
SAMPLING = st.fixed_dictionaries(
    {}, optional={"max_tokens": NUMBER, "max_new_tokens": NUMBER, "ignore_eos": st.booleans()}
)
BODY = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["emulated", "ensemble", "nobody", 3]),
        "messages": st.lists(st.fixed_dictionaries({"role": TEXT, "content": TEXT}), max_size=2),
        "prompt": PROMPT,
        "inputs": TEXT,
        "text": TEXT,
        "text_input": TEXT,
        "token_ids": st.lists(st.integers(0, 9), max_size=4),
        "input_ids": st.lists(st.integers(0, 9), max_size=4),
        "stream": st.booleans(),
        "stream_options": st.fixed_dictionaries(
            {"include_usage": st.booleans(), "continuous_usage_stats": st.booleans()}
        ),
        "max_tokens": NUMBER,
        "n_predict": NUMBER,
        "min_tokens": NUMBER,
        "ignore_eos": st.booleans(),
        "return_token_ids": st.booleans(),
        "return_tokens": st.booleans(),
        "timings_per_token": st.booleans(),
        "detokenize": st.booleans(),
        "sampling_params": SAMPLING,
        "parameters": SAMPLING,
        "options": st.fixed_dictionaries({"num_predict": NUMBER}),
        "n": st.sampled_from([None, 1, 2]),
    },
)


def live_of(emulation, **fields):
    setting = make_setting(emulation.name, context=512, slots=2, **fields)
    cache = PrefixCache(1000)
    batch = Batch(setting.law, n_slots=2, kv_tokens=setting.kv_tokens, prefixes=cache)
    return Live(setting, batch, Gauges(), cache)


def answered(route, data, live):
    """Wish, what is said and the parts of an answer; None if it is refused."""
    try:
        wish = route(data, live)
    except (Refused, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    said = speak(
        seed=0,
        words=wish.words,
        n_prompt_tokens=wish.n_prompt_tokens,
        n_most=max(1, wish.n_most),
        n_least=wish.n_least,
        ends=not wish.ignores_end,
        style=wish.style,
    )
    return wish, said, wish.parts(said)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(ROUTES), BODY, st.booleans())
def test_any_body_is_answered_or_refused(at, body, has_all_traps):
    emulation, path = at
    traps = [trap.name for trap in emulation.traps]
    live = live_of(emulation, **{"with_traps" if has_all_traps else "without_traps": traps})
    done = answered(emulation.routes[path], json.dumps(body).encode(), live)
    if done is None:
        return
    wish, said, parts = done
    assert wish.n_prompt_tokens >= 1
    assert said.n_output_tokens == said.events[-1].n_done
    assert sum(part.n_tokens for part in parts) == said.n_output_tokens
    orders = [(part.n_done, -part.lead_ns) for part in parts]
    assert orders == sorted(orders)
    assert parts[0].n_done >= 1
    moment = Moment(10, 0, 1, 5, said.n_output_tokens, wish.n_prompt_tokens, 0)
    for part in parts:
        data = part.data if isinstance(part.data, bytes) else part.data(moment)
        assert data
        if part.kind in TOKEN_BEARING:
            assert part.n_tokens >= 1
    assert len(parts) == 1 or wish.is_streamed


@pytest.mark.parametrize("data", [b"", b"{", b'{"prompt": "\xff"}', b"[" * 100_000, b"null", b'"text"', b"3"])
@pytest.mark.parametrize(("emulation", "path"), ROUTES, ids=[f"{one.name}{path}" for one, path in ROUTES])
def test_what_is_no_request_is_refused(emulation, path, data):
    assert answered(emulation.routes[path], data, live_of(emulation)) is None
    reply = emulation.malformed("wrong", False)
    assert 400 <= reply.status <= 500


@pytest.mark.parametrize(("emulation", "key"), PAGES, ids=[f"{one.name} {' '.join(key)}" for one, key in PAGES])
def test_every_page_answers_on_an_idle_engine(emulation, key):
    method, path = key
    body = {"prompt": "a b", "content": "a b", "inputs": "a b", "input": "a b"}
    body |= {"messages": [{"role": "user", "content": "a b"}]}
    if path == "/tokenize" and emulation.name == "vllm":
        del body["messages"]
    live = live_of(emulation, without_traps={"no-reset"} & emulation.default_traps)
    reply = emulation.pages[key](json.dumps(body).encode() if method == "POST" else b"", live)
    assert reply.status == 200
    if reply.content_type == "application/json":
        json.loads(reply.body)
