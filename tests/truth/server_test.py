# SPDX-License-Identifier: Apache-2.0
"""The running server: order, counts and causality of its sends; framing as others read it; its life as a process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import h11
import numpy as np
import pytest

from inferometer.clock import monotonic_ns, sleep_s
from inferometer.kinds import TOKEN_BEARING, ChunkKind
from inferometer.truth.launch import TruthServer
from inferometer.truth.log import parse_log, read_log
from inferometer.truth.script import END, HEAD, Prescription
from inferometer.units import NS_PER_MS


def events_of(body: bytes):
    """Data of the events of a stream with LF line ends."""
    return [event.removeprefix(b"data: ") for event in body.split(b"\n\n") if event]


def texts_of(body: bytes):
    choices = [json.loads(data)["choices"] for data in events_of(body) if data != b"[DONE]"]
    return [choice[0]["delta"]["content"] for choice in choices if choice and choice[0]["delta"].get("content")]


def read_by_h11(data: bytes):
    """Head and body of one answer as h11 reads it."""
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method="POST", target="/", headers=[("host", "t"), ("content-length", "0")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(data)
    peer.receive_data(b"")
    head, body = peer.next_event(), b""
    while not isinstance(event := peer.next_event(), h11.EndOfMessage):
        body += bytes(event.data)
    return head, body


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
@pytest.mark.parametrize("stream", [True, False])
def test_framing_is_readable_by_http_client_and_h11(client, framing, stream):
    request = {"stream": stream, "truth": {"framing": framing, "n_chunks": 3}}
    by_stdlib = client.ask(**request).read()
    data, end = client.bytes_of(**request)
    head, by_h11 = read_by_h11(data)
    assert (head.status_code, end) == (200, "closed")
    assert by_h11 == by_stdlib
    if stream:
        assert texts_of(by_h11) == [" alpha", " bravo", " delta"]
        assert events_of(by_h11)[-1] == b"[DONE]"
    else:
        assert json.loads(by_h11)["choices"][0]["message"]["content"] == " alpha bravo delta"


def test_the_answer_has_as_many_tokens_as_were_asked_for(client):
    body = client.ask(max_tokens=7, truth={"n_chunks": None, "tokens_per_chunk": 2, "usage": "own"}).read()
    assert texts_of(body) == [" alpha bravo", " delta gamma", " kappa omega", " sigma"]
    usage = json.loads(events_of(body)[-2])["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (2, 7)


def test_a_connection_serves_one_request_after_the_other_and_takes_them_in_pieces(client):
    with client.connect() as sock:
        for _ in range(3):
            request = client.encode(stream=False)
            for i in range(0, len(request), 40):
                sock.sendall(request[i : i + 40])
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_pipelined_requests_are_answered_in_turn(client):
    with client.connect() as sock:
        sock.sendall(client.encode(stream=False) + client.encode(stream=False, truth={"status": 503}))
        data = b""
        while data.count(b"HTTP/1.1 ") < 2:
            data += sock.recv(65536)
    assert data.index(b"HTTP/1.1 200") < data.index(b"HTTP/1.1 503")


def test_a_client_that_waits_for_permission_gets_it(client):
    request = client.encode(headers="Expect: 100-continue\r\n", stream=False)
    head_end = request.index(b"\r\n\r\n") + 4
    with client.connect() as sock:
        sock.sendall(request[:head_end])
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(request[head_end:])
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/health", None, 200),
        ("GET", "/v1/models", None, 200),
        ("GET", "/nothing", None, 404),
        ("GET", "/v1/chat/completions", None, 404),
        ("POST", "/tokenize", '{"content": "a b"}', 200),
        ("POST", "/tokenize", "nonsense", 400),
        ("POST", "/v1/chat/completions", "nonsense", 400),
        ("POST", "/v1/chat/completions", '{"truth": {"nonsense": 1}}', 400),
    ],
)
def test_pages(client, method, path, body, status):
    connection = HTTPConnection("127.0.0.1", client.server.port, timeout=30)
    connection.request(method, path, body)
    answer = connection.getresponse()
    assert answer.status == status
    assert isinstance(json.loads(answer.read()), dict)


def test_tokenize_counts_as_usage_does(client):
    connection = HTTPConnection("127.0.0.1", client.server.port, timeout=30)
    for key in ("content", "prompt"):
        connection.request("POST", "/tokenize", json.dumps({key: "one two one"}))
        tokens = json.loads(connection.getresponse().read())["tokens"]
        assert len(tokens) == 3
        assert tokens[0] == tokens[2] != tokens[1]


def test_garbage_is_refused_and_the_connection_closed(client):
    with client.connect() as sock:
        sock.sendall(b"\x16\x03\x01 not http\r\n\r\n")
        data = b""
        while part := sock.recv(65536):
            data += part
    assert data.startswith(b"HTTP/1.1 400 ")


def test_sends_are_stamped_in_order_never_early_and_between_the_clients_own_stamps():
    with TruthServer(Prescription(ttft_ms=20, gap_ms=2, n_chunks=5, usage="own")) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        t_first_ns = monotonic_ns()
        for i in range(3):
            headers = {"x-request-id": f"{i}-nonce"}
            connection.request("POST", "/v1/chat/completions", '{"stream":true}', headers)
            connection.getresponse().read()
        t_last_ns = monotonic_ns()
        log = server.stop()
    assert list(log.requests["id"]) == [0, 1, 2]
    assert list(log.requests["x_request_id"]) == ["0-nonce", "1-nonce", "2-nonce"]
    assert (log.requests["n_sent"] == log.requests["n_sends"]).all()
    for i in range(3):
        steps = log.steps_of(i)
        assert list(steps["kind"]) == [HEAD, ChunkKind.ROLE, *[ChunkKind.CONTENT] * 5, ChunkKind.USAGE,
                                       ChunkKind.DONE, END]  # fmt: skip
        assert list(steps["n_tokens"]) == [0, 0, 1, 1, 1, 1, 1, 0, 0, 0]
        assert (steps["t_before_ns"] >= steps["t_due_ns"]).all()
        assert (steps["t_after_ns"] >= steps["t_before_ns"]).all()
        assert (np.diff(steps["t_before_ns"]) >= 0).all()
        content = steps[steps["kind"] == ChunkKind.CONTENT]
        assert list(content["t_due_ns"] - log.requests["t_arrival_ns"][i]) == [
            (20 + 2 * k) * NS_PER_MS for k in range(5)
        ]
    stamps = np.concatenate([log.requests["t_arrival_ns"], log.steps["t_before_ns"]])
    assert t_first_ns <= stamps.min()
    assert stamps.max() <= t_last_ns  # not so the stamps after a send: the client may have read it by then


def spans_of(prescription, n_requests):
    """First and last token-bearing chunk of requests that were sent together, as logged, from the first arrival on."""
    with TruthServer(prescription) as server:
        body = json.dumps({"stream": True, "messages": []})
        connections = [HTTPConnection("127.0.0.1", server.port, timeout=10) for _ in range(n_requests)]
        for connection in connections:
            connection.request("POST", "/v1/chat/completions", body)
        for connection in connections:
            connection.getresponse().read()
            connection.close()
        log = server.stop()
    origin_ns = log.requests["t_arrival_ns"].min()
    spans = []
    for i in range(len(log.requests)):
        steps = log.steps_of(i)
        bearing = steps["t_due_ns"][np.isin(steps["kind"], TOKEN_BEARING)] - origin_ns
        spans.append((bearing[0] / NS_PER_MS, bearing[-1] / NS_PER_MS))
    return sorted(spans)


def test_more_requests_than_slots_wait_their_turn():
    spans = spans_of(Prescription(ttft_ms=30, gap_ms=1, n_chunks=11, slots=2), 4)
    (_, end_1), (_, end_2), (start_3, _), (start_4, _) = spans
    assert start_3 == pytest.approx(end_1 + 30, abs=0.01)
    assert start_4 == pytest.approx(end_2 + 30, abs=0.01)


def test_a_server_that_is_throttled_is_slower_from_that_request_on():
    spans = spans_of(Prescription(ttft_ms=20, gap_ms=2, n_chunks=11, slow_from=2, slow_factor=3), 3)
    assert sorted(round(end - start) for start, end in spans) == [20, 20, 60]


def test_streams_at_the_same_time_are_each_complete_and_staggered_as_asked():
    with TruthServer(Prescription(ttft_ms=30, gap_ms=1, n_chunks=20, stagger_ms=3, stagger_n=4)) as server:
        connections = [HTTPConnection("127.0.0.1", server.port, timeout=30) for _ in range(8)]
        for i, connection in enumerate(connections):
            connection.request("POST", "/v1/chat/completions", '{"stream":true}', {"x-request-id": f"{i}-x"})
        bodies = [connection.getresponse().read() for connection in connections]
        log = server.stop()
    assert len(set(bodies)) == 1
    assert len(texts_of(bodies[0])) == 20
    shifts = log.requests["t_start_ns"] - log.requests["t_arrival_ns"]
    assert list(shifts) == [3 * NS_PER_MS * (i % 4) for i in range(8)]
    assert list(log.requests["n_sent"]) == list(log.requests["n_sends"])


def test_a_client_that_leaves_is_noted_and_harms_nobody():
    with TruthServer(Prescription(ttft_ms=1, gap_ms=5, n_chunks=1000)) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", "/v1/chat/completions", '{"stream":true}', {"x-request-id": "0-x"})
        answer = connection.getresponse()
        answer.read(300)
        answer.close()
        connection.close()
        other = HTTPConnection("127.0.0.1", server.port, timeout=30)
        while True:  # the server notices with its next read or send
            other.request("GET", "/truth/log")
            log = parse_log(other.getresponse().read())
            if log.requests["t_gone_ns"][0] > 0:
                break
    (request,) = log.requests
    assert 0 < request["n_sent"] < request["n_sends"]
    assert request["t_gone_ns"] >= log.steps["t_after_ns"].max()


def test_a_client_that_does_not_read_gets_everything_in_the_end():
    n_chunks = 40_000
    with TruthServer(Prescription(ttft_ms=0, gap_ms=0.001, n_chunks=n_chunks)) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/v1/chat/completions", '{"stream":true}', {"x-request-id": "0-x"})
        watcher = HTTPConnection("127.0.0.1", server.port, timeout=60)
        while True:  # until its buffers are full
            watcher.request("GET", "/truth/log")
            if parse_log(watcher.getresponse().read()).meta["n_retries"] > 2:
                break
        body = connection.getresponse().read()
        log = server.stop()
    assert len(texts_of(body)) == n_chunks
    assert np.isin(log.steps["kind"], TOKEN_BEARING).sum() == n_chunks
    assert (np.diff(log.steps["t_before_ns"]) >= 0).all()


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def start(tmp_path: Path, *flags: str) -> tuple[subprocess.Popen[str], Path]:
    log = tmp_path / "truth.log"
    argv = [sys.executable, "-m", "inferometer.truth.server", "--port=0", f"--log={log}", *flags]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("listening on http://")
    return process, log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_its_log_written(tmp_path, number):
    process, log = start(tmp_path)
    process.send_signal(number)
    assert process.wait(30) == 0
    assert len(read_log(log).requests) == 0
    assert list(tmp_path.iterdir()) == [log]


def test_it_ends_with_its_parent_and_still_writes_the_log(tmp_path):
    log = tmp_path / "truth.log"
    parent = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-m', 'inferometer.truth.server', '--port=0', {f'--log={log}'!r}],"
        " stdout=subprocess.PIPE, text=True)\n"
        "print(child.stdout.readline().rpartition(':')[2])\n"
    )
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, timeout=60, check=True)
    port = int(done.stdout)
    while not log.exists():  # the suite's own time limit bounds this
        sleep_s(0.02)
    assert len(read_log(log).requests) == 0
    while is_listening(port):
        sleep_s(0.02)


def test_an_address_that_cannot_be_had_is_one_line(tmp_path, client):
    argv = [sys.executable, "-m", "inferometer.truth.server", f"--port={client.server.port}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("truth server: ")


def has_ipv6_loopback() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6_loopback(), reason="no IPv6 loopback on this machine")
def test_it_listens_on_ipv6_too(tmp_path):
    process, _ = start(tmp_path, "--host=::1")
    process.terminate()
    assert process.wait(30) == 0
