# SPDX-License-Identifier: Apache-2.0
"""Every trap by name: what the engine does with it, and that it does not without."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import pairwise

import pytest
from tests.patience import until

from inferometer.emulate import tokens
from inferometer.emulate.catalogue import EMULATIONS
from inferometer.emulate.law import ServiceLaw

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
FAST, SLOW = ServiceLaw(a=0.5, b=0.001), ServiceLaw(a=10.0)
PROMPT = " ".join(f"w{i}" for i in range(64))
LONG = " ".join(f"w{i}" for i in range(400))
SHOWN = set()  # (engine, trap) that a test below is about


def shows(engine, trap):
    """Marks a test as the one that shows a trap."""
    SHOWN.add((engine, trap))
    return lambda test: test


@pytest.fixture
def pair(emulated):
    """`pair("vllm", "role-chunk")`: the engine with the trap, and without."""

    def start(engine, trap, **fields):
        fields = {"law": FAST, "context": 256} | fields
        others = [one for one in fields.pop("without", ()) if one != trap]
        return (
            emulated(engine, with_traps=(trap,), without_traps=others, **fields),
            emulated(engine, without_traps=(trap, *others), **fields),
        )

    return start


def chat(n_output=40, prompt=PROMPT, **more):
    messages = [{"role": "user", "content": prompt}]
    return {"messages": messages, "max_tokens": n_output, "ignore_eos": True, "stream": True} | more


def completion(n_output=40, prompt=PROMPT, **more):
    return {"prompt": prompt, "max_tokens": n_output, "ignore_eos": True, "stream": True} | more


def text_of(event):
    choice = event["choices"][0] if event != "[DONE]" and event["choices"] else {}
    return choice.get("text") or choice.get("delta", {}).get("content") or ""


@shows("llama-cpp-python", "interrupts")
def test_interrupts(pair):
    """A stream of a second or so; another request comes when it has begun."""
    ends = []
    for client in pair("llama-cpp-python", "interrupts", law=SLOW):
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(client.events, COMPLETIONS, completion(n_output=60, min_tokens=60))
            until(lambda client=client: client.counts()["n_output_tokens"] > 3)
            assert client.json(COMPLETIONS, completion(n_output=2, min_tokens=2, stream=False))["choices"]
            events = first.result()
        assert events[-1] == "[DONE]"
        ends.append((len(events), [e["choices"][0]["finish_reason"] for e in events[:-1]][-1]))
    (n_cut, cut), (n_whole, whole) = ends
    assert (cut, whole) == (None, "length")
    assert n_cut < n_whole == 62, "60 tokens, the finish reason, [DONE]"


@shows("llama-cpp-python", "no-usage")
def test_no_usage(pair):
    wish = completion(n_output=3, stream_options={"include_usage": True})
    told = [client.events(COMPLETIONS, wish) for client in pair("llama-cpp-python", "no-usage")]
    assert [any("usage" in event for event in events if event != "[DONE]") for events in told] == [False, True]


@shows("llama-cpp-python", "empty-stream")
def test_empty_stream(pair):
    found = [client.ask(COMPLETIONS, completion(prompt=LONG)) for client in pair("llama-cpp-python", "empty-stream")]
    assert [(status, bool(said)) for status, _, said in found] == [(200, False), (400, True)]


@shows("llama-cpp-python", "runs-on")
def test_runs_on(pair):
    """Its client leaves at once; the next request waits for the rest of the answer, or does not."""
    done = []
    for client in pair("llama-cpp-python", "runs-on", law=SLOW, seed=21, without=("interrupts",)):
        with client.held(1, COMPLETIONS, completion(n_output=60, min_tokens=60, stream=False)):
            until(lambda client=client: client.counts()["n_output_tokens"] > 3)
        client.ask(COMPLETIONS, completion(n_output=2, min_tokens=2, stream=False))
        done.append(client.counts()["n_output_tokens"])
    assert done[0] == 62
    assert done[1] < 62


@shows("vllm", "no-reset")
@shows("llama.cpp", "no-reset")
@pytest.mark.parametrize(
    ("engine", "path", "status"), [("vllm", "/reset_prefix_cache", 404), ("llama.cpp", "/slots/0?action=erase", 501)]
)
def test_no_reset(pair, engine, path, status):
    for client, expected in zip(pair(engine, "no-reset"), (status, 200), strict=True):
        client.ask(COMPLETIONS, completion(n_output=1))
        assert client.ask(path, {})[0] == expected
        before = client.counts()["n_cached_tokens"]
        client.ask(COMPLETIONS, completion(n_output=1))
        assert (client.counts()["n_cached_tokens"] > before) == (expected != 200)


@shows("vllm", "role-chunk")
@shows("sglang", "role-chunk")
@shows("tensorrt-llm", "role-chunk")
@pytest.mark.parametrize("engine", ["vllm", "sglang", "tensorrt-llm"])
def test_role_chunk(pair, engine):
    first = [client.events(CHAT, chat(n_output=3))[0] for client in pair(engine, "role-chunk")]
    assert [bool(text_of(event)) for event in first] == [False, True]
    assert first[0]["choices"][0]["delta"]["role"] == "assistant"


@shows("vllm", "tokens-per-event")
@shows("lmdeploy", "tokens-per-event")
@shows("tensorrt-llm", "tokens-per-event")
@shows("sglang", "tokens-per-event")
@pytest.mark.parametrize("engine", ["vllm", "lmdeploy", "tensorrt-llm", "sglang"])
def test_tokens_per_event(pair, engine):
    others = ("token-without-text",) if engine in ("vllm", "tensorrt-llm") else ()
    texts = []
    for client in pair(engine, "tokens-per-event", without=others):
        events = client.events(COMPLETIONS, completion(n_output=80))
        texts.append([text_of(event) for event in events if event != "[DONE]"])
    most = [max(tokens.count(text) for text in told) for told in texts]
    assert most == [2, 1]
    assert [tokens.count("".join(told)) for told in texts] == [80, 80]


@shows("triton", "tokens-per-event")
def test_tokens_per_event_behind_triton(pair):
    wish = {"text_input": PROMPT, "max_tokens": 80, "min_tokens": 80, "stream": True, "return_num_output_tokens": True}
    path = "/v2/models/ensemble/generate_stream"
    counts = [
        [event["num_output_tokens"] for event in client.events(path, wish)]
        for client in pair("triton", "tokens-per-event")
    ]
    assert [max(told) for told in counts] == [2, 1]
    assert [sum(told) for told in counts] == [80, 80]


@shows("vllm", "token-without-text")
@shows("tensorrt-llm", "token-without-text")
@pytest.mark.parametrize("engine", ["vllm", "tensorrt-llm"])
def test_token_without_text(pair, engine):
    empty = []
    for client in pair(engine, "token-without-text", without=("tokens-per-event",)):
        events = client.events(COMPLETIONS, completion(n_output=80))[:80]
        empty.append(sum(not text_of(event) for event in events))
        assert tokens.count("".join(map(text_of, events))) == 80
    assert empty[0] > 0
    assert empty[1] == 0


@shows("llama.cpp", "half-character")
def test_half_character(pair):
    grown = []
    for client in pair("llama.cpp", "half-character"):
        wish = {"prompt": PROMPT, "n_predict": 80, "ignore_eos": True, "stream": True}
        counts = [event["tokens_predicted"] for event in client.events("/completion", wish) if not event["stop"]]
        grown.append(max(after - before for before, after in pairwise(counts)))
        assert counts[-1] == 80
    assert grown == [2, 1]


@shows("vllm", "shortened")
@shows("llama.cpp", "shortened")
@shows("lmdeploy", "shortened")
@shows("llama-cpp-python", "shortened")
@pytest.mark.parametrize("engine", ["vllm", "llama.cpp", "lmdeploy", "llama-cpp-python"])
def test_shortened(pair, engine):
    with_it, without = pair(engine, "shortened")
    wish = completion(n_output=220, min_tokens=220, stream=False)
    status, _, _ = with_it.ask(COMPLETIONS, wish)
    usage = with_it.json(COMPLETIONS, wish)["usage"]
    assert (status, usage["completion_tokens"]) == (200, 256 - 64)
    assert without.ask(COMPLETIONS, wish)[0] == 400


@shows("vllm", "no-scale-out")
def test_no_scale_out(pair):
    wish = {"token_ids": [1, 2, 3], "sampling_params": {"max_tokens": 2}}
    assert [client.ask("/inference/v1/generate", wish)[0] for client in pair("vllm", "no-scale-out")] == [403, 200]


CACHED = {
    "vllm": lambda client: client.gauges()['vllm:prefix_cache_hits_total{engine="0",model_name="emulated"}'],
    "llama.cpp": lambda client: client.gauges()["llamacpp:prompt_tokens_cached_total"],
    "sglang": lambda client: client.json(COMPLETIONS, completion(stream=False))["usage"]["prompt_tokens_details"][
        "cached_tokens"
    ],
    "lmdeploy": lambda client: client.gauges()['lmdeploy:cached_tokens_total{engine="0",model_name="emulated"}'],
}


@shows("vllm", "prefix-cache")
@shows("llama.cpp", "prefix-cache")
@shows("sglang", "prefix-cache")
@shows("lmdeploy", "prefix-cache")
@pytest.mark.parametrize("engine", CACHED)
def test_prefix_cache(pair, engine):
    told = []
    for client in pair(engine, "prefix-cache", seed=5):
        for _ in range(2):
            client.ask(COMPLETIONS, completion(n_output=2, stream=False))
        told.append(CACHED[engine](client))
    assert told == [63, 0]


@shows("tgi", "prefix-cache")
@shows("ollama", "prefix-cache")
@shows("ollama", "no-prompt-count")
def test_prefix_cache_where_only_time_or_a_missing_count_tells_it(emulated):
    law = ServiceLaw(a=1.0, b=2.0)
    for is_on in (True, False):
        client = emulated("tgi", law=law, without_traps=() if is_on else ("prefix-cache",))
        for _ in range(2):
            client.ask("/generate", {"inputs": PROMPT, "parameters": {"max_new_tokens": 1}})
        log = client.log()
        waits_ns = [int(log.steps_of(row)["t_due_ns"][-1] - log.requests["t_arrival_ns"][row]) for row in range(2)]
        assert waits_ns == [129_000_000, 3_000_000 if is_on else 129_000_000]
    told = {}
    for name, without in {"all": (), "count": ("no-prompt-count",), "cache": ("prefix-cache",)}.items():
        client = emulated("ollama", law=FAST, without_traps=without)
        wish = {"model": "emulated", "prompt": PROMPT, "raw": True, "stream": False, "options": {"num_predict": 1}}
        told[name] = [client.json("/api/generate", wish).get("prompt_eval_count") for _ in range(2)]
    assert told == {"all": [64, None], "count": [64, 64], "cache": [64, 64]}


@shows("llama.cpp", "head-held")
def test_head_held(pair):
    for client, is_held in zip(pair("llama.cpp", "head-held"), (True, False), strict=True):
        client.ask(COMPLETIONS, completion())
        log = client.log()
        waited_ns = log.steps_of(0)["t_due_ns"][0] - log.requests["t_arrival_ns"][0]
        assert (waited_ns > 0) == is_held


@shows("llama.cpp", "any-model")
def test_any_model(pair):
    wish = completion(model="nobody", stream=False)
    assert [client.ask(COMPLETIONS, wish)[0] for client in pair("llama.cpp", "any-model")] == [200, 404]


@shows("llama.cpp", "counters-at-end")
def test_counters_at_end(pair):
    for client, is_late in zip(
        pair("llama.cpp", "counters-at-end", law=SLOW, context=8192), (True, False), strict=True
    ):
        with client.held(1, COMPLETIONS, completion(n_output=5000)):
            until(lambda client=client: client.counts()["n_output_tokens"] > 20)
            assert (client.gauges()["llamacpp:tokens_predicted_total"] == 0) == is_late
        client.ask(COMPLETIONS, completion(n_output=3))
        assert client.gauges()["llamacpp:tokens_predicted_total"] >= 3


@shows("llama.cpp", "kv-exhausted")
def test_kv_exhausted(pair):
    for client, dies in zip(pair("llama.cpp", "kv-exhausted", kv_tokens=400), (True, False), strict=True):
        with ThreadPoolExecutor(3) as pool:
            wishes = [completion(n_output=150, prompt=f"{i} {PROMPT}") for i in range(3)]
            answers = list(pool.map(lambda wish, ask=client.ask: ask(COMPLETIONS, wish), wishes))
        broken = [said for _, _, said in answers if b"Context size has been exceeded." in said]
        assert {status for status, _, _ in answers} == {200}
        assert bool(broken) == dies
        assert not any(b"[DONE]" in said for said in broken)
        assert sum(b"[DONE]" in said for _, _, said in answers) == 3 - len(broken)


@shows("llama.cpp", "few-threads")
def test_few_threads(pair):
    few, enough = pair("llama.cpp", "few-threads", law=SLOW, slots=1, context=8192)
    wish = completion(n_output=5000)
    with enough.held(9, COMPLETIONS, wish):
        until(lambda: enough.gauges()["llamacpp:requests_deferred"] == 8)
    with few.held(9, COMPLETIONS, wish) as sockets:
        until(lambda: few.counts()["n_requests"] == 5)
        connection = HTTPConnection("127.0.0.1", few.engine.port, timeout=0.5)
        connection.request("GET", "/metrics")
        with pytest.raises(TimeoutError):  # also who asks for gauges needs a thread
            connection.getresponse()
        connection.close()
        assert few.counts()["n_requests"] == 5, "of nine, those beyond slots + 4 are not heard"
        sockets[0].close()
        until(lambda: few.counts()["n_requests"] == 6)
    until(lambda: few.gauges()["llamacpp:requests_processing"] == 0)
    few.ask(COMPLETIONS, completion(n_output=1))
    log = few.log()
    assert (log.requests["t_start_ns"] - log.requests["t_arrival_ns"]).max() > 0


@shows("llama.cpp", "metrics-off")
@shows("sglang", "metrics-off")
@shows("tensorrt-llm", "metrics-off")
@pytest.mark.parametrize(
    ("engine", "path", "status"),
    [("llama.cpp", "/metrics", 501), ("sglang", "/metrics", 404), ("tensorrt-llm", "/prometheus/metrics", 404)],
)
def test_metrics_off(pair, engine, path, status):
    assert [client.ask(path)[0] for client in pair(engine, "metrics-off")] == [status, 200]


@shows("tgi", "no-exact-length")
@shows("ollama", "no-exact-length")
def test_no_exact_length(pair):
    wish = {"inputs": "Say yes", "parameters": {"max_new_tokens": 50, "details": True}}
    told = [client.json("/generate", wish)["details"] for client in pair("tgi", "no-exact-length")]
    assert [(one["finish_reason"], one["generated_tokens"] == 50) for one in told] == [
        ("eos_token", False),
        ("length", True),
    ]
    wish = {"model": "emulated", "prompt": "Say yes", "stream": False, "options": {"num_predict": 50}}
    told = [client.json("/api/generate", wish) for client in pair("ollama", "no-exact-length")]
    assert [(one["done_reason"], one["eval_count"] == 50) for one in told] == [("stop", False), ("length", True)]


@shows("tgi", "errors-in-stream")
def test_errors_in_stream(pair):
    wish = {"inputs": LONG, "parameters": {"max_new_tokens": 4}}
    answers = [client.ask("/generate_stream", wish) for client in pair("tgi", "errors-in-stream")]
    assert [status for status, _, _ in answers] == [200, 422]
    assert [kind.startswith("text/event-stream") for _, kind, _ in answers] == [True, False]
    assert all(b'"error_type":"validation"' in said for _, _, said in answers)
    with_it, without = pair("tgi", "errors-in-stream")
    event, end = with_it.events(CHAT, chat(prompt=LONG))
    assert (event["error"]["http_status_code"], end) == (422, "[DONE]")
    assert without.ask(CHAT, chat(prompt=LONG))[0] == 422
    assert with_it.ask("/generate", wish)[0] == 422, "in one piece the status is true"


@shows("tgi", "no-queue")
def test_no_queue(pair):
    law = ServiceLaw(a=50.0, b=0.0)
    for client, refuses in zip(pair("tgi", "no-queue", law=law, slots=4, context=8192), (True, False), strict=True):
        wish = {"inputs": PROMPT, "parameters": {"max_new_tokens": 1}}
        with ThreadPoolExecutor(200) as pool:
            statuses = list(pool.map(lambda _, ask=client.ask, wish=wish: ask("/generate", wish)[0], range(200)))
        assert set(statuses) == ({200, 429} if refuses else {200})


@shows("tgi", "no-space")
def test_no_space(pair):
    wish = {"inputs": PROMPT, "parameters": {"max_new_tokens": 2}}
    said = [client.ask("/generate_stream", wish)[2] for client in pair("tgi", "no-space")]
    assert [b"data:{" in one for one in said] == [True, False]


@shows("sglang", "cumulative-text")
def test_cumulative_text(pair):
    sampling = {"max_new_tokens": 5, "ignore_eos": True}
    wish = {"text": PROMPT, "sampling_params": sampling, "stream": True}
    told = [
        [event["text"] for event in client.events("/generate", wish)[:-1]]
        for client in pair("sglang", "cumulative-text")
    ]
    assert [tokens.count(text) for text in told[0]] == [1, 2, 3, 4, 5]
    assert [tokens.count(text) for text in told[1]] == [1, 1, 1, 1, 1]
    assert told[0][-1] == "".join(told[1])


@shows("sglang", "truncated-prompt")
@shows("ollama", "truncated-prompt")
def test_truncated_prompt(pair):
    with_it, without = pair("sglang", "truncated-prompt")
    wish = completion(prompt=LONG, n_output=4, stream=False)
    assert with_it.json(COMPLETIONS, wish)["usage"]["prompt_tokens"] == 255
    assert without.ask(COMPLETIONS, wish)[0] == 400
    wish = {"model": "emulated", "prompt": LONG, "raw": True, "stream": False, "options": {"num_predict": 4}}
    with_it, without = pair("ollama", "truncated-prompt")
    assert with_it.json("/api/generate", wish)["prompt_eval_count"] == 255
    assert without.ask("/api/generate", wish)[0] == 400


@shows("ollama", "load-first")
def test_load_first(pair):
    wish = {"model": "emulated", "prompt": "hello", "stream": False, "options": {"num_predict": 2}}
    for client, loads in zip(pair("ollama", "load-first", seed=9), (True, False), strict=True):
        assert len(client.json("/api/ps")["models"]) == (not loads)
        told = [client.json("/api/generate", wish)["load_duration"] for _ in range(2)]
        assert told == [400_000_000 if loads else 0, 0]
        assert len(client.json("/api/ps")["models"]) == 1


@shows("tensorrt-llm", "trailing-space")
def test_trailing_space(pair):
    said = [client.ask(CHAT, chat(n_output=2))[2] for client in pair("tensorrt-llm", "trailing-space")]
    assert [b"} \n\n" in one for one in said] == [True, False]


@shows("tensorrt-llm", "draining-metrics")
def test_draining_metrics(pair):
    for client, drains in zip(pair("tensorrt-llm", "draining-metrics"), (True, False), strict=True):
        client.ask(CHAT, chat(n_output=2, stream=False))
        first, second = client.json("/metrics"), client.json("/metrics")
        assert len(first) == 1
        assert len(second) == (0 if drains else 1)


@shows("triton", "no-counts")
def test_no_counts(pair):
    wish = {"text_input": PROMPT, "max_tokens": 3, "min_tokens": 3, "return_num_output_tokens": True}
    path = "/v2/models/ensemble/generate"
    assert [client.ask(path, wish)[0] for client in pair("triton", "no-counts")] == [400, 200]


# These need a client that leaves; server_test.py has them.
SHOWN |= {("tensorrt-llm", "slow-abort"), ("llama.cpp", "slow-abort")}


def test_every_trap_is_shown():
    assert {(one.name, trap.name) for one in EMULATIONS for trap in one.traps} == SHOWN


def test_every_trap_is_documented(page_block):
    rows = ["| engine | trap | what happens |", "|---|---|---|"]
    for one in EMULATIONS:
        for trap in one.traps:
            option = "" if trap.is_default else " (*by option*)"
            rows.append(f"| `{one.name}` | `{trap.name}` | {trap.says}{option} |")
    page_block("guides/rehearse.md", "traps of emulated engines", "\n".join(rows) + "\n")
