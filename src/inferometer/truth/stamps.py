# SPDX-License-Identifier: Apache-2.0
"""The log of the ground-truth server while it is being written: preallocated columns, and the file they become.

Rule 1: while streams run, a send costs two array stores; everything else is known from its script.
Rule 2: all instants are CLOCK_MONOTONIC ns, the axis that every process of a machine shares.

The file: one line of JSON (`LogHeader`), then int64, little-endian: requests[n_requests][len(COLUMNS)],
before[n_sends], after[n_sends]. Read by log.py.

Format history:
  1  first.
  2  `faults`: what went wrong on purpose, by request.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from inferometer.truth.script import Step

FORMAT = "inferometer-truth"
VERSION = 2
COLUMNS = (
    "conn",  # number of the connection, in order of acceptance
    "script",  # index into LogHeader.scripts
    "t_arrival_ns",  # right after the read that completed the request
    "t_start_ns",  # origin of the script's offsets: the arrival, plus stagger
    "first_send",  # offset of its first send
    "n_sends",  # sends prescribed
    "n_sent",  # sends done
    "t_gone_ns",  # the client left before the end; -1 if it did not
)
NEVER = -1

_N_SENT = COLUMNS.index("n_sent")
_T_GONE = COLUMNS.index("t_gone_ns")
_SEND_RESERVE = 1 << 20  # sends for which memory is had before the first; more are had in equal steps


class ScriptRecord(msgspec.Struct):
    """One script without its bytes. Per send: offset and size; per step: the send it left in, kind, text tokens."""

    offsets_ns: list[int]
    n_bytes: list[int]
    step_send: list[int]
    step_kind: list[int]
    step_n_tokens: list[int]


class LogHeader(msgspec.Struct):
    """`ids`: x-request-id of each request; `faults`: Prescription.fault_name of each, empty in format 1.

    `n_retries`: sends tried again because the client did not read.

    `run_delay_ns`: how long the server stood ready without a core while it served; -1 where the system does not tell.
    """

    format: str
    version: int
    n_requests: int
    n_sends: int
    n_retries: int
    run_delay_ns: int
    python: str
    ids: list[str]
    scripts: list[ScriptRecord]
    faults: list[str] = []


class Sends(Protocol):
    """What is sent in answer to one request; a `Script` is. `offsets_ns` may grow until the last send has gone.

    `n_bytes`: of each send, known at the latest when it goes.
    """

    @property
    def steps(self) -> Sequence[Step]: ...
    @property
    def n_bytes(self) -> Sequence[int]: ...
    @property
    def offsets_ns(self) -> Sequence[int]: ...
    @property
    def send_of_step(self) -> Sequence[int]: ...


class Stamps:
    """`before_ns[k]`, `after_ns[k]`: right before and after send k, written by the loop itself.

    Index 0 is a scratch place shared by all answers that are not logged.
    """

    __slots__ = (
        "_faults",
        "_ids",
        "_n_sends",
        "_requests",
        "_run_delay_ns",
        "_script_index",
        "_scripts",
        "after_ns",
        "before_ns",
        "n_retries",
    )

    def __init__(self) -> None:
        zeros = array("q", [0])
        self.before_ns = zeros * _SEND_RESERVE  # writes every page now, so that none faults later
        self.after_ns = zeros * _SEND_RESERVE
        self.n_retries = 0
        self._n_sends = 1
        self._requests = array("q")
        self._ids: list[str] = []
        self._faults: list[str] = []
        self._scripts: list[Sends] = []
        self._script_index: dict[Sends, int] = {}
        self._run_delay_ns = _run_delay_ns()

    def open_request(
        self, request_id: str, conn: int, script: Sends, t_arrival_ns: int, t_start_ns: int, fault: str = "none"
    ) -> tuple[int, int]:
        """Room for one answer. Returns: its row, and the index of its first send."""
        index = self._script_index.get(script)
        if index is None:
            index = self._script_index[script] = len(self._scripts)
            self._scripts.append(script)
        row, first_send, n_sends = len(self._ids), self._n_sends, len(script.n_bytes)
        self._n_sends += n_sends
        while self._n_sends > len(self.before_ns):
            more = array("q", [0]) * _SEND_RESERVE
            self.before_ns.extend(more)
            self.after_ns.extend(more)
        self._ids.append(request_id)
        self._faults.append(fault)
        self._requests.extend((conn, index, t_arrival_ns, t_start_ns, first_send, n_sends, 0, NEVER))
        return row, first_send

    def note_progress(self, row: int, n_sent: int, t_gone_ns: int = NEVER) -> None:
        """How far an answer came, and whether its client left."""
        at = row * len(COLUMNS)
        self._requests[at + _N_SENT] = n_sent
        self._requests[at + _T_GONE] = t_gone_ns

    def to_bytes(self) -> bytes:
        header = LogHeader(
            format=FORMAT,
            version=VERSION,
            n_requests=len(self._ids),
            n_sends=self._n_sends,
            n_retries=self.n_retries,
            run_delay_ns=NEVER if self._run_delay_ns == NEVER else _run_delay_ns() - self._run_delay_ns,
            python=sys.version.split()[0],
            ids=self._ids,
            faults=self._faults,
            scripts=[_record(script) for script in self._scripts],
        )
        columns = (self._requests, self.before_ns[: self._n_sends], self.after_ns[: self._n_sends])
        return b"".join([msgspec.json.encode(header), b"\n", *map(_little_endian, columns)])

    def save(self, path: Path) -> None:
        """Written beside and renamed: a log is whole or not there."""
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(self.to_bytes())
        partial.replace(path)


def _run_delay_ns() -> int:
    """How long this process has waited for a core since it began (Linux: second field of schedstat)."""
    schedstat = Path("/proc/self/schedstat")
    return int(schedstat.read_text().split()[1]) if schedstat.exists() else NEVER


def _record(script: Sends) -> ScriptRecord:
    return ScriptRecord(
        offsets_ns=list(script.offsets_ns),
        n_bytes=list(script.n_bytes),
        step_send=list(script.send_of_step),
        step_kind=[int(step.kind) for step in script.steps],
        step_n_tokens=[step.n_tokens for step in script.steps],
    )


def _little_endian(column: array[int]) -> bytes:
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()
