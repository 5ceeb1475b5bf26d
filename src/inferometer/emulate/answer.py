# SPDX-License-Identifier: Apache-2.0
"""An answer that unfolds: its bytes are known when the request comes, its instants only as the engine gets there.

    parts (bytes due with token k) -> sends (parts due at the same instant) -> instants, as tokens are produced

Rule 1: what an engine tells of its own times and of its cache is encoded when its instant is known, before it is due.
Rule 2: for the log it is a `truth.stamps.Sends`, as the scripts of the ground-truth server are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import NamedTuple

import msgspec

from inferometer.emulate.batch import NEVER_NS, Sequence
from inferometer.kinds import ChunkKind
from inferometer.truth.script import END, HEAD, Step, transfer_chunk
from inferometer.units import NS_PER_MS

# An event that comes with the engine's first output leaves a moment before the first text: seen on vLLM.
LEAD_NS = NS_PER_MS // 5


class Moment(NamedTuple):
    """What the engine knows of a request when one of its tokens comes."""

    t_ns: int
    t_arrival_ns: int
    t_admitted_ns: int
    t_first_ns: int
    n_done_tokens: int
    n_prompt_tokens: int
    n_cached_tokens: int


Late = Callable[[Moment], bytes]


class Part(NamedTuple):
    """Bytes due when `n_done` tokens are there (0: when the request came), or `lead_ns` before. `kind`: as in Step."""

    n_done: int
    data: bytes | Late
    kind: int
    n_tokens: int = 0
    lead_ns: int = 0


class Reply(NamedTuple):
    """An answer in one piece."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class Unfolding:
    """One answer on its way. `offsets_ns[j]`: of send j from the arrival; as many as are known."""

    def __init__(self, parts: Iterable[Part], sequence: Sequence | None) -> None:
        groups = [list(group) for _, group in groupby(parts, key=lambda part: (part.n_done, -part.lead_ns))]
        self.sequence = sequence
        self.offsets_ns: list[int] = []
        self.datas: list[bytes] = [b""] * len(groups)
        self.steps = [Step(0, b"", part.kind, part.n_tokens) for group in groups for part in group]
        self.send_of_step = [i for i, group in enumerate(groups) for _ in group]
        self._groups = groups

    @property
    def is_released(self) -> bool:
        """All its instants are known."""
        return len(self.offsets_ns) == len(self.datas)

    def release(self, n_done: int, offset_ns: int, moment: Moment) -> None:
        """Token `n_done` comes at this offset: what is due with it can be sent."""
        while not self.is_released and self._groups[i := len(self.offsets_ns)][0].n_done <= n_done:
            group = self._groups[i]
            self.datas[i] = b"".join(part.data if isinstance(part.data, bytes) else part.data(moment) for part in group)
            # Not before what was sent already: instants of one answer do not decrease.
            self.offsets_ns.append(max(offset_ns - group[0].lead_ns, self.offsets_ns[-1] if i else 0))

    def cut(self, part: Part | None, offset_ns: int, end: bytes) -> None:
        """What was not released is not sent; `part` and the framing's `end` are, at this offset."""
        n_released = len(self.offsets_ns)
        n_kept = sum(send < n_released for send in self.send_of_step)
        last = [*([part] if part is not None else []), Part(0, end, END)]
        del self.datas[n_released:], self.steps[n_kept:], self.send_of_step[n_kept:], self._groups[n_released:]
        self.datas.append(b"".join(part.data for part in last if isinstance(part.data, bytes)))
        self.steps += [Step(0, b"", part.kind, part.n_tokens) for part in last]
        self.send_of_step += [n_released] * len(last)
        self.offsets_ns.append(max(offset_ns, self.offsets_ns[-1] if self.offsets_ns else 0))


# HTTP around it


def head(status: int, headers: Iterable[tuple[str, str]], *, keeps_alive: bool) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}", "server: inferometer-emulate"]
    lines += [f"{name}: {value}" for name, value in headers]
    if not keeps_alive:
        lines.append("connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def whole(reply: Reply, *, keeps_alive: bool) -> bytes:
    headers = [("content-length", str(len(reply.body))), *reply.headers]
    if reply.content_type:
        headers.insert(0, ("content-type", reply.content_type))
    return head(reply.status, headers, keeps_alive=keeps_alive) + reply.body


def as_json(value: object, status: int = 200) -> Reply:
    return Reply(status, msgspec.json.encode(value))


def streamed(parts: Iterable[Part], *, content_type: str, head_n_done: int, keeps_alive: bool) -> list[Part]:
    """Parts in HTTP chunks, a chunk each. The head leaves with `head_n_done` tokens: 0, at once."""
    body = list(parts)
    first = next((part for part in body if part.n_done == head_n_done), None)
    lead_ns = first.lead_ns if first is not None and head_n_done else 0
    headers = [("content-type", content_type), ("transfer-encoding", "chunked")]
    opening = Part(head_n_done, head(200, headers, keeps_alive=keeps_alive), HEAD, 0, lead_ns)
    framed = [part._replace(data=_framed(part.data)) for part in body]
    return [opening, *framed, Part(body[-1].n_done, END_CHUNK, END)]


END_CHUNK = b"0\r\n\r\n"


def _framed(data: bytes | Late) -> bytes | Late:
    if isinstance(data, bytes):
        return transfer_chunk(data)
    return lambda moment: transfer_chunk(data(moment))


def sse(value: object) -> bytes:
    """A server-sent event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def line(value: object) -> bytes:
    """A line of JSON."""
    return msgspec.json.encode(value) + b"\n"


DONE = b"data: [DONE]\n\n"


def done(n_done: int) -> Part:
    return Part(n_done, DONE, ChunkKind.DONE)


def moment_of(sequence: Sequence, t_ns: int, n_done: int) -> Moment:
    """`t_ns`: when token `n_done` comes."""
    return Moment(
        t_ns,
        sequence.t_arrival_ns,
        sequence.t_admitted_ns,
        t_ns if sequence.t_first_ns == NEVER_NS else sequence.t_first_ns,
        n_done,
        sequence.n_prompt_tokens,
        sequence.n_cached_tokens,
    )


_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
}
