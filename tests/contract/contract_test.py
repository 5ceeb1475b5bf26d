# SPDX-License-Identifier: Apache-2.0
"""The contract, asked of every real engine: who it is, what its answers hold, what it counts, what it does when pushed.

Each test that finds out how an engine behaves writes a row of the table in docs/evidence/engines.md.
"""

from __future__ import annotations

import socket
import statistics
from urllib.parse import urlsplit

import pytest
from tests.contract.conftest import Found
from tests.contract.engines import APIS, CONTEXT_TOKENS, N_SLOTS, Running

from inferometer.clock import Clock, sleep_s
from inferometer.host.control import Control
from inferometer.host.probe import Probe, probe
from inferometer.host.reset import empty
from inferometer.plan.request import Request
from inferometer.units import NS_PER_S
from inferometer.wire.http1 import encode_request

TOKEN_BEARING = ("content", "reasoning", "tool")
MAX_STEP_BACK_S = 0.001  # by which the engine's own time may be longer than the client's: it is told in whole steps


# --- who it is -----------------------------------------------------------------------------------------------------


def test_it_is_recognised_from_its_url_alone(engine: Running, found: Found) -> None:
    facts = engine.ask()
    assert facts.engine == engine.start.engine.name
    assert facts.model == engine.start.model.name
    assert facts.version.startswith(engine.contract.version)
    assert facts.context_tokens == CONTEXT_TOKENS
    assert facts.n_slots in (N_SLOTS, None)
    assert facts.evidence
    assert (facts.counts_by, facts.counts_outputs_by, facts.is_length_forced) == ("server", "usage", True)
    assert facts.usage_in_stream
    assert facts.takes_token_ids is False, "of a chat"
    assert facts.n_template_tokens, "the trained model has a chat template"
    assert engine.server.peak_memory_bytes() > engine.start.model.n_bytes
    found("recognised by", "; ".join(facts.evidence))
    slots = "slots not told" if facts.n_slots is None else f"{facts.n_slots} slots"
    found("context and slots", f"{facts.context_tokens:,} tokens, {slots}")


def test_the_contract_covers_every_api_that_it_speaks(engine: Running) -> None:
    assert set(engine.start.engine.speaks) == set(APIS)


# --- its answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", APIS)
def test_every_answer_has_the_length_asked_for_and_says_so(measured, api) -> None:
    run = measured(api)
    assert {row["outcome"] for row in run.requests} == {"ok"}
    assert [row["n_output_tokens"] for row in run.requests] == [row["n_output_tokens_asked"] for row in run.requests]
    assert [row["n_prompt_tokens"] for row in run.requests] == [row["n_prompt_tokens_asked"] for row in run.requests]
    assert {row["finish"] for row in run.requests} <= {"length", "limit"}
    assert all(row["t_usage_ns"] >= row["t_last_content_ns"] > 0 for row in run.requests)


@pytest.mark.parametrize("api", APIS)
def test_the_tokens_of_its_events_add_up_to_its_usage(measured, api) -> None:
    run = measured(api)
    counted = dict.fromkeys((row["id"] for row in run.requests), 0)
    for chunk in run.chunks:
        if chunk["kind"] in TOKEN_BEARING:
            assert chunk["n_tokens"] > 0
            counted[chunk["request_id"]] += chunk["n_tokens"]
    assert counted == {row["id"]: row["n_output_tokens"] for row in run.requests}


# --- what it counts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", APIS)
def test_its_counters_rise_by_what_the_client_counted(engine: Running, measured, api) -> None:
    run = measured(api)
    assert run.manifest["gauges"]["not_measured"] == ""
    assert run.rise("n_prompt_tokens") == sum(row["n_prompt_tokens"] for row in run.requests)
    assert run.rise("n_output_tokens") == sum(row["n_output_tokens"] for row in run.requests)
    assert run.rise("n_prefix_hit_tokens") == sum(max(0, row["n_cached_tokens"]) for row in run.requests)
    assert max(run.gauges["requests_running"]) <= 1
    assert engine.start.engine.gauges is not None
    for histogram in engine.start.engine.gauges.histograms:
        assert run.rise(f"n_{histogram}") == len(run.requests), histogram


@pytest.mark.parametrize("api", APIS)
def test_its_own_time_to_a_first_token_is_the_clients_but_for_the_way(
    engine: Running, measured, found: Found, api
) -> None:
    """One clock against the other, request by request. Requests one at a time wait for nothing in the engine."""
    run = measured(api)
    own = "server_ttft_ns" if run.requests[0]["server_ttft_ns"] >= 0 else "server_prefill_ns"
    if engine.contract.name == "vllm" and api == "native":  # its own route does not tell
        assert {row[own] for row in run.requests} == {-1}
        found(api, _of(run, "its own time not told"))
        return
    assert all(row[own] > 0 for row in run.requests)
    outside_s = sorted((row["t_first_content_ns"] - row["t_sent_ns"] - row[own]) / 1e9 for row in run.requests)
    assert outside_s[0] > -MAX_STEP_BACK_S
    decile_s, *_ = statistics.quantiles(outside_s, n=10)
    assert decile_s < engine.contract.max_outside_s
    client_s = statistics.median((row["t_first_content_ns"] - row["t_sent_ns"]) / 1e9 for row in run.requests)
    found(
        api,
        _of(
            run,
            f"TTFT p50 {client_s * 1e3:.1f} ms, of which outside of its own `{own.removesuffix('_ns')}` p10 "
            f"{decile_s * 1e3:.1f}, p50 {statistics.median(outside_s) * 1e3:.1f}, at most {outside_s[-1] * 1e3:.1f} ms",
        ),
    )


def _of(run, times: str) -> str:
    bearing = [chunk for chunk in run.chunks if chunk["kind"] in TOKEN_BEARING]
    n_tokens = sum(row["n_output_tokens"] for row in run.requests)
    return f"{len(run.requests)} answers exact, {n_tokens} tokens in {len(bearing)} events; {times}"


# --- pushed --------------------------------------------------------------------------------------------------------


def asked(engine: Running, n_prompt_tokens: int, n_output_tokens: int, *, is_forced: bool = True) -> Probe:
    """A completion of a prompt of token ids, so that its length is exact. `is_forced`: with all that forces the
    length of an answer, as in every run; else with nothing but the end of text ignored."""
    facts = engine.ask("completions")
    speech = engine.start.engine.speaks["completions"]
    extras = facts.extras if is_forced else {"ignore_eos": True}
    with Control(engine.url) as control:
        ids = tuple(300 + i % 100 for i in range(n_prompt_tokens))
        return probe(control, speech.dialect, facts.model, extras, Request(0, ids, 0, n_output_tokens))


def test_a_prompt_longer_than_the_context_is_refused_in_words(engine: Running, found: Found) -> None:
    answer = asked(engine, CONTEXT_TOKENS + 10, 8)
    assert answer.status == 400
    assert engine.contract.says_too_long in answer.error
    found("prompt longer than the context", "refused: " + answer.error.replace("|", "/"))


def test_an_answer_that_does_not_fit_is_shortened_or_refused_as_its_traps_say(engine: Running, found: Found) -> None:
    n_prompt_tokens, n_output_tokens = CONTEXT_TOKENS - 100, 400
    (trap,) = [trap for trap in engine.start.engine.quirks if "is shortened without a word" in trap]
    answer = asked(engine, n_prompt_tokens, n_output_tokens, is_forced=False)
    assert answer.error == ""
    assert answer.n_prompt_tokens == n_prompt_tokens
    assert answer.n_output_tokens is not None
    assert n_prompt_tokens + answer.n_output_tokens == pytest.approx(CONTEXT_TOKENS, abs=1)
    assert answer.finish == "length"
    forced = asked(engine, n_prompt_tokens, n_output_tokens)
    assert ("min_tokens" in trap) == (forced.status == 400), "it refuses what it would have to shorten, or it does not"
    if forced.status == 200:
        assert forced.n_output_tokens == answer.n_output_tokens
    how = "the same" if forced.status == 200 else f"refused: {forced.error}"
    found(
        "prompt that fits, with an answer that does not",
        f"shortened without a word: {n_output_tokens} tokens asked, {answer.n_output_tokens} given, "
        f"`{answer.finish}`; with its length forced {how}",
    )


def until_at_rest(engine: Running, n_output_tokens_before: float) -> dict[str, float]:
    """The gauges when nothing runs and its counter has some tokens of an answer: vLLM's follow some steps behind."""
    clock = Clock()
    while (now := engine.gauges())["requests_running"] or now["n_output_tokens"] <= n_output_tokens_before:
        assert clock.now_ns() < engine.contract.follows_within_s * NS_PER_S, now
        sleep_s(0.02)
    return now


def test_its_prefix_cache_is_emptied_when_it_is_told_to(engine: Running, found: Found) -> None:
    """The same prompt three times: the second comes out of the cache, the third, after it was emptied, does not."""
    hits = []
    for _ in range(2):
        usage = asked(engine, 600, 1).usage
        assert usage is not None
        hits.append(usage.n_cached_tokens)
    with Control(engine.url) as control:
        done = empty(control, engine.start.engine, engine.ask().n_slots)
    assert done.not_emptied == ""
    usage = asked(engine, 600, 1).usage
    assert usage is not None
    assert hits[1] > 256, hits
    assert not usage.n_cached_tokens
    found(
        "the same prompt again, and after its cache was emptied",
        f"{hits[1]} of 600 tokens out of the cache; after `{done.by}` 0",
    )


def test_a_client_that_leaves_frees_its_slot(engine: Running, found: Found) -> None:
    """It leaves after the first tokens of a long answer; the rest is not generated."""
    facts = engine.ask("completions")
    speech = engine.start.engine.speaks["completions"]
    n_asked = CONTEXT_TOKENS - 64
    request = speech.dialect.encode(Request(0, tuple(range(300, 332)), 0, n_asked), facts.model, facts.extras)
    place = urlsplit(engine.url)
    head = [("host", place.netloc), ("content-type", "application/json")]
    before = engine.gauges()
    with socket.create_connection((place.hostname, place.port)) as client:
        client.sendall(encode_request("POST", request.path, head, request.body))
        client.settimeout(60)
        received = b""
        while received.count(b"data:") < 3:
            piece = client.recv(1 << 16)
            assert piece, received
            received += piece
    left = Clock()
    now = until_at_rest(engine, before["n_output_tokens"])
    free_s = left.now_ns() / NS_PER_S
    n_generated = now["n_output_tokens"] - before["n_output_tokens"]
    assert n_generated < n_asked, "it wrote the whole answer for nobody"
    sleep_s(0.5)
    later = engine.gauges()
    assert (later["requests_running"], later["n_output_tokens"]) == (0, now["n_output_tokens"])
    found(
        "client leaves in mid-answer",
        f"slot free after {free_s:.2f} s; of {n_asked} tokens asked its counter has {n_generated:.0f}",
    )
