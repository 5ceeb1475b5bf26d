# SPDX-License-Identifier: Apache-2.0
"""Every fault makes exactly the bytes and the ending it claims: as a script, and over a real socket."""

from __future__ import annotations

import json
import typing
from http.client import HTTPConnection

import h11
import pytest

from inferometer.kinds import TOKEN_BEARING, ChunkKind
from inferometer.truth import faults
from inferometer.truth.faults import script
from inferometer.truth.script import HEAD, Ask, Ending, FaultName, Prescription
from inferometer.units import NS_PER_MS

N_CHUNKS = 30
AT = 10
SECRET = "Bearer sk-truth-0123456789abcdef"


def make(fault, **fields):
    return script(Prescription(fault=fault, fault_at=AT, n_chunks=N_CHUNKS, usage="own", **fields), Ask())


def n_content(made):
    return sum(step.kind in TOKEN_BEARING for step in made.steps)


def kinds_after(made, n_chunks):
    """Kinds of the steps that follow the n-th token-bearing chunk."""
    seen = 0
    for i, step in enumerate(made.steps):
        if seen == n_chunks:
            return [step.kind for step in made.steps[i:]]
        seen += step.kind in TOKEN_BEARING
    return []


def test_every_name_is_a_fault_and_every_fault_has_a_name():
    named = set(typing.get_args(FaultName)) - {"none", "not_streamed"}
    assert named == {*faults.EVENT_FAULTS, *faults.WIRE_FAULTS, *faults.ANSWERS}


@pytest.mark.parametrize(
    ("fault", "n_chunks", "ending"),
    [
        ("none", N_CHUNKS, Ending.KEEP),
        ("end_early", AT, Ending.KEEP),
        ("truncate", AT, Ending.CLOSE),
        ("reset", AT, Ending.RESET),
        ("error_event", AT, Ending.KEEP),
        ("named_error_event", AT, Ending.KEEP),
        ("bad_chunk_size", AT, Ending.CLOSE),
        ("bad_json", N_CHUNKS, Ending.KEEP),
        ("stall", N_CHUNKS, Ending.KEEP),
        ("empty", 0, Ending.KEEP),
        ("never_ends", N_CHUNKS, Ending.HOLD),
        ("idle_close", N_CHUNKS, Ending.IDLE_CLOSE),
        ("drop_reuse", N_CHUNKS, Ending.DROP_NEXT),
        ("reset_before_head", 0, Ending.RESET),
        ("never_answers", 0, Ending.HOLD),
        ("not_http", 0, Ending.CLOSE),
    ],
)
def test_how_far_it_comes_and_how_it_ends(fault, n_chunks, ending):
    made = make(fault)
    assert (n_content(made), made.ending) == (n_chunks, ending)


def test_a_stall_moves_the_rest_and_nothing_before():
    plain, stalled = make("none"), make("stall", fault_ms=500)
    moved = [b.offset_ns - a.offset_ns for a, b in zip(plain.steps, stalled.steps, strict=True) if a.kind != HEAD]
    assert moved == [0] * (1 + AT) + [500 * NS_PER_MS] * (len(moved) - 1 - AT)


@pytest.mark.parametrize(
    ("fault", "prefix"), [("error_event", b'data: {"error"'), ("named_error_event", b"event: err")]
)
def test_an_error_object_then_the_end_marker_then_a_clean_end(fault, prefix):
    made = make(fault)
    error, done, _ = made.steps[-3:]
    assert (error.kind, done.kind) == (ChunkKind.ERROR, ChunkKind.DONE)
    assert prefix in error.data
    assert json.loads(error.data.split(b"data: ")[1].split(b"\n")[0])["error"]["message"] == faults.MESSAGE


def test_faults_keep_what_comes_before_as_it_was():
    plain = make("none").steps[: 2 + AT]
    for fault in ("end_early", "truncate", "reset", "stall", "error_event", "bad_json", "bad_chunk_size"):
        assert make(fault).steps[: 2 + AT] == plain


def test_no_end_marker_but_everything_else():
    made = script(Prescription(done=False, n_chunks=3, usage="own"), Ask())
    assert kinds_after(made, 3)[0] == ChunkKind.USAGE
    assert not any(b"[DONE]" in step.data for step in made.steps)


def test_a_fault_before_the_first_chunk_leaves_head_and_role():
    made = script(Prescription(fault="truncate", fault_at=0), Ask())
    assert [step.kind for step in made.steps] == [HEAD, ChunkKind.ROLE]


def test_a_fault_after_the_last_chunk_strikes_the_closing():
    made = script(Prescription(fault="end_early", fault_at=99, n_chunks=3, usage="own"), Ask())
    assert n_content(made) == 3
    assert not any(step.kind in (ChunkKind.USAGE, ChunkKind.DONE) for step in made.steps)


# Over a real socket


def test_truncated_body_is_seen_by_an_oracle_as_incomplete(client):
    data, end = client.bytes_of(truth={"fault": "truncate", "fault_at": 2})
    assert end == "closed"
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method="POST", target="/", headers=[("host", "t"), ("content-length", "0")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(data)
    peer.receive_data(b"")
    with pytest.raises(h11.RemoteProtocolError, match="closed connection"):
        list(iter(peer.next_event, h11.NEED_DATA))


def test_reset_in_mid_stream(client):
    data, end = client.bytes_of(truth={"fault": "reset", "fault_at": 2})
    assert end == "reset"
    assert data.startswith(b"HTTP/1.1 200 OK\r\n") or data == b""  # a reset may overtake what was not read yet


def test_reset_before_the_head(client):
    assert client.bytes_of(truth={"fault": "reset_before_head"}) == (b"", "reset")


def test_bad_chunk_size(client):
    data, end = client.bytes_of(truth={"fault": "bad_chunk_size", "fault_at": 2})
    assert end == "closed"
    assert data.endswith(b"\n\n\r\nzz\r\n")


def test_not_http(client):
    assert client.bytes_of(truth={"fault": "not_http"}) == (b"SSH-2.0-OpenSSH_9.9\r\n", "closed")


def test_bad_json_event(client):
    answer = client.ask(truth={"fault": "bad_json", "fault_at": 1})
    events = answer.read().split(b"\n\n")
    assert events[2] == b'data: {"choices": [{'
    assert events[-2] == b"data: [DONE]"


def test_empty_stream(client):
    answer = client.ask(truth={"fault": "empty"})
    assert (answer.status, answer.read()) == (200, b"")


def test_json_in_answer_to_a_streamed_request(client):
    answer = client.ask(truth={"fault": "not_streamed"})
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.read())["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_status_with_a_body_of_its_own(client, status):
    answer = client.ask(truth={"status": status, "body": "<html>no</html>"})
    assert (answer.status, answer.read()) == (status, b"<html>no</html>")


def test_status_with_the_usual_error_object(client):
    assert json.loads(client.ask(truth={"status": 503}).read())["error"]["code"] == 503


def test_redirect(client):
    answer = client.ask(truth={"status": 307})
    assert (answer.status, answer.headers["location"]) == (307, "/elsewhere")


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_authorization_is_echoed_in_two_sends(client, framing):
    made = script(Prescription(fault="echo_authorization", framing=framing), Ask(authorization=SECRET))
    assert len(made.datas) == 2
    assert all(SECRET.encode() not in data for data in made.datas)
    with client.connect() as sock:
        truth = {"fault": "echo_authorization", "framing": framing}
        sock.sendall(client.encode(headers=f"Authorization: {SECRET}\r\n", truth=truth))
        peer = HTTPConnection("unused")
        peer.sock = sock
        answer = peer.response_class(sock)
        answer.begin()
        assert answer.status == 401
        assert json.loads(answer.read())["error"]["message"] == f"invalid credentials: {SECRET}"


def test_echoed_credentials_are_not_in_the_log(client):
    connection = HTTPConnection("127.0.0.1", client.server.port)
    body = json.dumps({"stream": True, "messages": [], "truth": {"fault": "echo_authorization"}})
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": SECRET})
    assert SECRET.encode() in connection.getresponse().read()
    connection.request("GET", "/truth/log")
    assert SECRET.encode() not in connection.getresponse().read()


def test_never_ends_sends_every_token_and_stays_open(client):
    with client.connect() as sock:
        sock.sendall(client.encode(truth={"fault": "never_ends", "n_chunks": 3}))
        data = b""
        while data.count(b'"content":" ') < 3:
            data += sock.recv(65536)
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(1)
    assert b"[DONE]" not in data


def test_never_answers(client):
    with client.connect() as sock:
        sock.sendall(client.encode(truth={"fault": "never_answers"}))
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_an_idle_connection_is_closed(client):
    with client.connect() as sock:
        sock.sendall(client.encode(truth={"fault": "idle_close", "fault_ms": 20}))
        data, end = b"", ""
        while not end:
            part = sock.recv(65536)
            data, end = data + part, "" if part else "closed"
    assert data.endswith(b"0\r\n\r\n")
    assert b"connection: close" not in data


def test_a_reused_connection_is_dropped_without_an_answer(client):
    with client.connect() as sock:
        sock.sendall(client.encode(truth={"fault": "drop_reuse"}))
        data = b""
        while not data.endswith(b"0\r\n\r\n"):
            data += sock.recv(65536)
        sock.sendall(client.encode())
        try:
            rest = sock.recv(65536)
        except ConnectionResetError:  # the close found the request unread
            rest = b""
    assert rest == b""
