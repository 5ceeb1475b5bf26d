# SPDX-License-Identifier: Apache-2.0
"""Servers for the command line to fail on, and what every refusal has in common."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest


class Tripwire:
    """A port that takes connections and notices them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def is_touched(self) -> bool:
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def tripwire() -> Iterator[Tripwire]:
    tripwire = Tripwire()
    yield tripwire
    tripwire.close()


@pytest.fixture
def refused() -> Callable[..., None]:
    """`refused(done, code, *words)`: it ended with that code, one line of reason and at most one of remedy."""

    def check(done, exit_code: int, *words: str) -> None:
        assert "Traceback" not in done.stderr
        assert (done.exit_code, done.stdout) == (exit_code, ""), done.stderr
        first, *rest = done.stderr.splitlines()
        assert first.startswith("inferometer: ")
        assert len(rest) <= 1
        assert all(line.startswith("  -> ") for line in rest)
        for word in words:
            assert word in done.stderr

    return check


@pytest.fixture
def answering() -> Iterator[Callable[..., str]]:
    """`answering(status, headers, body)`: URL of a server that gives every request this answer."""
    with ExitStack() as stack:

        def start(status: int, headers: dict[str, str], body: bytes = b"") -> str:
            class Answer(http.server.BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"

                def do_GET(self) -> None:
                    self.send_response(status)
                    for name, value in ({"content-length": str(len(body))} | headers).items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)

                def do_POST(self) -> None:
                    self.rfile.read(int(self.headers["content-length"]))
                    self.do_GET()

                def log_message(self, *args: object) -> None:
                    pass

            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield start
