# SPDX-License-Identifier: Apache-2.0
"""Recognising servers over HTTP: what they say counts, not where they listen or what their model is called; and each is
then spoken to in its own way."""

from __future__ import annotations

import json

import pytest
from tests.engines.planes import PLANES

from inferometer.clock import sleep_s
from inferometer.engines import DIALECTS, ENGINES
from inferometer.engines.engine import OUTPUT_TOKENS_ASKED
from inferometer.errors import EngineError, UsageError
from inferometer.host import ask as asking

from .fake_server import Answer, FakeEngine, serving

ACCESS = {"engines": ENGINES, "dialects": DIALECTS}
OPENAI = [name for name in PLANES if name != "triton"]


def ask(url, **more):
    return asking.ask(url, **ACCESS, timeout_s=2.0, **more)


def plane(name):
    """The control plane of an engine, over the routes of one that answers."""

    def route(document):
        return lambda body, headers: Answer(document)

    return FakeEngine().routes() | {f"GET {path}": route(document) for path, document in PLANES[name].items()}


@pytest.mark.parametrize(("one", "other"), list(zip(OPENAI, OPENAI[1:] + OPENAI[:1], strict=True)))
def test_it_is_known_wherever_it_listens(one, other):
    first, second = plane(one), plane(other)
    with serving(first) as first_url, serving(second) as second_url:
        assert (ask(first_url).engine, ask(second_url).engine) == (one, other)
        routes = dict(first), dict(second)
        for served, swapped in ((first, routes[1]), (second, routes[0])):
            served.clear()
            served.update(swapped)
        assert (ask(first_url).engine, ask(second_url).engine) == (other, one)


def test_a_server_that_hangs_on_strange_paths_is_not_asked_all_of_them():
    def hang(body, headers):
        sleep_s(0.7)
        return Answer({}, 404)

    seen, strange = [], {path for engine in ENGINES for path in engine.asks}
    with serving(FakeEngine().routes() | {f"GET {path}": hang for path in strange}, seen) as url:
        facts = asking.ask(url, **ACCESS, timeout_s=0.3)
    assert facts.engine == "openai"
    assert len({name for name, _ in seen if name.removeprefix("GET ") in strange}) == 2


def test_an_empty_list_of_models_is_a_list():
    routes = {"GET /v1/models": lambda body, headers: Answer({"object": "list", "data": None})}
    with serving(routes) as url, pytest.raises(UsageError, match="does not list its models"):
        ask(url)


def streamed(events, content_type="text/event-stream", end="data: [DONE]\n\n"):
    line = "{}\n" if "ndjson" in content_type else "data: {}\n\n"
    text = "".join(line.format(json.dumps(event)) for event in events) + end
    return Answer(text.encode(), headers={"content-type": content_type})


def test_ollama_speaks_lines_and_forces_no_length():
    def chat(body, headers):
        n_asked, n_prompt = body["options"]["num_predict"], len(body["messages"][0]["content"].split()) + 4
        last = {"done": True, "done_reason": "stop", "prompt_eval_count": n_prompt, "eval_count": min(2, n_asked)}
        if not body["stream"]:
            return Answer({"message": {"content": "ok ok"}} | last)
        pieces = [{"message": {"content": "ok"}, "done": False} for _ in range(last["eval_count"])]
        return streamed([*pieces, {"message": {}} | last], "application/x-ndjson", "")

    with serving(plane("ollama") | {"POST /api/chat": chat}) as url:
        facts = ask(url, api="native-chat")
        with asking.counting(facts, **ACCESS) as counter:
            assert counter.count("water river stone") == 7
    assert (facts.engine, facts.api, facts.extras) == ("ollama", "ollama-chat", {})
    assert (facts.streams, facts.usage_in_stream, facts.is_length_forced) == (True, True, False)
    assert facts.notes == ("8 output tokens were asked for and 2 came: output lengths are not as asked",)


def test_an_api_of_token_ids_is_asked_in_token_ids():
    def tokenize(body, headers):
        words = body["prompt"].split()
        ids = [100 + sum(word.encode()) for word in words]
        pieces = [f"Ġ{word}" for word in words] if body.get("return_token_strs") else None
        return Answer({"count": len(ids), "tokens": ids, "token_strs": pieces})

    def generate(body, headers):
        n_output = body["sampling_params"]["max_tokens"]
        usage = {"prompt_tokens": len(body["token_ids"]), "completion_tokens": n_output}
        if not body.get("stream"):
            return Answer({"choices": [{"token_ids": [7] * n_output, "finish_reason": "length"}], "usage": usage})
        choices = [{"index": 0, "token_ids": [7], "finish_reason": None} for _ in range(n_output)]
        choices[-1]["finish_reason"] = "length"
        return streamed([*({"choices": [choice]} for choice in choices), {"choices": [], "usage": usage}])

    routes = plane("vllm") | {"POST /inference/v1/generate": generate}
    with serving(routes | {"POST /tokenize": tokenize}) as url:
        facts = ask(url, api="native")
    assert (facts.api, facts.takes_token_ids, facts.counts_by) == ("vllm-tokens", True, "server")
    assert facts.extras == {"sampling_params.ignore_eos": True, "sampling_params.min_tokens": OUTPUT_TOKENS_ASKED}
    assert facts.is_length_forced
    assert len(facts.sample_ids) == 3
    with serving(routes) as url, pytest.raises(EngineError, match="takes nothing but token ids"):
        ask(url, api="native")


def test_triton_is_measured_without_a_list_of_models_and_without_the_counts_it_refuses():
    def generate(body, headers):
        if "return_num_output_tokens" in body:
            return Answer({"error": "unexpected inference input 'return_num_output_tokens'"}, 400)
        counts = {"num_input_tokens": len(body["text_input"].split())} if body.get("return_num_input_tokens") else {}
        events = [{"text_output": " ok"} | counts for _ in range(body["max_tokens"])]
        return streamed(events, end="") if body["stream"] else Answer(events[0])

    routes = {f"GET {path}": lambda body, headers: Answer(PLANES["triton"]["/v2"]) for path in PLANES["triton"]}
    routes["GET /v1/models"] = lambda body, headers: Answer(b"", 400)  # to what it does not know it says no word
    routes |= {f"POST /v2/models/ensemble/{name}": generate for name in ("generate", "generate_stream")}
    with serving(routes) as url:
        facts = ask(url, model="ensemble")
        with pytest.raises(UsageError, match="does not list its models"):
            ask(url)
        with pytest.raises(UsageError, match="the chat API of TensorRT-LLM behind Triton"):
            ask(url, model="ensemble", api="chat")
    assert (facts.engine, facts.api, facts.counts_by) == ("triton", "triton-generate", "usage")
    assert facts.extras == {"min_tokens": OUTPUT_TOKENS_ASKED, "return_num_input_tokens": True}
    assert "the server refuses return_num_output_tokens: left out" in facts.notes[1]
    assert "output tokens are not known" in facts.notes[2]
