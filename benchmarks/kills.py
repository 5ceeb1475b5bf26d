# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random instants of a run: what is on disk, against what the server knows that it sent.

    python benchmarks/kills.py [--kills 200] [--seed 1] [--state FILE] [--keep FOLDER]

Every run is `inferometer run` as a process, against the ground-truth server: every other one starts that server itself
(`-- CMD`). It is killed at an instant drawn by lot, a third of them over all of the run, a third while it drives, a
third from when it begins to write tables. Then:

  nothing is lost   the recorder's file is read by a parser of its own, below. A chunk counts as *due on disk* if the
                    server's send of it had returned before the newest read of the last block but one: it lay in the
                    socket when the pass of the last block began, so it is in that block or before. All are there.
  no holes          each stream's bytes, read by http.client, are a prefix of what the server says, event by event.
  report works      it ends with the documented code, says that the run was cut off if it was, and has one row for each
                    request that became due; no half-written table is taken for one.
  nothing stays     the server that the run started is gone within GONE_WITHIN_S.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import itertools
import json
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import duckdb
import psutil

from inferometer.kinds import TOKEN_BEARING
from inferometer.truth.launch import TruthServer
from inferometer.truth.log import TruthLog, read_log
from inferometer.truth.options import to_flags
from inferometer.truth.script import Prescription

SERVER = Prescription(ttft_ms=10, gap_ms=2)
LOAD = ("--concurrency", "16", "--for", "1s", "--warmup", "0.1s", "--output-tokens", "40", "--input-tokens", "8")
DRIVES_S, WRITES_S = 1.4, 0.4  # about how long driving and writing tables take
GONE_WITHIN_S = 20.0
TABLES = ("requests", "chunks", "samples")
STATES = (
    "no folder yet",
    "server being asked",
    "driving",
    "tables being written",
    "report being written",
    "all written",
)


class Block(NamedTuple):
    """One pass on disk. `reads`: (request, t_read_ns, data)."""

    due: list[int]
    reads: list[tuple[int, int, bytes]]


class Stream(NamedTuple):
    """One answer so far. `n_contents`: events with a token in it."""

    data: bytes
    n_contents: int


@dataclass
class Finding:
    """What one kill left. `faults`: properties that do not hold; `age_ms`: of the oldest chunk that is not on disk."""

    state: str
    exit_code: int
    n_due_on_disk: int = 0
    n_on_disk: int = 0
    age_ms: float | None = None
    is_torn: bool = False
    faults: list[str] = field(default_factory=list)


# --- a reader of its own -------------------------------------------------------------------------------------------


def blocks_of(path: Path) -> tuple[list[Block], int]:
    """Whole blocks of a recorder file, and how many bytes follow them. Written from the format's description."""
    data = path.read_bytes()
    blocks: list[Block] = []
    at = 8
    assert data[:at] == b"INFREC01"[: len(data)]
    while len(data) >= at + 12:
        mark, length, checksum = struct.unpack_from("<4sII", data, at)
        payload = data[at + 12 : at + 12 + length]
        if mark != b"PASS" or len(payload) < length or zlib.crc32(payload) != checksum:
            break
        at += 12 + length
        blocks.append(_block(payload))
    return blocks, max(0, len(data) - at)


def _block(payload: bytes) -> Block:
    block, at = Block([], []), 0
    while at < len(payload):
        kind = payload[at]
        if kind == 1:
            block.due.append(struct.unpack_from("<i", payload, at + 1)[0])
            at += 16
        elif kind == 2:
            at += 18
        elif kind == 3:
            request, _, t_read_ns, _, n_kept = struct.unpack_from("<iqqII", payload, at + 1)
            at += 29
            block.reads.append((request, t_read_ns, payload[at : at + n_kept]))
            at += n_kept
        elif kind == 4:
            at += 16 + struct.unpack_from("<H", payload, at + 14)[0]
        elif kind == 5:
            at += 13 + struct.unpack_from("<I", payload, at + 9)[0]
        else:
            raise ValueError(f"frame kind {kind}")
    return block


def streams_of(blocks: Sequence[Block]) -> dict[int, Stream]:
    """Request -> its answer so far."""
    parts: dict[int, list[bytes]] = defaultdict(list)
    for block in blocks:
        for request, _, data in block.reads:
            parts[request].append(data)
    return {
        request: Stream(data, data.count(b'"content":'))
        for request, pieces in parts.items()
        if (data := b"".join(pieces))
    }


def is_prefix_of_answer(data: bytes) -> bool:
    """Whether the events in it, as http.client unwraps them, are the server's words in their order, without a hole."""

    class Wire:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(data)

    response = http.client.HTTPResponse(Wire(), method="POST")
    response.begin()
    try:
        body = response.read()
    except http.client.IncompleteRead as error:
        body = error.partial
    said = []
    for event in body.split(b"\n\n")[:-1]:
        document = event.removeprefix(b"data: ")
        choices = json.loads(document)["choices"] if document != b"[DONE]" else []
        said += [choice["delta"]["content"] for choice in choices if choice["delta"].get("content")]
    words = itertools.cycle((" alpha", " bravo", " delta", " gamma", " kappa", " omega", " sigma", " theta"))
    return response.status == 200 and all(one == other for one, other in zip(said, words, strict=False))


# --- one kill ------------------------------------------------------------------------------------------------------


def killed(folder: Path, rng: random.Random, way: str, starts_server: bool, whole_s: float) -> Finding:
    """Start a run, kill it, look at what is left."""
    out, log_path = folder / "run", folder / "truth.log"
    with contextlib.ExitStack() as stack:
        if starts_server:
            server = None
            flags = ["--port", "{port}", "--log", str(log_path), *to_flags(SERVER)]
            target = ["--", sys.executable, "-m", "inferometer.truth.server", *flags]
        else:
            server = stack.enter_context(TruthServer(SERVER))
            target = []
        url = [server.url] if server else []
        argv = [sys.executable, "-m", "inferometer", "run", *url, *LOAD, "--out", str(out), *target]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        _wait(process, out, rng, way, whole_s)
        state = state_of(out)
        t_kill_ns = time.monotonic_ns()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        finding = Finding(state, 0)
        log = _log_of(server, log_path, finding)
        _look(out, log, t_kill_ns, finding)
        return finding


def _wait(process: subprocess.Popen[bytes], out: Path, rng: random.Random, way: str, whole_s: float) -> None:
    """Until the instant drawn by lot, or the end of the run."""
    after_s = rng.uniform(0, {"any": whole_s, "driving": DRIVES_S, "writing": WRITES_S}[way])
    recorder = out / "recorder.bin"
    while process.poll() is None:
        if way == "any" or (way == "driving" and recorder.exists() and recorder.stat().st_size > 8):
            break
        if way == "writing" and out.exists() and any(out.glob("*.parquet*")):
            break
        time.sleep(0.005)
    t_end = time.monotonic() + after_s
    while process.poll() is None and (left_s := t_end - time.monotonic()) > 0:
        time.sleep(min(left_s, 0.02))


def state_of(out: Path) -> str:
    """How far the run has come, by what lies in its folder."""
    if not (out / "manifest.json").exists():
        return STATES[0]
    if not (out / "recorder.bin").exists():
        return STATES[1]
    if not any(out.glob("*.parquet*")):
        return STATES[2]
    if not all((out / f"{name}.parquet").exists() for name in TABLES):
        return STATES[3]
    return STATES[5] if (out / "report.json").exists() else STATES[4]


def _servers(log_path: Path) -> list[int]:
    """Servers with this log, GONE_WITHIN_S from now at the latest."""
    t_end = time.monotonic() + GONE_WITHIN_S
    while True:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if str(log_path) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
        if not found or time.monotonic() > t_end:
            return found
        time.sleep(0.1)


def _log_of(server: TruthServer | None, log_path: Path, finding: Finding) -> TruthLog | None:
    """What the server sent, and when; None if it was never started."""
    if server is not None:
        return server.stop()
    if _servers(log_path):
        finding.faults.append("the server outlived the run that started it")
    return read_log(log_path) if log_path.exists() else None


def _look(out: Path, log: TruthLog | None, t_kill_ns: int, finding: Finding) -> None:
    report = subprocess.run(
        [sys.executable, "-m", "inferometer", "report", str(out), "--format", "json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    finding.exit_code = report.returncode
    if "Traceback" in report.stderr:
        finding.faults.append("report has a traceback")
    manifest_path, recorder = out / "manifest.json", out / "recorder.bin"
    if not manifest_path.exists():
        _expect(finding, report.returncode in (2, 6), f"exit code {report.returncode} where there is no run")
        return
    manifest = json.loads(manifest_path.read_bytes())
    if not recorder.exists():
        _expect(finding, report.returncode == 4, f"exit code {report.returncode} where nothing was measured")
        return
    blocks, n_torn_bytes = blocks_of(recorder)
    finding.is_torn = n_torn_bytes > 0
    streams = streams_of(blocks)
    for request, stream in streams.items():
        _expect(
            finding,
            b"\r\n\r\n" not in stream.data or is_prefix_of_answer(stream.data),
            f"the answer to request {request} has a hole",
        )
    if log is not None and "nonce" in manifest:
        _compare(blocks, streams, log.of_run(manifest["nonce"]), manifest["clock"]["origin_ns"], t_kill_ns, finding)
    _expect(finding, report.returncode in (0, 4), f"report ends with {report.returncode}: {report.stderr[:200]}")
    due = sorted(request for block in blocks for request in block.due)
    if not due:
        return
    document = json.loads(report.stdout)
    is_cut_off = manifest["state"] == "running"
    _expect(finding, document["is_cut_off"] == is_cut_off, "report does not know whether the run was cut off")
    with duckdb.connect() as con:
        rows = con.execute(f"SELECT id FROM '{out}/requests.parquet' ORDER BY id").fetchall()
    _expect(finding, [row[0] for row in rows] == due, "not one row for each request that became due")


def _compare(
    blocks: Sequence[Block],
    streams: Mapping[int, Stream],
    log: TruthLog,
    origin_ns: int,
    t_kill_ns: int,
    finding: Finding,
) -> None:
    """Chunks on disk against sends that had returned before the last pass on disk began."""
    passes = [max(t_read_ns for _, t_read_ns, _ in block.reads) for block in blocks if block.reads]
    t_begun_ns = max(passes[:-1], default=0) + origin_ns
    is_bearing = {int(kind) for kind in TOKEN_BEARING}
    oldest_ns = None
    for i, request in enumerate(log.requests):
        if request["id"] < 0:
            continue
        steps = log.steps_of(i)
        t_sent_ns = [int(step["t_after_ns"]) for step in steps if int(step["kind"]) in is_bearing]
        n_due = sum(t_ns < t_begun_ns for t_ns in t_sent_ns)
        n_there = streams[int(request["id"])].n_contents if int(request["id"]) in streams else 0
        finding.n_due_on_disk += n_due
        finding.n_on_disk += n_there
        _expect(finding, n_there >= n_due, f"request {request['id']}: {n_there} chunks on disk, {n_due} were due")
        missing = t_sent_ns[n_there:]
        if missing and missing[0] < t_kill_ns:
            oldest_ns = min(missing[0], oldest_ns or missing[0])
    if oldest_ns is not None:
        finding.age_ms = (t_kill_ns - oldest_ns) / 1e6


def _expect(finding: Finding, holds: bool, fault: str) -> None:
    if not holds:
        finding.faults.append(fault)


# --- all of them ---------------------------------------------------------------------------------------------------


def whole_run_s(folder: Path) -> float:
    """How long a run takes that nobody kills."""
    begin = time.monotonic()
    with TruthServer(SERVER) as server:
        argv = [sys.executable, "-m", "inferometer", "run", server.url, *LOAD, "--out", str(folder / "run")]
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return time.monotonic() - begin


def kills(first: int, n_kills: int, seed: int, folder: Path) -> Iterator[Finding]:
    """One after another, each in a folder of its own; kill i of a seed is always the same one."""
    if first >= n_kills:
        return
    (folder / "whole").mkdir()
    whole_s = whole_run_s(folder / "whole")
    for i in range(first, n_kills):
        place = folder / str(i)
        place.mkdir()
        rng = random.Random(f"{seed}/{i}")
        yield killed(place, rng, ("any", "driving", "writing")[i % 3], starts_server=i % 2 == 1, whole_s=whole_s)


def table(findings: Sequence[Finding]) -> Iterator[str]:
    yield f"{'killed while':<24}{'runs':>6}{'torn':>6}{'chunks due on disk':>20}{'lost':>6}  exit codes of report"
    for state in STATES:
        rows = [finding for finding in findings if finding.state == state]
        codes = ", ".join(f"{n} x {code}" for code, n in sorted(Counter(row.exit_code for row in rows).items()))
        n_lost = sum(fault.startswith("request") for row in rows for fault in row.faults)
        n_due = sum(row.n_due_on_disk for row in rows)
        yield f"{state:<24}{len(rows):>6}{sum(row.is_torn for row in rows):>6}{n_due:>20,}{n_lost:>6}  {codes}"
    ages = sorted(row.age_ms for row in findings if row.age_ms is not None)
    if ages:
        middle, most = ages[len(ages) // 2], ages[-1]
        yield f"oldest chunk sent and not on disk, at the kill: median {middle:.1f} ms, at most {most:.1f} ms"
    yield f"{len(findings)} kills, {sum(bool(row.faults) for row in findings)} with a fault"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path, help="file of findings, a line each: continued if it is there")
    parser.add_argument("--keep", type=Path, help="folder for the runs; default: a temporary one")
    options = parser.parse_args()
    findings: list[Finding] = []
    if options.state is not None and options.state.exists():
        findings = [Finding(**json.loads(line)) for line in options.state.read_text().splitlines()]
    with contextlib.ExitStack() as stack:
        folder = options.keep
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="inferometer-kills-")))
        else:
            folder.mkdir(parents=True)
        for finding in kills(len(findings), options.kills, options.seed, folder):
            findings.append(finding)
            for fault in finding.faults:
                print(f"kill {len(findings) - 1}, {finding.state}: {fault}", flush=True)
            if options.state is not None:
                with options.state.open("a") as file:
                    file.write(json.dumps(asdict(finding)) + "\n")
    print("\n".join(table(findings)))
    return 1 if any(finding.faults for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
