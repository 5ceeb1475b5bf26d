# SPDX-License-Identifier: Apache-2.0
"""Server-sent events: the bytes of a body in, events out (WHATWG HTML, 9.2 "Server-sent events").

Rule 1: an event belongs to the read that completed it: the one that brought the end of its blank line.
Rule 2: data stays bytes. Lines are cut at CR and LF only, which never occur inside a UTF-8 character, so an event may
be cut into reads anywhere.
Rule 3: how the stream was cut changes nothing but `read_id`.
Rule 4: nothing vanishes silently. Comments are events too (keep-alive pings are facts), the torn last event is
delivered and marked, and lines that the standard tells us to ignore are counted.

What the standard says, and what follows from it:
  - A line ends in CR LF, LF or CR. A CR therefore ends its line at once; an LF that comes next, perhaps in a later
    read, belongs to it.
  - One blank after the colon is dropped: `data:x` and `data: x` are the same; `data:  x` keeps one.
  - Several `data` lines are joined by LF. A blank line dispatches, but only if there was a data line.
  - `id` and `retry` serve reconnecting, which we never do: a broken stream is a result. Other fields are ignored.

One deviation: a line `error: {...}` is delivered as an event of type "error". llama.cpp servers up to autumn 2025
report errors in mid-stream that way (https://github.com/ggml-org/llama.cpp/pull/16109).
"""

from __future__ import annotations

from typing import NamedTuple

from inferometer.wire.errors import LocalProtocolError, RemoteProtocolError

MAX_EVENT_BYTES = 16 << 20  # an event with log probabilities of a long answer takes some MB; memory stays bounded
_BOM = b"\xef\xbb\xbf"


class ServerEvent(NamedTuple):
    """One event, or one comment (`type` "", `data` its text). A tuple: 0.2 us to make, a frozen class takes 0.6.

    read_id: the read that completed it.   is_complete: False if the stream ended before its blank line.
    """

    type: str
    data: bytes
    read_id: int
    is_comment: bool = False
    is_complete: bool = True


class EventReader:
    """Reads one stream. `n_ignored`: lines that a reader has to ignore (unknown fields, types without data)."""

    __slots__ = (
        "_data",
        "_is_at_start",
        "_is_between",
        "_is_closed",
        "_is_lf_expected",
        "_line",
        "_max_event_bytes",
        "_n_bytes",
        "_type",
        "n_ignored",
    )

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.n_ignored = 0
        self._max_event_bytes = max_event_bytes
        self._line = bytearray()  # the unfinished line
        self._data: list[bytes] = []  # data lines of the unfinished event
        self._type = ""
        self._n_bytes = 0  # of the finished lines of the unfinished event
        self._is_lf_expected = False  # the last read ended in CR
        self._is_at_start = True  # no line was read yet: it may begin with a BOM
        self._is_between = False  # a line was read, and no event or line is unfinished
        self._is_closed = False  # by close() or by a fault

    def feed(self, data: bytes, read_id: int) -> list[ServerEvent]:
        """The events and comments that these bytes completed, in order.

        Raises: RemoteProtocolError, with the events before it, if one event is longer than `max_event_bytes`;
        LocalProtocolError when fed again after that, or after `close`.
        """
        events: list[ServerEvent] = []
        if self._is_between and data.find(b"\r") < 0 and len(data) <= self._max_event_bytes:
            # Fast path: whole events of one data line each, as most servers send them. About 1 us per event.
            *blocks, data = data.split(b"\n\n")
            for block in blocks:
                if block.startswith(b"data: ") and b"\n" not in block:
                    events.append(ServerEvent("message", block[6:], read_id))
                else:
                    self._feed_lines(block + b"\n\n", read_id, events)
        if data:
            self._feed_lines(data, read_id, events)
        return events

    def plain(self, data: bytes) -> bytes | None:
        """The data of an event of type "message", if these bytes are that and nothing else, as nearly all are; else
        None: they are to be fed. Saves two thirds of the time of `feed`."""
        if (
            self._is_between
            and data.startswith(b"data: ")
            and data.find(b"\n") == len(data) - 2
            and data.endswith(b"\n\n")
            and b"\r" not in data
            and len(data) <= self._max_event_bytes
        ):
            return data[6:-2]
        return None

    def close(self, read_id: int) -> list[ServerEvent]:
        """The stream ended after read `read_id`: what was unfinished is delivered with `is_complete=False`."""
        events: list[ServerEvent] = []
        if self._line:
            line = bytes(self._line)
            self._line.clear()
            self._take_line(line, read_id, events)
        self._dispatch(read_id, events)
        self._is_between = False
        self._is_closed = True
        return [event._replace(is_complete=False) for event in events]

    def _feed_lines(self, data: bytes, read_id: int, events: list[ServerEvent]) -> None:
        """The general path: line by line, any split, any line end."""
        if self._is_closed:
            raise LocalProtocolError("feed() after close() or a protocol error")
        if self._is_lf_expected and data.startswith(b"\n"):
            data = data[1:]
        for piece in data.splitlines(keepends=True):  # of bytes: cuts at CR LF, LF and CR, nowhere else
            line = piece.rstrip(b"\r\n")
            if self._n_bytes + len(self._line) + len(line) > self._max_event_bytes:
                self._is_closed = True
                fault = RemoteProtocolError(f"an event of the stream is longer than {self._max_event_bytes} bytes")
                fault.before = events
                raise fault
            if len(line) == len(piece):
                self._line += line
            elif self._line:
                line = bytes(self._line + line)
                self._line.clear()
                self._take_line(line, read_id, events)
            else:
                self._take_line(line, read_id, events)
        self._is_lf_expected = data.endswith(b"\r")
        self._is_between = not (self._line or self._n_bytes or self._is_lf_expected)

    def _take_line(self, line: bytes, read_id: int, events: list[ServerEvent]) -> None:
        """One whole line, without its end."""
        if self._is_at_start:
            self._is_at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(read_id, events)
            return
        if line.startswith(b":"):
            events.append(ServerEvent("", line[1:].removeprefix(b" "), read_id, is_comment=True))
            return
        self._n_bytes += len(line)
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._type = value.decode(errors="replace")
        elif name == b"error":
            self._type = "error"
            self._data.append(value)
        elif name not in (b"id", b"retry"):
            self.n_ignored += 1

    def _dispatch(self, read_id: int, events: list[ServerEvent]) -> None:
        """The blank line: what was gathered is an event, if there is data."""
        if self._data:
            events.append(ServerEvent(self._type or "message", b"\n".join(self._data), read_id))
        elif self._type:
            self.n_ignored += 1
        self._data.clear()
        self._type = ""
        self._n_bytes = 0
