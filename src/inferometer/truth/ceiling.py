# SPDX-License-Identifier: Apache-2.0
"""The ground-truth server's own ceiling: how late its sends are against the prescription, at rising rates.

    python -m inferometer.truth.server --ceiling

Rule 1: the client here only drains; it neither stamps nor decodes, so that what is measured is the server.
Rule 2: above the ceiling the log is still true, for it holds the stamps of the sends; what ends is the prescribed load.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inferometer.truth.launch import TruthServer
from inferometer.truth.log import Lateness, lateness
from inferometer.truth.script import Prescription
from inferometer.units import format_duration, format_number

RATES_PER_S = (1_000, 5_000, 10_000, 20_000, 50_000, 75_000, 100_000, 125_000, 150_000, 200_000)
N_STREAMS = 256
DURATION_S = 1.5
TTFT_MS = 300.0  # all requests have arrived before the first chunk is due
MAX_LATENESS_P99_S = 1e-3
MIN_DELIVERED_RATIO = 0.99


@dataclass(frozen=True, slots=True)
class Step:
    """One rate asked of the server, and how it kept to it."""

    rate_per_s: float
    lateness: Lateness

    @property
    def is_on_time(self) -> bool:
        kept = self.lateness
        delivered = kept.delivered_per_s / kept.asked_per_s
        return kept.lateness.p99_s <= MAX_LATENESS_P99_S and delivered >= MIN_DELIVERED_RATIO


def climb(rates_per_s: Sequence[float] = RATES_PER_S, n_streams: int = N_STREAMS) -> Iterator[Step]:
    """Rates one after the other, each with a server of its own; ends after the first that is too much."""
    cpus = _cpus()
    for rate_per_s in rates_per_s:
        gap_ms = 1000 * n_streams / rate_per_s
        prescription = Prescription(
            ttft_ms=TTFT_MS,
            gap_ms=gap_ms,
            n_chunks=max(2, round(DURATION_S * 1000 / gap_ms)),
            stagger_ms=gap_ms / n_streams,
            stagger_n=n_streams,
            framing="close",
        )
        with TruthServer(prescription, cpu=cpus[0]) as server:
            _drain(server.port, n_streams)
            step = Step(rate_per_s, lateness(server.stop()))
        yield step
        if not step.is_on_time:
            return


def lines(steps: Sequence[Step]) -> list[str]:
    """The table as text, verdict last."""
    table = [_HEADING] + [_line(step) for step in steps]
    kept = [step for step in steps if step.is_on_time]
    if not kept:
        return [*table, f"late at {format_number(steps[0].rate_per_s)} chunks/s already: this machine is busy or slow"]
    rate = format_number(kept[-1].rate_per_s)
    if len(kept) == len(steps):
        return [*table, f"on time up to {rate} chunks/s, the highest rate tried"]
    limit = format_duration(MAX_LATENESS_P99_S)
    return [
        *table,
        f"on time up to {rate} chunks/s (p99 of lateness within {limit}, {MIN_DELIVERED_RATIO:.0%} delivered)",
    ]


_HEADING = f"{'asked/s':>9}  {'sent/s':>9}  {'late p50':>9}  {'late p99':>9}  {'late max':>9}  {'send p50':>9}"


def _line(step: Step) -> str:
    kept = step.lateness
    durations = (kept.lateness.p50_s, kept.lateness.p99_s, kept.lateness.max_s, kept.width.p50_s)
    numbers = [format_number(step.rate_per_s), format_number(kept.delivered_per_s), *map(format_duration, durations)]
    return "  ".join(f"{number:>9}" for number in numbers)


def _cpus() -> tuple[int | None, int | None]:
    """A core for the server and another for the client, where there are two to choose."""
    if sys.platform != "linux":
        return None, None
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2:
        return None, None
    os.sched_setaffinity(0, {mine[1]})
    return mine[0], mine[1]


def _drain(port: int, n_streams: int) -> None:
    """Open streams, and read until the server has closed them all."""
    body = b'{"stream":true,"messages":[]}'
    request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: truth\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    selector = selectors.DefaultSelector()
    sockets = []
    for _ in range(n_streams):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ, sock.recv_into)
        sockets.append(sock)
    for sock in sockets:
        sock.send(request)
    sink = bytearray(1 << 16)
    while selector.get_map():
        for key, _ in selector.select():
            if key.data(sink) == 0:
                selector.unregister(key.fileobj)
    for sock in sockets:
        sock.close()
    selector.close()


def main() -> None:
    steps = []
    for step in climb():
        steps.append(step)
        sys.stderr.write(
            f"{format_number(step.rate_per_s)} chunks/s: late p99 {format_duration(step.lateness.lateness.p99_s)}\n"
        )
    sys.stdout.write("\n".join(lines(steps)) + "\n")


if __name__ == "__main__":
    main()
