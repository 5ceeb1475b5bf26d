# SPDX-License-Identifier: Apache-2.0
"""One answer as h11 reads it: an independent reader of HTTP/1.1 to agree with."""

from __future__ import annotations

from typing import NamedTuple

import h11

from inferometer.wire.http1 import MAX_HEAD_BYTES


class Reading(NamedTuple):
    """Header names are lower case, values Latin-1. `is_done`: the message is complete."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    is_done: bool


def by_h11(data: bytes, is_closed: bool = False) -> Reading | None:
    """The answer to a POST; None if h11 refuses it."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
    client.send(h11.Request(method="POST", target="/", headers=[("Host", "h"), ("Content-Length", "0")]))
    client.send(h11.EndOfMessage())
    status, headers, body = 0, [], b""
    try:
        client.receive_data(data)
        if is_closed:
            client.receive_data(b"")
        while True:
            event = client.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
                headers = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return Reading(status, headers, body, True)
            elif event is h11.NEED_DATA:
                return Reading(status, headers, body, False)
    except h11.RemoteProtocolError:
        return None
