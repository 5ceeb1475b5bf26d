# SPDX-License-Identifier: Apache-2.0
"""Each engine knows itself by its documents, and nobody else's; ports and names of models have no say."""

from __future__ import annotations

import pytest

from inferometer.engines import ENGINES, generic
from inferometer.engines.engine import Identity

from .planes import PLANES, models


def recognised(answers):
    """As host/ask.py goes about it."""
    asked = {"/v1/models": answers.get("/v1/models")}
    for engine in ENGINES:
        asked |= {path: answers.get(path) for path in engine.asks}
        if (identity := engine.recognise(asked)) is not None:
            return engine.name, identity
    raise AssertionError("nobody took it")


EXPECTED = {
    "llama.cpp": (("/props names the build b1-0c1e570", "/v1/models says owned_by llamacpp"), "b1-0c1e570", 4096),
    "vllm": (("/v1/models says owned_by vllm", "/version says 0.32.0"), "0.32.0", 4096),
    "sglang": (("/v1/models says owned_by sglang", "/get_server_info says version 0.5.4"), "0.5.4", 8192),
    "lmdeploy": (("/v1/models says owned_by lmdeploy",), "", None),
    "tensorrt-llm": (("/v1/models says owned_by tensorrt_llm", "/version says 1.2.0"), "1.2.0", None),
    "tgi": (
        ("/info names the router text-generation-router", "/info tells max_input_tokens and max_total_tokens"),
        "3.3.5",
        4096,
    ),
    "llama-cpp-python": (
        ("/openapi.json is titled llama.cpp Python API", "/openapi.json lists /extras/tokenize/count"),
        "0.3.36",
        None,
    ),
    "ollama": (("/api/version says 0.13.5", "/api/ps lists 1 models in memory"), "0.13.5", 4096),
    "triton": (("/v2 names the server triton",), "2.61.0", None),
    "openai": (("answers the OpenAI routes", "/v1/models says owned_by somebody"), "7", None),
}


@pytest.mark.parametrize("name", PLANES)
def test_each_is_known_with_evidence(name):
    found, identity = recognised(PLANES[name])
    assert (found, identity.evidence, identity.version, identity.context_tokens) == (name, *EXPECTED[name])


@pytest.mark.parametrize("engine", ENGINES[:-1], ids=lambda engine: engine.name)
def test_none_takes_the_documents_of_another(engine):
    takers = [name for name, answers in PLANES.items() if engine.recognise(answers) is not None]
    assert takers == [engine.name]


def test_every_engine_has_a_control_plane_here():
    assert [engine.name for engine in ENGINES] == sorted(PLANES, key=[engine.name for engine in ENGINES].index)
    assert ENGINES[-1] is generic.ENGINE


def test_older_and_newer_names_of_the_same_fact():
    old_tgi = {"/v1/models": models("m"), "/info": {"max_input_length": 1024, "max_total_tokens": 2048}}
    new_sglang = {"/v1/models": models("sglang"), "/server_info": {"version": "0.6.0"}}
    name, identity = recognised(old_tgi)
    assert (name, identity.context_tokens, identity.prompt_tokens) == ("tgi", 2048, 1024)
    assert recognised(new_sglang)[1].version == "0.6.0"
    embeddings = {"/v1/models": models("m"), "/info": {"model_id": "m", "max_input_length": 512, "version": "1.2"}}
    assert recognised(embeddings)[0] == "openai"


def test_llama_cpp_is_known_without_its_props():
    name, identity = recognised({"/v1/models": PLANES["llama.cpp"]["/v1/models"], "/props": None})
    assert (name, identity.version, identity.context_tokens) == ("llama.cpp", "", 4096)


def test_slots_where_the_server_says_so():
    slots = {name: recognised(answers)[1].n_slots for name, answers in PLANES.items()}
    assert {name: n for name, n in slots.items() if n is not None} == {"llama.cpp": 4, "llama-cpp-python": 1}


def test_what_cannot_be_known_is_said():
    notes = {name: recognised(answers)[1].notes for name, answers in PLANES.items()}
    assert {name for name, said in notes.items() if not said} == {"llama.cpp", "vllm", "sglang", "tgi", "ollama"}
    told = {"/v1/models": models("x", context_length=32768)}
    assert recognised(told)[1].context_tokens == 32768
    assert recognised(told)[1].notes == (
        "no engine that is known here: its own API, its gauges, its traps cannot be known",
    )
    assert "its context length" in notes["openai"][0]


PATHS = {"/v1/models", *(path for engine in ENGINES for path in engine.asks)}


@pytest.mark.parametrize("junk", [None, 3, "x", [], {"data": 3}, {"data": [3]}, {"data": [{"id": 1, "meta": 3}]}])
def test_strange_documents_are_not_stumbled_over(junk):
    assert recognised(dict.fromkeys(PATHS, junk))[0] == "openai"
    assert recognised({})[0] == "openai"


def test_strange_values_are_not_taken():
    answers = {"/props": {"build_info": 7, "default_generation_settings": {"n_ctx": "many"}, "total_slots": -1}}
    assert recognised(answers)[1] == Identity(("/props names the build 7",), "7")
    for name, answers in PLANES.items():
        broken = {path: {key: [] for key in document} for path, document in answers.items()}
        assert recognised(broken | {"/v1/models": answers.get("/v1/models")})[0] in (name, "openai")
