# SPDX-License-Identifier: Apache-2.0
"""What runs of the whole tool are looked at with: a proxy that sees every byte, run folders as rows, processes."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

from inferometer.run_folder import Run

MEASURED = b"x-request-id:"  # the header that only measured requests carry


class Proxy:
    """Passes bytes on and keeps what the client said; TLS towards the client if there is a context.

    Measured requests go to `measured_port`, all others to `port`: so a server can be well while it is asked who it is,
    and ill while it is measured.
    """

    def __init__(self, port: int, measured_port: int | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.said: list[bytes] = []  # per connection, in the order of their first bytes
        self._ports = (port, measured_port or port)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:  # either side may leave at any time
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            first = client.recv(1 << 20)
            i = len(self.said)
            self.said.append(first)
            with socket.create_connection(("127.0.0.1", self._ports[MEASURED in first.lower()])) as server:
                server.sendall(first)
                threading.Thread(target=_pass_on, args=(server, client), daemon=True).start()
                while data := client.recv(1 << 20):
                    self.said[i] += data
                    server.sendall(data)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 20):
            sink.sendall(data)
    with contextlib.suppress(OSError):  # of TLS this sends the close_notify
        sink.unwrap() if isinstance(sink, ssl.SSLSocket) else sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy() -> Iterator[Callable[..., Proxy]]:
    with ExitStack() as stack:

        def start(*args: Any, **kwargs: Any) -> Proxy:
            proxy = Proxy(*args, **kwargs)
            stack.callback(proxy.close)
            return proxy

        yield start


@pytest.fixture(scope="session")
def rows() -> Callable[..., list[dict[str, Any]]]:
    """`rows(folder, table)`: a Parquet table of a run as a stranger reads it."""

    def read(folder: Path, table: str = "requests") -> list[dict[str, Any]]:
        with duckdb.connect() as con:
            result = con.execute(f"SELECT * FROM '{folder / table}.parquet'")
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    return read


@pytest.fixture(scope="session")
def everything() -> Callable[[Path], bytes]:
    """`everything(folder)`: all that stands in a run folder, the tables (which are compressed) also as text."""

    def read(folder: Path) -> bytes:
        trace = Run.open(str(folder)).trace()
        tables = [repr(table.tolist()) for table in (trace.requests, trace.chunks, trace.samples)]
        return b"".join(path.read_bytes() for path in sorted(folder.iterdir())) + "".join(tables).encode()

    return read


@pytest.fixture(scope="session")
def processes() -> Callable[[str], list[int]]:
    """`processes(word)`: pids of all whose command line holds the word."""

    def find(word: str) -> list[int]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if any(word in part for part in process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
        return found

    return find
