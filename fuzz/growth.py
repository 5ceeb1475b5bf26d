# SPDX-License-Identifier: Apache-2.0
"""Work and memory on streams made to be expensive: both may grow with the bytes fed, and no faster."""

from __future__ import annotations

import contextlib
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fuzz.streams import SECRETS
from inferometer.drive.answer import Answer
from inferometer.engines import DIALECTS
from inferometer.secrecy import Scrubber
from inferometer.wire.errors import RemoteProtocolError
from inferometer.wire.http1 import MAX_HEAD_BYTES, Framing
from inferometer.wire.ndjson import LineReader
from inferometer.wire.sse import MAX_EVENT_BYTES, EventReader

FACTOR = 8  # so many times the bytes may take
MAX_WORK_RATIO = 3 * FACTOR  # so many times the CPU time; work that grows with the square takes 64 times
N_TRIES = 3

_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_HEAD = b"HTTP/1.1 200 OK\r\n"
_EVENT = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'


class Feed(NamedTuple):
    """`begin` once, then `piece` again and again, in reads of `n_read` bytes. `target`: what is fed."""

    name: str
    target: Callable[[], Callable[[bytes], object]]
    begin: bytes
    piece: bytes
    n_read: int
    n_bytes: int = 20_000


def _answer() -> Callable[[bytes], object]:
    answer = Answer(DIALECTS["chat"])
    return lambda data: answer.feed(data, 0)


def _framing() -> Callable[[bytes], object]:
    return Framing(max_head_bytes=1 << 30).feed


def _limited() -> Callable[[bytes], object]:
    return Framing().feed


def _reader() -> Callable[[bytes], object]:
    reader = EventReader()
    return lambda data: reader.feed(data, 0)


def _lines() -> Callable[[bytes], object]:
    reader = LineReader()
    return lambda data: reader.feed(data, 0)


def _scrubber() -> Callable[[bytes], object]:
    return Scrubber(SECRETS).feed


FEEDS = (
    Feed("one header line, byte by byte", _framing, b"HTTP/1.1 200 OK\r\nX: ", b"x", 1),
    Feed("header lines, byte by byte", _framing, b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 1),
    Feed("header lines in one read", _framing, b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 1 << 30),
    Feed("folded header lines in one read", _framing, b"HTTP/1.1 200 OK\r\nX: y\r\n", b" z\r\n", 1 << 30),
    Feed("100 Continue", _framing, b"", b"HTTP/1.1 100 Continue\r\n\r\n", 7),
    Feed("chunks of one byte in one read", _framing, _CHUNKED, b"1\r\nx\r\n", 1 << 30),
    Feed("chunks of one byte, odd sizes", _framing, _CHUNKED, b"001;x\r\nx\r\n", 5),
    Feed("one event, byte by byte", _answer, _STREAM + b"data: ", b"x", 1),
    Feed("one event of empty lines", _answer, _STREAM, b"data\n", 1 << 30),
    Feed("one event of empty lines, byte by byte", _answer, _STREAM, b"data\n", 1),
    Feed("events, byte by byte", _answer, _STREAM, _EVENT, 1),
    Feed("events in one read", _answer, _STREAM, _EVENT, 1 << 30),
    Feed("one line of JSON, byte by byte", _lines, b"", b"x", 1),
    Feed("empty lines of JSON in one read", _lines, b"", b"\n", 1 << 30),
    Feed("comments in one read", _answer, _STREAM, b":\n", 1 << 30),
    Feed("line ends in one read", _answer, _STREAM, b"\n", 1 << 30),
    Feed("CR, byte by byte", _answer, _STREAM, b"\r", 1),
    Feed("ignored lines", _reader, b"", b"x\n", 3),
    Feed("a body of blanks, byte by byte", _answer, b"HTTP/1.1 200 OK\r\n\r\n", b" ", 1),
    Feed("a body, byte by byte", _answer, b"HTTP/1.1 200 OK\r\n\r\n", b"x", 1),
    Feed("beginnings of a secret", _scrubber, b"", b"aaaaaaa", 1 << 30, n_bytes=4_000),
    Feed("beginnings of a secret, byte by byte", _scrubber, b"", b"aaaaaaa", 1, n_bytes=4_000),
    Feed("a secret cut by chunks", _scrubber, b"", b"a\r\n1\r\n", 1 << 30, n_bytes=4_000),
    Feed("a secret cut by chunks, byte by byte", _scrubber, b"", b"a\r\n1\r\n", 1, n_bytes=4_000),
    Feed(
        "a secret cut by long chunk extensions", _scrubber, b"", b"a\r\n1;" + b"x" * 4_000 + b"\r\n", 64, n_bytes=40_000
    ),
    Feed("a secret again and again", _scrubber, b"", SECRETS[0], 1 << 30, n_bytes=4_000),
)


def work_ratio(feed: Feed) -> float:
    """CPU time for FACTOR times the bytes, over that for once; the least of a few tries, as noise only adds."""
    return _least_cpu_s(feed, FACTOR * feed.n_bytes) / _least_cpu_s(feed, feed.n_bytes)


def _least_cpu_s(feed: Feed, n_bytes: int) -> float:
    reads = list(_reads(feed, n_bytes))
    tries = []
    for _ in range(N_TRIES):
        take = feed.target()
        begin = time.process_time()
        for read in reads:
            take(read)
        tries.append(time.process_time() - begin)
    return min(tries)


def _reads(feed: Feed, n_bytes: int) -> Iterator[bytes]:
    data = feed.begin + feed.piece * (n_bytes // len(feed.piece))
    for at in range(0, len(data), feed.n_read):
        yield data[at : at + feed.n_read]


class Hoard(NamedTuple):
    """What a stream may make its reader keep: of `piece`, fed `n_pieces` times, `n_most` bytes at any time."""

    name: str
    target: Callable[[], Callable[[bytes], object]]
    begin: bytes
    piece: bytes
    n_pieces: int
    n_most: int


_MIB = 1 << 20
# A list or buffer that grows takes room for what it is and what it becomes.
HOARDS = (
    Hoard("a head without end", _limited, _HEAD, b"X: " + b"y" * 997, 1_000, 4 * MAX_HEAD_BYTES),
    Hoard("headers without end", _limited, _HEAD, b"X:\n", 100_000, 64 * MAX_HEAD_BYTES),
    Hoard("a size line without end", _limited, _CHUNKED, b"0" * 1_000, 1_000, 4 * MAX_HEAD_BYTES),
    Hoard("trailers without end", _limited, _CHUNKED + b"0\r\n", b"X: y\r\n" * 100, 1_000, 64 * MAX_HEAD_BYTES),
    Hoard("100 Continue without end", _limited, b"", b"HTTP/1.1 100 C\r\n\r\n", 20_000, MAX_HEAD_BYTES),
    Hoard("an event without end", _reader, b"data: ", b"x" * 65_536, 512, 4 * MAX_EVENT_BYTES),
    Hoard("lines without a blank one", _reader, b"", (b"data: " + b"x" * 1_000 + b"\n") * 60, 512, 4 * MAX_EVENT_BYTES),
    Hoard("ignored lines without end", _reader, b"", b"nothing: x\n" * 6_000, 512, 2 * _MIB),
    Hoard("a secret that never comes", _scrubber, b"", b"a\r\n1;" + b"x" * 4_000, 5_000, _MIB),
)  # fmt: skip


def peak_bytes(hoard: Hoard) -> int:
    """The most memory at any time, over what there was before; the pieces themselves left out."""
    take = hoard.target()
    tracemalloc.start()
    try:
        _feed_all(take, hoard)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _feed_all(take: Callable[[bytes], object], hoard: Hoard) -> None:
    with contextlib.suppress(RemoteProtocolError):
        take(hoard.begin)
        for _ in range(hoard.n_pieces):
            take(hoard.piece)


def main() -> int:
    """Print all; 1 if one grows too fast."""
    n_failed = 0
    print(f"CPU time for {FACTOR} times the bytes (linear {FACTOR}, quadratic {FACTOR * FACTOR})")
    for feed in FEEDS:
        ratio = work_ratio(feed)
        n_failed += ratio > MAX_WORK_RATIO
        print(f"  {feed.name:<44}{ratio:6.1f}{'  TOO FAST' if ratio > MAX_WORK_RATIO else ''}", flush=True)
    print("memory at most")
    for hoard in HOARDS:
        n_bytes = peak_bytes(hoard)
        n_failed += n_bytes > hoard.n_most
        n_fed = hoard.n_pieces * len(hoard.piece)
        print(f"  {hoard.name:<44}{n_bytes:>12,} bytes of {n_fed:>12,} fed, {hoard.n_most:>12,} allowed"
              f"{'  TOO MUCH' if n_bytes > hoard.n_most else ''}", flush=True)  # fmt: skip
    return 1 if n_failed else 0
