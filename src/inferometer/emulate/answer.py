# SPDX-License-Identifier: Apache-2.0
"""An answer that unfolds: its bytes are known when the request comes, its instants only as the engine gets there.

    parts (bytes due with token k) -> sends (parts due at the same instant) -> instants, as tokens are produced

Rule 1: what an engine tells of its own times and of its cache is encoded when its instant is known, before it is due.
Rule 2: for the log it is a `truth.stamps.Sends`, as the scripts of the ground-truth server are.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from functools import lru_cache
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
    """One answer on its way. `offsets_ns[j]`: of send j from the arrival; as many as are known.

    `is_chunked`: what is neither head nor end goes in an HTTP chunk of its own.
    """

    def __init__(self, parts: Iterable[Part], *, is_chunked: bool = False) -> None:
        self.offsets_ns = array("q")
        self.steps: list[Step] = []
        self.send_of_step = array("i")
        self._groups: list[list[Part]] = []
        self._is_chunked = is_chunked
        last = None
        for part in parts:  # a thousand of them may be made while others wait to be sent
            if last is None or part.n_done != last.n_done or part.lead_ns != last.lead_ns:
                self._groups.append([part])
            else:
                self._groups[-1].append(part)
            last = part
            self.steps.append(_step(part.kind, part.n_tokens))
            self.send_of_step.append(len(self._groups) - 1)
        self.datas: list[bytes] = [b""] * len(self._groups)
        self.n_bytes = array("i", [0]) * len(self._groups)

    @property
    def is_released(self) -> bool:
        """All its instants are known."""
        return len(self.offsets_ns) == len(self.n_bytes)

    def release(self, n_done: int, offset_ns: int, moment: Moment) -> None:
        """Token `n_done` comes at this offset: what is due with it can be sent."""
        while not self.is_released and self._groups[i := len(self.offsets_ns)][0].n_done <= n_done:
            group = self._groups[i]
            data = self.datas[i] = b"".join([self._bytes(part, moment) for part in group])
            self.n_bytes[i] = len(data)
            # Not before what was sent already: instants of one answer do not decrease.
            self.offsets_ns.append(max(offset_ns - group[0].lead_ns, self.offsets_ns[-1] if i else 0))

    def cut(self, part: Part, offset_ns: int, moment: Moment) -> None:
        """What was not released is not sent; `part` is, at this offset, and the end of the framing."""
        n_released = len(self.offsets_ns)
        n_kept = sum(send < n_released for send in self.send_of_step)
        del self.datas[n_released:], self.steps[n_kept:], self.send_of_step[n_kept:], self._groups[n_released:]
        last = [part, Part(0, END_CHUNK, END)]
        del self.n_bytes[n_released:]
        self.datas.append(b"".join([self._bytes(one, moment) for one in last]))
        self.n_bytes.append(len(self.datas[-1]))
        self.steps += [_step(one.kind, one.n_tokens) for one in last]
        self.send_of_step.extend([n_released] * len(last))
        self.offsets_ns.append(max(offset_ns, self.offsets_ns[-1] if self.offsets_ns else 0))

    def forget(self) -> None:
        """All is sent, or nobody is there any more: what remains is for the log, and small."""
        self.datas, self._groups = [], []

    def _bytes(self, part: Part, moment: Moment) -> bytes:
        data = part.data if isinstance(part.data, bytes) else part.data(moment)
        return transfer_chunk(data) if self._is_chunked and part.kind not in (HEAD, END) else data


@lru_cache(maxsize=256)
def _step(kind: int, n_tokens: int) -> Step:
    """For the log, which asks for nothing else; shared, as there are few."""
    return Step(0, b"", kind, n_tokens)


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
    """A head before, and an end after. The head leaves with `head_n_done` tokens: 0, at once."""
    body = list(parts)
    first = next((part for part in body if part.n_done == head_n_done), None)
    lead_ns = first.lead_ns if first is not None and head_n_done else 0
    headers = [("content-type", content_type), ("transfer-encoding", "chunked")]
    opening = Part(head_n_done, head(200, headers, keeps_alive=keeps_alive), HEAD, 0, lead_ns)
    return [opening, *body, Part(body[-1].n_done, END_CHUNK, END)]


END_CHUNK = b"0\r\n\r\n"


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
