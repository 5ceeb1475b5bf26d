# SPDX-License-Identifier: Apache-2.0
"""Lines of JSON, as Ollama streams them: the bytes of a body in, events out.

Rule 1: an event belongs to the read that brought the end of its line; how the stream was cut changes nothing else.
Rule 2: data stays bytes. A line ends in LF, a CR before it does not count; JSON holds neither inside a string.
Rule 3: nothing vanishes silently: the torn last line is delivered and marked, empty lines are counted.
"""

from __future__ import annotations

from inferometer.wire.errors import LocalProtocolError, RemoteProtocolError
from inferometer.wire.sse import MAX_EVENT_BYTES, ServerEvent


class LineReader:
    """Reads one stream, as `sse.EventReader` does its kind. `n_ignored`: lines with nothing in them."""

    __slots__ = ("_is_closed", "_line", "_max_event_bytes", "n_ignored")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.n_ignored = 0
        self._max_event_bytes = max_event_bytes
        self._line = bytearray()  # the unfinished line
        self._is_closed = False  # by close() or by a fault

    def feed(self, data: bytes, read_id: int) -> list[ServerEvent]:
        """The lines that these bytes completed, in order.

        Raises: RemoteProtocolError, with the events before it, if a line is longer than `max_event_bytes`;
        LocalProtocolError when fed again after that, or after `close`.
        """
        if not data:
            return []
        if self._is_closed:
            raise LocalProtocolError("feed() after close() or a protocol error")
        events: list[ServerEvent] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._extend(line, events)
            whole = bytes(self._line).removesuffix(b"\r")
            self._line.clear()
            if whole:
                events.append(ServerEvent("message", whole, read_id))
            else:
                self.n_ignored += 1
        self._extend(rest, events)
        return events

    def plain(self, data: bytes) -> bytes | None:
        """The line, if these bytes are one whole line and nothing else; else None: they are to be fed."""
        if self._line or self._is_closed or data.find(b"\n") != len(data) - 1 or len(data) > self._max_event_bytes:
            return None
        return data[:-1].removesuffix(b"\r") or None

    def close(self, read_id: int) -> list[ServerEvent]:
        """The stream ended after read `read_id`: an unfinished line is delivered with `is_complete=False`."""
        line = bytes(self._line).removesuffix(b"\r")
        self._line.clear()
        self._is_closed = True
        return [ServerEvent("message", line, read_id, is_complete=False)] if line else []

    def _extend(self, piece: bytes, events: list[ServerEvent]) -> None:
        if len(self._line) + len(piece) > self._max_event_bytes:
            self._is_closed = True
            fault = RemoteProtocolError(f"a line of the stream is longer than {self._max_event_bytes} bytes")
            fault.before = list(events)
            raise fault
        self._line += piece
