# SPDX-License-Identifier: Apache-2.0
"""Server-sent events: what is an event, which read completed it, and that no cut changes the answer."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.wire.errors import LocalProtocolError, RemoteProtocolError
from inferometer.wire.sse import EventReader, ServerEvent

BOM = b"\xef\xbb\xbf"


def read(reads: list[bytes]) -> list[ServerEvent]:
    """All events of a stream, with the number of the read that completed each; the end of the stream is one more."""
    reader = EventReader()
    events = [event for i, data in enumerate(reads) for event in reader.feed(data, i)]
    return events + reader.close(len(reads))


def told(events: list[ServerEvent]) -> list[tuple[str, bytes, bool, bool]]:
    """Events without the read, which depends on the cut."""
    return [(event.type, event.data, event.is_comment, event.is_complete) for event in events]


def by_the_book(stream: bytes) -> list[tuple[str, bytes, bool, bool]]:
    """The standard's algorithm, word for word and on the whole stream at once; the oracle of these tests."""
    found: list[tuple[str, bytes, bool, bool]] = []
    data: list[bytes] = []
    event_type = ""
    *lines, rest = re.split(rb"\r\n|\r|\n", stream.removeprefix(BOM))
    for i, line in enumerate([*lines, rest, b""]):
        is_complete = i < len(lines)
        if line == b"":
            if data:
                found.append((event_type or "message", b"\n".join(data), False, is_complete))
            data, event_type = [], ""
            continue
        name, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if name == b"":
            found.append(("", value, True, is_complete))
        elif name == b"data" or name == b"error":
            data.append(value)
            event_type = "error" if name == b"error" else event_type
        elif name == b"event":
            event_type = value.decode(errors="replace")
    return found


def message(data: bytes, is_complete: bool = True) -> tuple[str, bytes, bool, bool]:
    return ("message", data, False, is_complete)


def comment(text: bytes, is_complete: bool = True) -> tuple[str, bytes, bool, bool]:
    return ("", text, True, is_complete)


# Streams are written with LF; each is also read with CR, CR LF and a byte order mark.
STREAMS = {
    "nothing": (b"", []),
    "one event": (b"data: a\n\n", [message(b"a")]),
    "several events": (b"data: a\n\ndata: b\n\ndata: [DONE]\n\n", [message(b"a"), message(b"b"), message(b"[DONE]")]),
    "no blank after the colon": (b"data:a\n\ndata:b\n\n", [message(b"a"), message(b"b")]),
    "only one blank is dropped": (b"data: a\n\ndata:  b \n\n", [message(b"a"), message(b" b ")]),
    "a tab is no blank": (b"data: a\n\ndata:\tb\n\n", [message(b"a"), message(b"\tb")]),
    "colons in the data": (b"data: a\n\ndata: {a: b}: c\n\n", [message(b"a"), message(b"{a: b}: c")]),
    "several data lines": (b"data: a\n\ndata: {\ndata:  b\ndata: }\n\n", [message(b"a"), message(b"{\n b\n}")]),
    "empty data": (b"data:\n\ndata: \n\ndata\n\n", [message(b""), message(b""), message(b"")]),
    "two empty data lines": (b"data\ndata\n\ndata:", [message(b"\n"), message(b"", False)]),
    "more blank lines": (b"\n\ndata: a\n\n\n\n\ndata: b\n\n\n", [message(b"a"), message(b"b")]),
    "a type": (b"event: error\ndata: {}\n\ndata: a\n\n", [("error", b"{}", False, True), message(b"a")]),
    "type after data": (b"data: {}\nevent:ping\n\ndata: a\n\n", [("ping", b"{}", False, True), message(b"a")]),
    "the last type holds": (b"event: a\nevent: b\ndata\n\n", [("b", b"", False, True)]),
    "type without data": (b"event: a\n\ndata: b\n\n", [message(b"b")]),
    "type in UTF-8": ("event: é\ndata\n\n".encode(), [("é", b"", False, True)]),
    "type in no UTF-8": (b"event: \xff\ndata\n\n", [("�", b"", False, True)]),
    "id and retry": (b"id: 1\nretry: 10\ndata: a\n\nid\n\n", [message(b"a")]),
    "other fields": (b"data: a\n\nfoo: x\nDATA: y\n data: z\ndata : w\n{}\n\n", [message(b"a")]),
    "comments": (b": ping\n\n:\n:: x\n\ndata: a\n\n", [comment(b"ping"), comment(b""), comment(b": x"), message(b"a")]),
    "comment inside an event": (b"data: a\n: ping\ndata: b\n\n", [comment(b"ping"), message(b"a\nb")]),
    "field named error": (
        b'data: a\n\nerror: {"code":500}\n\n',
        [message(b"a"), ("error", b'{"code":500}', False, True)],
    ),
    "characters of several bytes": (
        "data: a\n\ndata: 漢字🙂é\n\n".encode(),
        [message(b"a"), message("漢字🙂é".encode())],
    ),
    "bytes that are not UTF-8": (b"data: a\n\ndata: \xff\xfe\x00\x85\x0b\x0c\x1c\n\n", None),
    "no blank line at the end": (b"data: a\n\ndata: b\n", [message(b"a"), message(b"b", False)]),
    "no line end at the end": (b"data: a\n\ndata: [DONE]", [message(b"a"), message(b"[DONE]", False)]),
    "comment without line end": (b"data: a\n\n: pin", [message(b"a"), comment(b"pin", False)]),
    "half a field name at the end": (b"data: a\n\ndat", [message(b"a")]),
    "mark in the middle": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [message(b"a")]),
    "long event": (b"data: a\n\ndata: " + b"x" * 3_000 + b"\n\n", [message(b"a"), message(b"x" * 3_000)]),
}


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", BOM])
@pytest.mark.parametrize("name", STREAMS)
def test_stream_is_read_alike_under_every_cut(name, mark, line_end, cuts):
    stream, expected = STREAMS[name]
    stream = mark + stream.replace(b"\n", line_end)
    assert by_the_book(stream) == (expected or by_the_book(stream))
    for reads in cuts(stream):
        assert told(read(reads)) == by_the_book(stream)


CR_AMONG_LF = [b"data: a\rdata: b\n\n", b"data: a\n\ndata: b\r\n\n", b"data: a\n\ndata: b\r\rdata: c\n\n"]


@pytest.mark.parametrize("stream", [stream for stream, _ in STREAMS.values()] + CR_AMONG_LF)
def test_fast_and_general_path_agree(stream):
    """The fast path needs a reader between two events; a comment that is still open keeps another one off it."""
    fast = EventReader()
    assert fast.feed(b":\n", 0) == [ServerEvent("", b"", 0, True)]
    general = EventReader()
    assert general.feed(b":", 0) == []
    in_fast = fast.feed(stream, 1) + fast.close(2)
    in_general = general.feed(b"\n" + stream, 1)[1:] + general.close(2)
    assert in_fast == in_general
    assert fast.n_ignored == general.n_ignored


def test_trailing_bytes_do_not_disturb_what_came_before(cuts):
    for stream, expected in STREAMS.values():
        if stream.endswith(b"\n\n") and expected:
            for reads in cuts(stream + b"data: trailing"):
                assert told(read(reads)) == [*expected, message(b"trailing", False)]


def test_mixed_line_ends(cuts):
    stream = b"data: a\r\rdata: b\n\r\ndata: c\r\n\rdata: d\r\n\n\ndata: e\r\n\r\n: x\r\r\n\n"
    expected = [message(letter) for letter in (b"a", b"b", b"c", b"d", b"e")] + [comment(b"x")]
    for reads in cuts(stream):
        assert told(read(reads)) == expected


# -- which read completed an event -------------------------------------------------------------------------------------


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_event_belongs_to_the_read_that_ended_its_blank_line(line_end):
    stream = b"data: a\n\ndata: b\n\n".replace(b"\n", line_end)
    # CR ends a line whether or not an LF follows: an event of a CR LF stream is whole one byte earlier.
    whole_at = [len(stream) // 2 - (line_end == b"\r\n"), len(stream) - (line_end == b"\r\n")]
    for n_bytes in range(len(stream)):
        events = read([stream[:n_bytes], stream[n_bytes:]])
        assert [event.read_id for event in events] == [0 if n_bytes >= at else 1 for at in whole_at]


def test_comment_belongs_to_the_read_that_ended_its_line():
    assert read([b": pi", b"ng", b"\n"]) == [ServerEvent("", b"ping", 2, is_comment=True)]


def test_unfinished_event_belongs_to_the_end():
    assert read([b"data: a\n", b"data: b"]) == [ServerEvent("message", b"a\nb", 2, is_complete=False)]


def test_events_of_one_read_share_its_number():
    reader = EventReader()
    assert [event.read_id for event in reader.feed(b"data: a\n\ndata: b\n\n: c\n\ndata: d\n\n", 7)] == [7, 7, 7, 7]


def test_empty_reads_change_nothing():
    assert told(read([b"", b"data: a\r", b"", b"\n", b"", b"\r\n", b""])) == [message(b"a")]


def test_events_are_out_as_soon_as_they_are_whole():
    reader = EventReader()
    assert reader.feed(b"data: a\n", 0) == []
    assert told(reader.feed(b"\n", 1)) == [message(b"a")]
    assert told(reader.feed(b"data: b\n\ndata: c", 2)) == [message(b"b")]
    assert told(reader.feed(b"\n\n", 3)) == [message(b"c")]


# -- what is ignored, refused, bounded ---------------------------------------------------------------------------------


def test_what_the_standard_ignores_is_counted():
    reader = EventReader()
    reader.feed(b'data: a\n\n{"error": "not a stream at all"}\n\nevent: x\n\nid: 1\nretry: 2\n\n', 0)
    assert reader.n_ignored == 2


@pytest.mark.parametrize("n_read", [1, 64, 10_000])
@pytest.mark.parametrize(
    "flood", [b"data: " + b"x" * 5_000, b": " + b"x" * 5_000, b"data: xxx\n" * 500, b"id: 1\n" * 900]
)
def test_an_event_that_never_ends_is_refused(flood, n_read):
    reader = EventReader(max_event_bytes=1_000)
    reader.feed(b"data: a\n\n", 0)
    feed_all(reader, flood[:900], n_read)
    with pytest.raises(RemoteProtocolError, match="longer than 1000 bytes"):
        feed_all(reader, flood[900:], n_read)
    with pytest.raises(LocalProtocolError):
        reader.feed(b"data: b\n\n", 9)


def feed_all(reader, data, n_read):
    for at in range(0, len(data), n_read):
        reader.feed(data[at : at + n_read], 0)


@pytest.mark.parametrize("n_read", [1, 600, 100_000])
def test_an_event_of_exactly_the_limit_is_read_and_streams_may_be_longer(n_read):
    reader = EventReader(max_event_bytes=1_000)
    event = b"data: " + b"x" * 994 + b"\n\n"
    stream = b"data: a\n\n" + (event + b": ping\n\n") * 20
    events = [e for at in range(0, len(stream), n_read) for e in reader.feed(stream[at : at + n_read], 0)]
    assert [len(e.data) for e in events if not e.is_comment] == [1] + [994] * 20
    with pytest.raises(RemoteProtocolError):
        feed_all(reader, event.replace(b"\n\n", b"x\n\n"), n_read)


def test_a_closed_reader_takes_no_more():
    reader = EventReader()
    reader.feed(b"data: a\n\n", 0)
    assert reader.close(1) == []
    with pytest.raises(LocalProtocolError):
        reader.feed(b"data: b\n\n", 2)
    assert reader.feed(b"", 2) == []


# -- real engines, and any stream --------------------------------------------------------------------------------------


def test_recorded_streams_are_json_to_the_last_event(transcripts, cuts):
    n_streams = 0
    for name, (head, body) in transcripts.items():
        if b"text/event-stream" not in head:
            continue
        n_streams += 1
        for line_end in (b"\n", b"\r\n", b"\r"):
            for reads in cuts(body.replace(b"\n", line_end), 2):
                events = read(reads)
                assert all(event.is_complete and event.type == "message" for event in events), name
                assert len(events) == body.count(b"data: "), name
                for event in events:
                    assert event.data == b"[DONE]" or isinstance(json.loads(event.data), dict), name
    assert n_streams >= 10


LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
VALUES = st.binary(max_size=12).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b""))
LINES = st.one_of(
    st.just(b""),
    st.builds(
        lambda name, value: name + value, st.sampled_from([b"data: ", b"data:", b"event: ", b": ", b":"]), VALUES
    ),
    st.sampled_from([b"data", b"event", b"id: 1", b"retry: 5", b"error: x", b"foo: bar", "data: é🙂".encode(), BOM]),
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(LINES, max_size=20))
    one_end = draw(st.one_of(st.none(), LINE_ENDS))
    ends = [one_end or draw(LINE_ENDS) for _ in lines]
    mark = draw(st.sampled_from([b"", BOM, BOM[:2], BOM + BOM]))
    rest = draw(st.one_of(st.just(b""), LINES))
    return mark + b"".join(line + end for line, end in zip(lines, ends, strict=True)) + rest


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(streams(), st.lists(st.integers(0, 400), max_size=6))
def test_any_stream_is_read_by_the_book(stream, places):
    places = sorted(min(place, len(stream)) for place in places)
    pieces = [stream[start:stop] for start, stop in zip([0, *places], [*places, len(stream)], strict=True)]
    for reads in (pieces, [stream], [stream[i : i + 1] for i in range(len(stream))]):
        assert told(read(reads)) == by_the_book(stream)
        assert told(read([b":\n", *reads])) == by_the_book(b":\n" + stream)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.text(max_size=30).filter(lambda text: "\r" not in text), max_size=8), LINE_ENDS, st.integers(1, 40))
def test_what_a_server_writes_comes_back(texts, line_end, n_read):
    stream = b""
    for text in texts:
        stream += b"".join(b"data: " + line.encode() + line_end for line in text.split("\n")) + line_end
    reads = [stream[at : at + n_read] for at in range(0, len(stream), n_read)]
    assert told(read(reads)) == [message(text.encode()) for text in texts]
