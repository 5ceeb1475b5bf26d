# SPDX-License-Identifier: Apache-2.0
"""Who broke the protocol: we, or the peer.

    ProtocolError
      LocalProtocolError    we misused the wire: a bug in the caller
      RemoteProtocolError   the peer broke HTTP or SSE; the seam in drive/ makes it Outcome.PROTOCOL

Rule 1: bytes from a peer lead to results or to RemoteProtocolError, to nothing else; any other exception is our bug.
Rule 2: a message is one line for people. It quotes at most a few bytes of what the peer sent (`glimpse`), so that an
echoed key cannot leave through it.
"""

from __future__ import annotations

from typing import Any

MAX_GLIMPSE_BYTES = 8  # enough to recognise "gzip", "SSH-2.0-" or a TLS alert; too little to give a key away


class ProtocolError(Exception):
    """HTTP or SSE was broken; `str(error)` is one line."""


class LocalProtocolError(ProtocolError):
    """We asked for something that the protocol forbids, or called in the wrong state."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol forbids, or closed in mid-answer.

    before: what the failing `feed` had read up to the fault (spans, events), so that the fate of good bytes does not
    hang on whether bad ones came in the same read.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.before: list[Any] = []


def glimpse(data: bytes) -> str:
    """The first bytes of `data` as a Python literal, for messages."""
    return repr(data[:MAX_GLIMPSE_BYTES]) + ("..." if len(data) > MAX_GLIMPSE_BYTES else "")
