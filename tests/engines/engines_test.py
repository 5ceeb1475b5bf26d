# SPDX-License-Identifier: Apache-2.0
"""Engines: tokenise calls read recorded answers; what is said of an engine can be kept and used."""

from __future__ import annotations

import json

import pytest

from inferometer.engines import DIALECTS, ENGINES, llamacpp, llamacpp_python, vllm
from inferometer.engines.engine import Call, DialectError, Tokens
from inferometer.kinds import APIS, NATIVE_APIS

from .planes import document

LLAMA, VLLM = "llama-server-0c1e570", "vllm-0.32.0"


# -- tokenise calls -------------------------------------------------------------------------------------------------


def test_llama_cpp_tokenises():
    text = llamacpp.ENGINE.tokenize_text("m", "def")
    assert (text.path, text.body) == ("/tokenize", {"content": "def", "add_special": True, "parse_special": True})
    assert text.read(document(f"{LLAMA}-tokenize-plain")) == Tokens(5, (464, 2423, 866, 335, 404))
    bare = llamacpp.ENGINE.tokenize_bare("m", "def main(): return 1")
    assert bare.body == {"content": "def main(): return 1", "with_pieces": True}
    tokens = bare.read(document(f"{LLAMA}-tokenize"))
    assert (tokens.n_tokens, tokens.pieces) == (5, ("def", " main", "():", " return", " 1"))


def test_a_piece_that_is_no_text_is_marked():
    tokens = llamacpp.ENGINE.tokenize_bare("m", "é").read({"tokens": [{"id": 1, "piece": [195]}, {"id": 2}]})
    assert tokens == Tokens(2, (1, 2), ("\ufffd", "\ufffd"))


def test_llama_cpp_counts_a_chat_at_once_or_in_two_steps():
    at_once, in_steps = (way("m", (("user", "hello"),)) for way in llamacpp.ENGINE.tokenize_chats)
    assert at_once.body == in_steps.body == {"messages": [{"role": "user", "content": "hello"}]}
    assert at_once.read(document(f"{LLAMA}-input-tokens")) == Tokens(7)
    step = in_steps.read(document(f"{LLAMA}-apply-template"))
    assert isinstance(step, Call)
    assert step.body["content"] == "<|begin|><|user|>hello<|end|><|assistant|>"
    assert step.read({"tokens": [0, 3, 9]}) == Tokens(3, (0, 3, 9))


def test_vllm_tokenises():
    text = vllm.ENGINE.tokenize_bare("m", "def main(): return 1")
    tokens = text.read(document(f"{VLLM}-tokenize"))
    assert (tokens.n_tokens, tokens.pieces[1]) == (5, "Ġmain")
    (chat,) = (way("m", (("user", "hello"),)) for way in vllm.ENGINE.tokenize_chats)
    assert chat.body == {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    assert chat.read(document(f"{VLLM}-tokenize-chat")) == Tokens(7, (0, 3, 282, 81, 361, 1, 4))


def test_llama_cpp_python_tokenises_but_shows_no_pieces():
    text = llamacpp_python.ENGINE.tokenize_text("m", "def main(): return 1")
    assert (text.path, text.body) == ("/extras/tokenize", {"model": "m", "input": "def main(): return 1"})
    assert text.read(document("llama-cpp-python-0.3.36-tokenize")) == Tokens(5, (464, 2423, 866, 335, 404))
    assert llamacpp_python.ENGINE.tokenize_bare is None


@pytest.mark.parametrize("answer", [None, {}, [], {"tokens": 3}, {"count": "x"}, {"prompt": 1}, {"input_tokens": None}])
def test_an_answer_of_another_shape_is_refused(answer):
    for engine in ENGINES:
        ways = [way for way in (engine.tokenize_text, engine.tokenize_bare) if way is not None]
        calls = [way("m", "a") for way in ways] + [way("m", (("user", "a"),)) for way in engine.tokenize_chats]
        for call in calls:
            with pytest.raises(DialectError):
                call.read(answer)


def test_what_is_recorded_of_an_engine_is_json():
    for engine in ENGINES:
        for speech in engine.speaks.values():
            extras = [speech.length_extras, speech.count_extras]
            assert json.loads(json.dumps(extras)) == extras


def test_what_engines_speak_is_known_by_name():
    for engine in ENGINES:
        assert engine.speaks
        assert set(engine.speaks) <= {*APIS, *NATIVE_APIS}
        for speech in engine.speaks.values():
            assert DIALECTS[speech.dialect.name] is speech.dialect
            assert not (speech.dialect.is_chat and speech.takes_token_ids)
