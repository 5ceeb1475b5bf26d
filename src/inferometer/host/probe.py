# SPDX-License-Identifier: Apache-2.0
"""One small request, sent and decoded outside of any measurement: what a server does, rather than what it says.

Rule 1: it is encoded and decoded by the very dialect that the measurement will use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inferometer.engines.engine import Delta, Dialect, DialectError, Usage
from inferometer.host.control import Control
from inferometer.kinds import TOKEN_BEARING, ChunkKind
from inferometer.plan.request import Request
from inferometer.wire.errors import RemoteProtocolError
from inferometer.wire.streams import SSE, reader_of

TIMEOUT_S = 120.0  # some servers load their model with the first request


@dataclass(frozen=True, slots=True)
class Probe:
    """What came back. `error`: why it is no answer, one line, "" if it is one; `n_chunks`: token-bearing ones;
    `n_counted`: the sum of what these tell of themselves, None if one does not tell; `text`: of the answer alone,
    without what it reasoned before."""

    status: int
    error: str = ""
    is_streamed: bool = False
    n_chunks: int = 0
    n_counted: int | None = None
    finish: str = ""
    usage: Usage | None = None
    text: str = ""

    @property
    def n_prompt_tokens(self) -> int | None:
        return self.usage.n_prompt_tokens if self.usage is not None else None

    @property
    def n_output_tokens(self) -> int | None:
        told = self.usage.n_output_tokens if self.usage is not None else None
        return self.n_counted if told is None else told


def probe(
    control: Control,
    dialect: Dialect,
    model: str,
    extras: Mapping[str, Any],
    request: Request,
    *,
    timeout_s: float = TIMEOUT_S,
) -> Probe:
    """Send it and read the whole answer.

    Raises: EngineError if no answer came.
    """
    encoded = dialect.encode(request, model, extras)
    reply = control.post(encoded.path, encoded.body, timeout_s)
    if reply.status != 200:
        said = dialect.error_text(reply.body)
        where = f" to {reply.location}" if 300 <= reply.status < 400 and reply.location else ""
        return Probe(reply.status, f"HTTP {reply.status}{where}: {said}".rstrip(": "))
    is_streamed = reply.content_type.startswith(dialect.streams_as)
    is_streamed |= dialect.streams_as == SSE and reply.body.lstrip().startswith(b"data:")
    try:
        deltas = _streamed(dialect, reply.body) if is_streamed else dialect.decode_body(reply.body)
    except (DialectError, RemoteProtocolError) as error:
        return Probe(reply.status, str(error), is_streamed)
    errors = [delta.text for delta in deltas if delta.kind is ChunkKind.ERROR]
    counts = [delta.n_tokens for delta in deltas if delta.kind in TOKEN_BEARING]
    told = [count for count in counts if count is not None]
    n_counted = sum(told) if counts and len(told) == len(counts) else None
    finish = next((delta.finish for delta in reversed(deltas) if delta.finish), "")
    usage = next((delta.usage for delta in reversed(deltas) if delta.usage is not None), None)
    n_output_tokens = usage.n_output_tokens if usage is not None else 0
    if not errors and not counts and not n_output_tokens:
        errors = ["the answer holds no token"]
    text = "".join(delta.text for delta in deltas if delta.kind is ChunkKind.CONTENT)
    return Probe(reply.status, errors[0] if errors else "", is_streamed, len(counts), n_counted, finish, usage, text)


def _streamed(dialect: Dialect, body: bytes) -> list[Delta]:
    reader, state, deltas = reader_of(dialect.streams_as), dialect.start(), []
    for event in [*reader.feed(body, 0), *reader.close(0)]:
        if not event.is_comment:
            state, said = dialect.decode(state, event.type, event.data)
            deltas += said
    return deltas
