# SPDX-License-Identifier: Apache-2.0
"""One request in flight, as the driving loop sees it: stamps, deadlines and the framing of its answer."""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.kinds import Outcome
from inferometer.records import NEVER
from inferometer.secrecy import Scrubber
from inferometer.wire.http1 import Framing

TAIL_BYTES = 32  # enough for an end marker; to keep a whole read of each of many streams alive would scatter the heap


class Exchange:
    """Mutable on purpose: the loop touches it on every read. Made before it is needed, `plan` gives it its request.

    `t_last_ns` is the newest sign of life, `tail` the last bytes of the newest read.
    """

    __slots__ = (
        "attempt",
        "deadline_ns",
        "framing",
        "n_bytes",
        "n_reads",
        "payload",
        "phase",
        "reads",
        "request_id",
        "scrubber",
        "t_due_ns",
        "t_last_ns",
        "t_sent_ns",
        "tail",
        "trial",
    )

    def __init__(self) -> None:
        self.request_id = NEVER
        self.trial = self.phase = 0
        self.t_due_ns = self.t_sent_ns = self.deadline_ns = NEVER
        self.payload = b""
        self.attempt = 0
        self.scrubber: Scrubber | None = None
        self.reads: list[tuple[bytes, int, int]] | None = None  # (data, t_recv, t_read), where somebody wants them
        self.begin_attempt(NEVER)
        self.attempt = 0

    def plan(self, request_id: int, trial: int, phase: int, t_due_ns: int, payload: bytes, deadline_ns: int) -> None:
        self.request_id = request_id
        self.trial = trial
        self.phase = phase
        self.t_due_ns = self.t_last_ns = t_due_ns
        self.payload = payload
        self.deadline_ns = deadline_ns
        self.attempt = 1

    def begin_attempt(self, t_now_ns: int) -> None:
        """A fresh answer is expected from here on."""
        self.attempt += 1
        self.framing = Framing()
        self.n_reads = 0
        self.n_bytes = 0
        self.tail = b""
        self.t_last_ns = t_now_ns


@dataclass(frozen=True, slots=True)
class Finished:
    """An exchange that is over, for whoever follows the run live."""

    request_id: int
    phase: int
    outcome: Outcome
    t_due_ns: int
    t_end_ns: int
    error: str
    reads: list[tuple[bytes, int, int]] | None
