# SPDX-License-Identifier: Apache-2.0
"""The report of a large run that is decoded already: time and memory of `inferometer report`.

    python benchmarks/report.py [--chunks 10000000]

The folder is that of a short real run, with its tables replaced by drawn ones of the size asked for, written as a run
writes them: answers of 250 chunks, 400 requests/s, a sample a second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from clients import print_columns, two_cores, watch
from truth_server import Answers, Room, TruthServer

from inferometer.kinds import ChunkKind, Outcome, Phase
from inferometer.records import CHUNK, SAMPLE, Array, Trace, empty_requests, write_table
from inferometer.run_folder import Run
from inferometer.units import NS_PER_MS, NS_PER_S

N_TOKENS = 250  # per answer; after them come the finish reason, the usage and the end marker
REQUESTS_PER_S = 400.0
GAP_MS, GAP_SIGMA = 20.0, 0.3
MAX_S, MAX_BYTES = 15.0, 2_000_000_000
ENDING = (ChunkKind.EMPTY, ChunkKind.USAGE, ChunkKind.DONE)


def short_run(out: Path, server_core: int, client_core: int) -> Run:
    """A real run, of a few requests in open loop."""
    with TruthServer(Answers(gap_ms=1), Room(), cpu=server_core) as server:
        argv = [sys.executable, "-m", "inferometer", "run", server.url, "--rate=50", "--requests=50", "--warmup=0"]
        watch([*argv, "--input-tokens=32", "--output-tokens=8", "--quiet", f"--out={out}"], client_core)
    return Run.open(str(out))


def chunks_of(requests: Array, n_tokens: int, rng: np.random.Generator) -> Array:
    """All chunks of all requests: first ones at lognormal times, lognormal gaps, the ending with the last token."""
    n_requests, n_each = len(requests), n_tokens + len(ENDING)
    gaps_ms = rng.lognormal(np.log(GAP_MS), GAP_SIGMA, (n_requests, n_each)).astype(np.float32)
    gaps_ms[:, 0] = rng.lognormal(np.log(200), 0.5, n_requests)
    gaps_ms[:, n_tokens:] = 0
    t_recv_ns = (np.cumsum(gaps_ms, axis=1, dtype=np.float64) * NS_PER_MS).astype(np.int64)
    t_recv_ns += requests["t_sent_ns"][:, None]
    chunks = np.zeros(n_requests * n_each, CHUNK)
    chunks["request_id"] = np.repeat(requests["id"], n_each)
    chunks["kind"] = np.tile([ChunkKind.CONTENT] * n_tokens + list(ENDING), n_requests)
    chunks["n_tokens"] = -1
    chunks["n_bytes"] = np.where(chunks["kind"] == ChunkKind.CONTENT, 6, 0)
    chunks["t_recv_ns"] = t_recv_ns.ravel()
    chunks["t_read_ns"] = chunks["t_recv_ns"] + 15_000
    is_own_read = np.tile([True] * n_tokens + [False] * len(ENDING), n_requests)
    chunks["read_id"] = np.cumsum(is_own_read) - 1
    return chunks


def requests_of(n_requests: int, n_tokens: int, rng: np.random.Generator) -> Array:
    """Poisson arrivals, sent on time; what follows from their chunks is still missing."""
    requests = empty_requests(n_requests)
    requests["id"] = requests["session"] = np.arange(n_requests)
    requests["t_due_ns"] = np.cumsum(rng.exponential(NS_PER_S / REQUESTS_PER_S, n_requests))
    requests["t_sent_ns"] = requests["t_due_ns"] + 40_000
    requests["attempt"], requests["status"], requests["finish"] = 1, 200, "length"
    requests["phase"], requests["outcome"] = Phase.MAIN, Outcome.OK
    requests["conn"] = np.arange(n_requests) % 4_000
    requests["n_prompt_tokens"] = requests["n_prompt_tokens_asked"] = rng.integers(64, 1_024, n_requests)
    requests["n_output_tokens"] = requests["n_output_tokens_asked"] = n_tokens
    requests["n_reads"], requests["n_bytes"] = n_tokens, n_tokens * 230
    return requests


def fill(requests: Array, chunks: Array) -> None:
    """What the rows of requests say of their chunks, of which all have equally many."""
    n_each = len(chunks) // len(requests)
    stamps = chunks["t_recv_ns"].reshape(len(requests), n_each)
    requests["n_chunks"], requests["chunk_start"] = n_each, np.arange(len(requests)) * n_each
    requests["t_head_ns"] = requests["t_first_content_ns"] = requests["t_first_answer_ns"] = stamps[:, 0]
    requests["t_last_content_ns"] = requests["t_usage_ns"] = requests["t_end_ns"] = stamps[:, -1]


def samples_of(trace: Trace, duration_s: int) -> Array:
    """The gauges of the short run once a second, its counters going on as they began."""
    parts = []
    for source, gauge in sorted({(row["source"], row["gauge"]) for row in trace.samples}):
        seen = trace.samples[(trace.samples["source"] == source) & (trace.samples["gauge"] == gauge)]
        part = np.zeros(duration_s, SAMPLE)
        part["t_ns"] = np.arange(duration_s) * NS_PER_S
        part["source"], part["gauge"] = source, gauge
        per_s = (seen["value"][-1] - seen["value"][0]) / max(1, len(seen) - 1)
        part["value"] = seen["value"][0] + per_s * np.arange(duration_s)
        parts.append(part)
    samples = np.concatenate(parts)
    return samples[np.argsort(samples["t_ns"], kind="stable")]


def enlarge(run: Run, n_requests: int, n_tokens: int, *, seed: int = 1) -> int:
    """Put tables of the size asked for in place of the run's own. Returns how many chunks there are."""
    rng = np.random.default_rng(seed)
    requests = requests_of(n_requests, n_tokens, rng)
    chunks = chunks_of(requests, n_tokens, rng)
    fill(requests, chunks)
    t_end_ns = int(requests["t_due_ns"][-1])
    tables = {"requests": requests, "chunks": chunks, "samples": samples_of(run.trace(), t_end_ns // NS_PER_S + 1)}
    for name, rows in tables.items():
        write_table(rows, run.path / f"{name}.parquet")
    manifest = run.manifest()
    manifest["windows"] = [{"trial": 0, "t_start_ns": 0, "t_end_ns": t_end_ns}]
    run.write_manifest(manifest)
    return len(chunks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=10_000_000)
    parser.add_argument("--show", action="store_true", help="print the report too")
    told = parser.parse_args()
    server_core, client_core = two_cores()
    with tempfile.TemporaryDirectory(prefix="inferometer-report-") as folder:
        run = short_run(Path(folder) / "run", server_core, client_core)
        t_start_s = time.monotonic()
        n_chunks = enlarge(run, round(told.chunks / (N_TOKENS + len(ENDING))), N_TOKENS)
        print(f"made in {time.monotonic() - t_start_s:.0f} s", flush=True)
        ended = watch([sys.executable, "-m", "inferometer", "report", str(run.path)], client_core)
    if told.show or ended.code not in (0, 4, 5):  # 4, 5: of the verdict or a limit, which is no failure to report
        print(ended.output)
    print_columns(
        f"report of a decoded run of {n_chunks:,} chunks",
        ("inferometer",),
        [
            ("time, s", [f"{ended.elapsed_s:.1f}"], f"under {MAX_S:g}"),
            ("CPU time, s", [f"{ended.cpu_s:.1f}"], ""),
            ("peak RSS, MB", [f"{ended.peak_rss_bytes / 1e6:,.0f}"], f"under {MAX_BYTES / 1e6:,.0f}"),
            ("exit code", [str(ended.code)], ""),
        ],
    )


if __name__ == "__main__":
    main()
