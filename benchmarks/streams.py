# SPDX-License-Identifier: Apache-2.0
"""Ten thousand concurrent streams in one process: memory, errors, truth; and what is said when files may not be opened.

    python benchmarks/streams.py [--streams 10000] [--seconds 20]

All are sent at once and open together, 2 chunks/s each. Then the same with a limit of 1,024 open files, which must be
refused before anything is sent, with the remedy.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from clients import lateness_s, n_failed, print_columns, run_inferometer, two_cores, watch
from truth_server import Answers, Room, TruthServer

from inferometer.records import Array, Trace
from inferometer.truth.log import compare, lateness

GAP_MS = 500.0
TTFT_MS, TTFT_SPREAD_MS = 3_000.0, 500.0  # all are open before the first chunk comes
MAX_MEMORY_BYTES = 1_000_000_000
LOW_LIMIT = 1024


def flags_of(n_streams: int, n_chunks: int, seconds: float) -> list[str]:
    flags = ["--burst", f"--requests={n_streams}", "--warmup=0", "--input-tokens=32"]
    return [*flags, f"--output-tokens={n_chunks}", f"--timeout={seconds + 60:g}s"]


def most_at_once(trace: Trace) -> int:
    """How many requests were between their first chunk and their last at one time."""
    requests = trace.requests[trace.requests["t_first_content_ns"] >= 0]
    instants: Array = np.concatenate([requests["t_first_content_ns"], requests["t_last_content_ns"]])
    steps = np.repeat([1, -1], len(requests))
    return int(np.cumsum(steps[np.argsort(instants, kind="stable")]).max(initial=0))


def many(n_streams: int, seconds: float, server_core: int, client_core: int) -> None:
    n_chunks = max(2, round(seconds * 1e3 / GAP_MS))
    answers = Answers(ttft_ms=TTFT_MS, ttft_spread_ms=TTFT_SPREAD_MS, gap_ms=GAP_MS)
    room = Room(max_requests=n_streams + 100, max_sends=n_streams * n_chunks + 10_000)
    with TruthServer(answers, room, cpu=server_core) as server:
        driven = run_inferometer(server.url, flags_of(n_streams, n_chunks, seconds), client_core)
        log = driven.of_run(server.stop())
    errors, kept, late_ms = compare(driven.trace, log), lateness(log), 1e3 * lateness_s(driven.trace)
    print_columns(
        f"{n_streams:,} streams, {n_streams * 1e3 / GAP_MS:,.0f} chunks/s, {n_chunks} chunks each",
        ("inferometer",),
        [
            ("streams between first and last chunk at once", [f"{most_at_once(driven.trace):,}"], f"{n_streams:,}"),
            ("peak RSS, MB", [f"{driven.peak_rss_bytes / 1e6:,.0f}"], f"under {MAX_MEMORY_BYTES / 1e6:,.0f}"),
            ("peak PSS, MB", [f"{driven.peak_pss_bytes / 1e6:,.0f}"], f"under {MAX_MEMORY_BYTES / 1e6:,.0f}"),
            ("requests not ok", [f"{n_failed(driven.trace):,}"], "0"),
            ("chunks lost or extra", [f"{errors.n_lost + errors.n_extra:,}"], "0"),
            ("stamp of a first chunk, error p50, us", [f"{1e6 * errors.ttft.p50_s:,.1f}"], ""),
            ("stamp of a first chunk, error p99, us", [f"{1e6 * errors.ttft.p99_s:,.1f}"], ""),
            ("gap by gap, error p99, us", [f"{1e6 * errors.gap.p99_s:,.1f}"], ""),
            ("reads with several chunks", [f"{errors.merged_ratio:.3%}"], ""),
            ("lateness p50 / p99, ms", [f"{np.percentile(late_ms, 50):.0f} / {np.percentile(late_ms, 99):.0f}"], ""),
            ("client without a core, ms", [f"{1e3 * driven.run_delay_s:,.1f}"], ""),
            ("server late p99, us", [f"{1e6 * kept.lateness.p99_s:,.1f}"], ""),
            ("verdict", [driven.verdict], ""),
        ],
    )


def refused(n_streams: int, server_core: int, client_core: int) -> None:
    """The same with too few files."""
    with TruthServer(Answers(), Room(), cpu=server_core) as server, tempfile.TemporaryDirectory() as folder:
        run = [sys.executable, "-m", "inferometer", "run", server.url, *flags_of(n_streams, 2, 1), "--quiet"]
        limited = ["sh", "-c", f'ulimit -n {LOW_LIMIT}; exec "$@"', "sh", *run, "--out", str(Path(folder) / "run")]
        ended = watch(limited, client_core)
        n_sent = sum(not text.startswith("-") and "-" in text for text in server.stop().requests["x_request_id"])
    print(f"\n{n_streams:,} streams with a limit of {LOW_LIMIT:,} open files: exit code {ended.code},")
    print(f"{n_sent} planned requests reached the server; it said")
    print("\n".join(f"  {line}" for line in ended.output.strip().splitlines()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    told = parser.parse_args()
    server_core, client_core = two_cores()
    many(told.streams, told.seconds, server_core, client_core)
    refused(told.streams, server_core, client_core)


if __name__ == "__main__":
    main()
