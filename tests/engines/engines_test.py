# SPDX-License-Identifier: Apache-2.0
"""Engines: each knows itself by its own recorded documents, and its tokenise calls read its recorded answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferometer.engines import DIALECTS, ENGINES, generic, llamacpp, vllm
from inferometer.engines.engine import Call, DialectError, Identity, Tokens
from inferometer.kinds import APIS, NATIVE_APIS

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"
LLAMA, VLLM = "llama-server-0c1e570", "vllm-0.32.0"


def document(name):
    """The JSON of a recorded answer, if it is a good one."""
    head, _, body = (TRANSCRIPTS / f"{name}.http").read_bytes().partition(b"\r\n\r\n")
    return json.loads(body) if head.startswith(b"HTTP/1.1 200") else None


LLAMA_ANSWERS = {"/v1/models": document(f"{LLAMA}-models"), "/props": document(f"{LLAMA}-props"), "/version": None}
VLLM_ANSWERS = {"/v1/models": document(f"{VLLM}-models"), "/props": None, "/version": document(f"{VLLM}-version")}
OTHER_ANSWERS = {"/v1/models": document("llama-cpp-python-0.3.36-models"), "/props": None, "/version": None}


def recognised(answers):
    for engine in ENGINES:
        if (identity := engine.recognise(answers)) is not None:
            return engine.name, identity
    raise AssertionError("nobody took it")


def test_llama_cpp_knows_itself():
    assert recognised(LLAMA_ANSWERS) == (
        "llama.cpp",
        Identity(
            ("/props names the build b1-0c1e570", "/v1/models says owned_by llamacpp"), "b1-0c1e570", 4096, n_slots=4
        ),
    )


def test_llama_cpp_is_known_without_its_props():
    name, identity = recognised({"/v1/models": LLAMA_ANSWERS["/v1/models"], "/props": None})
    assert (name, identity.version, identity.context_tokens) == ("llama.cpp", "", 4096)


def test_vllm_knows_itself():
    assert recognised(VLLM_ANSWERS) == (
        "vllm",
        Identity(("/v1/models says owned_by vllm", "/version says 0.32.0"), "0.32.0", 4096),
    )


def test_anything_else_is_generic():
    name, identity = recognised(OTHER_ANSWERS)
    assert (name, identity) == ("openai", Identity(("answers the OpenAI routes", "/v1/models says owned_by me")))
    assert recognised({})[0] == "openai"
    assert recognised({"/v1/models": {"data": [{"id": "m", "context_length": 32768}]}})[1].context_tokens == 32768


@pytest.mark.parametrize("junk", [None, 3, "x", [], {"data": 3}, {"data": [3]}, {"data": [{"id": 1, "meta": 3}]}])
def test_strange_documents_are_not_stumbled_over(junk):
    assert recognised({"/v1/models": junk, "/props": junk, "/version": junk})[0] == "openai"


def test_strange_values_are_not_taken():
    answers = {"/props": {"build_info": 7, "default_generation_settings": {"n_ctx": "many"}, "total_slots": -1}}
    assert recognised(answers)[1] == Identity(("/props names the build 7",), "7")


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


@pytest.mark.parametrize("answer", [None, {}, [], {"tokens": 3}, {"count": "x"}, {"prompt": 1}, {"input_tokens": None}])
def test_an_answer_of_another_shape_is_refused(answer):
    for engine in (llamacpp.ENGINE, vllm.ENGINE, generic.ENGINE):
        calls = [engine.tokenize_text("m", "a"), engine.tokenize_bare("m", "a")]
        calls += [way("m", (("user", "a"),)) for way in engine.tokenize_chats]
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
