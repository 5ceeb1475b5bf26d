# SPDX-License-Identifier: Apache-2.0
"""inferometer's own loop as the benchmarks drive it: recorder, framing, samplers and kernel stamps on, on one core."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path

from inferometer.clock import Clock
from inferometer.drive.connection import Target
from inferometer.drive.loop import Options
from inferometer.engines.openai import CHAT
from inferometer.host.sample import ClientSampler, HostSampler
from inferometer.measurement import Measured, Measurement
from inferometer.plan.request import Request
from inferometer.plan.schedule import Schedule, Stage
from inferometer.recorder import Writer
from inferometer.wire.http1 import encode_request

PROMPT = "Which of the two rivers is the longer one, and by how much?"


def two_cores() -> tuple[int, int]:
    """(the server's, the client's): no other process of the benchmark runs there."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("needs two cores: one for the server, one for the client")
    return cores[0], cores[1]


def payloads(n_requests: int, n_chunks: int) -> list[bytes]:
    """Requests for so many tokens each; x-request-id begins with the number of the request."""
    encoded = CHAT.encode(Request(0, PROMPT, 0, n_chunks), "truth", {})
    headers = [("host", "truth"), ("content-type", "application/json")]
    return [
        encode_request("POST", encoded.path, [*headers, ("x-request-id", f"{i}-bench")], encoded.body)
        for i in range(n_requests)
    ]


def schedule(law: str, stages: Iterable[Stage]) -> Schedule:
    """One trial."""
    return Schedule("open", law, (tuple(stages),))


def measure(
    port: int,
    requests: list[bytes],
    plan: Schedule,
    recorder: Writer,
    clock: Clock,
    options: Options | None = None,
) -> Measured:
    """Drive the plan against 127.0.0.1:`port` from this thread; the recorder is closed when it returns."""
    target = Target(socket.AF_INET, ("127.0.0.1", port), "127.0.0.1")
    samplers = (ClientSampler(), HostSampler())
    try:
        return Measurement(target, requests, plan, CHAT, recorder, clock, options or Options(), samplers, None).run()
    finally:
        recorder.close()
        for sampler in samplers:
            sampler.close()


def memory_bytes(pid: int | str) -> dict[str, int]:
    """Sums over all mappings of a process, by the names of /proc/<pid>/smaps_rollup: Rss, Pss, Pss_Anon, ..."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
