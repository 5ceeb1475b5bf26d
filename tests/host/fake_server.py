# SPDX-License-Identifier: Apache-2.0
"""Small real HTTP servers for the control plane's tests: routes as functions, and a generic engine out of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"


@dataclass
class Answer:
    body: Any  # bytes as they stand, anything else as JSON
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Route = Callable[[Any, Mapping[str, str]], Answer]


def recorded(name: str) -> Route:
    """A route that gives a recorded answer."""
    head, _, body = (TRANSCRIPTS / f"{name}.http").read_bytes().partition(b"\r\n\r\n")
    return lambda asked, headers: Answer(body, int(head.split()[1]), {"content-type": "application/json"})


@contextmanager
def serving(routes: Mapping[str, Route], seen: list[tuple[str, Any]] | None = None) -> Iterator[str]:
    """Serve `"GET /path"` -> route on a loopback port; yields the URL. `seen` gets (route, body) of every request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one segment: two would wait for each other's acknowledgement

        def do_GET(self) -> None:
            self.answer(None)

        def do_POST(self) -> None:
            self.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def answer(self, body: Any) -> None:
            name = f"{self.command} {self.path}"
            if seen is not None:
                seen.append((name, body))
            route = routes.get(name)
            answer = Answer({"error": "no such route"}, 404) if route is None else route(body, self.headers)
            data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for header, value in ({"content-type": "application/json"} | answer.headers).items():
                self.send_header(header, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class FakeEngine:
    """An engine whose tokens are words: a chat adds `n_template` around its text. Answers end after `n_natural`
    tokens unless a field in `obeys` forces the length. `refuses`: fields that are answered with 400."""

    obeys: tuple[str, ...] = ("ignore_eos",)
    refuses: tuple[str, ...] = ()
    n_natural: int = 2
    n_template: int = 4
    n_cached: int | None = None
    tells_usage: bool = True
    streams: bool = True
    has_chat: bool = True
    has_completions: bool = True
    models: tuple[str, ...] = ("m",)
    error_event: str = ""

    def routes(self) -> dict[str, Route]:
        routes: dict[str, Route] = {"GET /v1/models": self.list_models}
        if self.has_chat:
            routes["POST /v1/chat/completions"] = self.chat
        if self.has_completions:
            routes["POST /v1/completions"] = self.complete
        return routes

    def list_models(self, body: Any, headers: Mapping[str, str]) -> Answer:
        return Answer({"object": "list", "data": [{"id": name, "owned_by": "me"} for name in self.models]})

    def chat(self, body: Any, headers: Mapping[str, str]) -> Answer:
        n_words = sum(len(turn["content"].split()) for turn in body["messages"])
        return self.generate(body, n_words + self.n_template, lambda text: {"delta": {"content": text}})

    def complete(self, body: Any, headers: Mapping[str, str]) -> Answer:
        prompt = body["prompt"]
        n_prompt = len(prompt) if isinstance(prompt, list) else len(prompt.split())
        return self.generate(body, n_prompt, lambda text: {"text": text})

    def generate(self, body: Any, n_prompt: int, choice: Callable[[str], dict[str, Any]]) -> Answer:
        for name in self.refuses:
            if name in body:
                return Answer({"error": {"message": f"Unrecognized request argument: {name}"}}, 400)
        n_asked = body.get("max_tokens", body.get("max_completion_tokens"))
        is_forced = any(body.get(name) for name in self.obeys)
        n_output = n_asked if is_forced else min(n_asked, self.n_natural)
        usage = {"prompt_tokens": n_prompt, "completion_tokens": n_output}
        if self.n_cached is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": self.n_cached}
        told = {"usage": usage} if self.tells_usage else {}
        if not (self.streams and body.get("stream")):
            whole = choice(" ok" * n_output) | {"finish_reason": "stop"}
            whole |= {"message": whole.pop("delta")} if "delta" in whole else {}
            return Answer({"choices": [whole]} | told)
        events = [{"choices": [choice(" ok")]} for _ in range(n_output)]
        events.append({"choices": [choice("") | {"finish_reason": "length" if is_forced else "stop"}]} | told)
        if self.error_event:
            events = [{"error": {"message": self.error_event}}]
        lines = [f"data: {json.dumps(event)}\n\n" for event in events] + ["data: [DONE]\n\n"]
        return Answer("".join(lines).encode(), headers={"content-type": "text/event-stream"})
