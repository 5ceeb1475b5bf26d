# SPDX-License-Identifier: Apache-2.0
"""Streams to be fed, each a function of (seed, number): noise, and valid answers of real engines after damage.

Rule 1: a kind damages one layer and leaves those below it whole, so that its streams get as deep as that layer.
Rule 2: speed counts: 10 million are made. Answers are taken apart once, damage is splicing of bytes, and most streams
go to one layer alone; the others take the whole way of an answer.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from inferometer.recorder import MAGIC

TRANSCRIPTS = Path(__file__).parents[1] / "tests" / "transcripts"

# Long enough to be secrets, with characters that JSON, URLs and HTML escape; one is the beginning of another's end.
SECRETS = (b"sk-Abc+12/3=x", b"3=xyz<&>'\"", b"aaaaaaaab")


class Stream(NamedTuple):
    """`target`: what reads it (properties.CHECKS). `is_closed`: the peer closes the connection after it."""

    target: str
    kind: str
    data: bytes
    is_closed: bool = True


# --- what damage is made of ----------------------------------------------------------------------------------------

HTTP_WORDS = (
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b" ", b"\t", b":", b";", b",", b"\x00", b"\xff", b"0\r\n\r\n"),
    *(b"5\r\n", b"0005\r\n", b"ff" * 8 + b"\r\n", b"f" * 17 + b"\r\n", b"-1\r\n", b"+5\r\n", b"0x5\r\n", b"1_0\r\n"),
    *(b"5;a=b\r\n", b"5 ;\r\n", b"\r\n\r\n5\r\n", b"5\n", b"5\r\r\n", b";" * 5_000, b"Content-Length: 5\r\n"),
    *(b"Content-Length: 7, 7\r\n", b"Content-Length: 99999999999999999999\r\n", b"Content-Length: -1\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: Chunked\r\n"),
    *(
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n",
    ),
    *(
        b"HTTP/1.1 204 No Content\r\n",
        b"HTTP/1.1 101 Upgrade\r\n\r\n",
        b"HTTP/2 200\r\n",
        b"Content-Encoding: gzip\r\n",
    ),
    *(b"Content-Type: text/event-stream\r\n", b"Content-Type: application/json\r\n", b" folded\r\n", b"X : y\r\n"),
    b"X: " + b"x" * 70_000 + b"\r\n",
)
SSE_WORDS = (
    *(b"\r", b"\n", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r", b"data: ", b"data:", b"data", b"\ndata: \n"),
    *(b"event: x\n", b"event: error\n", b"event: ping\ndata: {}\n\n", b": ping\n\n", b":\n", b"id: 5\n", b"retry: 1\n"),
    *(b"error: {}\n\n", b'error: {"code":500,"message":"m"}\n\n', b"\xef\xbb\xbf", b"\xf0\x9f", b"\x80", b"\x00"),
    *(b"data: [DONE]\n\n", b"data: {}\n\n", b"data: \n\n", b"data:  [DONE] \n\n", b"\xe2\x80\xa8", b"\x85", b"\x0b"),
)
JSON_WORDS = (
    *(b"null", b"true", b"false", b"0", b"-1", b"1", b"1.5", b"1e999", b"-0.0", b"1e-9", b"2147483648", b"32768"),
    *(b"9223372036854775808", b"18446744073709551616", b"9" * 400, b"9" * 5_000, b"NaN", b"Infinity", b"-Infinity"),
    *(b'""', b'"x"', b'"length"', b'"\\ud83d"', b'"\\ude42"', b'"\\ud83d\\ude42"', b'"\\u0000"', b'"\xf0\x9f"'),
    *(b'"\xed\xa0\x80"', b'"\x01"', b'"\\x"', b"{}", b"[]", b"[[]]", b"[null]", b"[{}]", b"[1,2,3]", b"[" * 3_000),
    *(b"[" * 200 + b"]" * 200, b'{"a":' * 1_500, b'{"a":' * 150 + b"1" + b"}" * 150, b'{"content":"x"}', b"[DONE]"),
    *(b'{"error":{"message":"m"}}', b'{"role":"assistant"}', b'[{"function":{"name":"f","arguments":"{}"}}]'),
    *(b"{", b'"'),
    *(b'{"prompt_tokens":1,"completion_tokens":99999999999}', b'{"index":0,"delta":{}}', b"]", b"}", b",", b":", b"\\"),
)  # fmt: skip
EDITED_NAMES = (
    b"choices",
    b"delta",
    b"content",
    b"usage",
    b"error",
    b"text",
    b"message",
    b"finish_reason",
    b"token_ids",
)


def damaged(rng: Random, data: bytes, words: tuple[bytes, ...], n_edits: int) -> bytes:
    """After a few edits: bytes replaced, pieces removed, doubled or moved, words put in or in place of something."""
    said = bytearray(data)
    for _ in range(n_edits):
        at = int(rng.random() * (len(said) + 1))
        stop = at + _SPANS[int(rng.random() * len(_SPANS))]
        edit = int(rng.random() * 7)
        if edit == 0:
            said[at:stop] = rng.randbytes(len(said[at:stop]))
        elif edit == 1:
            del said[at:stop]
        elif edit == 2:
            said[at:at] = said[at:stop]
        elif edit == 3:
            piece = said[at:stop]
            del said[at:stop]
            where = int(rng.random() * (len(said) + 1))
            said[where:where] = piece
        elif edit == 4:
            said[at:stop] = rng.choice(words)
        elif edit == 5:
            said[at:at] = rng.choice(words)
        elif at < len(said):
            said[at] ^= 1 << int(rng.random() * 8)
    return bytes(said)


_SPANS = (1, 1, 1, 2, 2, 4, 8, 30, 100, 400)
_N_EDITS = (1, 1, 1, 1, 2, 2, 3, 5, 8)


# --- answers, taken apart ------------------------------------------------------------------------------------------


MAX_EVENT_BYTES = 500  # longer ones, with log probabilities, take time and add no shape


class Recorded(NamedTuple):
    """One recorded answer: head lines without those that frame the body; events with their blank lines, or the body."""

    head: bytes
    events: tuple[bytes, ...]
    body: bytes


_FRAMING_LINE = re.compile(rb"(?im)^(?:transfer-encoding|content-length|connection):[^\r\n]*\r\n")
_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\Z)", re.DOTALL)
_VALUE = re.compile(rb'(?<=[:\[,])\s*("(?:[^"\\]|\\.)*"|-?[0-9.eE+-]+|true|false|null)')

# What no recorded engine sends and others do: named errors, comments, CR LF, usage early, TGI's empty finish reason.
_BY_HAND = (
    Recorded(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n",
        (
            b": ping\n\n",
            b'data: {"choices":[{"delta":{"role":"assistant"}}]}\r\n\r\n',
            b'data:{"choices":[{"delta":{"content":"\xf0\x9f\x99\x82 a"},"finish_reason":""}]}\n\n',
            b'data: {"choices":[{"delta":{"content":"\\ud83d"}}],\ndata: "usage":{"completion_tokens":2}}\n\n',
            b'data: {"choices":[{"text":"b","token_ids":[1,2]}],"usage":{"prompt_tokens":9,"completion_tokens":4}}\n\n',
            b'data: {"choices":[{"delta":{"content":"c"},"finish_reason":"stop"}]}\n\n',
            b"data: [DONE]\n\n",
        ),
        b"",
    ),
    Recorded(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n",
        (
            b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
            b'event: error\ndata: {"error":{"message":"out of memory","code":500}}\n\n',
            b'error: {"code":500,"message":"the slot died"}\n\n',
        ),
        b"",
    ),
    Recorded(
        b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Type: text/html\r\n", (), b"<title>503 &amp; out</title>"
    ),
    Recorded(b"HTTP/1.1 422 No\r\n", (), b'{"detail":[{"loc":["body","model"],"msg":"field required"}]}'),
)


def _recorded() -> Iterator[Recorded]:
    for path in sorted(TRANSCRIPTS.glob("*.http")):
        head, _, body = path.read_bytes().partition(b"\r\n\r\n")
        head = _FRAMING_LINE.sub(b"", head + b"\r\n")
        if b"event-stream" in head.lower():
            events = [event for event in _EVENT.findall(body) if 0 < len(event) <= MAX_EVENT_BYTES]
            if events:
                yield Recorded(head, tuple(events), b"")
        else:
            yield Recorded(head, (), body)


_ANSWERS = (*_BY_HAND, *_recorded())
STREAMED = tuple(answer for answer in _ANSWERS if answer.events)
WHOLE = tuple(answer for answer in _ANSWERS if not answer.events and len(answer.body) < 4_000)
EVENTS = tuple(dict.fromkeys(event for answer in STREAMED for event in answer.events))
_PLACES = {text: [match.span(1) for match in _VALUE.finditer(text)] for text in (*EVENTS, *(a.body for a in WHOLE))}


def _some_events(rng: Random, answer: Recorded) -> list[bytes]:
    """The first, a few of the middle and the last events: what is special stands at the ends."""
    events = answer.events
    n_middle, n_last = int(rng.random() * 3), int(rng.random() * 3)
    at = int(rng.random() * len(events))
    return [*events[:1], *events[at : at + n_middle], *events[len(events) - n_last :]]


def _framed(rng: Random, head: bytes, pieces: list[bytes]) -> tuple[bytes, list[bytes]]:
    """Head with its blank line, and the pieces as they go over the wire: chunked, counted, or ended by closing."""
    way = rng.random()
    if way < 0.7:
        sent = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece]
        return head + b"Transfer-Encoding: chunked\r\n\r\n", [*sent, b"0\r\n\r\n"]
    if way < 0.9:
        return head + b"Content-Length: %d\r\n\r\n" % sum(map(len, pieces)), pieces
    return head + b"\r\n", pieces


def _cut_anew(rng: Random, body: bytes) -> list[bytes]:
    """The body in pieces that know nothing of events."""
    places = sorted(int(rng.random() * (len(body) + 1)) for _ in range(int(rng.random() * 6)))
    return [body[start:stop] for start, stop in zip([0, *places], [*places, len(body)], strict=True)]


def _sent(rng: Random, answer: Recorded, pieces: list[bytes]) -> bytes:
    """The whole answer over intact HTTP, mostly under a short head: one of seven lines takes longer than its events."""
    head = answer.head if rng.random() < 0.1 else _SHORT_HEAD
    head, sent = _framed(rng, head, pieces)
    return head + b"".join(sent)


_SHORT_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


# --- kinds ---------------------------------------------------------------------------------------------------------


def noise(rng: Random) -> Stream:
    """Random bytes, from the first one on or after a good head."""
    head = rng.choice((b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", *_GOOD_HEADS))
    target = rng.choice(("answer", "framing", "framing", "framing"))
    return Stream(target, "noise", head + rng.randbytes(int(rng.random() * 120)), rng.random() < 0.7)


_GOOD_HEADS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 60\r\n\r\ndata: ",
    b"HTTP/1.1 500 No\r\nContent-Length: 60\r\n\r\n",
)


def framing(rng: Random) -> Stream:
    """HTTP: any bytes of head and chunk framing edited; chunks doubled, lost, swapped, overlapping, of wrong size."""
    answer = rng.choice(STREAMED) if rng.random() < 0.8 else rng.choice(WHOLE)
    pieces = _some_events(rng, answer) if answer.events else _cut_anew(rng, answer.body)
    head, sent = _framed(rng, answer.head if rng.random() < 0.3 else _SHORT_HEAD, pieces)
    way = rng.random()
    if way < 0.5 and len(sent) > 1:
        i, j = int(rng.random() * len(sent)), int(rng.random() * len(sent))
        if way < 0.1:
            sent[i:i] = [sent[j]]
        elif way < 0.2:
            del sent[i]
        elif way < 0.3:
            sent[i], sent[j] = sent[j], sent[i]
        elif way < 0.4:
            sent[i] = sent[i][: len(sent[i]) // 2] + sent[j] + sent[i][len(sent[i]) // 2 :]
        else:
            rest = sent[i].partition(b"\r\n")[2]
            sent[i] = rng.choice((b"%x" % (len(rest) + rng.choice((-3, -1, 0, 1)) & 0xFFFF), *_SIZES)) + b"\r\n" + rest
        data = head + b"".join(sent)
    elif way < 0.75:
        data = damaged(rng, head, HTTP_WORDS, rng.choice(_N_EDITS)) + b"".join(sent)
    else:
        data = damaged(rng, head + b"".join(sent), HTTP_WORDS, rng.choice(_N_EDITS))
    return Stream("answer" if rng.random() < 0.2 else "framing", "framing", data, rng.random() < 0.7)


_SIZES = (
    b"",
    b"0",
    b"00",
    b"-5",
    b"0x5",
    b"5 ",
    b" 5",
    b"5;x",
    b"g",
    b"ffffffff",
    b"7fffffffffffffff",
    b"f" * 16,
    b"1e",
)


def events(rng: Random) -> Stream:
    """Whole HTTP around a damaged event stream: line ends, BOMs, torn UTF-8, fields, comments, doubled events."""
    answer = rng.choice(STREAMED)
    chosen = _some_events(rng, answer)
    way = rng.random()
    if way < 0.25:
        end = rng.choice((b"\r", b"\r\n", b"\n", b"\n\r\n", b"\r\n\n"))
        body = b"".join(chosen).replace(b"\n", end)
    else:
        body = damaged(rng, b"".join(chosen), SSE_WORDS, rng.choice(_N_EDITS))
    if way > 0.9:
        body = b"\xef\xbb\xbf" + body
    if rng.random() < 0.8:
        return Stream("events", "events", body)
    return Stream("answer", "events", _sent(rng, answer, _cut_anew(rng, body)), rng.random() < 0.7)


def dialect(rng: Random) -> Stream:
    """Whole HTTP and events around damaged JSON: values of other types, huge numbers, deep nesting, surrogates."""
    answer = rng.choice(STREAMED)
    chosen = _some_events(rng, answer)
    for _ in range(rng.choice((1, 1, 2, 3))):
        i = int(rng.random() * len(chosen))
        chosen[i] = _edited_json(rng, rng.choice(EVENTS) if rng.random() < 0.3 else chosen[i])
    if rng.random() < 0.8:
        return Stream("events", "dialect", b"".join(chosen))
    return Stream("answer", "dialect", _sent(rng, answer, chosen), rng.random() < 0.7)


def bodies(rng: Random) -> Stream:
    """Answers in one piece and error bodies, their text damaged; sometimes under a head that belongs to another."""
    answer = rng.choice(WHOLE)
    body = _edited_json(rng, answer.body)
    if rng.random() < 0.3:
        body = damaged(rng, body, JSON_WORDS, rng.choice(_N_EDITS))
    head = rng.choice(_HEADS) if rng.random() < 0.7 else answer.head
    head, sent = _framed(rng, head, _cut_anew(rng, body))
    return Stream("answer", "bodies", head + b"".join(sent), rng.random() < 0.7)


_HEADS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n",
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n",
    _SHORT_HEAD,
)


def _edited_json(rng: Random, text: bytes) -> bytes:
    """Another value, member or bracket in one place of a text with JSON in it."""
    places = _PLACES.get(text)
    way = rng.random()
    if places and way < 0.6:
        start, stop = rng.choice(places)
        return text[:start] + rng.choice(JSON_WORDS) + text[stop:]
    if way < 0.8:
        name = rng.choice(EDITED_NAMES)
        at = text.find(b"{") + 1
        return text[:at] + b'"%s":%s,' % (name, rng.choice(JSON_WORDS)) + text[at:]
    if way < 0.9:
        name = b'"' + rng.choice(EDITED_NAMES) + b'":'
        at = text.find(name)
        if at >= 0:
            at += len(name)
            return text[:at] + rng.choice(JSON_WORDS) + b"," + text[at:]
    return damaged(rng, text, JSON_WORDS, 1).replace(b"\n", b" ").rstrip() + b"\n\n"


def secrets(rng: Random) -> Stream:
    """Text with secrets in it: as they are, escaped, cut by chunk framing or almost right."""
    parts: list[bytes] = []
    for _ in range(1 + int(rng.random() * 3)):
        word = rng.choice(_SPELLINGS)
        way = rng.random()
        if way < 0.4:
            at = int(rng.random() * len(word))
            parts += [word[:at], rng.choice(_GAPS), word[at:]]
        elif way < 0.5:
            parts.append(b"".join(b"%c\r\n1\r\n" % byte for byte in word))
        elif way < 0.7:
            parts.append(word[: int(rng.random() * len(word))])
        else:
            parts.append(word)
        parts.append(rng.choice((b"", b"", b" ", b"\r\n", b'"}', b"\r", rng.choice(SECRETS)[:2])))
    text = b"".join(parts)
    if rng.random() < 0.3:
        text = damaged(rng, text, _GAPS, rng.choice(_N_EDITS))
    return Stream("scrub", "secrets", text)


_GAPS = (b"\r\n1a\r\n", b"\r\n5;x=y\r\n", b"\r\n0000001a \t\r\n", b"\r\n", b"\r", b"\r\n1a", b"\r\n\r\n", b"\r\n1g\r\n")
_SPELLINGS = tuple(
    spelling
    for secret in SECRETS
    for spelling in (
        secret,
        json.dumps(secret.decode())[1:-1].encode(),
        b"".join(b"%%%02X" % byte if not chr(byte).isalnum() and byte != 45 else b"%c" % byte for byte in secret),
    )
)


def disk(rng: Random) -> Stream:
    """Recorder files: cut, overwritten, blocks lost, doubled or swapped, or whole around frames that make no sense."""
    blocks = [_block(b"".join(_frame(rng) for _ in range(int(rng.random() * 5)))) for _ in range(int(rng.random() * 5))]
    way = rng.random()
    if way < 0.2:
        return Stream("recorder", "disk", (MAGIC + b"".join(blocks))[: int(rng.random() * 300)])
    if way < 0.4 and blocks:
        i, j = int(rng.random() * len(blocks)), int(rng.random() * len(blocks))
        blocks[i], blocks[j] = rng.choice(((blocks[j], blocks[i]), (b"", blocks[j]), (blocks[j], blocks[j])))
        return Stream("recorder", "disk", MAGIC + b"".join(blocks))
    if way < 0.7:
        frames = damaged(rng, b"".join(_frame(rng) for _ in range(3)), _DISK_WORDS, rng.choice(_N_EDITS))
        return Stream("recorder", "disk", MAGIC + b"".join(blocks) + _block(frames))
    return Stream("recorder", "disk", damaged(rng, MAGIC + b"".join(blocks), _DISK_WORDS, rng.choice(_N_EDITS)))


_DISK_WORDS = (
    MAGIC,
    b"PASS",
    b"PASS\xff\xff\xff\xff",
    b"PASS\xff\xff\xff\x7f",
    b"\x00" * 16,
    b"\xff" * 4,
    b"\x03",
    b"{}",
)


def _block(payload: bytes) -> bytes:
    return b"PASS" + struct.pack("<II", len(payload), zlib.crc32(payload)) + payload


def _frame(rng: Random) -> bytes:
    request_id, t_ns = int(rng.random() * 4), int(rng.random() * 1e10)
    way = rng.random()
    if way < 0.25:
        return struct.pack("<BiHBq", 1, request_id, 0, 1, t_ns)
    if way < 0.5:
        return struct.pack("<BiBiq", 2, request_id, 1, 0, t_ns)
    if way < 0.75:
        data = (
            rng.choice(EVENTS) if rng.random() < 0.7 else b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        )
        return struct.pack("<BiqqII", 3, request_id, t_ns, t_ns + 50, len(data), len(data)) + data
    if way < 0.9:
        text = rng.choice((b"", b"the server closed", b"\xff\xfe"))
        return struct.pack("<BiBqH", 4, request_id, rng.choice((0, 1, 11, 99)), t_ns, len(text)) + text
    fact = rng.choice(_FACTS)
    return struct.pack("<BqI", 5, t_ns, len(fact)) + fact


_FACTS = (
    b'{"note":"samples","source":"client","gauges":[["cpu_s",0.5]]}',
    b'{"note":"window","window":{"trial":0,"t_start_ns":0,"t_end_ns":9}}',
    b'{"note":"answer","request_id":1}',
    b'{"note":"samples"}',
    b"{",
    b"[]",
    b"\xff",
)


def tls(rng: Random) -> Stream:
    """TLS records that nobody should send; before the handshake is done, which is where a stranger's bytes are read."""
    record = struct.pack(">BHH", rng.choice((20, 21, 22, 23, 255)), rng.choice((0x301, 0x303, 0x304)), 40)
    body = rng.choice((b"", b"\x02\x00\x00\x24\x03\x03", b"\x02\x28", b"HTTP/1.1 400 Bad Request\r\n"))
    return Stream("tls", "tls", damaged(rng, record + body + rng.randbytes(34), HTTP_WORDS, rng.choice(_N_EDITS)))


# --- sentences: short random sequences of the words of one grammar, which reach its corners soonest ------------------


def heads(rng: Random) -> Stream:
    """Status line and headers out of their smallest parts."""
    said = b"HTTP/1.1 200" if rng.random() < 0.8 else b""
    return Stream("framing", "heads", said + b"".join(rng.choices(_HEAD_PARTS, k=2 + int(rng.random() * 10))))


_HEAD_PARTS = (
    *(b"\r\n", b"\r\n", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" OK", b" ", b"\t", b":", b",", b"x"),
    *(b"X: y", b"\x00", b"\x80"),
    *(b"Content-Length: 3", b"content-length:03", b"Content-Length: 3, 4", b"Transfer-Encoding: chunked", b"abc"),
    *(b"Connection: close", b"Connection: keep-alive", b"HTTP/1.1 100 C\r\n\r\n", b"HTTP/1.0 200"),
    b"3\r\nabc\r\n0\r\n\r\n",
    *(b"\r\nX: y", b"\r\nContent-Length: 3", b"\r\nTransfer-Encoding: chunked", b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n") * 3,
    *(b"transfer-encoding: CHUNKED", b"HTTP/1.1 304 N", b"Content-Encoding: identity", b"Content-Encoding: br"),
)  # fmt: skip


def chunks(rng: Random) -> Stream:
    """Transfer chunks out of their smallest parts."""
    parts = rng.choices(_CHUNK_PARTS, k=1 + int(rng.random() * 12))
    return Stream("framing", "chunks", _CHUNKED_HEAD + b"".join(parts), rng.random() < 0.8)


_CHUNKED_HEAD = b"HTTP/1.1 200\r\nTransfer-Encoding:chunked\r\n\r\n"
_CHUNK_PARTS = (
    *(b"3\r\nabc\r\n",) * 20,
    *(b"0\r\n\r\n",) * 5,
    *(b"a\r\n0123456789\r\n", b"1\r\n\n\r\n", b"2\r\n\r\n\r\n", b"0\r\n\r\n", b"0\r\n", b"0000003\r\n"),
    *(b"\r\n", b"\r\n", b"\r", b"\n", b"3", b"a", b"0", b"f", b"F", b"abc"),
    *(b";", b"=", b" ", b"\t", b"X: y", b":", b"\x00", b"-", b"g"),
)  # fmt: skip


def lines(rng: Random) -> Stream:
    """Events out of their smallest parts, with no JSON in them."""
    parts = rng.choices(_LINE_PARTS, k=1 + int(rng.random() * 14))
    return Stream("lines", "lines", b"".join(parts))


_LINE_PARTS = (
    *(b"\n", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"data: x\n\n", b"data: x\n"),
    *(b"data:", b"data", b": c", b":", b" ", b"y"),
    *(b"event: e", b"event", b"error: e", b"id: 1", b"retry: 1", b"\xef\xbb\xbf"),
    *(b"\xf0\x9f\x99\x82", b"\x80", b"\x00", b"\x0b", b"\x1c", b"\x85"),
)  # fmt: skip


# Of so many streams each: together 1,000, which is a batch's repeating order. Sentences cost a fifth of the others.
_SHARES: tuple[tuple[int, Callable[[Random], Stream]], ...] = (
    (150, heads),
    (250, chunks),
    (440, lines),
    (16, noise),
    (40, framing),
    (35, events),
    (40, dialect),
    (10, bodies),
    (15, secrets),
    (3, disk),
    (1, tls),
)
_TURNS = tuple(make for share, make in _SHARES for _ in range(share))
N_TURNS = len(_TURNS)
KINDS = tuple(make.__name__ for _, make in _SHARES)


def batch(seed: int, number: int, n_streams: int) -> Iterator[Stream]:
    """The streams of one batch; the same ones for the same numbers."""
    rng = Random(f"{seed}/{number}")
    for i in range(n_streams):
        yield _TURNS[i % len(_TURNS)](rng)
