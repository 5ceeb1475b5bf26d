# SPDX-License-Identifier: Apache-2.0
"""An emulated engine as a process: its instants against the law, its queue, its log, its clients leaving."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import pairwise

import numpy as np
import pytest
from tests.patience import until

from inferometer.emulate.law import ServiceLaw
from inferometer.kinds import TOKEN_BEARING
from inferometer.truth.script import HEAD

MS = 1_000_000
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
LAW = ServiceLaw(a=20.0, b=0.5, c=1.0, d=0.01)


def body(n_prompt=10, n_output=4, **more):
    prompt = " ".join(f"p{i}" for i in range(n_prompt))
    return {"prompt": prompt, "max_tokens": n_output, "ignore_eos": True, "stream": True} | more


def asked(client, request_id, **fields):
    """One request by name, and its steps in the log."""
    client.ask(COMPLETIONS, body(**fields), headers={"x-request-id": request_id})
    log = client.log()
    row = list(log.requests["x_request_id"]).index(request_id)
    return log.requests[row], log.steps_of(row)


def test_tokens_are_due_as_the_law_says_to_the_nanosecond(emulated):
    client = emulated("vllm", law=LAW, without_traps=("tokens-per-event", "token-without-text"))
    request, steps = asked(client, "1-law", n_prompt=10, n_output=3)
    due_ns = steps[np.isin(steps["kind"], TOKEN_BEARING)]["t_due_ns"] - request["t_arrival_ns"]
    # a + b * 10, then a + c + d * (prompt and answer so far)
    expected_ms = np.cumsum([20 + 0.5 * 10, 20 + 1 + 0.01 * 11, 20 + 1 + 0.01 * 12])
    assert list(due_ns) == [round(ms * MS) for ms in expected_ms]


def test_nothing_is_sent_before_it_is_due_and_stamps_are_in_order(emulated):
    client = emulated("vllm", law=LAW)
    _, steps = asked(client, "2-order", n_prompt=10, n_output=20)
    assert (steps["t_before_ns"] >= steps["t_due_ns"]).all()
    assert (steps["t_after_ns"] >= steps["t_before_ns"]).all()
    assert (np.diff(steps["t_before_ns"]) >= 0).all()
    assert steps["n_tokens"].sum() == 20


def test_requests_beyond_the_slots_wait(emulated):
    client = emulated("vllm", law=LAW, slots=1, without_traps=("tokens-per-event", "token-without-text"))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda i: client.ask(COMPLETIONS, body(), headers={"x-request-id": f"{i}-slots"}), range(3)))
    log = client.log()
    spans = []
    for row, request in enumerate(log.requests):
        if request["x_request_id"].endswith("-slots"):
            bearing = log.steps_of(row)[np.isin(log.steps_of(row)["kind"], TOKEN_BEARING)]
            spans.append((bearing["t_due_ns"][0], bearing["t_due_ns"][-1]))
    spans.sort()
    assert len(spans) == 3
    assert all(after[0] > before[1] for before, after in pairwise(spans))


@pytest.mark.parametrize("name", ["vllm", "llama.cpp"])
def test_the_status_line_comes_at_once_or_with_the_first_token(emulated, name):
    client = emulated(name, law=LAW)
    request, steps = asked(client, "3-head")
    head = steps[steps["kind"] == HEAD][0]
    waited_ns = int(head["t_due_ns"] - request["t_arrival_ns"])
    assert (waited_ns == 0) == (name == "vllm")
    if name == "llama.cpp":
        assert head["send_id"] == steps[1]["send_id"], "with the first event, in one send"


@contextmanager
def running(client, path, request):
    """One request that the engine has begun with, until its client leaves."""
    with client.held(1, path, request):
        until(lambda: client.gauges(PAGES[path])[RUNNING[path]] == 1)
        yield


PAGES = {COMPLETIONS: "/metrics", "/completion": "/metrics", CHAT: "/prometheus/metrics"}
RUNNING = {
    COMPLETIONS: 'vllm:num_requests_running{engine="0",model_name="emulated"}',
    "/completion": "llamacpp:requests_processing",
    CHAT: 'trtllm_num_requests_running{engine_type="undefined",model_name="undefined"}',
}


def test_a_client_that_leaves_frees_its_slot_within_an_iteration(emulated):
    client = emulated("vllm", law=LAW, seed=11)
    with running(client, COMPLETIONS, body(n_output=5000)):
        pass
    until(lambda: client.gauges()[RUNNING[COMPLETIONS]] == 0)
    counter = 'vllm:request_success_total{engine="0",finished_reason="abort",model_name="emulated"}'
    assert client.gauges()[counter] == 0, "as in the real one, aborts are not counted there"
    log = client.log()
    assert log.requests["t_gone_ns"][-1] > log.requests["t_arrival_ns"][-1]
    assert log.requests["n_sent"][-1] < 5000


POLLING = {
    "tensorrt-llm": (CHAT, {"messages": [{"role": "user", "content": "a b"}], "max_tokens": 5000, "stream": True}),
    "llama.cpp": ("/completion", {"prompt": "a b", "n_predict": 5000}),
}


@pytest.mark.parametrize("name", POLLING)
@pytest.mark.parametrize("is_polled", [True, False])
def test_where_leaving_is_noticed_by_polling_it_takes_a_second(emulated, name, is_polled):
    client = emulated(name, law=LAW, seed=13, without_traps=() if is_polled else ("slow-abort",))
    path, request = POLLING[name]
    with running(client, path, request | {"ignore_eos": True}):
        pass
    until(lambda: client.gauges(PAGES[path])[RUNNING[path]] == 0)
    log = client.log()
    n_done = client.counts()["n_output_tokens"]
    # What was generated after its client had left, at about 21 ms a token.
    generated_ns = n_done * 21 * MS
    ran_ns = int(log.requests["t_gone_ns"][-1] - log.requests["t_arrival_ns"][-1])
    assert (generated_ns - ran_ns > 700 * MS) == is_polled


def test_a_connection_serves_one_answer_after_another(emulated):
    client = emulated("vllm", law=LAW)
    data = json.dumps(body(n_output=2)).encode()
    request = f"POST {COMPLETIONS} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data
    with socket.create_connection(("127.0.0.1", client.engine.port)) as sock:
        sock.settimeout(10)
        sock.sendall(request + request)
        said = b""
        while said.count(b"0\r\n\r\n") < 2:
            part = sock.recv(65536)
            assert part
            said += part
    assert said.count(b"HTTP/1.1 200 OK") == 2
    assert said.count(b"data: [DONE]") == 2


def test_it_says_how_it_was_started(emulated):
    client = emulated("tgi", law=LAW, without_traps=("no-space",))
    told = client.json("/truth/setting")
    assert told["engine"] == "tgi"
    assert "no-space" not in told["traps"]
    assert "errors-in-stream" in told["traps"]


@pytest.mark.parametrize(("name", "status"), [("vllm", 400), ("llama.cpp", 500), ("tgi", 422), ("ollama", 400)])
def test_a_body_that_is_no_json_is_whose_fault_the_engine_says(emulated, name, status):
    connection = HTTPConnection("127.0.0.1", emulated(name).engine.port, timeout=10)
    connection.request("POST", CHAT, b'{"model": ')
    assert connection.getresponse().status == status
    connection.close()


def test_bad_requests_are_answered_not_fatal(emulated):
    for name in ("vllm", "llama.cpp", "tgi", "lmdeploy", "tensorrt-llm", "sglang", "ollama"):
        client = emulated(name)
        for request in ({}, {"messages": 3}, [], {"messages": [], "max_tokens": "x"}):
            status, _, said = client.ask(CHAT, request)
            assert status in (400, 422), (name, request, status, said)
        status, _, _ = client.ask(COMPLETIONS, {"prompt": ["a", "b"], "max_tokens": 1})
        assert status in (400, 422), "several prompts are not emulated, which is said"
        status, _, _ = client.ask("/no/such/route")
        assert status == 404
        connection = client.ask(CHAT, {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1})
        assert connection[0] == 200
