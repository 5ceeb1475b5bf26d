# SPDX-License-Identifier: Apache-2.0
"""A gateway in front of a real engine, with a fault: what stands between many users and their model, and goes wrong.

    python benchmarks/gateway.py --port 8000 [--defect drops-middle] [--size 0.5] -- ENGINE WORDS ... --port {behind}

It starts the engine on a port of its own, hands every request on and every byte of the answer back, and ends with it.
The fault is in what it does to requests (JSON bodies of POST), to the number that it hears at a time, to its own
memory, or to the engine's process. `--size`: how large it is, from 0 to 1. Nothing tells of it: status and reason are
the engine's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import h11

from inferometer.host.launch import free_port
from inferometer.host.supervise import die_with_parent

Body = dict[str, Any]
LONG_WORDS = 100  # of a prompt, from which on it is long
THROTTLED_AFTER_S = 60.0
TICK_S = 0.04  # of which a throttled engine stands still for a part
LEFT_BYTES = 512 * 1024  # of each request, at size 1
FEW_THREADS = 2
BESIDE = 3  # others, from which on a prompt loses something


class Gateway:
    """`n_beside`: requests that are under way."""

    def __init__(self, defect: str, size: float, port: int) -> None:
        self.change = CHANGES.get(defect)
        self.size, self.port, self.defect = size, port, defect
        self.n_beside = 0
        self.turns = asyncio.Semaphore(FEW_THREADS if defect == "few-threads" else 10_000)
        self.left: list[bytearray] = []
        self.rng = random.Random(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request: the gateway closes it afterwards, and says so."""
        try:
            request, body = await read_request(reader)
            is_generation = request.method == b"POST" and request.target.endswith((b"completions", b"/completion"))
            async with self.turns if is_generation else contextlib.nullcontext():
                await self._pass_on(request, body, writer, is_generation=is_generation)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side went away
        finally:
            writer.close()

    async def _pass_on(
        self, request: h11.Request, body: bytes, writer: asyncio.StreamWriter, *, is_generation: bool
    ) -> None:
        self.n_beside += is_generation
        try:
            if is_generation:
                body = self._changed(body)
            kept = [(k, v) for k, v in request.headers if k not in (b"content-length", b"connection")]
            headers = [*kept, (b"Content-Length", b"%d" % len(body)), (b"Connection", b"close")]
            head = h11.Request(method=request.method, target=request.target, headers=headers)
            back, out = await asyncio.open_connection("127.0.0.1", self.port)
            client = h11.Connection(h11.CLIENT)
            out.write(b"".join(filter(None, map(client.send, (head, h11.Data(data=body), h11.EndOfMessage())))))
            try:
                while data := await back.read(65_536):
                    writer.write(data)
                    await writer.drain()
            finally:
                out.close()
        finally:
            self.n_beside -= is_generation

    def _changed(self, body: bytes) -> bytes:
        if self.defect == "leaks":
            self.left.append(bytearray(os.urandom(int(self.size * LEFT_BYTES))))
        if self.change is None:
            return body
        wish = json.loads(body)
        self.change(wish, self.size, self)
        return json.dumps(wish).encode()


async def read_request(reader: asyncio.StreamReader) -> tuple[h11.Request, bytes]:
    """Raises: asyncio.IncompleteReadError if the other side went away."""
    server, request, body = h11.Connection(h11.SERVER), None, bytearray()
    while True:
        event = server.next_event()
        if event is h11.NEED_DATA:
            if not (data := await reader.read(65_536)):
                raise asyncio.IncompleteReadError(b"", None)
            server.receive_data(data)
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return request, bytes(body)
        else:
            raise asyncio.IncompleteReadError(b"", None)


def on_words(change: Callable[[list[str]], list[str]], wish: Body) -> None:
    """Of the prompt, or of the last message: spaces belong to the words that follow."""
    holder, key = (wish["messages"][-1], "content") if "messages" in wish else (wish, "prompt")
    if isinstance(holder[key], str):
        words = holder[key].split(" ")
        holder[key] = " ".join(change(words))


def drop_middle(wish: Body, size: float, gateway: Gateway) -> None:
    """Of a long prompt: a quarter to a half of it."""

    def change(words: list[str]) -> list[str]:
        n_kept = round(len(words) * (1 - (0.25 + 0.25 * size)) / 2)
        return [*words[:n_kept], *words[-n_kept:]] if len(words) > LONG_WORDS else words

    on_words(change, wish)


def cap_context(wish: Body, size: float, gateway: Gateway) -> None:
    """Of a prompt beyond a number of words only the end is kept."""
    most = round(LONG_WORDS * (2 + 2 * size))
    on_words(lambda words: words[-most:], wish)


def shorten_answer(wish: Body, size: float, gateway: Gateway) -> None:
    for name in ("max_tokens", "max_completion_tokens", "n_predict"):
        if name in wish:
            wish[name] = min(wish[name], round(16 + 32 * size))
    wish.pop("ignore_eos", None)


def differ_under_load(wish: Body, size: float, gateway: Gateway) -> None:
    """With several others there, some prompts lose a third."""
    if gateway.n_beside > BESIDE and gateway.rng.random() < 0.3 + 0.4 * size:
        on_words(lambda words: words[: round(len(words) / 3)] + words[round(2 * len(words) / 3) :], wish)


CHANGES: dict[str, Callable[[Body, float, Gateway], None]] = {
    "drops-middle": drop_middle,
    "caps-context": cap_context,
    "shortens-answers": shorten_answer,
    "differs-under-load": differ_under_load,
}
DEFECTS = ("", *CHANGES, "few-threads", "leaks", "throttles")


async def throttle(pid: int, size: float) -> None:
    """After a minute the engine stands still for a third to two thirds of every few ms, as a quota of CPU makes it."""
    await asyncio.sleep(THROTTLED_AFTER_S)
    still_s = TICK_S * (1 + size) / 3
    while True:
        os.killpg(pid, signal.SIGSTOP)
        await asyncio.sleep(still_s)
        os.killpg(pid, signal.SIGCONT)
        await asyncio.sleep(TICK_S - still_s)


async def run(port: int, defect: str, size: float, words: list[str]) -> int:
    """Until the engine ends or somebody wants this to."""
    behind = free_port()
    engine = subprocess.Popen([word.replace("{behind}", str(behind)) for word in words], process_group=0)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    gateway = Gateway(defect, size, behind)
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", port, backlog=512)
    slowing = asyncio.create_task(throttle(engine.pid, size)) if defect == "throttles" else None
    async with server:
        while engine.poll() is None and not stopped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), 0.2)
    if slowing is not None:
        slowing.cancel()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(engine.pid, signal.SIGCONT)
        os.killpg(engine.pid, signal.SIGKILL)
    return engine.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--defect", choices=DEFECTS, default="")
    parser.add_argument("--size", type=float, default=0.5)
    parser.add_argument("words", nargs="+", metavar="ENGINE")
    told = parser.parse_args()
    die_with_parent()
    return asyncio.run(run(told.port, told.defect, told.size, told.words))


if __name__ == "__main__":
    sys.exit(main())
