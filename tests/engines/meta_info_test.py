# SPDX-License-Identifier: Apache-2.0
"""SGLang's and LMDeploy's /generate: whole texts and pieces, counts that run, requests."""

from __future__ import annotations

import json

import pytest

from inferometer.engines import lmdeploy, sglang
from inferometer.engines.engine import Delta, DialectError, Tokens, Usage
from inferometer.kinds import ChunkKind as K
from inferometer.plan.request import Request, Sampling


def event(text, n_tokens, finish=None, **more):
    info = {"prompt_tokens": 5, "completion_tokens": n_tokens, "finish_reason": finish} | more
    return json.dumps({"text": text, "output_ids": [], "meta_info": info}).encode()


def decode(dialect, *events):
    state, deltas = dialect.start(), []
    for data in events:
        state, said = dialect.decode(state, "message", data)
        deltas += said
    return [(d.text, d.n_tokens) for d in deltas]


def test_the_whole_so_far_is_taken_apart():
    assert decode(sglang.GENERATE, event("a", 1), event("abc", 3), event("abc", 4), event("abcd", 5)) == [
        ("a", 1),
        ("bc", 2),
        ("", 1),
        ("d", 1),
    ]


def test_pieces_are_told_from_wholes_by_what_they_begin_with():
    assert decode(sglang.GENERATE, event("ab", 1), event("c", 2), event("ab", 3)) == [("ab", 1), ("c", 1), ("ab", 1)]


def test_lmdeploy_never_repeats_itself():
    assert decode(lmdeploy.GENERATE, event("a", 1), event("a", 2), event("ab", 3)) == [("a", 1), ("a", 1), ("ab", 1)]


def test_an_event_without_text_tells_its_tokens_all_the_same():
    """SGLang without a tokenizer, and while it defers the text."""
    assert decode(sglang.GENERATE, event("a", 1), event(None, 3), event("abc", 4)) == [("a", 1), ("", 2), ("bc", 1)]


def test_counts_that_do_not_run_tell_nothing():
    assert decode(sglang.GENERATE, event("a", 2), event("ab", 1), event("abc", 3)) == [
        ("a", 2),
        ("b", None),
        ("c", None),
    ]


@pytest.mark.parametrize("finish", ["length", {"type": "length", "length": 7}])
def test_the_finish_reason_comes_with_the_counts(finish):
    _, deltas = sglang.GENERATE.decode(sglang.GENERATE.start(), "message", event("a", 1, finish, cached_tokens=2))
    assert deltas == [Delta(K.CONTENT, "a", 1, "length", Usage(5, 1, 2))]


@pytest.mark.parametrize(
    "data", [b"{}", b'{"text": "a"}', b'{"meta_info": {}}', b"[]", b'{"text": 3, "meta_info": {}}']
)
def test_what_is_not_of_the_dialect_is_refused(data):
    for dialect in (sglang.GENERATE, lmdeploy.GENERATE):
        with pytest.raises(DialectError):
            dialect.decode(dialect.start(), "message", data)


def test_what_goes_out():
    request = Request(0, "Hi", 3, 7, Sampling(0.5, 11))
    assert json.loads(sglang.GENERATE.encode(request, "m", {"sampling_params.ignore_eos": True}).body) == {
        "text": "Hi",
        "sampling_params": {"max_new_tokens": 7, "temperature": 0.5, "sampling_seed": 11, "ignore_eos": True},
        "stream": True,
    }
    assert json.loads(lmdeploy.GENERATE.encode(request, "m", {"ignore_eos": True}).body) == {
        "prompt": "Hi",
        "max_tokens": 7,
        "temperature": 0.5,
        "ignore_eos": True,
        "stream": True,
    }
    ids = Request(0, (3, 1), 2, 7, is_streamed=False)
    for dialect in (sglang.GENERATE, lmdeploy.GENERATE):
        assert json.loads(dialect.encode(ids, "m", {}).body)["input_ids"] == [3, 1]


def test_lmdeploy_encodes_texts():
    bare = lmdeploy.ENGINE.tokenize_bare("m", "Hi")
    assert (bare.path, bare.body) == ("/v1/encode", {"input": "Hi", "do_preprocess": False, "add_bos": False})
    assert bare.read({"input_ids": [3, 1], "length": 2}) == Tokens(2, (3, 1))
    for strange in (None, [], {"input_ids": [[3]], "length": [1]}, {"input_ids": [3]}):
        with pytest.raises(DialectError):
            bare.read(strange)
