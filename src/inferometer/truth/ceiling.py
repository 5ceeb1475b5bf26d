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
N_TRIES = 2  # a rate that seems too much is tried again: a busy moment of the machine is not a ceiling


@dataclass(frozen=True, slots=True)
class Rung:
    """One rate asked of the server, and how it kept to it."""

    rate_per_s: float
    kept: Lateness

    @property
    def is_on_time(self) -> bool:
        delivered_ratio = self.kept.delivered_per_s / self.kept.asked_per_s
        return self.kept.lateness.p99_s <= MAX_LATENESS_P99_S and delivered_ratio >= MIN_DELIVERED_RATIO


def climb(
    rates_per_s: Sequence[float] = RATES_PER_S,
    n_streams: int = N_STREAMS,
    duration_s: float = DURATION_S,
    server_cpu: int | None = None,
) -> Iterator[Rung]:
    """Rates one after the other, each with a server of its own; ends after the first that is too much."""
    for rate_per_s in rates_per_s:
        for _ in range(N_TRIES):
            rung = _try(rate_per_s, n_streams, duration_s, server_cpu)
            if rung.is_on_time:
                break
        yield rung
        if not rung.is_on_time:
            return


def _try(rate_per_s: float, n_streams: int, duration_s: float, server_cpu: int | None) -> Rung:
    gap_ms = 1000 * n_streams / rate_per_s
    prescription = Prescription(
        ttft_ms=TTFT_MS,
        gap_ms=gap_ms,
        n_chunks=max(2, round(duration_s * 1000 / gap_ms)),
        stagger_ms=gap_ms / n_streams,
        stagger_n=n_streams,
        framing="close",
    )
    with TruthServer(prescription, cpu=server_cpu) as server:
        _drain(server.port, n_streams)
        return Rung(rate_per_s, lateness(server.stop()))


def _take_core() -> int | None:
    """Stay on one core and leave another to the server. Returns: that core, None where there are not two to choose."""
    if sys.platform != "linux":
        return None
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2:
        return None
    os.sched_setaffinity(0, {mine[1]})
    return mine[0]


def _drain(port: int, n_streams: int) -> None:
    """Open streams, and read until the server has closed them all."""
    body = b'{"stream":true,"messages":[]}'
    request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: truth\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(n_streams)]
    sink = bytearray(1 << 16)
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            sock.sendall(request)
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ, sock)
        while selector.get_map():
            for key, _ in selector.select():
                if key.data.recv_into(sink) == 0:
                    selector.unregister(key.data)
                    key.data.close()


HEADING = "  asked/s    sent/s  late p50  late p99  late max  one send  no core"


def line(rung: Rung) -> str:
    """One row of the table; `no core`: how long the server stood ready without one."""
    kept = rung.kept
    durations_s = (kept.lateness.p50_s, kept.lateness.p99_s, kept.lateness.max_s, kept.width.p50_s)
    rates = (format_number(rung.rate_per_s), format_number(kept.delivered_per_s))
    return "".join(f"{text:>9} " for text in (*rates, *map(format_duration, durations_s))) + (
        f"{format_duration(kept.run_delay_s):>8}"
    )


def verdict(rungs: Sequence[Rung]) -> str:
    kept = [rung for rung in rungs if rung.is_on_time]
    if not kept:
        return f"late already at {format_number(rungs[0].rate_per_s)} chunks/s: this machine is busy, or very slow"
    rate = format_number(kept[-1].rate_per_s)
    if len(kept) == len(rungs):
        return f"on time up to {rate} chunks/s, the highest rate tried"
    limit = format_duration(MAX_LATENESS_P99_S)
    return f"on time up to {rate} chunks/s (late by {limit} at most at p99, {MIN_DELIVERED_RATIO:.0%} of the rate sent)"


def main() -> None:
    sys.stdout.write(f"{N_STREAMS} streams, {DURATION_S} s at each rate\n{HEADING}\n")
    rungs = []
    for rung in climb(server_cpu=_take_core()):
        rungs.append(rung)
        sys.stdout.write(line(rung) + "\n")
        sys.stdout.flush()
    sys.stdout.write(verdict(rungs) + "\n")


if __name__ == "__main__":
    main()
