# SPDX-License-Identifier: Apache-2.0
"""Asking llama.cpp itself: what is found out, and that prompts and outputs really have the lengths asked for."""

from __future__ import annotations

import json

import pytest

from inferometer.embedded.cache import ensure_model
from inferometer.embedded.server import command
from inferometer.engines import DIALECTS, ENGINES
from inferometer.host.ask import ask, counting
from inferometer.host.control import Control
from inferometer.host.launch import launch, place_port
from inferometer.host.probe import probe
from inferometer.kinds import ChunkKind
from inferometer.plan.lengths import parse_lengths
from inferometer.plan.make import Server, Shape, make
from inferometer.plan.request import Request, Sampling
from inferometer.plan.schedule import closed
from inferometer.wire.streams import reader_of

pytestmark = pytest.mark.engine

ACCESS = {"engines": ENGINES, "dialects": DIALECTS}
N_REQUESTS = 12


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    model = ensure_model(folder=tmp_path_factory.mktemp("models"))
    argv, base_url = place_port(command(model, n_slots=2), None)
    with launch(argv, base_url=base_url, log_path=tmp_path_factory.mktemp("logs") / "engine.log"):
        yield base_url


@pytest.fixture(scope="module", params=["chat", "completions", "native"])
def facts(url, request):
    return ask(url, api=request.param, **ACCESS)


def test_llama_cpp_as_it_is(facts):
    assert (facts.engine, facts.counts_by, facts.extras) == ("llama.cpp", "server", {"ignore_eos": True})
    assert facts.is_length_forced
    assert facts.usage_in_stream
    assert facts.context_tokens == 2048
    assert facts.n_slots == 2
    assert facts.n_template_tokens == (1 if facts.api == "chat" else 0)
    assert facts.takes_token_ids == (facts.api != "chat")
    assert facts.notes == ()


@pytest.mark.parametrize("n_shared", [0, 12])
def test_lengths_are_as_the_server_counts_them_and_no_prefix_is_cached(facts, n_shared):
    """The engine's own usage is the judge: prompt and output lengths, and tokens taken from its prefix cache."""
    with counting(facts, **ACCESS) as counter:
        server = Server(counter, facts.context_tokens, facts.takes_token_ids, facts.api == "chat")
        shape = Shape(parse_lengths("uniform:20-90"), parse_lengths("uniform:3-9"), n_shared=n_shared)
        plan = make(shape, closed(1, n_requests=N_REQUESTS), server, n_requests=N_REQUESTS, seed=n_shared)
    with Control(facts.url) as control:
        dialect = DIALECTS[facts.api]
        answers = [probe(control, dialect, facts.model, facts.extras, request) for request in plan.requests]
    assert [a.n_prompt_tokens for a in answers] == [r.n_prompt_tokens for r in plan.requests]
    assert [a.n_output_tokens for a in answers] == [r.max_output_tokens for r in plan.requests]
    cached = [a.usage.n_cached_tokens for a in answers]
    assert max(cached) == facts.n_template_tokens + n_shared
    if n_shared:
        assert cached[2:] == [facts.n_template_tokens + n_shared] * (N_REQUESTS - 2)  # both slots have it by then


def deltas(facts, request, extras):
    """What the answer says, event by event, with every event asked for its tokens."""
    dialect = DIALECTS[facts.api]
    encoded = dialect.encode(request, facts.model, {**facts.extras, **facts.count_extras, **extras})
    with Control(facts.url) as control:
        body = control.post(encoded.path, encoded.body, 30.0).body
    reader, state, said = reader_of(dialect.streams_as), dialect.start(), []
    for event in [*reader.feed(body, 0), *reader.close(0)]:
        state, more = dialect.decode(state, event.type, event.data)
        said += more
    return said


def test_every_event_tells_its_tokens_if_asked(facts):
    """llama.cpp: one event per token of this model, and its own running count says so."""
    with counting(facts, **ACCESS) as counter:
        server = Server(counter, takes_token_ids=facts.takes_token_ids)
        shape = Shape(parse_lengths("30"), parse_lengths("20"))
        (request,) = make(shape, closed(1, n_requests=1), server, n_requests=1, seed=1).requests
    counts = [delta.n_tokens for delta in deltas(facts, request, {}) if delta.text]
    assert sum(counts) == 20
    assert set(counts) == {1}


def test_the_engines_own_api_gives_the_same_words_and_counts(url):
    """Greedy, the same ids as the prompt: the routes are two ways to ask for one answer."""
    heard = []
    for api in ("completions", "native"):
        facts = ask(url, api=api, **ACCESS)
        with Control(url) as control:
            content = json.dumps({"content": "water river stone"}).encode()
            ids = tuple(control.post("/tokenize", content).document["tokens"])
        said = deltas(facts, Request(0, ids, len(ids), 24), {})
        usage = [delta.usage for delta in said if delta.usage is not None][-1]
        heard.append(("".join(delta.text for delta in said), usage.n_prompt_tokens, usage.n_output_tokens))
    assert heard[0] == heard[1]
    assert heard[0][2] == 24


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_tokens_that_are_no_whole_character_are_counted_with_the_event_that_brings_it(facts, seed):
    """The model is made to answer in the single bytes of two characters: events then hold several tokens, and the last
    tokens may never become text. The counts of the events add up to the engine's own all the same; only a chat tells
    of such last tokens with its usage alone, which is no event of an answer."""
    with Control(facts.url) as control:
        tokens = control.post("/tokenize", json.dumps({"content": "é\N{SLIGHTLY SMILING FACE}"}).encode()).document
    bias = {"logit_bias": [[token, 60.0] for token in tokens["tokens"]], "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    said = deltas(facts, Request(0, "water river", 0, 60, Sampling(1.0, seed)), bias)
    counts = [delta.n_tokens for delta in said if delta.kind is ChunkKind.CONTENT]
    assert max(counts) > 1, "several tokens in one event"
    assert sum(counts) == 60 or (facts.api == "chat" and said[-3].finish and sum(counts) < 60)
    assert [delta.usage.n_output_tokens for delta in said if delta.usage is not None][-1] == 60
