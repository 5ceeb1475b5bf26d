# SPDX-License-Identifier: Apache-2.0
"""One answer, from the bytes of its reads to chunks and facts.

Rule 1: the same code decodes in the slack of a run, after it, and from a recorder that a kill cut off.
Rule 2: an event belongs to the read that completed it; stamps are looked up by read, never taken here.
Rule 3: whatever the peer sends ends in `Answer` fields; only our own bugs raise.
"""

from __future__ import annotations

import dataclasses
import re
from array import array
from collections.abc import Iterable
from typing import Any

from inferometer.engines.engine import Delta, Dialect, DialectError, Timings, Usage
from inferometer.kinds import TOKEN_BEARING, ChunkKind, Outcome
from inferometer.wire.errors import RemoteProtocolError
from inferometer.wire.http1 import Framing, Head
from inferometer.wire.sse import ServerEvent
from inferometer.wire.streams import SSE, Reader, reader_of

MAX_BODY_BYTES = 64 << 20  # of an answer that is not a stream; far above any real one, so that memory stays bounded
MAX_ERROR_CHARS = 300
_CONTENT = ChunkKind.CONTENT
_OPENINGS = (b"data:", b"event:", b":")  # how a stream of server-sent events begins
_OPENING_BYTES = max(map(len, _OPENINGS))
_RETRY_AFTER = re.compile(r"[0-9]{1,9}|[A-Za-z0-9,: ]{1,40}", re.ASCII)  # seconds, or a date


class Answer:
    """Feed it reads; it keeps one row per delta in parallel arrays (kinds, n_tokens, n_bytes, read_ids)."""

    __slots__ = (
        "_body",
        "_dialect",
        "_events",
        "_framing",
        "_n_body_bytes",
        "_opening",
        "_state",
        "engine_error",
        "fault",
        "finish",
        "head_read",
        "is_complete",
        "is_done_seen",
        "is_streamed",
        "kinds",
        "n_bytes",
        "n_tokens",
        "read_ids",
        "status",
        "timings",
        "usage",
        "usage_read",
    )

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._framing = Framing()
        self._events: Reader | None = None
        self._body: list[bytes] | None = None
        self._n_body_bytes = 0
        self._opening: bytes | None = None  # of a body, while it may yet turn out to be a stream
        self._state: Any = dialect.start()
        self.status: int | None = None
        self.head_read: int | None = None
        self.is_complete = False  # the HTTP message ended as it should
        self.is_done_seen = False
        self.is_streamed = False  # it came as a stream of events, whether or not that was asked for
        self.finish = ""
        self.usage = Usage()
        self.usage_read: int | None = None
        self.timings = Timings()
        self.engine_error = ""  # the server's own words, from an error event or an error body
        self.fault = ""  # how the peer broke HTTP, SSE or the dialect
        self.kinds = array("b")
        self.n_tokens = array("h")
        self.n_bytes = array("i")
        self.read_ids = array("i")

    def feed(self, data: bytes, read_id: int) -> None:
        """The bytes of one read. After a fault the rest is ignored."""
        if self.fault or self.is_complete:
            return
        fault = ""
        try:
            spans = self._framing.feed(data)
        except RemoteProtocolError as error:
            spans, fault = error.before, str(error)
        try:
            if self.status is not None or self._begin(read_id):
                for start, stop in spans:
                    body = data[start:stop]
                    plain = None if self._events is None else self._events.plain(body)
                    if plain is None:
                        self._take(body, read_id)
                    else:
                        self._decode("message", plain, read_id)
                if self._framing.is_done:
                    self._finish(read_id)
        except (RemoteProtocolError, DialectError) as error:
            fault = str(error)  # it stands before one of the framing
        self.fault = fault

    def close(self, read_id: int) -> None:
        """The peer closed the connection after read `read_id`."""
        if self.fault or self.is_complete or self.status is None:
            return
        if self.is_done_seen and self.finish:
            self.is_complete = True  # the HTTP message was left open or cut, but all that it should carry is there
            return
        try:
            self._framing.eof()
            self._finish(read_id)
        except (RemoteProtocolError, DialectError) as error:
            self.fault = str(error)

    def _begin(self, read_id: int) -> bool:
        head = self._framing.head
        if head is None:
            return False
        self.status = head.status
        self.head_read = read_id
        if head.status == 200 and (head.get("content-type") or "").startswith(self._dialect.streams_as):
            self._begin_stream()
        else:
            self._body = []
            self._opening = b"" if head.status == 200 and self._dialect.streams_as == SSE else None
        return True

    def _begin_stream(self) -> None:
        self._events = reader_of(self._dialect.streams_as)
        self._body = None
        self.is_streamed = True

    def _take(self, data: bytes, read_id: int) -> None:
        if self._body is not None:
            self._body.append(data)
            self._n_body_bytes += len(data)
            if self._n_body_bytes > MAX_BODY_BYTES:
                raise RemoteProtocolError(f"the answer is longer than {MAX_BODY_BYTES >> 20} MiB and is not a stream")
            if not self._is_stream_after_all(data):
                return
            data = b"".join(self._body)
            self._begin_stream()
        if self._events is not None:
            try:
                self._take_events(self._events.feed(data, read_id))
            except RemoteProtocolError as error:
                self._take_events(error.before)
                raise

    def _is_stream_after_all(self, data: bytes) -> bool:
        """Whether the body is a stream under another content type, as soon as its first bytes tell."""
        if self._opening is None:
            return False
        self._opening = (self._opening + data).lstrip()[:_OPENING_BYTES]
        if self._opening.startswith(_OPENINGS):
            return True
        if not any(opening.startswith(self._opening) for opening in _OPENINGS):
            self._opening = None
        return False

    def _take_events(self, events: Iterable[ServerEvent]) -> None:
        for event in events:
            if event.is_comment:
                self._add(Delta(ChunkKind.PING), event.read_id)
            else:
                self._decode(event.type, event.data, event.read_id)

    def _decode(self, event_type: str, data: bytes, read_id: int) -> None:
        self._state, deltas = self._dialect.decode(self._state, event_type, data)
        for delta in deltas:
            self._add(delta, read_id)

    def _add(self, delta: Delta, read_id: int) -> None:
        kind, text, n_tokens = delta.kind, delta.text, delta.n_tokens
        self.kinds.append(kind)
        self.n_tokens.append(-1 if n_tokens is None else n_tokens)
        self.n_bytes.append(len(text) if text.isascii() else len(text.encode(errors="surrogatepass")))
        self.read_ids.append(read_id)
        if kind is _CONTENT and delta.finish is None and delta.usage is None:
            return  # as nearly all are
        if delta.finish:
            self.finish = delta.finish
        if delta.usage is not None:
            self.usage = _newer(self.usage, delta.usage)
            self.usage_read = read_id
        if delta.timings is not None:
            self.timings = delta.timings
        if kind is ChunkKind.DONE:
            self.is_done_seen = True
        elif kind is ChunkKind.ERROR:
            self.engine_error = text[:MAX_ERROR_CHARS] or "an error without a message"

    def _finish(self, read_id: int) -> None:
        self.is_complete = True
        if self._events is not None:
            self.is_done_seen |= self._dialect.ends_with_body
            for event in self._events.close(read_id):
                if not event.is_comment and event.data:
                    self._decode(event.type, event.data, event.read_id)
        elif self._body is not None:
            body = b"".join(self._body)
            self._body = []
            if self.status == 200:
                for delta in self._dialect.decode_body(body):
                    self._add(delta, read_id)
            else:
                self.engine_error = _words_of(self._framing.head, self._dialect.error_text(body))

    @property
    def n_output_tokens(self) -> int | None:
        """Usage first; else the sum of per-event counts, if every token-bearing event told."""
        if self.usage.n_output_tokens is not None:
            return self.usage.n_output_tokens
        counts = [n for kind, n in zip(self.kinds, self.n_tokens, strict=True) if kind in TOKEN_BEARING]
        return sum(counts) if counts and min(counts) >= 0 else None

    def outcome(self, n_output_tokens_asked: int) -> tuple[Outcome, str]:
        """What a completely transported answer amounts to, and one line of why.

        A success has status 200, no error object, at least one token and a finish reason; without a finish reason, an
        end marker and exactly the length asked for will do (some servers never tell a reason).
        """
        if self.fault:
            return Outcome.PROTOCOL, self.fault
        if self.status is not None and self.status != 200:
            return Outcome.HTTP_STATUS, f"HTTP {self.status}: {self.engine_error}".rstrip(": ")
        if self.engine_error:
            return Outcome.ENGINE_ERROR, self.engine_error
        n_tokens = self.n_output_tokens
        if not n_tokens and not any(kind in TOKEN_BEARING for kind in self.kinds):
            return Outcome.TRUNCATED, "the answer holds no token"
        if not self.finish and not (self.is_done_seen and n_tokens == n_output_tokens_asked):
            return Outcome.TRUNCATED, "the stream ended without a finish reason"
        return Outcome.OK, ""


def _words_of(head: Head | None, said: str) -> str:
    """What an error answer says: its body, else the status line; and when to come back, if a header tells."""
    if head is None:
        return said[:MAX_ERROR_CHARS]
    later = _RETRY_AFTER.fullmatch(head.get("retry-after") or "")
    when = "" if later is None else f" (retry after {later[0]}{' s' if later[0].isdigit() else ''})"
    return ((said or head.reason)[:MAX_ERROR_CHARS] + when).strip()


def _newer(old: Usage, new: Usage) -> Usage:
    """The later count wins, field by field: usage can come in pieces (llama.cpp's timings, then the usage event)."""
    told = {f.name: value for f in dataclasses.fields(new) if (value := getattr(new, f.name)) is not None}
    return dataclasses.replace(old, **told)
