# SPDX-License-Identifier: Apache-2.0
"""Lines of JSON: what is an event, which read completed it, and that no cut changes the answer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.wire.errors import LocalProtocolError, RemoteProtocolError
from inferometer.wire.ndjson import LineReader
from inferometer.wire.sse import ServerEvent
from inferometer.wire.streams import NDJSON, SSE, reader_of

STREAMS = {
    "nothing": (b"", [], 0),
    "one line": (b'{"a": 1}\n', [b'{"a": 1}'], 0),
    "several lines": (b"{}\n[]\n3\n", [b"{}", b"[]", b"3"], 0),
    "CR LF": (b"{}\r\n[]\r\n", [b"{}", b"[]"], 0),
    "a CR inside a line": (b"{\r}\n", [b"{\r}"], 0),
    "empty lines": (b"\n{}\n\n\r\n[]\n", [b"{}", b"[]"], 3),
    "characters of several bytes": ('{"a": "漢字🙂é"}\n{}\n'.encode(), ['{"a": "漢字🙂é"}'.encode(), b"{}"], 0),
    "bytes that are not UTF-8": (b"\xff\xfe\x00\x85\n", [b"\xff\xfe\x00\x85"], 0),
    "blanks stay": (b"  {} \n", [b"  {} "], 0),
    "a long line": (b"x" * 5_000 + b"\n{}\n", [b"x" * 5_000, b"{}"], 0),
}


def read(reads: list[bytes], reader: LineReader | None = None) -> list[ServerEvent]:
    """All events, with the number of the read that completed each; the end of the stream is one more."""
    reader = reader or LineReader()
    events = [event for i, data in enumerate(reads) for event in reader.feed(data, i)]
    return events + reader.close(len(reads))


@pytest.mark.parametrize("name", STREAMS)
def test_stream_is_read_alike_under_every_cut(name, cuts):
    stream, lines, n_ignored = STREAMS[name]
    for torn in (b"", b'{"torn'):
        for reads in cuts(stream + torn):
            reader = LineReader()
            events = read(reads, reader)
            assert [event.data for event in events] == lines + ([torn] if torn else [])
            assert [event.is_complete for event in events] == [True] * len(lines) + ([False] if torn else [])
            assert {(event.type, event.is_comment) for event in events} <= {("message", False)}
            assert reader.n_ignored == n_ignored


def test_a_line_belongs_to_the_read_that_ended_it():
    stream = b'{"a": 1}\r\n{}\n'
    for n_bytes in range(len(stream)):
        events = read([stream[:n_bytes], stream[n_bytes:]])
        assert [event.read_id for event in events] == [0 if n_bytes >= at else 1 for at in (10, 13)]


def test_lines_are_out_as_soon_as_they_are_whole():
    reader = LineReader()
    assert reader.feed(b'{"a"', 0) == []
    assert reader.feed(b": 1}\n{", 1) == [ServerEvent("message", b'{"a": 1}', 1)]
    assert reader.feed(b"}\n", 2) == [ServerEvent("message", b"{}", 2)]


def test_one_whole_line_may_skip_the_reader():
    reader = LineReader(max_event_bytes=20)
    assert reader.plain(b'{"a": 1}\n') == reader.plain(b'{"a": 1}\r\n') == b'{"a": 1}'
    for data in (b"{}", b"\n", b"\r\n", b"{}\n{}\n", b"{}\n{", b"", b"x" * 20 + b"\n"):
        assert reader.plain(data) is None
    reader.feed(b"{", 0)
    assert reader.plain(b"}\n") is None


@pytest.mark.parametrize("n_read", [1, 64, 10_000])
def test_a_line_that_never_ends_is_refused_and_what_came_before_is_kept(n_read):
    reader, found = LineReader(max_event_bytes=1_000), []
    stream = b"{}\n" + b"x" * 1_000 + b"\n" + b"y" * 1_001
    with pytest.raises(RemoteProtocolError, match="longer than 1000 bytes") as caught:
        feed_all(reader, stream, n_read, found)
    assert [len(event.data) for event in [*found, *caught.value.before]] == [2, 1_000]
    with pytest.raises(LocalProtocolError):
        reader.feed(b"{}\n", 9)


def feed_all(reader, data, n_read, found):
    for at in range(0, len(data), n_read):
        found += reader.feed(data[at : at + n_read], 0)


def test_a_closed_reader_takes_no_more():
    reader = LineReader()
    assert reader.feed(b"{}\n", 0)
    assert reader.close(1) == []
    assert reader.feed(b"", 2) == []
    with pytest.raises(LocalProtocolError):
        reader.feed(b"{}\n", 2)


LINES = st.binary(min_size=1, max_size=12).map(lambda line: line.replace(b"\n", b"x").replace(b"\r", b"x"))


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(LINES, max_size=8), st.sampled_from([b"\n", b"\r\n"]), st.integers(1, 40))
def test_what_a_server_writes_comes_back(lines, line_end, n_read):
    stream = b"".join(line + line_end for line in lines)
    reads = [stream[at : at + n_read] for at in range(0, len(stream), n_read)]
    assert [event.data for event in read(reads)] == lines


def test_a_reader_for_every_kind_of_stream():
    assert isinstance(reader_of(NDJSON), LineReader)
    assert not isinstance(reader_of(SSE), LineReader)
