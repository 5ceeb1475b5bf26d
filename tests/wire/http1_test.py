# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 framing: what is body, where an answer ends, and what is refused."""

from __future__ import annotations

import h11
import pytest

from inferometer.wire import http1
from inferometer.wire.errors import LocalProtocolError, RemoteProtocolError
from inferometer.wire.http1 import Framing, Head, encode_request

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def chunks(*pieces: bytes, size: str = "{:x}", trailers: bytes = b"") -> bytes:
    """Transfer chunking of `pieces`, with the last chunk."""
    framed = [size.format(len(piece)).encode() + b"\r\n" + piece + b"\r\n" for piece in pieces]
    return b"".join(framed) + b"0\r\n" + trailers + b"\r\n"


# -- where the body is, and where it ends ------------------------------------------------------------------------------

ANSWERS = {
    "content-length": (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
    "empty content-length": (OK + b"Content-Length: 0\r\n\r\n", b"", True),
    "repeated equal lengths": (OK + b"Content-Length: 2\r\ncontent-length: 2\r\n\r\nhi", b"hi", True),
    "list of equal lengths": (OK + b"Content-Length: 2, 2\r\n\r\nhi", b"hi", True),
    "chunked": (CHUNKED + chunks(b"hello ", b"world"), b"hello world", True),
    "chunked, no chunk": (CHUNKED + chunks(), b"", True),
    "chunk looks like framing": (CHUNKED + chunks(b"0\r\n\r\n", b"\r\n"), b"0\r\n\r\n\r\n", True),
    "upper-case sizes": (CHUNKED + chunks(b"x" * 171, b"y" * 171, size="{:X}"), b"x" * 171 + b"y" * 171, True),
    "sizes with zeros in front": (CHUNKED + chunks(b"x" * 10, size="{:016x}"), b"x" * 10, True),
    "blanks after the size": (CHUNKED + chunks(b"hello", size="{:x}  \t"), b"hello", True),
    "chunk extensions": (CHUNKED + chunks(b"hello", size='{:x};name="value; x";\xe4'), b"hello", True),
    "trailers": (CHUNKED + chunks(b"hello", trailers=b"X-Sum: 1\r\nX-More: 2\r\n"), b"hello", True),
    "trailers end in LF": (CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\n\n", b"hello", True),
    "chunked overrides length": (
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"a"),
        b"a",
        False,
    ),
    "chunked in HTTP/1.0": (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n" + chunks(b"a"), b"a", False),
    "head lines end in LF": (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", b"hello", True),
    "line ends are mixed": (b"HTTP/1.1 200 OK\nContent-Length: 5\r\nX: y\n\r\nhello", b"hello", True),
    "204 has no body": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b"", True),
    "304 has no body": (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", b"", True),
    "100 is skipped": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", b"hi", True),
    "103s are skipped": (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3 + CHUNKED + chunks(b"x"), b"x", True),
    "identity encoding": (OK + b"Content-Encoding: Identity\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
    "connection: close": (OK + b"Connection: Close\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
    "connection: close among others": (OK + b"Connection: x, close\r\nContent-Length: 0\r\n\r\n", b"", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
    "HTTP/1.0 keep-alive": (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"", True),
    "empty reason": (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", b"", True),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_is_followed_to_its_end(name, follow):
    data, body, keeps_alive = ANSWERS[name]
    reading = follow(data)
    assert reading.fault == ""
    assert (reading.body, reading.is_done, reading.keeps_alive) == (body, True, keeps_alive)


@pytest.mark.parametrize("name", ANSWERS)
def test_every_proper_beginning_is_unfinished_and_closing_there_is_a_fault(name, follow):
    data, _, _ = ANSWERS[name]
    for n_bytes in range(len(data)):
        framing = Framing()
        framing.feed(data[:n_bytes])
        assert not framing.is_done
        with pytest.raises(RemoteProtocolError, match="the connection was closed"):
            framing.eof()
        assert not framing.is_done


@pytest.mark.parametrize("body", [b"", b"hello", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_close_delimited_body_ends_with_the_connection(body, follow):
    data = OK + b"Content-Type: text/event-stream\r\n\r\n" + body
    assert not follow(data).is_done
    reading = follow(data, is_closed=True)
    assert (reading.body, reading.is_done, reading.keeps_alive) == (body, True, False)


def test_answer_to_head_has_no_body_whatever_its_head_says(follow):
    for head in (OK + b"Content-Length: 5\r\n\r\n", CHUNKED, OK + b"Content-Encoding: gzip\r\n\r\n"):
        reading = follow(head, is_head_request=True)
        assert (reading.body, reading.is_done, reading.keeps_alive) == (b"", True, True)


def test_closing_after_the_end_is_no_fault_but_the_connection_is_gone():
    framing = Framing()
    framing.feed(OK + b"Content-Length: 2\r\n\r\nhi")
    assert framing.keeps_alive
    framing.eof()
    assert framing.is_done
    assert not framing.keeps_alive


def test_spans_of_one_read_leave_out_all_framing():
    framing = Framing()
    data = CHUNKED + chunks(b"hello ", b"world")
    assert [data[start:stop] for start, stop in framing.feed(data)] == [b"hello ", b"world"]


def test_body_spans_are_not_joined_and_not_empty():
    framing = Framing()
    framing.feed(CHUNKED)
    assert framing.feed(b"5\r\nhel") == [(3, 6)]
    assert framing.feed(b"") == []
    assert framing.feed(b"lo") == [(0, 2)]
    assert framing.feed(b"\r") == []
    assert framing.feed(b"\n3\r\nabc\r\n2\r\nde") == [(4, 7), (12, 14)]


def test_one_chunk_per_read_and_many_chunks_per_read_give_the_same(cuts):
    """The hot path (whole chunks of known sizes) against the general one (anything else)."""
    pieces = [bytes([65 + i % 26]) * size for i, size in enumerate([5, 227, 5, 1, 4096, 227, 70_000, 5])]
    expected = b"".join(pieces) * 2
    per_chunk = [chunks(piece)[:-5] for piece in pieces] * 2
    for reads in ([b"".join(per_chunk)], per_chunk, [b"".join(per_chunk[:3]), *per_chunk[3:]]):
        framing = Framing()
        framing.feed(CHUNKED)
        body = b"".join(data[start:stop] for data in reads for start, stop in framing.feed(data))
        assert body == expected
        assert framing.feed(b"0\r\n\r\n") == []
        assert framing.is_done


def test_the_memory_of_sizes_is_bounded_and_forgetting_changes_nothing():
    sizes = range(1, http1._MAX_SIZES + 500)
    data = b"".join(b"%x\r\n" % size + b"x" * size + b"\r\n" for size in sizes)
    try:
        for _ in range(2):
            framing = Framing()
            framing.feed(CHUNKED)
            assert [stop - start for start, stop in framing.feed(data)] == list(sizes)
        assert len(http1._SIZES) <= http1._MAX_SIZES
    finally:
        http1._SIZES.clear()


# -- heads -------------------------------------------------------------------------------------------------------------


def test_head_has_lower_case_names_in_order_and_stripped_latin_1_values(follow):
    reading = follow(
        b"HTTP/1.1 404 Nicht gefunden \xfc\r\n"
        b"Content-Length:0\r\nX-Two:  a \t\r\nServer: M\xfcnchen\r\nx-two: b\r\nX-None:\r\n\r\n"
    )
    assert reading.head == Head(
        404,
        "Nicht gefunden ü",
        (("content-length", "0"), ("x-two", "a"), ("server", "München"), ("x-two", "b"), ("x-none", "")),
    )
    assert reading.head.get("x-two") == "a, b"
    assert reading.head.get("x-none") == ""
    assert reading.head.get("x-other") is None
    assert reading.head.words("x-two") == ["a", "b"]
    assert reading.head.words("x-other") == []


def test_folded_header_lines_are_joined(follow):
    reading = follow(OK + b"Content-Length: 0\r\nX-Long: one\r\n  two\r\n\tthree\r\n\r\n")
    assert reading.head.get("x-long") == "one two three"


def test_head_is_known_as_soon_as_its_blank_line_is_read():
    framing = Framing()
    framing.feed(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert framing.head is None
    framing.feed(CHUNKED[:-1])
    assert framing.head is None
    framing.feed(CHUNKED[-1:])
    assert framing.head is not None
    assert framing.head.status == 200


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 429, 500, 503])
def test_any_other_status_is_an_answer_like_another(status, follow):
    reading = follow(b"HTTP/1.1 %d X\r\nLocation: /there\r\nContent-Length: 2\r\n\r\nno" % status)
    assert (reading.head.status, reading.body, reading.keeps_alive) == (status, b"no", True)


# -- what is refused ---------------------------------------------------------------------------------------------------

FAULTS = {
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", "begins with b'S"),
    "a TLS alert": (b"\x15\x03\x01\x00\x02\x02\x50", "not HTTP/1.1"),
    "a blank line first": (b"\r\nHTTP/1.1 200 OK\r\n\r\n", "not HTTP/1.1"),
    "HTTP/2": (b"HTTP/2.0 200 OK\r\n\r\n", "HTTP/2.0"),
    "HTTP/0.9": (b"HTTP/0.9 200 OK\r\n\r\n", "HTTP/0.9"),
    "no version": (b"HTTP/ 200 OK\r\n\r\n", "status line"),
    "short status": (b"HTTP/1.1 20 OK\r\n\r\n", "status line"),
    "status out of range": (b"HTTP/1.1 099 OK\r\n\r\n", "status line"),
    "control character in the reason": (b"HTTP/1.1 200 O\x00K\r\n\r\n", "status line"),
    "bare CR in the status line": (b"HTTP/1.1 200 OK\rX: y\r\n\r\n", "status line"),
    "switching protocols": (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "101"),
    "header without colon": (OK + b"no colon\r\n\r\n", "name: value"),
    "header without name": (OK + b": value\r\n\r\n", "name: value"),
    "blank before the colon": (OK + b"Content-Length : 5\r\n\r\nhello", "name: value"),
    "NUL in a value": (OK + b"X: a\x00b\r\n\r\n", "name: value"),
    "bare CR in a value": (OK + b"X: a\rY: b\r\n\r\n", "name: value"),
    "continuation first": (OK + b" folded\r\nX: y\r\n\r\n", "continuation"),
    "contradicting lengths": (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "contradict"),
    "contradicting list": (OK + b"Content-Length: 5, 6\r\n\r\nhello", "contradict"),
    "signed length": (OK + b"Content-Length: +5\r\n\r\nhello", "not a number"),
    "negative length": (OK + b"Content-Length: -5\r\n\r\nhello", "not a number"),
    "length with underscore": (OK + b"Content-Length: 1_0\r\n\r\n", "not a number"),
    "length in other digits": (OK + "Content-Length: ²\r\n\r\n".encode("latin-1"), "not a number"),
    "empty length": (OK + b"Content-Length: \r\n\r\n", "not a number"),
    "endless length": (OK + b"Content-Length: " + b"9" * 19 + b"\r\n\r\n", "not a number"),
    "gzip": (OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "content-encoding b'gzip'"),
    "gzip as second": (OK + b"Content-Encoding: identity, br\r\n\r\n", "content-encoding b'br'"),
    "gzip as transfer": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "transfer-encoding"),
    "chunked twice": (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer-encoding"),
    "empty transfer-encoding": (OK + b"Transfer-Encoding:\r\n\r\n", "transfer-encoding"),
    "no size": (CHUNKED + b"\r\nhello\r\n", "instead of its size"),
    "size is no number": (CHUNKED + b"5g\r\nhello\r\n", "instead of its size"),
    "size in Python's notation": (CHUNKED + b"0x5\r\nhello\r\n", "instead of its size"),
    "size with underscore": (CHUNKED + b"0_5\r\nhello\r\n", "instead of its size"),
    "signed size": (CHUNKED + b"+5\r\nhello\r\n", "instead of its size"),
    "blank before the size": (CHUNKED + b" 5\r\nhello\r\n", "instead of its size"),
    "size of 17 digits": (CHUNKED + b"0" * 16 + b"5\r\nhello\r\n", "instead of its size"),
    "size line ends in LF": (CHUNKED + b"5\nhello\r\n0\r\n\r\n", "instead of its size"),
    "CR in an extension": (CHUNKED + b"5;a\rb\r\nhello\r\n", "instead of its size"),
    "chunk longer than its size": (CHUNKED + b"5\r\nhello!\r\n", "longer than its size"),
    "chunk ends in LF": (CHUNKED + b"5\r\nhello\n0\r\n\r\n", "longer than its size"),
    "chunk ends in CR": (CHUNKED + b"5\r\nhello\r0\r\n\r\n", "longer than its size"),
    "chunk ends in other bytes": (CHUNKED + b"5\r\nhelloXX0\r\n\r\n", "longer than its size"),
    "nonsense in trailers": (CHUNKED + b"0\r\nGET / HTTP/1.1\r\n\r\n", "name: value"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_breach_is_a_remote_protocol_error(name, follow):
    data, message = FAULTS[name]
    assert message in follow(data).fault


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_can_be_followed_after_a_breach(name):
    framing = Framing()
    with pytest.raises(RemoteProtocolError):
        framing.feed(FAULTS[name][0])
    with pytest.raises(LocalProtocolError):
        framing.feed(b"x")
    assert not framing.is_done
    assert not framing.keeps_alive


IN_CHUNKS = [data.removeprefix(CHUNKED) for data, _ in FAULTS.values() if data.startswith(CHUNKED)]


@pytest.mark.parametrize("data", [*IN_CHUNKS, b"5x\nhello\r\n", b"5\r hello\r\n"])
def test_breach_behind_a_chunk_of_the_same_size_is_found_on_the_hot_path_too(data):
    framing = Framing()
    framing.feed(CHUNKED + b"5\r\nhello\r\n")
    with pytest.raises(RemoteProtocolError):
        framing.feed(data)


def test_size_cut_in_two_is_not_mistaken_for_its_second_half():
    framing = Framing()
    framing.feed(CHUNKED + b"5\r\nhello\r\n1")
    assert framing.feed(b"5\r\nhello\r\n0\r\n\r\n123456789\r\n") == [(3, 24)]


def test_messages_quote_too_little_to_give_a_key_away(follow):
    key = b"sk-0123456789abcdef"
    for data in (key, OK + key + b"\r\n\r\n", CHUNKED + key + b"\r\n", OK + b"Content-Encoding: " + key + b"\r\n\r\n"):
        fault = follow(data).fault
        assert fault
        assert key[:9].decode() not in fault


# -- bounds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beginning", "endless", "limit"),
    [
        (b"HTTP/1.1 200 ", b"O", 2_000),
        (OK + b"X: ", b"x", 2_000),
        (OK, b"X: y\r\n", 2_000),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"X: y\r\n", 2_000),
        (CHUNKED + b"0\r\n", b"X: y\r\n", 2_000),
        (CHUNKED + b"5;", b"x", http1.MAX_SIZE_LINE_BYTES),
    ],
)
@pytest.mark.parametrize("n_read", [1, 7, 100_000])
def test_what_must_be_kept_is_bounded(beginning, endless, limit, n_read):
    framing = Framing(max_head_bytes=2_000)
    framing.feed(beginning)
    flood = (endless * (100_000 // len(endless)))[:100_000]
    n_harmless = limit - 100  # of the limit, a few bytes went into the beginning
    for at in range(0, n_harmless - n_read, n_read):
        framing.feed(flood[at : at + n_read])
    with pytest.raises(RemoteProtocolError, match=f"longer than {limit} bytes"):
        feed_all(framing, flood[: limit + 1], n_read)


def feed_all(framing, data, n_read):
    for at in range(0, len(data), n_read):
        framing.feed(data[at : at + n_read])


def test_a_head_of_exactly_the_limit_is_read():
    data = OK + b"Content-Length: 0\r\n\r\n"
    framing = Framing(max_head_bytes=len(data))
    framing.feed(data)
    assert framing.is_done
    with pytest.raises(RemoteProtocolError, match="the head is longer"):
        Framing(max_head_bytes=len(data) - 1).feed(data)


def test_informational_answers_do_not_use_up_the_room_of_the_final_one():
    framing = Framing(max_head_bytes=60)
    for _ in range(100):
        framing.feed(b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n")
    framing.feed(OK + b"Content-Length: 0\r\n\r\n")
    assert framing.is_done


def test_a_chunk_of_any_size_is_followed_without_keeping_it():
    framing = Framing()
    framing.feed(CHUNKED + b"fffffffffffffff\r\n")
    for _ in range(3):
        assert framing.feed(b"x" * 65_536) == [(0, 65_536)]
    assert len(framing._line) == 0
    with pytest.raises(RemoteProtocolError, match="closed before the end of the chunked body"):
        framing.eof()


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"", "before an answer came"),
        (b"HTT", "within the head"),
        (OK, "within the head"),
        (OK + b"Content-Length: 5\r\n\r\nhe", "3 bytes before the end"),
        (CHUNKED + b"5\r\nhello\r\n", "before the end of the chunked body"),
        (CHUNKED + b"5\r\nhello\r\n0\r\n", "before the end of the chunked body"),
    ],
)
def test_a_premature_end_says_where(data, where):
    framing = Framing()
    framing.feed(data)
    with pytest.raises(RemoteProtocolError, match=where):
        framing.eof()
    with pytest.raises(LocalProtocolError):
        framing.feed(b"x")


# -- real engines ------------------------------------------------------------------------------------------------------


def test_recorded_answers_are_followed_however_they_are_chunked(transcripts, follow):
    assert len(transcripts) >= 16
    for name, (head, body) in transcripts.items():
        if b"chunked" not in head.lower():
            reading = follow(head + body)
            keeps_alive = b"connection: close" not in head.lower()
            assert (reading.body, reading.is_done, reading.keeps_alive) == (body, True, keeps_alive), name
            continue
        events = [event + b"\n\n" for event in body.split(b"\n\n")[:-1]]
        ragged = [body[i : i + 37] for i in range(0, len(body), 37)]
        for framed in (chunks(*events), chunks(body), chunks(*ragged, size="{:X};x=y", trailers=b"X-Took: 1\r\n")):
            reading = follow(head + framed)
            assert (reading.body, reading.is_done, reading.keeps_alive) == (body, True, True), name
        assert follow(head.replace(b"ransfer-", b"-") + body, is_closed=True).body == body


# -- the request -------------------------------------------------------------------------------------------------------


def test_request_keeps_the_order_and_spelling_of_headers():
    headers = [("Host", "localhost:8000"), ("X-B", "2"), ("accept", "text/event-stream"), ("X-A", "1"), ("X-B", "3")]
    assert encode_request("POST", "/v1/chat/completions", headers, b'{"a":1}') == (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:8000\r\nX-B: 2\r\naccept: text/event-stream\r\n"
        b'X-A: 1\r\nX-B: 3\r\ncontent-length: 7\r\n\r\n{"a":1}'
    )


def test_content_length_is_added_only_where_it_is_needed():
    host = [("host", "h")]
    assert b"content-length: 0\r\n" in encode_request("POST", "/", host, b"")
    assert b"content-length" not in encode_request("GET", "/", host, b"")
    assert encode_request("POST", "/", [*host, ("Content-Length", "2")], b"hi").count(b"ength") == 1


def test_h11_reads_the_request_as_it_was_meant():
    body = b'{"prompt":"\xc3\xa4"}'
    data = encode_request("POST", "/v1/completions?x=y", [("Host", "h"), ("Authorization", "Bearer k e y")], body)
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    request = server.next_event()
    assert (request.method, request.target) == (b"POST", b"/v1/completions?x=y")
    assert request.headers.raw_items()[:2] == [(b"Host", b"h"), (b"Authorization", b"Bearer k e y")]
    assert server.next_event().data == body
    assert isinstance(server.next_event(), h11.EndOfMessage)


@pytest.mark.parametrize(
    ("method", "target", "headers", "body"),
    [
        ("GE T", "/", [("host", "h")], b""),
        ("", "/", [("host", "h")], b""),
        ("GET\r\n", "/", [("host", "h")], b""),
        ("GET", "", [("host", "h")], b""),
        ("GET", "/a b", [("host", "h")], b""),
        ("GET", "/a\r\nX: y", [("host", "h")], b""),
        ("GET", "/ä", [("host", "h")], b""),
        ("GET", "/", [("host", "h"), ("X", "a\r\nY: b")], b""),
        ("GET", "/", [("host", "h"), ("X", "a\nb")], b""),
        ("GET", "/", [("host", "h"), ("X", "a\rb")], b""),
        ("GET", "/", [("host", "h"), ("X", "a\x00b")], b""),
        ("GET", "/", [("host", "h"), ("X", "ä")], b""),
        ("GET", "/", [("host", "h"), ("X\r\nY", "a")], b""),
        ("GET", "/", [("host", "h"), ("X Y", "a")], b""),
        ("GET", "/", [("host", "h"), ("", "a")], b""),
        ("GET", "/", [("host", "h"), ("Host", "i")], b""),
        ("GET", "/", [], b""),
        ("POST", "/", [("host", "h"), ("content-length", "3")], b"hi"),
        ("POST", "/", [("host", "h"), ("content-length", "2"), ("Content-Length", "2")], b"hi"),
        ("POST", "/", [("host", "h"), ("transfer-encoding", "chunked")], b"hi"),
    ],
)
def test_a_request_that_could_be_read_in_two_ways_is_our_own_error(method, target, headers, body):
    with pytest.raises(LocalProtocolError):
        encode_request(method, target, headers, body)


def test_errors_about_a_request_do_not_quote_values():
    key = "sk-0123456789abcdef"
    for headers in ([("host", "h"), ("authorization", f"{key}\n")], [("host", "h"), (f"authorization: {key}", "")]):
        with pytest.raises(LocalProtocolError) as caught:
            encode_request("GET", "/", headers, b"")
        assert key not in str(caught.value)
