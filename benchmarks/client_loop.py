# SPDX-License-Identifier: Apache-2.0
"""What a client loop costs and how true it is: clients against the ground-truth server, each on one core.

    python benchmarks/client_loop.py [--streams 256] [--rates 10000,50000,100000] [--seconds 2]

Rule 1: clients are compared within one run, load by load, so that a noisy machine is noisy for all.
Rule 2: every client gets the same prescription, and its trace the same comparison with the server's log.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inferometer.clock import Clock
from inferometer.drive.connection import Target
from inferometer.drive.decode import Asked, Decoded, decode
from inferometer.drive.loop import Options
from inferometer.engines.openai import CHAT
from inferometer.host.sample import ClientSampler, HostSampler
from inferometer.kinds import TOKEN_BEARING, ChunkKind, Outcome
from inferometer.measurement import Measurement
from inferometer.plan.request import Request
from inferometer.plan.schedule import Schedule, Stage
from inferometer.recorder import Writer
from inferometer.records import CHUNK, Array, Trace, empty_requests
from inferometer.truth.launch import TruthServer
from inferometer.truth.log import TruthLog, compare, lateness
from inferometer.truth.script import Prescription
from inferometer.wire.http1 import encode_request

TTFT_MS = 300.0
BODY = '{"stream":true,"messages":[]}'
EVENT_BYTES = 400  # an upper bound of bytes per chunk, for what is reserved
C_READ = np.dtype([("stream", "i8"), ("n_bytes", "i8"), ("t_recv_ns", "i8"), ("t_read_ns", "i8")])


@dataclass(frozen=True)
class Driven:
    """What a client made of a load.

    From the first send to the last byte: `cpu_ns`: its CPU time; `run_delay_ns`: how long it stood without a core.
    """

    trace: Trace
    cpu_ns: int
    run_delay_ns: int


Client = Callable[[int, int, int], Driven]  # port, streams, chunks per stream


def c_client(folder: Path) -> Client:
    """The C loop, compiled here."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("needs a C compiler (cc)")
    program = folder / "client_loop"
    source = Path(__file__).with_name("client_loop.c")
    subprocess.run([compiler, "-O2", "-Wall", "-o", program, source], check=True)

    def drive(port: int, n_streams: int, n_chunks: int) -> Driven:
        out = folder / "reads"
        n_reads = n_streams * (n_chunks + 8)
        argv = [program, port, n_streams, n_reads, n_reads * EVENT_BYTES + 65536, BODY, out]
        subprocess.run([str(word) for word in argv], check=True)
        return read_c(out.read_bytes())

    return drive


def read_c(data: bytes) -> Driven:
    """The file that client_loop.c writes, as a trace: an event belongs to the read that completed it."""
    n_streams, n_reads, n_bytes, cpu_ns, run_delay_ns = np.frombuffer(data, "i8", 5).tolist()
    t_sent_ns = np.frombuffer(data, "i8", n_streams, 40)
    reads = np.frombuffer(data, C_READ, n_reads, 40 + 8 * n_streams)
    received = data[len(data) - n_bytes :]
    starts = np.cumsum(reads["n_bytes"]) - reads["n_bytes"]
    requests = empty_requests(n_streams)
    requests["t_sent_ns"] = t_sent_ns
    requests["outcome"] = Outcome.OK
    parts = []
    order = np.argsort(reads["stream"], kind="stable")
    for i, mine in enumerate(np.split(order, np.searchsorted(reads["stream"][order], np.arange(1, n_streams)))):
        text = b"".join(received[starts[k] : starts[k] + reads["n_bytes"][k]] for k in mine)
        ends = [end for end, event in events_of(text) if b'"content":" ' in event]
        chunks = np.zeros(len(ends), CHUNK)
        completing = mine[np.searchsorted(np.cumsum(reads["n_bytes"][mine]), ends)]
        chunks["request_id"], chunks["kind"], chunks["n_tokens"] = i, ChunkKind.CONTENT, 1
        chunks["read_id"] = completing
        chunks["t_recv_ns"] = reads["t_recv_ns"][completing]
        chunks["t_read_ns"] = reads["t_read_ns"][completing]
        parts.append(chunks)
    requests["n_chunks"] = [len(part) for part in parts]
    requests["chunk_start"] = np.cumsum(requests["n_chunks"]) - requests["n_chunks"]
    return Driven(Trace(requests, np.concatenate(parts), meta={"clock": {"origin_ns": 0}}), cpu_ns, run_delay_ns)


def events_of(text: bytes) -> list[tuple[int, bytes]]:
    """Events of a close-delimited answer and how many bytes of the stream complete each."""
    end = text.index(b"\r\n\r\n") + 4
    found = []
    for event in text[end:].split(b"\n\n")[:-1]:
        end += len(event) + 2
        found.append((end, event))
    return found


def inferometer_client(folder: Path) -> Client:
    """Our own loop with everything on: framing, recorder, samples; decoded after the run, which is not counted."""

    def drive(port: int, n_streams: int, n_chunks: int) -> Driven:
        path = folder / "recorder.bin"
        path.unlink(missing_ok=True)
        clock, recorder = Clock(), Writer(path)
        encoded = CHAT.encode(Request(0, "", 0, n_chunks), "truth", {})
        headers = [("host", "truth"), ("content-type", "application/json")]
        payloads = [
            encode_request("POST", encoded.path, [*headers, ("x-request-id", f"{i}-bench")], encoded.body)
            for i in range(n_streams)
        ]
        stage = Stage(due_ns=np.zeros(n_streams, np.int64))
        schedule = Schedule("burst", "all at once", ((stage,),))
        target = Target(socket.AF_INET, ("127.0.0.1", port), "127.0.0.1")
        samplers = (ClientSampler(), HostSampler())
        before = schedstat()
        Measurement(target, payloads, schedule, CHAT, recorder, clock, Options(), samplers, None).run()
        recorder.close()
        cpu_ns, run_delay_ns = (after - start for after, start in zip(schedstat(), before, strict=True))
        decoded = decode([path], CHAT, Asked([0], [n_chunks]))
        meta = {"clock": {"origin_ns": clock.origin_ns}}
        return Driven(Trace(decoded.requests, token_chunks(decoded), meta=meta), cpu_ns, run_delay_ns)

    return drive


def schedstat() -> tuple[int, int]:
    """CPU time and run-queue delay of this thread, ns."""
    cpu_ns, run_delay_ns, _ = Path("/proc/thread-self/schedstat").read_text().split()
    return int(cpu_ns), int(run_delay_ns)


def token_chunks(decoded: Decoded) -> Array:
    """Chunks with tokens only, as the C client's trace has them; offsets in the requests are put right."""
    is_token = np.isin(decoded.chunks["kind"], TOKEN_BEARING)
    chunks = decoded.chunks[is_token]
    requests = decoded.requests
    requests["n_chunks"] = np.bincount(chunks["request_id"], minlength=len(requests))
    requests["chunk_start"] = np.cumsum(requests["n_chunks"]) - requests["n_chunks"]
    return chunks


# The table

HEADING = (
    f"{'':12}{'CPU us':>8}{'':6} | {'reads':>7} | {'kernel stamp minus send, us':^37} | {'own clock, us':^19} |"
    f" {'server':>10} | {'no core, ms':^15}",
    f"{'client':12}{'a chunk':>8}{'ratio':>6} | {'merged':>7} | {'TTFT p50':>8}{'p99':>9}{'gap p50':>10}{'p99':>10} |"
    f" {'TTFT p50':>9}{'p99':>10} | {'late p99':>10} | {'server':>7}{'client':>8}",
)


def row(name: str, driven: Driven, log: TruthLog, yardstick_cpu_us: float) -> str:
    """One client at one load. `ratio`: of its CPU time to that of the first client in the table."""
    kernel, own = compare(driven.trace, log), compare(by_own_clock(driven.trace), log)
    if kernel.n_lost or kernel.n_extra or kernel.n_unknown:
        raise SystemExit(f"{name}: {kernel.n_lost} chunks lost, {kernel.n_extra} extra, {kernel.n_unknown} unknown")
    cpu_us = cpu_us_per_chunk(driven)
    kept = lateness(log)
    cells = (
        f"{name:12}{cpu_us:>8.2f}{cpu_us / yardstick_cpu_us:>6.2f}",
        f"{kernel.merged_ratio:>8.2%}",
        _in_us((9, kernel.ttft.p50_s), (9, kernel.ttft.p99_s), (10, kernel.gap.p50_s), (10, kernel.gap.p99_s)),
        _in_us((10, own.ttft.p50_s), (10, own.ttft.p99_s)),
        _in_us((11, kept.lateness.p99_s)),
        f"{kept.run_delay_s * 1e3:>8.1f}{driven.run_delay_ns / 1e6:>8.1f}",
    )
    return " |".join(cells)


def by_own_clock(trace: Trace) -> Trace:
    """The same trace with the client's own stamps in place of the kernel's."""
    chunks = trace.chunks.copy()
    chunks["t_recv_ns"] = chunks["t_read_ns"]
    return Trace(trace.requests, chunks, meta=trace.meta)


def _in_us(*cells: tuple[int, float]) -> str:
    return "".join(f"{value_s * 1e6:>{width},.1f}" for width, value_s in cells)


def cpu_us_per_chunk(driven: Driven) -> float:
    return driven.cpu_ns / 1e3 / len(driven.trace.chunks)


def prescription(rate_per_s: float, n_streams: int, seconds: float) -> Prescription:
    """Streams spread evenly over one gap, close-delimited, one event per chunk."""
    gap_ms = 1e3 * n_streams / rate_per_s
    return Prescription(
        ttft_ms=TTFT_MS,
        gap_ms=gap_ms,
        n_chunks=max(2, round(seconds * 1e3 / gap_ms)),
        stagger_ms=gap_ms / n_streams,
        stagger_n=n_streams,
        framing="close",
    )


def compare_clients(clients: dict[str, Client], rate_per_s: float, n_streams: int, seconds: float, cpu: int) -> None:
    """All clients at one load, one after the other; prints their rows."""
    prescribed = prescription(rate_per_s, n_streams, seconds)
    print(f"\n{n_streams} streams, {rate_per_s:,.0f} chunks/s")
    yardstick_cpu_us = 0.0
    for name, drive in clients.items():
        with TruthServer(prescribed, cpu=cpu) as server:
            driven = drive(server.port, n_streams, prescribed.n_chunks or 0)
            log = server.stop()
        yardstick_cpu_us = yardstick_cpu_us or cpu_us_per_chunk(driven)
        print(row(name, driven, log, yardstick_cpu_us))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=256)
    parser.add_argument("--rates", default="10000,25000,50000,75000,100000", help="chunks per second, over all streams")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each stream lasts")
    told = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("needs two cores: one for the server, one for the client")
    os.sched_setaffinity(0, {cores[1]})  # the clients, this process or its children
    with tempfile.TemporaryDirectory() as folder:
        clients = {"C": c_client(Path(folder)), "inferometer": inferometer_client(Path(folder))}
        print(*HEADING, sep="\n")
        for rate in told.rates.split(","):
            compare_clients(clients, float(rate), told.streams, told.seconds, cores[0])


if __name__ == "__main__":
    main()
