# SPDX-License-Identifier: Apache-2.0
"""Two clients for one load: the least that C can do, and `inferometer run` as a user has it; each on a core of its own.

Rule 1: each client is a process of its own, so that its memory and CPU time are its own.
Rule 2: what they measured becomes a `Trace`, and is compared with the server's log by the same functions.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from truth_server import HERE, compiled

from inferometer.kinds import TOKEN_BEARING, ChunkKind, Outcome
from inferometer.records import CHUNK, NEVER, Array, Trace, empty_requests
from inferometer.run_folder import Run
from inferometer.truth.log import TruthLog
from inferometer.units import NS_PER_S

_C_HEAD = ("n_streams", "n_reads", "n_chunks", "cpu_ns", "run_delay_ns", "t_due_ns", "peak_rss_bytes")
_C_CHUNK = np.dtype([("stream", "i8"), ("read", "i8"), ("t_recv_ns", "i8"), ("t_read_ns", "i8")])
_LOOK_EVERY_S = 0.05  # at the peak of a child's memory, which its kernel keeps
_PSS_EVERY_S = 2.0  # the kernel adds it up page by page: 1 ms in which the child may have to wait


def two_cores() -> tuple[int, int]:
    """(the server's, the client's); this process itself stays on the server's."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("needs two cores: one for the server, one for the client")
    os.sched_setaffinity(0, {cores[0]})
    return cores[0], cores[1]


@dataclass(frozen=True, slots=True)
class Driven:
    """What a client made of a load.

    `nonce`: how its x-request-id ends. CPU time: `cpu_driving_s` from the first send to the last byte, `cpu_after_s`
    from there to its end. `run_delay_s`: while driving, how long it stood without a core. `verdict`: "" has none.
    """

    trace: Trace
    nonce: str
    n_reads: int
    cpu_driving_s: float
    cpu_after_s: float
    run_delay_s: float
    peak_rss_bytes: int
    peak_pss_bytes: int
    elapsed_s: float
    verdict: str = ""

    @property
    def n_chunks(self) -> int:
        return int(self.trace.requests["n_chunks"].sum())

    def of_run(self, log: TruthLog) -> TruthLog:
        return log.of_run(self.nonce)


# --- the C client --------------------------------------------------------------------------------------------------


def run_c(port: int, n_streams: int, n_chunks: int, core: int) -> Driven:
    """All streams at once, each for `n_chunks`; see client_loop.c."""
    program = compiled(HERE / "client_loop.c")
    t_start_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="inferometer-c-") as folder:
        out = Path(folder) / "chunks"
        argv = [program, port, n_streams, n_chunks, core, out]
        subprocess.run([str(word) for word in argv], check=True)
        head = dict(zip(_C_HEAD, np.fromfile(out, "i8", len(_C_HEAD)).tolist(), strict=True))
        at = 8 * len(_C_HEAD)
        t_sent_ns = np.fromfile(out, "i8", n_streams, offset=at)
        found = np.fromfile(out, _C_CHUNK, head["n_chunks"], offset=at + t_sent_ns.nbytes)
    peak = head["peak_rss_bytes"]
    delay_s, cpu_s = head["run_delay_ns"] / NS_PER_S, head["cpu_ns"] / NS_PER_S
    trace = _trace_of_c(t_sent_ns, head["t_due_ns"], found)
    return Driven(trace, "c", head["n_reads"], cpu_s, 0.0, delay_s, peak, peak, time.monotonic() - t_start_s)


def _trace_of_c(t_sent_ns: Array, t_due_ns: int, found: Array) -> Trace:
    requests = empty_requests(len(t_sent_ns))
    requests["t_due_ns"], requests["t_sent_ns"] = t_due_ns, t_sent_ns
    requests["outcome"] = Outcome.OK
    found = found[np.argsort(found["stream"], kind="stable")]
    chunks = np.zeros(len(found), CHUNK)
    chunks["request_id"], chunks["read_id"] = found["stream"], found["read"]
    chunks["t_recv_ns"], chunks["t_read_ns"] = found["t_recv_ns"], found["t_read_ns"]
    chunks["kind"], chunks["n_tokens"] = ChunkKind.CONTENT, 1
    requests["n_chunks"] = np.bincount(found["stream"], minlength=len(requests))
    requests["chunk_start"] = np.cumsum(requests["n_chunks"]) - requests["n_chunks"]
    return Trace(requests, chunks, meta={"clock": {"origin_ns": 0}})


# --- inferometer ---------------------------------------------------------------------------------------------------


def run_inferometer(url: str, flags: Sequence[str], core: int, n_workers: int = 1) -> Driven:
    """`inferometer run URL ...` with everything on: recorder, framing, samples, tables, verdict.

    `n_workers`: processes that drive, all on the one core. Ends the program if there is no run afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="inferometer-bench-") as folder:
        out = Path(folder) / "run"
        argv = [sys.executable, "-m", "inferometer", "run", url, *flags, f"--workers={n_workers}"]
        argv += ["--quiet", "--format", "json", "--out", str(out)]
        done = watch(argv, core)
        if not (out / "report.json").exists():
            raise SystemExit(f"{' '.join(argv)}\nended with exit code {done.code}:\n{done.output[-2000:]}")
        report = msgspec.json.decode((out / "report.json").read_bytes())
        trace = Run.open(str(out)).trace()
    cpu_s, cpu_last_s = _spans(trace, "cpu_s")
    delay_s, _ = _spans(trace, "run_delay_s")
    verdict = report["verdict"]
    reasons = ", ".join(reason["code"] for reason in verdict["reasons"])
    return Driven(
        trace=_token_chunks(trace),
        nonce=str(trace.meta["nonce"]),
        n_reads=int(trace.requests["n_reads"].sum()),
        cpu_driving_s=cpu_s,
        cpu_after_s=done.cpu_s - cpu_last_s,
        run_delay_s=delay_s,
        peak_rss_bytes=done.peak_rss_bytes,
        peak_pss_bytes=done.peak_pss_bytes,
        elapsed_s=done.elapsed_s,
        verdict=verdict["level"] + (f" ({reasons})" if reasons else ""),
    )


def _spans(trace: Trace, name: str) -> tuple[float, float]:
    """How far a sum of the client's went while it drove, and how far it had come then; over all its processes."""
    samples = trace.samples[trace.samples["gauge"] == name]
    sources = sorted({source for source in samples["source"].tolist() if source.partition("-")[0] == "client"})
    ends = [samples["value"][samples["source"] == source][[0, -1]] for source in sources]
    return float(sum(last - first for first, last in ends)), float(sum(last for _, last in ends))


def _token_chunks(trace: Trace) -> Trace:
    """The trace with token-bearing chunks only, as the C client's has them."""
    chunks = trace.chunks[np.isin(trace.chunks["kind"], TOKEN_BEARING)]
    requests = trace.requests.copy()
    requests["n_chunks"] = np.bincount(chunks["request_id"], minlength=len(requests))
    requests["chunk_start"] = np.cumsum(requests["n_chunks"]) - requests["n_chunks"]
    return Trace(requests, chunks, trace.samples, trace.meta)


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that is over. `output`: of stdout and stderr."""

    code: int
    output: str
    cpu_s: float
    elapsed_s: float
    peak_rss_bytes: int
    peak_pss_bytes: int


def watch(argv: Sequence[str], core: int | None = None) -> Ended:
    """Run a command on one core to its end, and see what memory it and its children had at most.

    Peak RSS is the kernel's own, summed over processes; PSS is looked at now and then, and its peak lies below.
    """
    with tempfile.TemporaryFile() as output:
        t_start_s = time.monotonic()
        pin = None if core is None else lambda: os.sched_setaffinity(0, {core})
        process = subprocess.Popen(list(argv), stdout=output, stderr=subprocess.STDOUT, preexec_fn=pin)
        peaks_rss: dict[int, int] = {}
        peak_pss = 0
        t_pss_s = t_start_s
        try:
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                family = [process.pid, *_children(process.pid)]
                for member in family:
                    peaks_rss[member] = max(peaks_rss.get(member, 0), _peak_rss_bytes(member))
                if time.monotonic() >= t_pss_s:
                    t_pss_s += _PSS_EVERY_S
                    peak_pss = max(peak_pss, sum(memory_bytes(member).get("Pss", 0) for member in family))
                time.sleep(_LOOK_EVERY_S)
        except KeyboardInterrupt:
            process.kill()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    elapsed_s = time.monotonic() - t_start_s
    cpu_s = usage.ru_utime + usage.ru_stime
    return Ended(process.returncode, text, cpu_s, elapsed_s, sum(peaks_rss.values()), peak_pss)


def _children(pid: int) -> list[int]:
    """Processes that the main thread of another has started; none if it has just ended."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _peak_rss_bytes(pid: int) -> int:
    """The kernel's high-water mark; 0 if the process has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return max((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), default=0)


def memory_bytes(pid: int | str) -> dict[str, int]:
    """Sums over all mappings of a process, by the names of smaps_rollup: Rss, Pss, Pss_Anon, ...; empty if it ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}


# --- against the truth ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Times:
    """Latencies of one side, s. Shapes: ttft_s[n requests with a chunk]; gap_s[n gaps]."""

    ttft_s: Array
    gap_s: Array


def measured_times(trace: Trace) -> Times:
    """As the client has them, TTFT from sent. `trace`: token-bearing chunks only."""
    chunks, requests = trace.chunks, trace.requests
    requests = requests[requests["n_chunks"] > 0]
    first_ns = chunks["t_recv_ns"][requests["chunk_start"]]
    return Times((first_ns - requests["t_sent_ns"]) / NS_PER_S, _gaps_s(chunks["t_recv_ns"], chunks["request_id"]))


def true_times(log: TruthLog) -> Times:
    """As the server logged them: from the arrival of a request to right before the sends."""
    requests = log.requests[log.requests["n_steps"] > 0]
    first_ns = log.steps["t_before_ns"][requests["step_start"]]
    is_ours = np.zeros(int(log.steps["row"].max(initial=-1)) + 1, bool)
    is_ours[log.steps["row"][requests["step_start"]]] = True
    steps = log.steps[is_ours[log.steps["row"]]]
    return Times((first_ns - requests["t_arrival_ns"]) / NS_PER_S, _gaps_s(steps["t_before_ns"], steps["row"]))


def _gaps_s(stamps_ns: Array, owner: Array) -> Array:
    return np.diff(stamps_ns)[np.diff(owner) == 0] / NS_PER_S


def lateness_s(trace: Trace) -> Array:
    """Due to sent, of all requests that were sent."""
    sent = trace.requests[trace.requests["t_sent_ns"] != NEVER]
    return (sent["t_sent_ns"] - sent["t_due_ns"]) / NS_PER_S


def n_failed(trace: Trace) -> int:
    return int((trace.requests["outcome"] != Outcome.OK).sum())


# --- as text -------------------------------------------------------------------------------------------------------


def print_columns(title: str, names: Sequence[str], rows: Sequence[tuple[str, Sequence[str], str]]) -> None:
    """Figures down, clients across; the last column says what is to be reached."""
    print(f"\n{title}")
    print(f"  {'':42}" + "".join(f"{name:>22}" for name in names) + "   reach")
    for label, values, reach in rows:
        print((f"  {label:42}" + "".join(f"{value:>22}" for value in values) + f"   {reach}").rstrip())
    sys.stdout.flush()
