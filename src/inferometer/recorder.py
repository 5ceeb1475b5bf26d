# SPDX-License-Identifier: Apache-2.0
"""The flight recorder: everything that reached or left the client, in order, as one append-only file.

Rule 1: one block per pass of the driving loop, written with one write(2), length and CRC-32 in front. A process killed
at any instant leaves whole blocks and at most one torn tail, which reading skips and reports.
Rule 2: nothing here understands HTTP or JSON. Decoding happens after the run, and can be repeated.

    file   = MAGIC, block*
    block  = "PASS", u32 length, u32 crc32(payload), payload
    frame  = u8 kind, fields (little-endian), then for READ, END, NOTE: that many bytes

Format history: INFREC01 first.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from inferometer.errors import FormatError, RunError

MAGIC = b"INFREC01"
BLOCK_MARK = 0x53534150  # "PASS", little-endian
_BLOCK = struct.Struct("<III")

DUE, SENT, READ, END, NOTE = 1, 2, 3, 4, 5
_DUE = struct.Struct("<BiHBq")  # request, trial, phase, t_due
_SENT = struct.Struct("<BiBiq")  # request, attempt, connection, t_sent
_READ = struct.Struct("<BiqqII")  # request, t_recv, t_read, bytes read, bytes kept
_END = struct.Struct("<BiBqH")  # request, outcome, t_end, bytes of error text
_NOTE = struct.Struct("<BqI")  # t, bytes of JSON
_DAMAGED = "the file was written by a newer version, or is damaged"


@dataclass(frozen=True, slots=True)
class Due:
    """The request became due: from here on it is a row."""

    request_id: int
    trial: int
    phase: int
    t_due_ns: int


@dataclass(frozen=True, slots=True)
class Sent:
    """`t_sent_ns` was taken right before the first byte was handed to the socket."""

    request_id: int
    attempt: int
    conn: int
    t_sent_ns: int


class Read(msgspec.Struct, frozen=True, gc=False):
    """One read of an answer. `data` is empty when content is not kept; `n_bytes` always tells its true size.

    A Struct, as there is one per read: 0.2 us to make, a frozen dataclass takes 1.
    """

    request_id: int
    t_recv_ns: int
    t_read_ns: int
    n_bytes: int
    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The request is over as far as the transport can tell. `outcome` is a number of kinds.Outcome."""

    request_id: int
    outcome: int
    t_end_ns: int
    error: str


@dataclass(frozen=True, slots=True)
class Note:
    """Anything rare: samples, windows, clock pairs, decoded facts. `fact` is JSON-like and has a "note" key."""

    t_ns: int
    fact: dict[str, Any]


Frame = Due | Sent | Read | End | Note


class Writer:
    """Collects the frames of one pass; `flush()` writes them as one block.

    Raises: RunError when the disk refuses the write (full, gone); what was written before stays readable.
    """

    __slots__ = ("_fd", "_pending", "n_written_bytes", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_written_bytes = 0
        self._pending: list[bytes] = []
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._write(MAGIC)

    def due(self, request_id: int, trial: int, phase: int, t_due_ns: int) -> None:
        self._pending.append(_DUE.pack(DUE, request_id, trial, phase, t_due_ns))

    def sent(self, request_id: int, attempt: int, conn: int, t_sent_ns: int) -> None:
        self._pending.append(_SENT.pack(SENT, request_id, attempt, conn, t_sent_ns))

    def read(self, request_id: int, t_recv_ns: int, t_read_ns: int, n_bytes: int, data: bytes) -> None:
        self._pending.append(_READ.pack(READ, request_id, t_recv_ns, t_read_ns, n_bytes, len(data)))
        self._pending.append(data)

    def end(self, request_id: int, outcome: int, t_end_ns: int, error: str = "") -> None:
        text = error.encode()[:0xFFFF]
        self._pending.append(_END.pack(END, request_id, outcome, t_end_ns, len(text)))
        self._pending.append(text)

    def note(self, t_ns: int, fact: dict[str, Any]) -> None:
        text = msgspec.json.encode(fact)
        self._pending.append(_NOTE.pack(NOTE, t_ns, len(text)))
        self._pending.append(text)

    def flush(self) -> None:
        if not self._pending:
            return
        payload = b"".join(self._pending)
        self._pending.clear()
        self._write(_BLOCK.pack(BLOCK_MARK, len(payload), zlib.crc32(payload)) + payload)

    def _write(self, block: bytes) -> None:
        try:
            n_written = os.write(self._fd, block)
            while n_written < len(block):  # a full disk and a signal both cut a write short; the next one tells which
                n_written += os.write(self._fd, block[n_written:])
        except OSError as error:
            raise self._refused(error) from error
        self.n_written_bytes += len(block)

    def close(self) -> None:
        try:
            self.flush()
            os.fsync(self._fd)
        except OSError as error:
            raise self._refused(error) from error
        finally:
            os.close(self._fd)

    def _refused(self, error: OSError) -> RunError:
        return RunError(
            f"cannot write {self.path}: {error.strerror}", "free some space or choose another folder with --out"
        )


def worker_path(path: Path, worker: int) -> Path:
    """The file of one of several workers (numbered from 1), beside that of the process that leads them."""
    return path.with_name(f"{path.stem}-{worker}{path.suffix}")


def gauges_path(path: Path) -> Path:
    """The file of the process that reads the server's gauges, beside that of the process that drives or leads."""
    return path.with_name(f"{path.stem}-gauges{path.suffix}")


def all_paths(path: Path) -> list[Path]:
    """`path`, and those of its workers in their order; last the one of gauges, which holds no request."""
    found = [path]
    while (more := worker_path(path, len(found))).exists():
        found.append(more)
    return [*found, gauges_path(path)] if gauges_path(path).exists() else found


@dataclass(slots=True)
class Tail:
    """What reading found at the end of the file. `n_torn_bytes` > 0: the writer was killed in mid-write."""

    n_blocks: int = 0
    n_torn_bytes: int = 0


def read_frames(path: Path, tail: Tail | None = None) -> Iterator[Frame]:
    """All frames of all whole blocks, in order; stops at the first block that is not whole.

    Raises: FormatError if the file is not a recorder file at all, or holds frames of another version.
    """
    tail = Tail() if tail is None else tail
    with path.open("rb") as file:
        magic = file.read(len(MAGIC))
        if len(magic) < len(MAGIC) and MAGIC.startswith(magic):  # killed in its first instant
            tail.n_torn_bytes = len(magic)
            return
        if magic != MAGIC:
            raise FormatError(f"{path} is not a flight recorder file (it begins with {magic!r})")
        n_file_bytes = os.fstat(file.fileno()).st_size  # read() makes room for all it is told to read: 4 GB, if damaged
        while header := file.read(_BLOCK.size):
            payload = b""
            if len(header) == _BLOCK.size:
                mark, length, crc = _BLOCK.unpack(header)
                payload = file.read(min(length, n_file_bytes)) if mark == BLOCK_MARK else b""
                if mark == BLOCK_MARK and len(payload) == length and zlib.crc32(payload) == crc:
                    tail.n_blocks += 1
                    yield from _frames(payload)
                    continue
            tail.n_torn_bytes = len(header) + len(payload) + sum(map(len, iter(lambda: file.read(1 << 20), b"")))
            return


def _frames(payload: bytes) -> Iterator[Frame]:
    """Raises: FormatError if a block whose checksum holds has something in it that this version does not write."""
    at = 0
    try:
        while at < len(payload):
            kind = payload[at]
            if kind == READ:
                _, request_id, t_recv_ns, t_read_ns, n_bytes, n_kept = _READ.unpack_from(payload, at)
                at += _READ.size + n_kept
                yield Read(request_id, t_recv_ns, t_read_ns, n_bytes, payload[at - n_kept : at])
            elif kind == DUE:
                yield Due(*_DUE.unpack_from(payload, at)[1:])
                at += _DUE.size
            elif kind == SENT:
                yield Sent(*_SENT.unpack_from(payload, at)[1:])
                at += _SENT.size
            elif kind == END:
                _, request_id, outcome, t_end_ns, n_text = _END.unpack_from(payload, at)
                at += _END.size + n_text
                yield End(request_id, outcome, t_end_ns, payload[at - n_text : at].decode(errors="replace"))
            elif kind == NOTE:
                _, t_ns, n_text = _NOTE.unpack_from(payload, at)
                at += _NOTE.size + n_text
                yield Note(t_ns, msgspec.json.decode(payload[at - n_text : at], type=dict[str, Any]))
            else:
                raise FormatError(f"unknown frame kind {kind}: {_DAMAGED}")
    except (struct.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"a frame that cannot be read: {_DAMAGED}") from error
    if at > len(payload):
        raise FormatError(f"a frame longer than its block: {_DAMAGED}")
