# SPDX-License-Identifier: Apache-2.0
"""Emulated engines as running servers, and the plainest client there can be."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest

from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.emulation import Setting
from inferometer.emulate.launch import EmulatedEngine
from inferometer.emulate.law import ServiceLaw
from inferometer.truth.log import TruthLog, parse_log

LAW = ServiceLaw(a=8.0, b=0.05, c=0.1, d=0.0005)


class Client:
    """Questions to one emulated engine."""

    def __init__(self, engine: EmulatedEngine) -> None:
        self.engine = engine
        self.url = engine.url

    def ask(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> tuple[int, str, bytes]:
        """Status, content type and body of an answer; a body makes it a POST."""
        connection = HTTPConnection("127.0.0.1", self.engine.port, timeout=30)
        data = None if body is None else json.dumps(body).encode()
        connection.request("GET" if body is None else "POST", path, data, headers or {})
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        return answer.status, answer.headers.get("content-type", ""), said

    def json(self, path: str, body: Any = None) -> Any:
        return json.loads(self.ask(path, body)[2])

    def events(self, path: str, body: Any) -> list[Any]:
        """The events of a stream, [DONE] as a string."""
        _, _, said = self.ask(path, body)
        found = []
        for event in said.split(b"\n\n"):
            data = event.strip().removeprefix(b"data:").strip()
            if data:
                found.append("[DONE]" if data == b"[DONE]" else json.loads(data))
        return found

    def gauges(self, path: str = "/metrics") -> dict[str, float]:
        """Samples of a page in the format of Prometheus, by name and labels."""
        lines = self.ask(path)[2].decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def counts(self) -> dict[str, Any]:
        """What the engine counts of itself, by our own names: answered whatever its threads do."""
        return self.json("/truth/gauges")

    @contextmanager
    def held(self, n_requests: int, path: str, body: Any) -> Iterator[list[socket.socket]]:
        """So many requests under way, as long as they last; their clients leave in the end."""
        data = json.dumps(body).encode()
        request = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data
        with ExitStack() as stack:
            sockets = []
            for _ in range(n_requests):
                sockets.append(stack.enter_context(socket.create_connection(("127.0.0.1", self.engine.port))))
                sockets[-1].sendall(request)
            yield sockets

    def log(self) -> TruthLog:
        return parse_log(self.ask("/truth/log")[2])


@pytest.fixture(scope="session")
def emulated() -> Iterator[Callable[..., Client]]:
    """`emulated("vllm", slots=2, ...)`: a running one with that setting, the same one for the same setting."""
    running: dict[Setting, Client] = {}
    with ExitStack() as stack:

        def start(engine: str, **fields: Any) -> Client:
            setting = make_setting(engine, **{"law": LAW} | fields)
            if setting not in running:
                running[setting] = Client(stack.enter_context(EmulatedEngine(setting)))
            return running[setting]

        yield start
