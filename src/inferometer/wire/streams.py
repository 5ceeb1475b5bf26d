# SPDX-License-Identifier: Apache-2.0
"""Which reader reads a stream, by its content type."""

from __future__ import annotations

from typing import TypeAlias

from inferometer.wire.ndjson import LineReader
from inferometer.wire.sse import EventReader

Reader: TypeAlias = EventReader | LineReader

SSE, NDJSON = "text/event-stream", "application/x-ndjson"
_READERS: dict[str, type[EventReader] | type[LineReader]] = {SSE: EventReader, NDJSON: LineReader}


def reader_of(content_type: str) -> Reader:
    """A new reader for a stream of this kind: one of `SSE`, `NDJSON`."""
    return _READERS[content_type]()
