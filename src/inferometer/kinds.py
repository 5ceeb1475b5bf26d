# SPDX-License-Identifier: Apache-2.0
"""The words of the records: how a request ended, which part of a run it was in, what a stream event carried.

Numbers are stored in memory, names on disk; a number is never reused.
"""

from __future__ import annotations

from enum import IntEnum


class Outcome(IntEnum):
    """How one request ended. Stored by name in Parquet, by number in memory; numbers are never reused."""

    OK = 0  # 200, an end marker, a finish reason and at least one token
    TRUNCATED = 1  # the stream ended without an end marker, a finish reason or a token
    HTTP_STATUS = 2  # a status other than 200, redirects included
    ENGINE_ERROR = 3  # an error object inside a stream that began with 200
    PROTOCOL = 4  # the peer broke HTTP, SSE or JSON
    DNS = 5
    TLS = 6
    REFUSED = 7
    CONNECT_TIMEOUT = 8
    STALLED = 9  # silent for longer than the stall timeout
    DEADLINE = 10  # not finished within the request's deadline
    RESET = 11  # connection reset or closed in mid-answer
    CANCELLED = 12  # stopped by the user while in flight
    CENSORED = 13  # still open when the records end; its age is known, its latency is not
    NOT_SENT = 14  # due, but never left the client


class Phase(IntEnum):
    """Which part of the run a request belongs to."""

    WARMUP = 0  # sent to warm up; never in a metric
    MAIN = 1


class ChunkKind(IntEnum):
    """What one stream event carried."""

    ROLE = 0  # role or progress only: no token
    CONTENT = 1  # answer text
    REASONING = 2  # thinking text
    TOOL = 3  # tool-call arguments
    USAGE = 4  # token counts and no choice; counts that come with a choice change no kind
    DONE = 5  # the end marker
    ERROR = 6
    EMPTY = 7  # an event without text that is none of the above (finish only, empty delta)
    PING = 8  # SSE comment, keep-alive


APIS = ("chat", "completions")  # of a server, by preference: a chat is what people use
NATIVE_APIS = ("native", "native-chat")  # an engine's own, which must be asked for

# What the server's caches can know of a run's prompts when it begins, surest first.
NEW_PROMPTS = "new prompts"  # nothing: their words were drawn for this run
EMPTIED = "emptied"  # nothing: it was told to empty them, and said that it did
NEW_SERVER = "new server"  # nothing: it was started for this run
NOT_KNOWN = "not known"  # the same prompts may have been sent to it before

TOKEN_BEARING = (ChunkKind.CONTENT, ChunkKind.REASONING, ChunkKind.TOOL)
