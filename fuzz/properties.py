# SPDX-License-Identifier: Apache-2.0
"""What must hold for every stream, whoever made it. A check that fails raises; any exception is a finding.

Rule 1: bytes of a peer end in facts or in a named fault: `Answer` with `fault`, RemoteProtocolError, ssl.SSLError;
bytes of a disk in frames or FormatError. Nothing else leaves.
Rule 2: how a stream was cut into reads changes no fact, no event and no fault, and every event belongs to the read that
completed it.
Rule 3: what h11 reads, and we read, is the same.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from fuzz.oracle import by_h11
from fuzz.streams import SECRETS, Stream
from inferometer.drive.answer import MAX_ERROR_CHARS, Answer
from inferometer.drive.decode import facts_of
from inferometer.engines import DIALECTS
from inferometer.engines.engine import Dialect, DialectError
from inferometer.errors import FormatError
from inferometer.kinds import ChunkKind, Outcome
from inferometer.recorder import MAGIC, Tail, read_frames
from inferometer.secrecy import Scrubber
from inferometer.wire.errors import RemoteProtocolError
from inferometer.wire.http1 import Framing, Head
from inferometer.wire.sse import EventReader
from inferometer.wire.tls import TlsClient, make_context

MAX_BYTES_FED_SINGLY = 600  # longer streams are not fed byte by byte: it takes a microsecond for each
MAX_FAULT_CHARS = 500
MAX_TOKENS = 2_147_483_647  # of a request, in the records
_CHUNK_KINDS = frozenset(int(kind) for kind in ChunkKind)
_DIALECTS = tuple(DIALECTS.values())


def cut(rng: Random, data: bytes) -> list[bytes]:
    """`data` in up to seven reads, cut at random places; some may be empty, as reads of TLS are."""
    n_bytes = len(data) + 1
    a, b = int(rng.random() * n_bytes), int(rng.random() * n_bytes)
    if rng.random() < 0.7:
        return [data[:a], data[a:b], data[b:]] if a < b else [data[:b], data[b:a], data[a:]]
    places = sorted([a, b, *(int(rng.random() * n_bytes) for _ in range(4))])
    return [data[start:stop] for start, stop in pairwise([0, *places, len(data)])]


# --- answers -------------------------------------------------------------------------------------------------------


def check_answer(stream: Stream, rng: Random, is_thorough: bool = False) -> str:
    """An answer whole, cut, and (some of them) byte by byte; what came of it, in one word.

    `is_thorough`: every comparison, where else the dear ones are drawn by lot.
    """
    data, is_closed = stream.data, stream.is_closed
    dialect = _DIALECTS[rng.random() < 0.3]
    whole = _follow(dialect, [data], is_closed)
    facts = _facts(whole)
    reads = cut(rng, data)
    answer = _follow(dialect, reads, is_closed)
    assert _facts(answer) == facts, f"cut into reads of {[len(read) for read in reads]}"
    read_ids = list(answer.read_ids)
    assert read_ids == sorted(read_ids), "events are in the order of their reads"
    assert not read_ids or 0 <= read_ids[0] <= read_ids[-1] < len(reads)
    _check_facts(whole)
    if len(data) <= MAX_BYTES_FED_SINGLY and (is_thorough or rng.random() < 0.005):
        _check_places(dialect, data, reads, answer, facts, is_closed)
    if is_thorough or rng.random() < 0.005:
        msgspec.json.encode(facts_of(whole, 1))
    if whole.fault:
        return "fault"
    return "answer" if whole.is_complete else "unfinished"


def _follow(dialect: Dialect, reads: Sequence[bytes], is_closed: bool) -> Answer:
    answer = Answer(dialect)
    for i, data in enumerate(reads):
        answer.feed(data, i)
    if is_closed:
        answer.close(len(reads) - 1)
    return answer


def _facts(answer: Answer) -> tuple[Any, ...]:
    """All that is kept of an answer but for its reads."""
    return (
        answer.status,
        answer.is_complete,
        answer.is_streamed,
        answer.is_done_seen,
        answer.finish,
        answer.usage,
        answer.engine_error,
        answer.fault,
        list(answer.kinds),
        list(answer.n_tokens),
        list(answer.n_bytes),
    )


def _check_facts(answer: Answer) -> None:
    """They fit the records and the screen, whatever they say."""
    n_rows = len(answer.kinds)
    assert len(answer.n_tokens) == len(answer.n_bytes) == len(answer.read_ids) == n_rows
    assert set(answer.kinds) <= _CHUNK_KINDS
    assert n_rows == 0 or -1 <= min(answer.n_tokens) <= max(answer.n_tokens) <= 32_767
    assert n_rows == 0 or min(answer.n_bytes) >= 0
    for text, n_most in ((answer.fault, MAX_FAULT_CHARS), (answer.engine_error, MAX_ERROR_CHARS + 100)):
        assert text.isprintable(), "one line, and nothing that moves a cursor"
        assert len(text) <= n_most
    n_tokens = answer.n_output_tokens
    assert n_tokens is None or 0 <= n_tokens <= MAX_TOKENS
    outcome, reason = answer.outcome(5)
    assert isinstance(outcome, Outcome)
    assert reason.isprintable()
    assert (outcome is Outcome.OK) == (not reason)
    assert not (answer.fault and outcome is not Outcome.PROTOCOL)


def _check_places(
    dialect: Dialect, data: bytes, reads: Sequence[bytes], answer: Answer, facts: tuple[Any, ...], is_closed: bool
) -> None:
    """Byte by byte the same, and so the byte that completed each event is known: its read must be that of the event."""
    single = _follow(dialect, [data[i : i + 1] for i in range(len(data))], is_closed)
    assert _facts(single) == facts, "byte by byte"
    ends: list[int] = []
    n_bytes = 0
    for read in reads:
        n_bytes += len(read)
        ends.append(n_bytes)
    last = len(reads) - 1
    # What the end of the connection completed belongs to the last read, be it empty; which the last byte's need not be.
    where = [min(bisect_right(ends, at), last) if at < len(data) - 1 else None for at in single.read_ids]
    for expected, found in zip(where, answer.read_ids, strict=True):
        assert expected is None or expected == found, "an event belongs to the read that completed it"


# --- the layers alone ----------------------------------------------------------------------------------------------


def check_framing(stream: Stream, rng: Random, is_thorough: bool = False) -> str:
    """HTTP framing: the same body, head and fault under any cut, and as h11 has it. A passing read is one chunk."""
    data, is_closed = stream.data, stream.is_closed
    whole = _frame([data], is_closed)
    reads = cut(rng, data)
    assert _frame(reads, is_closed) == whole, f"cut into reads of {[len(read) for read in reads]}"
    if is_thorough or (rng.random() < 0.005 and len(data) <= MAX_BYTES_FED_SINGLY):
        assert _frame([data[i : i + 1] for i in range(len(data))], is_closed) == whole, "byte by byte"
    body, head, is_done, keeps_alive, fault = whole
    if fault:
        assert fault.isprintable()
        assert len(fault) <= MAX_FAULT_CHARS
        assert not keeps_alive
        assert not is_done
        return "fault"
    if is_thorough or rng.random() < 0.05:
        oracle = by_h11(data, is_closed)
        if oracle is not None:
            assert (body, is_done) == (oracle.body, oracle.is_done), "as h11 reads it"
            assert head is None or (head.status, _but_framing(head.headers)) == (
                oracle.status,
                _but_framing(oracle.headers),
            ), "as h11 reads it"
    return "answer" if is_done else "unfinished"


def _but_framing(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """h11 keeps one of several equal content-lengths and writes `chunked` small; what they mean is seen in the body."""
    return [field for field in headers if field[0] not in ("content-length", "transfer-encoding")]


def _frame(reads: Sequence[bytes], is_closed: bool) -> tuple[bytes, Head | None, bool, bool, str]:
    """(body, head, is done, keeps alive, fault). Bytes before a fault count."""
    framing = Framing()
    pieces: list[bytes] = []
    fault = ""
    try:
        for read in reads:
            is_passing = framing.passes(read)
            spans = framing.feed(read)
            at = 0
            for start, stop in spans:
                assert at <= start < stop <= len(read)
                at = stop
                pieces.append(read[start:stop])
            assert not is_passing or (len(spans) == 1 and at == len(read) - 2 and framing.passes(read))
        if is_closed:
            framing.eof()
    except RemoteProtocolError as error:
        fault = str(error)
        pieces += [read[start:stop] for start, stop in error.before]
    return b"".join(pieces), framing.head, framing.is_done, framing.keeps_alive, fault


def check_events(stream: Stream, rng: Random, is_thorough: bool = False) -> str:
    """A body of events through reader and dialect: the same deltas under any cut, in the order of their reads."""
    data = stream.data
    dialect = _DIALECTS[rng.random() < 0.3]
    deltas, where, fault = _read_events(dialect, [data])
    reads = cut(rng, data)
    others, where, other_fault = _read_events(dialect, reads)
    assert (others, other_fault) == (deltas, fault), f"cut into reads of {[len(read) for read in reads]}"
    assert where == sorted(where), "events are in the order of their reads"
    if is_thorough or rng.random() < 0.005:
        single, _, single_fault = _read_events(dialect, [data[i : i + 1] for i in range(len(data))])
        assert (single, single_fault) == (deltas, fault), "byte by byte"
    assert fault.isprintable()
    assert len(fault) <= MAX_FAULT_CHARS
    return "fault" if fault else "answer"


def _read_events(dialect: Dialect, reads: Sequence[bytes]) -> tuple[list[Any], list[int], str]:
    """(deltas or comments, the read of each, fault)."""
    reader = EventReader()
    state = dialect.start()
    said: list[Any] = []
    where: list[int] = []
    try:
        for i, read in enumerate([*reads, None]):
            events = reader.close(i) if read is None else reader.feed(read, i)
            for event in events:
                deltas: Sequence[Any] = (event.data,)
                if not event.is_comment:
                    state, deltas = dialect.decode(state, event.type, event.data)
                said += deltas
                where += [event.read_id] * len(deltas)
    except DialectError as error:
        return said, where, str(error)
    return said, where, ""


def check_lines(stream: Stream, rng: Random, is_thorough: bool = False) -> str:
    """Events, comments and ignored lines are the same under any cut."""
    data = stream.data
    events, _, n_ignored = _read_lines([data])
    reads = cut(rng, data)
    assert _read_lines(reads)[::2] == (events, n_ignored), f"cut into reads of {[len(read) for read in reads]}"
    if is_thorough or rng.random() < 0.02:
        singly, where, n = _read_lines([data[i : i + 1] for i in range(len(data))])
        assert (singly, n) == (events, n_ignored), "byte by byte"
        ends = list(accumulate(map(len, reads)))
        for at, found in zip(where, _read_lines(reads)[1], strict=True):
            # What only the end of the stream completed belongs to no byte.
            assert at == len(data) or bisect_right(ends, at) == found, "an event belongs to the read that completed it"
    return "answer" if events else "nothing"


def _read_lines(reads: Sequence[bytes]) -> tuple[list[tuple[str, bytes, bool, bool]], list[int], int]:
    """((type, data, is comment, is complete) of each event, the read of each, lines ignored)."""
    reader = EventReader()
    events = [event for i, read in enumerate(reads) for event in reader.feed(read, i)]
    events += reader.close(len(reads))
    return (
        [(e.type, e.data, e.is_comment, e.is_complete) for e in events],
        [e.read_id for e in events],
        reader.n_ignored,
    )


# --- secrets -------------------------------------------------------------------------------------------------------


def check_scrub(stream: Stream, rng: Random, is_thorough: bool = False) -> str:
    """Nothing is lost, nothing but secrets is touched, no secret is left, however the stream was cut."""
    data = stream.data
    whole = _scrub([data])
    reads = cut(rng, data)
    assert _scrub(reads) == whole, f"cut into reads of {[len(read) for read in reads]}"
    assert len(whole) == len(data)
    if is_thorough or rng.random() < 0.005:
        assert _scrub([data[i : i + 1] for i in range(len(data))]) == whole, "byte by byte"
    for secret in SECRETS:
        assert secret not in whole
    is_touched = whole != data
    if is_touched:
        assert all(was == now or now == 0x2A for was, now in zip(data, whole, strict=True))
    return "masked" if is_touched else "left alone"


def _scrub(reads: Sequence[bytes]) -> bytes:
    scrubber = Scrubber(SECRETS)
    return b"".join([*map(scrubber.feed, reads), scrubber.flush()])


# --- recorder files ------------------------------------------------------------------------------------------------


def check_recorder(stream: Stream, rng: Random, is_thorough: bool = False) -> str:
    """Frames up to the damage, or a refusal. What stands before a cut does not depend on what stood after it."""
    data = stream.data
    path = Path(_FOLDER.name) / f"recorder-{os.getpid()}.bin"
    path.write_bytes(data)
    tail = Tail()
    try:
        frames = list(read_frames(path, tail))
    except FormatError:
        return "refused"
    assert 0 <= tail.n_torn_bytes <= len(data)
    whole = data[: len(data) - tail.n_torn_bytes]
    if tail.n_blocks:
        path.write_bytes(whole + b"PASS" + rng.randbytes(int(rng.random() * 30)))
        assert list(read_frames(path)) == frames
    assert tail.n_torn_bytes or not tail.n_blocks or whole.startswith(MAGIC)
    return "torn" if tail.n_torn_bytes else "read"


_FOLDER = tempfile.TemporaryDirectory(prefix="inferometer-fuzz-")


# --- TLS -----------------------------------------------------------------------------------------------------------

_CONTEXT = make_context(is_insecure=True)


def check_tls(stream: Stream, rng: Random, is_thorough: bool = False) -> str:
    """A stranger's bytes in place of a handshake: ssl.SSLError or nothing yet, and never a word of plaintext."""
    client = TlsClient(_CONTEXT, "localhost")
    assert client.start()
    try:
        for read in cut(rng, stream.data):
            assert client.receive(read) == b""
        client.eof()
    except ssl.SSLError:
        assert not client.is_handshake_done
        return "refused"
    return "unfinished"


CHECKS: dict[str, Callable[[Stream, Random, bool], str]] = {
    "answer": check_answer,
    "framing": check_framing,
    "events": check_events,
    "lines": check_lines,
    "scrub": check_scrub,
    "recorder": check_recorder,
    "tls": check_tls,
}


def check(stream: Stream, rng: Random, is_thorough: bool = False) -> str:
    """One stream through what reads it. Raises whatever is wrong."""
    return CHECKS[stream.target](stream, rng, is_thorough)
