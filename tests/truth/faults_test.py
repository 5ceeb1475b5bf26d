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
from inferometer.truth.launch import TruthServer
from inferometer.truth.script import HEAD, RAW, Ask, Ending, FaultName, Prescription, drawn
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
        ("wrong_chunk_size", N_CHUNKS, Ending.KEEP),
        ("wrong_type", N_CHUNKS, Ending.KEEP),
        ("big_event", N_CHUNKS, Ending.KEEP),
        ("flood", AT, Ending.REPEAT),
        ("held_open", N_CHUNKS, Ending.HOLD),
        ("bad_json", N_CHUNKS, Ending.KEEP),
        ("stall", N_CHUNKS, Ending.KEEP),
        ("empty", 0, Ending.KEEP),
        ("never_ends", N_CHUNKS, Ending.HOLD),
        ("idle_close", N_CHUNKS, Ending.IDLE_CLOSE),
        ("drop_reuse", N_CHUNKS, Ending.DROP_NEXT),
        ("reset_before_head", 0, Ending.RESET),
        ("reset_in_head", 0, Ending.RESET),
        ("big_head", 0, Ending.CLOSE),
        ("html_page", 0, Ending.KEEP),
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


@pytest.mark.parametrize("at", [0, AT, 99])
@pytest.mark.parametrize("fault", ["wrong_chunk_size", "flood", "big_event", "held_open", "reset", "bad_chunk_size"])
def test_a_fault_strikes_wherever_it_is_told_to(fault, at):
    made = script(Prescription(fault=fault, fault_at=at, n_chunks=3), Ask())
    assert made.steps[0].kind == HEAD
    assert n_content(made) >= (0 if at == 0 else min(at, 3) if fault == "flood" else 1)


def test_a_wrong_chunk_size_is_wrong_by_one():
    plain, wrong = make("none"), make("wrong_chunk_size")
    changed = [(a.data, b.data) for a, b in zip(plain.steps, wrong.steps, strict=True) if a != b]
    (good, bad) = changed[0]
    assert len(changed) == 1
    assert int(good.partition(b"\r\n")[0], 16) == int(bad.partition(b"\r\n")[0], 16) + 1
    assert good.partition(b"\r\n")[2] == bad.partition(b"\r\n")[2]


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_big_event_is_one_event_of_that_size_and_leaves_room_in_between(framing):
    made = make("big_event", fault_bytes=1_000_000, framing=framing)
    added = [step for step in made.steps if step.kind == RAW]
    data = b"".join(step.data for step in added)
    assert data.count(b"\n\n") == 1
    assert 900_000 < data.count(b"x") <= 1_000_000
    assert len({step.offset_ns for step in added}) == len(added)


@pytest.mark.parametrize("fault", sorted(faults.STREAM_FAULTS))
def test_an_answer_in_one_piece_has_no_faults_of_streams(fault):
    whole = Ask(is_streamed=False)
    assert script(Prescription(fault=fault), whole).datas == script(Prescription(), whole).datas


@pytest.mark.parametrize(
    "fields",
    [
        {"fault": "wrong_chunk_size", "framing": "close"},
        {"fault": "flood", "framing": "length"},
        {"faults": ("reset", "nonsense")},
        {"faults": ("200",)},
        {"faults": ("500_pdf",)},
        {"faults": ("bad_chunk_size",), "framing": "length"},
    ],
)
def test_what_cannot_be_is_refused(fields):
    with pytest.raises(ValueError, match="fault"):
        Prescription(**fields)


# Mixes


def drawn_names(seed, n=2000, **fields):
    mix = Prescription(faults=("reset", "429", "500_html"), fault_ratio=0.1, fault_seed=seed, **fields)
    return [drawn(mix, f"{i}-nonce").fault_name for i in range(n)]


def test_a_mix_is_drawn_by_seed_and_number_alone():
    names = drawn_names(7)
    assert names == drawn_names(7)
    assert names != drawn_names(8)
    assert set(names) == {"none", "reset", "429", "500_html"}
    n_struck = sum(name != "none" for name in names)
    assert 140 < n_struck < 260  # 200 +- 4.5 standard deviations
    for name in ("reset", "429", "500_html"):
        assert 30 < names.count(name) < 105


def test_a_drawn_fault_strikes_somewhere():
    mix = Prescription(faults=("reset",), fault_at=5)
    assert {drawn(mix, f"{i}-x").fault_at for i in range(200)} == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("request_id", ["", "abc", "-1"])
def test_a_request_without_a_number_gets_the_good_answer(request_id):
    assert drawn(Prescription(faults=("reset",)), request_id).fault_name == "none"


def test_a_drawn_status_has_its_body():
    told = drawn(Prescription(faults=("503_empty",), retry_after_s=3), "0-x")
    assert (told.status, told.body_type, told.retry_after_s, told.faults) == (503, "empty", 3, ())


def test_the_log_tells_which_request_got_which_fault():
    mix = Prescription(ttft_ms=1, gap_ms=1, n_chunks=2, faults=("429", "end_early"), fault_ratio=0.5, fault_seed=1)
    with TruthServer(mix) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        statuses = []
        for i in range(24):
            headers = {"x-request-id": f"{i}-x"}
            connection.request("POST", "/v1/chat/completions", '{"stream":true}', headers)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        log = server.stop()
    told = log.requests["fault"].tolist()
    assert told == [drawn(mix, f"{i}-x").fault_name for i in range(24)]
    assert [name == "429" for name in told] == [status == 429 for status in statuses]
    assert set(told) == {"none", "429", "end_early"}


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


def test_reset_within_the_head(client):
    data, end = client.bytes_of(truth={"fault": "reset_in_head"})
    assert end == "reset"
    assert b"\r\n\r\n" not in data


def test_a_head_without_end(client):
    data, _ = client.bytes_of(truth={"fault": "big_head", "fault_bytes": 300_000})
    assert data.startswith(b"HTTP/1.1 200 OK\r\nx-filler: ")
    assert len(data) > 250_000
    assert b"\r\n\r\n" not in data


@pytest.mark.parametrize("gap_ms", [0, 1])
def test_a_flood_goes_on_until_the_client_leaves(client, gap_ms):
    with client.connect() as sock:
        sock.sendall(client.encode(truth={"fault": "flood", "fault_at": 2, "gap_ms": gap_ms}))
        n_bytes = 0
        while n_bytes < 3_000_000:
            n_bytes += len(sock.recv(1 << 20))
    assert client.ask().status == 200  # and nobody else is harmed


def test_a_good_stream_of_another_name(client):
    answer = client.ask(truth={"fault": "wrong_type"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.read().endswith(b"data: [DONE]\n\n")


def test_a_page_in_place_of_the_api(client):
    answer = client.ask(truth={"fault": "html_page"})
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html")
    assert answer.read().startswith(b"<!doctype html>")


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


@pytest.mark.parametrize(
    ("body_type", "content_type", "body"),
    [("json", "application/json", b'{"error"'), ("html", "text/html", b"<html>"), ("empty", "text/plain", b"")],
)
def test_status_with_a_body_of_a_kind_and_when_to_come_back(client, body_type, content_type, body):
    answer = client.ask(truth={"status": 429, "body_type": body_type, "retry_after_s": 17})
    assert (answer.status, answer.headers["content-type"], answer.headers["retry-after"]) == (429, content_type, "17")
    said = answer.read()
    assert said.startswith(body)
    assert bool(said) == bool(body)


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


def test_a_request_that_comes_before_the_idle_connection_is_closed_is_served(client):
    with client.connect() as sock:
        for _ in range(3):
            sock.sendall(client.encode(truth={"fault": "idle_close", "fault_ms": 60_000}))
            data = b""
            while not data.endswith(b"0\r\n\r\n"):
                data += sock.recv(65536)
            assert data.startswith(b"HTTP/1.1 200 OK")


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
