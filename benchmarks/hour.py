# SPDX-License-Identifier: Apache-2.0
"""One hour at 20,000 chunks/s: does memory stay flat, and does the loop stay on time?

    python benchmarks/hour.py [--minutes 60] [--out FOLDER] [--table FILE] [--fifo 10] [--no-content]

Open loop, 80 requests/s of 250 chunks, 50 chunks/s each, about 400 streams at a time; recorder, framing and samplers
on. A line per minute as it goes, then the trends: robust slopes with 95 % intervals, the first minute left out.

PSS shares the pages of libraries with whoever else uses them; `own` is anonymous memory alone, which nobody shares.

Rule 1: what is watched is added up while the loop runs; nothing here grows with the run.
Rule 2: --fifo gives server and client real-time priority (needs root), so that other work of the machine does not
become a drift of theirs; without it the machine must be left alone for the hour.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
from array import array
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import scipy.stats
from clients import memory_bytes, two_cores
from truth_server import Answers, Room, TruthServer

from inferometer.clock import Clock, process_cpu_ns
from inferometer.drive.connection import Target
from inferometer.drive.loop import Options
from inferometer.engines.openai import CHAT
from inferometer.host.sample import ClientSampler, HostSampler
from inferometer.measurement import Job, Measured, Measurement
from inferometer.plan.request import Request
from inferometer.plan.schedule import Schedule, Stage
from inferometer.recorder import Writer
from inferometer.truth.log import lateness
from inferometer.units import NS_PER_S
from inferometer.wire.http1 import encode_request

N_CHUNKS = 250
GAP_MS = 20.0
PROMPT = "Which of the two rivers is the longer one, and by how much?"
N_PAYLOADS = 4_800  # ids past the end wrap around
MINUTE_NS = 60 * NS_PER_S
# Name, unit, width, decimals.
COLUMNS = (
    ("minute", "", 7, 0),
    ("chunks/s", "", 9, 0),
    ("written", "MB", 9, 0),
    ("PSS", "MB", 8, 1),
    ("own", "MB", 8, 1),
    ("late mean", "us", 10, 1),
    ("late p99", "us", 9, 1),
    ("late max", "us", 9, 0),
    ("longest", "pass, ms", 9, 1),
    ("CPU", "%", 6, 1),
    ("no core", "ms", 8, 1),
)


class WatchedWriter(Writer):
    """The flight recorder, which also adds up, minute by minute, what is asked of this run."""

    def __init__(self, path: Path, table: TextIO, max_sends: int) -> None:
        super().__init__(path)
        self.rows: list[tuple[float, ...]] = []  # one per minute
        self._table = table
        self._t_due_ns: dict[int, int] = {}  # due, and not sent yet
        self._late_ns = array("q", [0]) * max_sends  # of one minute, in memory that is there before
        self._n_late = 0
        self._n_reads = self._n_bytes_before = self._cpu_before_ns = 0
        self._pass_max_s = self._run_delay_s = self._run_delay_before_s = 0.0
        self._n_reads_before = 0
        self._t_before_ns: int | None = None

    def due(self, request_id: int, trial: int, phase: int, t_due_ns: int) -> None:
        super().due(request_id, trial, phase, t_due_ns)
        self._t_due_ns[request_id] = t_due_ns

    def sent(self, request_id: int, attempt: int, conn: int, t_sent_ns: int) -> None:
        super().sent(request_id, attempt, conn, t_sent_ns)
        t_due_ns = self._t_due_ns.pop(request_id, None)
        if t_due_ns is not None and self._n_late < len(self._late_ns):
            self._late_ns[self._n_late] = t_sent_ns - t_due_ns
            self._n_late += 1

    def note(self, t_ns: int, fact: dict[str, Any]) -> None:
        super().note(t_ns, fact)
        if fact["note"] != "samples" or fact["source"] != "client":
            return
        gauges = dict(fact["gauges"])
        self._run_delay_s = gauges.get("run_delay_s", self._run_delay_s)
        if "n_reads" not in gauges:
            return
        self._n_reads = int(gauges["n_reads"])
        self._pass_max_s = max(self._pass_max_s, gauges["pass_max_s"])
        if self._t_before_ns is None:
            self._begin_minute(t_ns)
        elif t_ns - self._t_before_ns >= MINUTE_NS:
            self._end_minute(t_ns, t_ns - self._t_before_ns)
            self._begin_minute(t_ns)

    def _begin_minute(self, t_ns: int) -> None:
        self._t_before_ns = t_ns
        self._n_reads_before, self._n_bytes_before = self._n_reads, self.n_written_bytes
        self._cpu_before_ns, self._run_delay_before_s = process_cpu_ns(), self._run_delay_s
        self._pass_max_s, self._n_late = 0.0, 0

    def _end_minute(self, t_ns: int, elapsed_ns: int) -> None:
        memory = memory_bytes("self")
        late_us = np.frombuffer(self._late_ns, np.int64, self._n_late) / 1e3
        row = (
            len(self.rows) + 1,
            (self._n_reads - self._n_reads_before) * NS_PER_S / elapsed_ns,
            self.n_written_bytes / 1e6,
            memory["Pss"] / 1e6,
            memory["Pss_Anon"] / 1e6,
            late_us.mean() if len(late_us) else np.nan,
            np.percentile(late_us, 99) if len(late_us) else np.nan,
            late_us.max(initial=0.0),
            self._pass_max_s * 1e3,
            1e2 * (process_cpu_ns() - self._cpu_before_ns) / elapsed_ns,
            (self._run_delay_s - self._run_delay_before_s) * 1e3,
        )
        self.rows.append(row)
        cells = zip(row, COLUMNS, strict=True)
        say(self._table, "".join(f"{value:>{width},.{decimals}f}" for value, (_, _, width, decimals) in cells))


def say(table: TextIO, line: str) -> None:
    for out in (sys.stdout, table):
        out.write(line + "\n")
        out.flush()


def trend(rows: list[tuple[float, ...]], name: str, unit: str) -> str:
    """The slope of one column over the minutes after the first: median of all pairs (Theil-Sen), so that one disturbed
    minute is no trend."""
    at = [column[0] for column in COLUMNS].index(name)
    values = np.array([row[at] for row in rows[1:]])
    if len(values) < 3:
        return f"{name:10} too few minutes for a trend"
    fit = scipy.stats.theilslopes(values, np.arange(len(values)) / 60)
    return (
        f"{name:10} {values[0]:,.1f} {unit} in minute 2, {values[-1]:,.1f} in minute {len(values) + 1}, "
        f"highest {values.max():,.1f}; slope {fit.slope:+,.2f} {unit} an hour "
        f"[{fit.low_slope:+,.2f}, {fit.high_slope:+,.2f}]"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=80.0, help=f"requests per second, of {N_CHUNKS} chunks each")
    parser.add_argument("--out", type=Path, help="keep the recorder's file in this folder (18 GB an hour)")
    parser.add_argument("--table", type=Path, help="write the lines to this file too")
    parser.add_argument("--fifo", type=int, help="real-time priority for server and client; needs root")
    parser.add_argument("--no-content", action="store_true", help="stamps and sizes only, as --no-content of a run")
    told = parser.parse_args()
    server_core, client_core = two_cores()
    if told.fifo:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(told.fifo))  # the server inherits it
    with tempfile.TemporaryDirectory(prefix="inferometer-hour-") as temporary:
        out = told.out or Path(temporary)
        out.mkdir(parents=True, exist_ok=True)
        with (told.table or out / "table.txt").open("w") as table:
            run(told, out / "recorder.bin", table, server_core, client_core)


def measure(port: int, schedule: Schedule, recorder: Writer, options: Options) -> Measured:
    """Drive the plan from this thread; the recorder is closed when it returns."""
    encoded = CHAT.encode(Request(0, PROMPT, 0, N_CHUNKS), "truth", {})
    headers = [("host", "truth"), ("content-type", "application/json")]
    payloads = [
        encode_request("POST", encoded.path, [*headers, ("x-request-id", f"{i}-hour")], encoded.body)
        for i in range(N_PAYLOADS)
    ]
    target = Target(socket.AF_INET, ("127.0.0.1", port), "127.0.0.1")
    samplers = (ClientSampler(), HostSampler())
    try:
        return Measurement(Job(target, payloads, schedule, CHAT, recorder, Clock(), options, samplers)).run()
    finally:
        recorder.close()
        for sampler in samplers:
            sampler.close()


def run(told: argparse.Namespace, path: Path, table: TextIO, server_core: int, client_core: int) -> None:
    n_requests = round(told.rate * told.minutes * 60)
    due_ns = np.rint(np.arange(n_requests) * (NS_PER_S / told.rate)).astype(np.int64)
    answers = Answers(ttft_ms=60, ttft_spread_ms=10, gap_ms=GAP_MS, gap_spread_ms=1, n_chunks=N_CHUNKS)
    log_every = max(1, n_requests // 2_000)
    room = Room(max_requests=4_000, max_sends=4_000 * N_CHUNKS, log_every=log_every)
    # Half a spin of the default: the core has to have idle time, or the system takes it away from real-time work.
    with TruthServer(answers, room, cpu=server_core, spin_us=10) as server:
        os.sched_setaffinity(0, {client_core})
        say(
            table,
            f"{told.rate:g} requests/s of {N_CHUNKS} chunks, {told.minutes:g} minutes; server on core {server_core}, "
            f"client on core {client_core}"
            + (f", both with real-time priority {told.fifo}" if told.fifo else "")
            + (", content not kept" if told.no_content else ""),
        )
        for i in (0, 1):  # names, then units
            say(table, "".join(f"{column[i]:>{column[2]}}" for column in COLUMNS))
        recorder = WatchedWriter(path, table, max_sends=round(told.rate * 120))
        schedule = Schedule("open", f"constant, {told.rate:g} requests/s", ((Stage(due_ns=due_ns),),))
        options = Options(keeps_content=not told.no_content)
        measured = measure(server.port, schedule, recorder, options)
        kept = lateness(server.stop())
    say(
        table,
        f"\nended: {measured.stop_reason or 'the plan was carried out'}; {measured.n_reads:,} reads, "
        f"{measured.n_kernel_stamped / max(1, measured.n_reads):.4%} with kernel stamps",
    )
    for name, unit in (("PSS", "MB"), ("own", "MB"), ("late mean", "us"), ("late p99", "us")):
        say(table, trend(recorder.rows, name, unit))
    say(
        table,
        f"server     late p50 {kept.lateness.p50_s * 1e6:,.1f} us, p99 {kept.lateness.p99_s * 1e6:,.1f} us, "
        f"max {kept.lateness.max_s * 1e3:,.2f} ms over {kept.n_chunks:,} sends of every {log_every}th request",
    )


if __name__ == "__main__":
    main()
