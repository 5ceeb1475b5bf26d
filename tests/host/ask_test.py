# SPDX-License-Identifier: Apache-2.0
"""Asking servers of many kinds: recorded control planes of real engines, and a generic engine with faults."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from inferometer.engines import DIALECTS, ENGINES
from inferometer.engines.engine import OUTPUT_TOKENS_ASKED
from inferometer.errors import EngineError, UsageError
from inferometer.host import ask as asking
from inferometer.host.counting import NoCounter, ServerCounter, UsageCounter
from inferometer.plan.tokenizer import FileCounter

from .fake_server import Answer, FakeEngine, recorded, serving

ACCESS = {"engines": ENGINES, "dialects": DIALECTS}
LLAMA, VLLM = "llama-server-0c1e570", "vllm-0.32.0"
UNKNOWN = "no engine that is known here: its own API, its gauges, its traps, its context length cannot be known"


def ask(url, **more):
    return asking.ask(url, **ACCESS, timeout_s=2.0, **more)


def asked_of(engine: FakeEngine, routes=None, seen=None, **more):
    with serving(engine.routes() | (routes or {}), seen) as url:
        return ask(url, **more)


# -- who is it ------------------------------------------------------------------------------------------------------


def word_ids(text):
    return [100 + sum(word.encode()) for word in text.split()]


def llama_routes(engine):
    """llama.cpp's control plane over words: the template is <|begin|><|user|>...<|assistant|>."""
    return engine.routes() | {
        "GET /v1/models": recorded(f"{LLAMA}-models"),
        "GET /props": recorded(f"{LLAMA}-props"),
        "POST /apply-template": lambda body, headers: Answer(
            {"prompt": f"<|begin|> <|user|> {body['messages'][0]['content']} <|end|> <|assistant|>"}
        ),
        "POST /tokenize": lambda body, headers: Answer({"tokens": word_ids(body["content"])}),
    }


def test_llama_cpp_is_recognised_and_counts_with_its_tokenizer():
    with serving(llama_routes(FakeEngine(n_template=4, n_cached=2))) as url:
        facts = ask(url + "/v1/")
        with asking.counting(facts, **ACCESS) as counter:
            assert counter.count("water river") == 6
    assert facts.url == url
    assert (facts.engine, facts.title, facts.version) == ("llama.cpp", "llama.cpp", "b1-0c1e570")
    assert (facts.model, facts.context_tokens, facts.n_slots) == ("tiny-llama", 4096, 4)
    assert (facts.longest_prompt(), facts.longest_prompt(96)) == (4096, 4000)
    limited = replace(facts, prompt_tokens=1024)
    assert (limited.longest_prompt(), limited.longest_prompt(3584)) == (1024, 512)
    assert (facts.api, facts.apis) == ("chat", ("chat", "completions"))
    assert facts.extras == {"ignore_eos": True}
    assert (facts.is_length_forced, facts.usage_in_stream, facts.streams) == (True, True, True)
    assert (facts.counts_by, facts.n_template_tokens) == ("server", 2)
    assert facts.notes == ()
    assert facts.evidence[0] == "/props names the build b1-0c1e570"


def test_an_engines_own_api_is_used_when_it_is_asked_for():
    def complete(body, headers):
        is_ids = isinstance(body["prompt"], list)
        n_prompt, n_output = len(body["prompt"] if is_ids else body["prompt"].split()), body["n_predict"]
        n_output = n_output if body.get("ignore_eos") else min(2, n_output)
        counts = {"tokens_predicted": n_output, "tokens_evaluated": n_prompt}
        whole = {"content": " ok" * n_output, "stop": True, "stop_type": "limit"} | counts
        if not body["stream"]:
            return Answer(whole)
        events = [{"content": " ok", "stop": False, "tokens_predicted": i + 1} for i in range(n_output)]
        lines = [f"data: {json.dumps(event)}\n\n" for event in [*events, whole | {"content": ""}]]
        return Answer("".join(lines).encode(), headers={"content-type": "text/event-stream"})

    seen = []
    routes = llama_routes(FakeEngine()) | {"POST /completion": complete}
    with serving(routes, seen) as url:
        facts = ask(url, api="native")
        with asking.counting(facts, **ACCESS) as counter:
            assert counter.count("water river") == 2
    assert (facts.api, facts.apis) == ("llamacpp-completion", ("llamacpp-completion",))
    assert (facts.is_length_forced, facts.usage_in_stream, facts.streams) == (True, True, True)
    assert (facts.counts_by, facts.n_template_tokens, facts.notes) == ("server", 0, ())
    assert facts.extras == {"ignore_eos": True}
    assert not any(name.startswith("POST /v1/") for name, _ in seen)


def test_an_api_that_an_engine_does_not_speak_is_refused_with_those_it_does():
    with (
        serving(FakeEngine().routes()) as url,
        pytest.raises(UsageError, match="the native API of OpenAI-comp") as caught,
    ):
        ask(url, api="native")
    assert caught.value.remedy == "choose chat or completions with --api"


def test_vllm_is_recognised_and_takes_token_ids():
    def tokenize(body, headers):
        text = body.get("prompt") or f"<|u|> {body['messages'][0]['content']} <|e|> <|a|> <|x|>"
        pieces = [f"Ġ{word}" for word in text.split()] if body.get("return_token_strs") else None
        ids = word_ids(text)
        return Answer({"count": len(ids), "max_model_len": 4096, "tokens": ids, "token_strs": pieces})

    routes = {
        "GET /v1/models": recorded(f"{VLLM}-models"),
        "GET /version": recorded(f"{VLLM}-version"),
        "POST /tokenize": tokenize,
    }
    engine = FakeEngine(obeys=("min_tokens",))
    chat = asked_of(engine, routes)
    completions = asked_of(engine, routes, api="completions")
    assert (chat.engine, chat.version, chat.model, chat.context_tokens) == ("vllm", "0.32.0", "tiny-llama", 4096)
    assert chat.extras == {"ignore_eos": True, "min_tokens": OUTPUT_TOKENS_ASKED}
    assert (chat.is_length_forced, chat.counts_by, chat.n_template_tokens) == (True, "server", 1)
    assert (completions.api, completions.apis, completions.takes_token_ids) == (
        "completions",
        ("completions",),
        True,
    )
    assert completions.n_template_tokens == 0
    assert not chat.takes_token_ids


def test_facts_hold_no_key():
    key = "sk-secret-0123456789"
    facts = asked_of(FakeEngine(), headers=[("Authorization", f"Bearer {key}")])
    assert key not in repr(facts)
    assert facts.engine == "openai"


# -- what does it do ------------------------------------------------------------------------------------------------


def test_a_generic_server_that_does_it_all():
    seen = []
    facts = asked_of(FakeEngine(n_cached=3), seen=seen)
    assert (facts.engine, facts.model, facts.version) == ("openai", "m", "")
    assert facts.is_length_forced
    assert (facts.counts_by, facts.n_template_tokens) == ("usage", 3)
    assert facts.notes == (UNKNOWN,)
    generations = [body for name, body in seen if name.startswith("POST /v1/")]
    assert generations[0]["max_tokens"] == generations[0]["min_tokens"] == 8
    assert len(generations) <= 3


def test_fields_that_are_refused_are_left_out_and_said():
    facts = asked_of(FakeEngine(refuses=("ignore_eos",), obeys=("min_tokens",)))
    assert facts.extras == {"min_tokens": OUTPUT_TOKENS_ASKED}
    assert facts.is_length_forced
    assert facts.notes == (
        UNKNOWN,
        "the server refuses ignore_eos: left out (HTTP 400: Unrecognized request argument: ignore_eos)",
    )


def test_a_server_that_refuses_everything_special_is_still_measured():
    refuses = ("min_tokens", "ignore_eos", "stream_options", "max_tokens")
    engine = FakeEngine(refuses=refuses)
    original = engine.generate

    def generate(body, n_prompt, choice):
        if "max_tokens" in body:
            return Answer({"error": {"message": "Use 'max_completion_tokens' instead of 'max_tokens'."}}, 400)
        return original(body, n_prompt, choice)

    engine.generate = generate
    facts = asked_of(engine)
    assert facts.extras == {
        "max_tokens": None,
        "max_completion_tokens": OUTPUT_TOKENS_ASKED,
        "stream_options": None,
    }
    assert not facts.is_length_forced
    assert "8 output tokens were asked for and 2 came: output lengths are not as asked" in facts.notes
    assert sum("the server refuses" in note for note in facts.notes) == 4
    assert facts.counts_by == "usage"


def test_fields_that_are_ignored_are_found_out():
    facts = asked_of(FakeEngine(obeys=()))
    assert not facts.is_length_forced
    assert facts.notes == (
        UNKNOWN,
        "8 output tokens were asked for and 2 came in spite of ignore_eos and min_tokens: "
        "output lengths are not as asked",
    )


def test_without_usage_nothing_is_claimed():
    facts = asked_of(FakeEngine(tells_usage=False))
    assert (facts.counts_by, facts.is_length_forced, facts.usage_in_stream) == ("nothing", False, False)
    assert facts.n_template_tokens is None
    assert facts.notes == (
        UNKNOWN,
        "the server tells no usage in a stream: output tokens are not known",
        "the server does not count prompts: input lengths are a guess",
    )


def test_usage_that_is_told_of_whole_answers_only_sizes_prompts():
    """As llama-cpp-python does."""
    engine = FakeEngine()
    original = engine.generate

    def generate(body, n_prompt, choice):
        engine.tells_usage = not body.get("stream")
        return original(body, n_prompt, choice)

    engine.generate = generate
    facts = asked_of(engine)
    assert (facts.counts_by, facts.usage_in_stream) == ("usage", False)
    assert (facts.is_length_forced, facts.counts_outputs_by) == (True, "length")
    assert facts.notes[1].startswith(
        "the server tells no usage in a stream: an answer that ends by its length is taken"
    )
    engine.obeys = ()
    loose = asked_of(engine)
    assert (loose.is_length_forced, loose.counts_outputs_by) == (False, "nothing")
    assert loose.notes[-1] == "the server tells no usage in a stream: output tokens are not known"


def test_every_event_tells_its_tokens_if_that_is_asked_for():
    """A running usage, as vLLM gives on request."""

    class Counting(FakeEngine):
        def generate(self, body, n_prompt, choice):
            answer = super().generate(body, n_prompt, choice)
            if not (body.get("stream") and body["stream_options"].get("continuous_usage_stats")):
                return answer
            *events, done = answer.body.decode().split("data: ")[1:]
            told = []
            for i, event in enumerate(map(json.loads, events)):
                usage = {"prompt_tokens": n_prompt, "completion_tokens": min(i + 1, len(events) - 1)}
                told.append(json.dumps(event | {"usage": usage}) + "\n\n")
            return Answer("".join(f"data: {e}" for e in [*told, done]).encode(), headers=answer.headers)

    routes = {"GET /v1/models": recorded(f"{VLLM}-models"), "GET /version": recorded(f"{VLLM}-version")}
    seen = []
    facts = asked_of(Counting(), routes, seen, count_tokens=True)
    assert facts.extras["stream_options"] == facts.count_extras["stream_options"] == {"continuous_usage_stats": True}
    assert facts.notes == ()
    assert seen[-1][1]["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    assert "stream_options" not in asked_of(Counting(), routes).extras
    assert "gaps are per event" in asked_of(FakeEngine(), routes, count_tokens=True).notes[-1]
    assert "gaps are per event" in asked_of(FakeEngine(), count_tokens=True).notes[-1]


def test_a_server_that_does_not_stream_is_found_out():
    facts = asked_of(FakeEngine(streams=False))
    assert (facts.streams, facts.usage_in_stream, facts.is_length_forced) == (False, False, True)
    assert "in one piece" in facts.notes[1]


def test_without_chat_completions_are_used():
    facts = asked_of(FakeEngine(has_chat=False))
    assert (facts.api, facts.apis) == ("completions", ("completions",))
    assert asked_of(FakeEngine(has_completions=False)).apis == ("chat",)


def test_a_tokenizer_that_disagrees_with_usage_is_not_believed():
    routes = {"POST /tokenize": lambda body, headers: Answer({"count": 3, "tokens": [1, 2, 3]})}
    facts = asked_of(FakeEngine(), routes)
    assert facts.counts_by == "usage"
    assert "counts 3 tokens where its answer says 10" in facts.notes[1]
    assert facts.n_template_tokens is None


# -- models ---------------------------------------------------------------------------------------------------------


def test_of_several_models_one_must_be_chosen():
    engine = FakeEngine(models=("llama-8b", "llama-70b"))
    with serving(engine.routes()) as url:
        assert ask(url, model="llama-70b").model == "llama-70b"
        with pytest.raises(UsageError, match="the server has 2 models: llama-8b, llama-70b") as caught:
            ask(url)
        assert caught.value.remedy == "choose one with --model"
        with pytest.raises(UsageError, match="no model 'lama-8b'") as caught:
            ask(url, model="lama-8b")
        assert caught.value.remedy == "did you mean llama-8b?"


def test_a_long_list_of_models_is_cut():
    with pytest.raises(UsageError, match=r"m0, m1, .* m9 and 190 more"):
        asked_of(FakeEngine(models=tuple(f"m{i}" for i in range(200))))


def test_without_a_list_the_model_must_be_named():
    with serving({"POST /v1/chat/completions": FakeEngine().chat}) as url:
        assert ask(url, model="secret-model").model == "secret-model"
        with pytest.raises(UsageError, match="does not list its models") as caught:
            ask(url)
    assert "--model" in caught.value.remedy


# -- servers that cannot be measured --------------------------------------------------------------------------------


def answer_with(status, body, **headers):
    return {"GET /v1/models": lambda asked, _: Answer(body, status, headers)}


@pytest.mark.parametrize(
    ("routes", "message", "remedy"),
    [
        (answer_with(401, {"error": {"message": "no key"}}), "wants a key (HTTP 401: no key)", "--api-key-env"),
        (answer_with(403, b""), "wants a key (HTTP 403)", "--api-key-env"),
        (answer_with(301, b"", location="https://other/v1/models?k=x"), "redirects to https://other,", "https://other"),
        (answer_with(308, b""), "redirects, and redirects are not followed", "the address itself"),
        (
            answer_with(400, b"<title>400 The plain HTTP request was sent to HTTPS port</title>"),
            "speaks TLS",
            "https://",
        ),
        (answer_with(503, {"error": {"message": "Loading model"}}), "is not ready (HTTP 503: Loading model)", "wait"),
        (answer_with(500, b"oops"), "GET /v1/models answered HTTP 500: oops", "right address"),
        (answer_with(200, b"<html>", **{"content-type": "text/html"}), "is not an OpenAI-compatible server", "address"),
        (answer_with(200, {"data": 3}), "is not an OpenAI-compatible server", "address"),
    ],
)
def test_a_server_that_cannot_be_asked_is_one_clear_line(routes, message, remedy):
    with serving(routes) as url, pytest.raises(EngineError) as caught:
        ask(url)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert remedy in caught.value.remedy


def test_a_wrong_key_is_not_shown():
    key = "sk-secret-0123456789"
    routes = {"GET /v1/models": lambda body, headers: Answer({"error": f"bad {headers['x-api-key']}"}, 401)}
    with serving(routes) as url, pytest.raises(EngineError) as caught:
        ask(url, headers=[("x-api-key", key)])
    assert key not in str(caught.value) + caught.value.remedy


def test_a_server_whose_models_do_not_answer():
    with pytest.raises(EngineError, match=r"does not answer a request \(chat: HTTP 404.*; completions: HTTP 404"):
        asked_of(FakeEngine(has_chat=False, has_completions=False))
    with pytest.raises(EngineError, match="chat: out of memory") as caught:
        asked_of(FakeEngine(error_event="out of memory"), api="chat")
    assert "--api" in caught.value.remedy


# -- counters -------------------------------------------------------------------------------------------------------


def test_the_counter_is_the_best_there_is(tmp_path):
    with serving(FakeEngine().routes()) as url:
        facts = ask(url)
        with asking.counting(facts, **ACCESS) as counter:
            assert isinstance(counter, UsageCounter)
            assert counter.count("water river stone") == 7
            assert counter.count((("system", "a b"), ("user", "c"))) == 7
            assert 0 < counter.cost_s < 1
    with serving(FakeEngine(tells_usage=False).routes()) as url, asking.counting(ask(url), **ACCESS) as counter:
        assert isinstance(counter, NoCounter)
        assert counter.count("water") is None
    with serving(llama_routes(FakeEngine())) as url, asking.counting(ask(url), **ACCESS) as counter:
        assert isinstance(counter, ServerCounter)


def test_a_tokenizer_file_is_put_in_tune_with_the_server(tmp_path, word_tokenizer):
    path = tmp_path / "tokenizer.json"
    word_tokenizer.save(str(path))
    with serving(FakeEngine(n_template=4).routes()) as url:
        facts = ask(url)
        with asking.counting(facts, tokenizer=str(path), **ACCESS) as counter:
            assert isinstance(counter, FileCounter)
            assert counter.count("water river") == 6


@pytest.fixture
def word_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: i for i, word in enumerate(("water", "river", "stone", "[UNK]"))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer
