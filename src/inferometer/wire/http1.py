# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1, the client's half: encode one request, follow one answer.

Rule 1: no socket, no clock, no copy. `Framing.feed` tells which bytes of a read are body; the caller, who keeps the
read anyway, cuts them out when it has time to.
Rule 2: how the stream was cut into reads never changes the result, except that spans end where reads end.
Rule 3: bytes of the peer lead to spans or to RemoteProtocolError, which carries the spans before the fault; nothing can
be followed after it.
Rule 4: memory is bounded: only an unfinished line and the lines of an unfinished head are kept.

Where real servers are sloppy and no harm is done we are lenient (RFC 9112): lines of heads and trailers may end in LF
alone, chunk sizes may be followed by blanks, folded header lines are joined. Where two parties could disagree about
where a message ends we are strict: chunk framing ends in CR LF, lengths are plain digits and agree, header names touch
their colon.

How the body is delimited (RFC 9112, 6.3), and the steps it leads through:

    HEAD --- no body: asked by HEAD, or status 204, 304 -------------------------------------> DONE
      |----- transfer-encoding: chunked --> SIZE -> CHUNK -> CR -> LF -> SIZE ... -> TRAILERS -> DONE
      |----- content-length ----------------> BODY --------------------------------------------> DONE
      '----- neither -----------------------> UNTIL_CLOSE --- eof() ---------------------------> DONE
    1xx answers are skipped: HEAD -> HEAD. Any step leads to FAULTY when the peer breaks the rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from inferometer.wire.errors import LocalProtocolError, RemoteProtocolError, glimpse

MAX_HEAD_BYTES = 65_536  # status line and headers; h11 and uvicorn take 64 KiB too
MAX_SIZE_LINE_BYTES = 4_096  # a chunk's size with its extensions, which nobody sends

# Plain ints: the hot path compares them, and enum members cost an attribute look-up each.
_HEAD, _SIZE, _CHUNK, _CR, _LF, _TRAILERS, _BODY, _UNTIL_CLOSE, _DONE, _FAULTY = range(10)

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110, 5.6.2
_STATUS_LINE = re.compile(rb"HTTP/(\d\.\d) ([1-9]\d\d)(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):([^\x00\r\n]*)")
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)

# Size lines met so far ("e3" -> 227): a look-up is twice as fast as a strict parse. Answers of language models use a
# few hundred sizes; the bounds keep a hostile peer from filling memory.
_SIZES: dict[bytes, int] = {}
_MAX_SIZES = 4_096
_MAX_KNOWN_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers of an answer. Names are lower case, in order of arrival; text is Latin-1."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """The value of a header (lower-case name); repeated ones joined by ", " (RFC 9110, 5.3). None if absent."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None

    def words(self, name: str) -> list[str]:
        """The comma-separated words of a header, lower case."""
        return [word for part in (self.get(name) or "").split(",") if (word := part.strip(" \t").lower())]


class Framing:
    """Follows one answer. Make a new one for every request on a connection.

    head: None until the head of the final (not 1xx) answer is complete.
    is_done: the answer is complete.
    keeps_alive: once done, whether the connection may carry another request.
    n_unused: bytes of the last feed beyond the end of the answer. There are none unless the peer talks unasked, or the
    lengths are wrong; the connection is then not reusable.
    """

    __slots__ = (
        "_is_head_request",
        "_line",
        "_lines",
        "_max_head_bytes",
        "_n_left",
        "_room",
        "_step",
        "head",
        "is_done",
        "keeps_alive",
        "n_unused",
    )

    def __init__(self, is_head_request: bool = False, max_head_bytes: int = MAX_HEAD_BYTES) -> None:
        self.head: Head | None = None
        self.is_done = False
        self.keeps_alive = False
        self.n_unused = 0
        self._is_head_request = is_head_request
        self._max_head_bytes = max_head_bytes
        self._step = _HEAD
        self._line = bytearray()  # the unfinished line
        self._lines: list[bytes] = []  # finished lines of the unfinished head or trailers
        self._room = max_head_bytes  # bytes that the lines of this step may still take
        self._n_left = 0  # bytes of the body, or of the chunk, still to come

    def passes(self, data: bytes) -> bool:
        """True if `data` is exactly one chunk in the midst of a chunked body: nothing else is to be learned, and
        it counts as fed. Otherwise feed it. For a loop that needs the ends of answers only; about 0.2 us.
        """
        if self._step != _SIZE or self._line:
            return False
        eol = data.find(b"\r\n", 0, 8)
        size = _SIZES.get(data[:eol])
        return size is not None and eol + size + 4 == len(data) and data[-2:] == b"\r\n"

    def feed(self, data: bytes) -> list[tuple[int, int]]:
        """Half-open spans of `data` that are body bytes, in order, none empty; transfer framing is left out.

        Raises: RemoteProtocolError; LocalProtocolError when fed again after that.
        """
        spans: list[tuple[int, int]] = []
        at = 0
        if self._step == _SIZE and not self._line:
            # Hot path: whole chunks, as streaming servers send them, one per write. About 0.5 us for one chunk.
            n_bytes = len(data)
            while True:
                eol = data.find(b"\r\n", at, at + 8)
                if eol < 0:
                    break
                size = _SIZES.get(data[at:eol])
                if size is None:
                    break
                start = eol + 2
                stop = start + size
                if data[stop : stop + 2] != b"\r\n":
                    break
                spans.append((start, stop))
                at = stop + 2
                if at == n_bytes:
                    return spans
        try:
            self._follow(data, at, spans)
        except RemoteProtocolError as error:
            self._step = _FAULTY
            self.keeps_alive = False
            error.before = spans
            raise
        return spans

    def eof(self) -> None:
        """The peer closed: that ends a close-delimited body, and is a fault in the middle of any other answer.

        Raises: RemoteProtocolError if the answer is not complete.
        """
        self.keeps_alive = False
        if self._step == _UNTIL_CLOSE:
            self._finish()
        if not self.is_done:
            where = self._whereabouts()
            self._step = _FAULTY
            raise RemoteProtocolError(f"the connection was closed {where}")

    def _follow(self, data: bytes, at: int, spans: list[tuple[int, int]]) -> None:
        """The general path: any step, any split."""
        n_bytes = len(data)
        while at < n_bytes:
            step = self._step
            if step in (_CHUNK, _BODY):
                stop = min(at + self._n_left, n_bytes)
                spans.append((at, stop))
                self._n_left -= stop - at
                at = stop
                if not self._n_left:
                    if step == _CHUNK:
                        self._step = _CR
                    else:
                        self._finish()
            elif step == _UNTIL_CLOSE:
                spans.append((at, n_bytes))
                return
            elif step in (_CR, _LF):
                if data[at] != (13 if step == _CR else 10):
                    raise RemoteProtocolError("a chunk is longer than its size says, or its CR LF is missing")
                if step == _CR:
                    self._step = _LF
                else:
                    self._expect_lines(_SIZE, MAX_SIZE_LINE_BYTES)
                at += 1
            elif step == _DONE:
                self.n_unused = n_bytes - at
                self.keeps_alive = False
                return
            elif step == _FAULTY:
                raise LocalProtocolError("feed() after a protocol error")
            else:
                at = self._take_line(data, at)

    def _take_line(self, data: bytes, at: int) -> int:
        """Collect one line; hand it on when it is whole. Returns where it ended."""
        step = self._step
        stop = data.find(b"\n", at) + 1
        self._line += data[at : stop or None]
        line = self._line
        if step == _HEAD and not self._lines and (stop or len(line) >= 5) and line[:5] != b"HTTP/":
            raise RemoteProtocolError(f"the answer is not HTTP/1.1: it begins with {glimpse(bytes(line[:5]))}")
        if len(line) > self._room:
            what = {_HEAD: "the head", _SIZE: "a chunk's size line", _TRAILERS: "the trailer"}[step]
            limit = MAX_SIZE_LINE_BYTES if step == _SIZE else self._max_head_bytes
            raise RemoteProtocolError(f"{what} is longer than {limit} bytes")
        if not stop:
            return len(data)
        self._room -= len(line)
        self._line = bytearray()
        _ON_LINE[step](self, bytes(line))
        return stop

    def _expect_lines(self, step: int, room: int) -> None:
        self._step = step
        self._room = room

    def _on_head_line(self, line: bytes) -> None:
        if line not in _BLANK_LINES:
            self._lines.append(line)
            return
        lines, self._lines = self._lines, []
        version, head = _parse_head(lines)
        if head.status >= 200:
            self.head = head
            self._begin_body(head, is_http_1_0=version == b"1.0")
        elif head.status == 101:
            raise RemoteProtocolError("the server switches protocols (101), which was not asked for")
        else:
            self._expect_lines(_HEAD, self._max_head_bytes)

    def _begin_body(self, head: Head, is_http_1_0: bool) -> None:
        connection = head.words("connection")
        self.keeps_alive = "close" not in connection and (not is_http_1_0 or "keep-alive" in connection)
        length = _content_length(head)
        coding = head.get("transfer-encoding")
        if self._is_head_request or head.status in (204, 304):
            self._finish()
            return
        for compression in head.words("content-encoding"):
            if compression != "identity":
                raise RemoteProtocolError(f"content-encoding {glimpse(compression.encode())} was not asked for")
        if coding is not None:
            if coding.lower() != "chunked":
                raise RemoteProtocolError("the transfer-encoding is not plain chunked")
            # Chunked overrides a length, but a peer (or proxy) that sends both is not to be trusted with more (6.3).
            self.keeps_alive = self.keeps_alive and length is None and not is_http_1_0
            self._expect_lines(_SIZE, MAX_SIZE_LINE_BYTES)
        elif length is None:
            self.keeps_alive = False
            self._step = _UNTIL_CLOSE
        elif length:
            self._n_left = length
            self._step = _BODY
        else:
            self._finish()

    def _on_size_line(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise RemoteProtocolError(f"a chunk begins with {glimpse(line)} instead of its size")
        size = int(match[1], 16)
        if not size:
            self._expect_lines(_TRAILERS, self._max_head_bytes)
            return
        self._n_left = size
        self._step = _CHUNK
        if len(match[1]) <= _MAX_KNOWN_DIGITS and len(_SIZES) < _MAX_SIZES:
            _SIZES[match[1]] = size

    def _on_trailer_line(self, line: bytes) -> None:
        if line not in _BLANK_LINES:
            self._lines.append(line)
            return
        _parse_fields(self._lines)  # nothing in them is of use, but nonsense there means that we lost the thread
        self._finish()

    def _finish(self) -> None:
        self._step = _DONE
        self._lines = []
        self.is_done = True

    def _whereabouts(self) -> str:
        if self._step == _HEAD:
            has_begun = self._line or self._lines
            return "within the head of the answer" if has_begun else "before an answer came"
        if self._step == _BODY:
            return f"{self._n_left} bytes before the end of the body"
        return "before the end of the chunked body"


_BLANK_LINES = (b"\r\n", b"\n")
_ON_LINE: Final[dict[int, Callable[[Framing, bytes], None]]] = {
    _HEAD: Framing._on_head_line,
    _SIZE: Framing._on_size_line,
    _TRAILERS: Framing._on_trailer_line,
}


def _parse_head(lines: Sequence[bytes]) -> tuple[bytes, Head]:
    """Status line and header lines to (version, Head). `lines` has at least one."""
    match = _STATUS_LINE.fullmatch(_without_eol(lines[0]))
    if match is None:
        raise RemoteProtocolError("the status line is not of the form 'HTTP/1.1 200 OK'")
    version, status, reason = match.groups()
    if version not in (b"1.0", b"1.1"):
        raise RemoteProtocolError(f"the answer is HTTP/{version.decode()}, not HTTP/1.1")
    return version, Head(int(status), (reason or b"").decode("latin-1"), _parse_fields(lines[1:]))


def _parse_fields(lines: Sequence[bytes]) -> tuple[tuple[str, str], ...]:
    """Header or trailer lines to (lower-case name, value) pairs; folded lines are joined by a blank."""
    unfolded: list[bytes] = []
    for line in lines:
        if line[:1] not in b" \t":
            unfolded.append(_without_eol(line))
        elif unfolded:
            unfolded[-1] += b" " + _without_eol(line).lstrip(b" \t")
        else:
            raise RemoteProtocolError("the first header line is a continuation line")
    fields: list[tuple[str, str]] = []
    for line in unfolded:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise RemoteProtocolError(f"a header line is not of the form 'name: value': {glimpse(line)}")
        fields.append((match[1].decode("ascii").lower(), match[2].strip(b" \t").decode("latin-1")))
    return tuple(fields)


def _without_eol(line: bytes) -> bytes:
    """Without its LF or CR LF."""
    return line[:-2] if line.endswith(b"\r\n") else line[:-1]


def _content_length(head: Head) -> int | None:
    """None if there is no such header. Repeated values must agree (RFC 9112, 6.3)."""
    value = head.get("content-length")
    if value is None:
        return None
    lengths = {part.strip(" \t") for part in value.split(",")}
    if len(lengths) > 1:
        raise RemoteProtocolError("two content-length headers contradict each other")
    length = lengths.pop()
    if not _LENGTH.fullmatch(length):
        raise RemoteProtocolError(f"the content-length is not a number: {glimpse(length.encode())}")
    return int(length)


_METHOD = re.compile(_TOKEN.decode("ascii"))
_TARGET = re.compile(r"[!-~]+")  # printable ASCII, no blanks
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


def encode_request(method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    """One whole request. Headers keep their order and spelling; `content-length` is added when a body needs one.

    Raises: LocalProtocolError on anything that could change where a line or the message ends, on a missing `host`, on a
    `content-length` that is not the body's, and on `transfer-encoding`. Messages quote no values.
    """
    if not _METHOD.fullmatch(method):
        raise LocalProtocolError("the method is not a word of the characters allowed there")
    if not _TARGET.fullmatch(target):
        raise LocalProtocolError("the request target holds blanks, control characters or non-ASCII text")
    lines = [f"{method} {target} HTTP/1.1"]
    seen: dict[str, str] = {}
    for name, value in headers:
        if not _METHOD.fullmatch(name):
            raise LocalProtocolError("a header name is empty or holds characters that are not allowed there")
        if not _VALUE.fullmatch(value) or not value.isascii():
            raise LocalProtocolError(f"the value of header {name} holds control characters or non-ASCII text")
        if name.lower() in seen and name.lower() in ("host", "content-length"):
            raise LocalProtocolError(f"header {name} is given twice")
        seen[name.lower()] = value
        lines.append(f"{name}: {value}")
    if "host" not in seen:
        raise LocalProtocolError("header host is missing")
    if "transfer-encoding" in seen:
        raise LocalProtocolError("header transfer-encoding is not for us to send: bodies go out whole")
    if "content-length" not in seen:
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(f"content-length: {len(body)}")
    elif seen["content-length"] != str(len(body)):
        raise LocalProtocolError("header content-length is not the length of the body")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body
