# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 framing against two independent readers, h11 and http.client, and under mutation.

Valid answers must come out of all three alike. Of broken ones: spans or RemoteProtocolError, nothing else, however the
bytes are cut; and where h11 reads an answer that we read too, it must be the same one.
"""

from __future__ import annotations

import http.client
import io
import random
from collections.abc import Iterator

import h11
import pytest
from fuzz.oracle import by_h11
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.wire.errors import RemoteProtocolError
from inferometer.wire.http1 import Framing, encode_request
from inferometer.wire.sse import EventReader

N_MUTANTS = 1_500


def by_http_client(data: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    class Wire:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(data)

    response = http.client.HTTPResponse(Wire(), method="POST")
    response.begin()
    return response.status, [(name.lower(), value) for name, value in response.getheaders()], response.read()


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,10}", fullmatch=True).map(lambda name: "X-" + name)
VALUES = st.from_regex(r"([!-~]([ -~]{0,20}[!-~])?)?", fullmatch=True)
EXTENSIONS = st.sampled_from([b"", b" ", b";a", b";a=b", b'; a="b c"'])


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes, bool]:
    """(bytes on the wire, body, whether the connection's end is the body's)."""
    status = draw(st.sampled_from([200, 201, 301, 400, 404, 429, 500, 503]))
    eol = draw(st.sampled_from([b"\r\n", b"\n"]))
    lines = [b"HTTP/1.1 %d %s" % (status, draw(VALUES).encode())]
    lines += [f"{name}: {value}".encode() for name, value in draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))]
    pieces = draw(st.lists(st.binary(min_size=1, max_size=300), max_size=6))
    body = b"".join(pieces)
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    sent = body
    if framing == "length":
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
        form = draw(st.sampled_from([b"%x", b"%X", b"%08x"]))
        sizes = [form % len(piece) + draw(EXTENSIONS) for piece in pieces]
        sent = b"".join(size + b"\r\n" + piece + b"\r\n" for size, piece in zip(sizes, pieces, strict=True))
        sent += b"0\r\n" + draw(st.sampled_from([b"", b"X-Sum: 1\r\n"])) + b"\r\n"
    order = draw(st.permutations(range(1, len(lines))))
    head = eol.join([lines[0], *(lines[i] for i in order)]) + eol + eol
    informational = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    return informational + head + sent, body, framing == "close"


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(answers())
def test_valid_answers_are_read_as_h11_and_http_client_read_them(follow, answer):
    data, body, is_closed = answer
    reading = follow(data, is_closed=is_closed)
    assert reading.fault == ""
    assert (reading.body, reading.is_done) == (body, True)
    ours = (reading.head.status, list(reading.head.headers), reading.body)
    assert by_h11(data, is_closed) == (*ours, True)
    assert by_http_client(data) == ours


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=5), st.binary(max_size=100), st.sampled_from(["POST", "GET"]))
def test_requests_are_read_by_h11_as_they_were_meant(headers, body, method):
    server = h11.Connection(h11.SERVER)
    server.receive_data(encode_request(method, "/v1/x?y=z", [("Host", "h"), *headers], body))
    request = server.next_event()
    got = [(name.decode(), value.decode()) for name, value in request.headers.raw_items()]
    assert got[: len(headers) + 1] == [("Host", "h"), *headers]
    assert (request.method, request.target) == (method.encode(), b"/v1/x?y=z")
    event = server.next_event()
    if body:
        assert event.data == body
        event = server.next_event()
    assert isinstance(event, h11.EndOfMessage)


# -- mutation ----------------------------------------------------------------------------------------------------------

EVENTS = b'data: {"a":"b"}\n\n: ping\n\nevent: error\ndata: x\r\n\r\ndata: \xf0\x9f\x99\x82\n\ndata: [DONE]\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: text/event-stream\r\n"
SEEDS = [
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n11\r\n" + EVENTS[:17] + b"\r\n" + b"%X;x=y\r\n" % (len(EVENTS) - 17)
    + EVENTS[17:] + b"\r\n0\r\nX-Sum: 1\r\n\r\n",
    HEAD + b"Content-Length: %d\r\n\r\n" % len(EVENTS) + EVENTS,
    HEAD + b"Connection: close\r\n\r\n" + EVENTS,
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.0 429 No\nRetry-After: 1\n folded\nContent-Length: 2\n\nno",
]  # fmt: skip
WORDS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b";",
    b"\x00",
    b"0\r\n\r\n",
    b"5\r\n",
    b"ff" * 8 + b"\r\n",
]
WORDS += [
    b"Content-Length: 5\r\n",
    b"Content-Length: 7\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
]
WORDS += [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 No Content\r\n", b"Content-Encoding: gzip\r\n"]
WORDS += [b"data: ", b"event: x\n", b": ping\n\n", b"\xef\xbb\xbf", b"\xf0\x9f"]


def mutants(n_mutants: int, seed: int) -> Iterator[bytes]:
    """Valid answers after a few edits: bytes flipped, pieces removed, doubled, moved, words of the protocol put in."""
    rng = random.Random(seed)
    for _ in range(n_mutants):
        data = bytearray(rng.choice(SEEDS))
        for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
            at = rng.randrange(len(data) + 1)
            stop = min(len(data), at + rng.choice([1, 1, 2, 5, 40]))
            match rng.randrange(6):
                case 0:
                    data[at:stop] = rng.randbytes(stop - at)
                case 1:
                    del data[at:stop]
                case 2:
                    data[at:at] = data[at:stop]
                case 3:
                    piece = data[at:stop]
                    del data[at:stop]
                    where = rng.randrange(len(data) + 1)
                    data[where:where] = piece
                case 4:
                    data[at:stop] = rng.choice(WORDS)
                case 5:
                    data[at:at] = rng.choice(WORDS)
        yield bytes(data)


@pytest.mark.parametrize("is_closed", [False, True])
def test_mutants_give_the_same_under_every_cut_and_what_h11_gives(follow, is_closed):
    n_read_by_both = 0
    for data in mutants(N_MUTANTS, seed=20_261_122 + is_closed):
        reading = follow(data, is_closed)  # any other exception than RemoteProtocolError fails here
        oracle = by_h11(data, is_closed)
        if reading.fault or oracle is None:
            continue
        n_read_by_both += 1
        status, headers, body, is_done = oracle
        assert (reading.body, reading.is_done) == (body, is_done), data
        if reading.head is not None:
            assert (reading.head.status, list(reading.head.headers)) == (status, headers), data
    assert n_read_by_both > N_MUTANTS // 10


def test_mutants_go_through_framing_and_events_or_are_refused():
    """The whole way of an answer's bytes, and random bytes too: events or RemoteProtocolError."""
    rng = random.Random(7)
    noise = [rng.randbytes(rng.randrange(200)) for _ in range(N_MUTANTS // 2)]
    noise += [SEEDS[0][: rng.randrange(len(SEEDS[0]))] + rng.randbytes(40) for _ in range(N_MUTANTS // 2)]
    n_events = n_refused = 0
    for data in [*mutants(N_MUTANTS, seed=5), *noise]:
        framing, reader = Framing(max_head_bytes=500), EventReader(max_event_bytes=60)
        n_read = rng.choice([1, 3, 50, 1_000])
        try:
            for i in range(0, len(data), n_read):
                piece = data[i : i + n_read]
                for start, stop in framing.feed(piece):
                    n_events += len(reader.feed(piece[start:stop], i))
            framing.eof()
            n_events += len(reader.close(len(data)))
        except RemoteProtocolError:
            n_refused += 1
    assert n_events > N_MUTANTS
    assert n_refused > N_MUTANTS // 2
