# SPDX-License-Identifier: Apache-2.0
"""A running ground-truth server, and the plainest client there can be."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import pytest

from inferometer.truth.launch import TruthServer
from inferometer.truth.script import Prescription

SHORT = Prescription(ttft_ms=5, gap_ms=1, n_chunks=4)


class Client:
    """Talks to one server; every request says what it wants in its `truth` field."""

    def __init__(self, server: TruthServer) -> None:
        self.server = server

    def encode(self, path: str = "/v1/chat/completions", *, headers: str = "", **body: object) -> bytes:
        data = json.dumps({"stream": True, "messages": [{"role": "user", "content": "one two"}]} | body).encode()
        return f"POST {path} HTTP/1.1\r\nHost: t\r\n{headers}Content-Length: {len(data)}\r\n\r\n".encode() + data

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.server.port))
        sock.settimeout(30)
        return sock

    def bytes_of(self, **request: object) -> tuple[bytes, str]:
        """Everything that comes back on a connection of its own until its end, and how that end came."""
        with self.connect() as sock:
            sock.sendall(self.encode(headers="Connection: close\r\n", **request))  # type: ignore[arg-type]
            return read_to_end(sock)

    def ask(self, path: str = "/v1/chat/completions", *, request_id: str = "", **body: object) -> HTTPResponse:
        """One request through http.client, answer unread."""
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        body = {"stream": True, "messages": [{"role": "user", "content": "one two"}]} | body
        connection.request("POST", path, json.dumps(body), {"x-request-id": request_id})
        return connection.getresponse()


def read_to_end(sock: socket.socket) -> tuple[bytes, str]:
    parts = []
    while True:
        try:
            part = sock.recv(65536)
        except ConnectionResetError:
            return b"".join(parts), "reset"
        if not part:
            return b"".join(parts), "closed"
        parts.append(part)


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    with TruthServer(SHORT) as server:
        yield Client(server)
