# SPDX-License-Identifier: Apache-2.0
"""Streams released together: how true are TTFT and gaps, and what does it cost?

    python benchmarks/together.py [--streams 256,1000] [--seconds 60] [--workers 1,2]

So many requests at once on open connections, 50 chunks/s each; first chunks after 50 to 70 ms, gaps of 20 +- 2 ms, both
drawn by the server. The truth is what the server logged in the same run; the C client is the least one can do.
Several workers share the client's core: what is compared is what they measure, not how much they take.
CPU time per further million chunks: the difference to a run of a quarter of the length, so that no start counts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
from clients import (
    Driven,
    Times,
    lateness_s,
    measured_times,
    n_failed,
    print_columns,
    run_c,
    run_inferometer,
    true_times,
    two_cores,
)
from truth_server import Answers, Room, TruthServer

from inferometer.truth.log import Errors, Lateness, TruthLog, compare, lateness
from inferometer.units import NS_PER_S

CHUNKS_PER_S = 50
MAX_TTFT_ERROR_MS, MAX_TTFT_P99_ERROR_MS, MAX_DUE_ERROR_MS, MAX_GAP_ERROR_RATIO = 0.5, 1.0, 2.0, 0.02


class Result:
    """One client at one load, with the truth of the same run."""

    def __init__(self, driven: Driven, log: TruthLog) -> None:
        self.driven = driven
        self.log = driven.of_run(log)
        self.measured: Times = measured_times(driven.trace)
        self.true: Times = true_times(self.log)
        self.late_s = lateness_s(driven.trace)
        self.errors: Errors = compare(driven.trace, self.log)
        self.server: Lateness = lateness(self.log)


def run_once(run: Callable[[TruthServer, int], Driven], n_streams: int, seconds: float, core: int) -> Result:
    n_chunks = round(seconds * CHUNKS_PER_S)
    answers = Answers(ttft_ms=60, ttft_spread_ms=10, gap_ms=1e3 / CHUNKS_PER_S, gap_spread_ms=1, seed=n_streams)
    room = Room(max_requests=n_streams + 100, max_sends=n_streams * n_chunks + 10_000)
    with TruthServer(answers, room, cpu=core) as server:
        driven = run(server, n_chunks)
        return Result(driven, server.stop())


def cpu_s_per_million(long: Driven, short: Driven) -> tuple[float, float]:
    """CPU time that a further million chunks took: while driving, and in all."""
    n_millions = (long.n_chunks - short.n_chunks) / 1e6
    driving_s = long.cpu_driving_s - short.cpu_driving_s
    return driving_s / n_millions, (driving_s + long.cpu_after_s - short.cpu_after_s) / n_millions


def rows_of(results: list[Result], shorts: list[Result]) -> list[tuple[str, list[str], str]]:
    """The table, one column per result."""

    def row(label: str, value: Callable[[Result], str], reach: str = "") -> tuple[str, list[str], str]:
        return label, [value(result) for result in results], reach

    def p99(values_s: np.ndarray) -> float:
        return float(np.percentile(values_s, 99))

    def ttft_error_ms(r: Result, statistic: Callable[[np.ndarray], float]) -> float:
        return 1e3 * (statistic(r.measured.ttft_s) - statistic(r.true.ttft_s))

    def from_due_ms(r: Result) -> float:
        return 1e3 * float(r.measured.ttft_s.mean() + r.late_s.mean())

    costs = [cpu_s_per_million(long.driven, short.driven) for long, short in zip(results, shorts, strict=True)]
    return [
        row("TTFT mean from sent, ms", lambda r: f"{1e3 * r.measured.ttft_s.mean():.2f}"),
        row("  as the server logged it", lambda r: f"{1e3 * r.true.ttft_s.mean():.2f}"),
        row("  error", lambda r: f"{ttft_error_ms(r, np.mean):+.3f}", f"within {MAX_TTFT_ERROR_MS:g}"),
        row("  of it: request under way, mean", lambda r: f"{1e3 * r.errors.sent_ns.mean() / NS_PER_S:+.3f}"),
        row("TTFT p99 from sent, ms", lambda r: f"{1e3 * p99(r.measured.ttft_s):.2f}"),
        row("  as the server logged it", lambda r: f"{1e3 * p99(r.true.ttft_s):.2f}"),
        row("  error", lambda r: f"{ttft_error_ms(r, p99):+.3f}", f"within {MAX_TTFT_P99_ERROR_MS:g}"),
        row("gap p99, ms", lambda r: f"{1e3 * p99(r.measured.gap_s):.3f}"),
        row("  as the server logged it", lambda r: f"{1e3 * p99(r.true.gap_s):.3f}"),
        row(
            "  error",
            lambda r: f"{p99(r.measured.gap_s) / p99(r.true.gap_s) - 1:+.2%}",
            f"within {MAX_GAP_ERROR_RATIO:.0%}",
        ),
        row("TTFT mean from due, ms", lambda r: f"{from_due_ms(r):.2f}"),
        row(
            "  beyond the server's",
            lambda r: f"{from_due_ms(r) - 1e3 * r.true.ttft_s.mean():+.3f}",
            f"within {MAX_DUE_ERROR_MS:g}",
        ),
        row("lateness mean / p99, ms", lambda r: f"{1e3 * r.late_s.mean():.2f} / {1e3 * p99(r.late_s):.2f}"),
        row("stamp of a first chunk, error p99, us", lambda r: f"{1e6 * r.errors.ttft.p99_s:,.1f}"),
        row("gap by gap, error p99, us", lambda r: f"{1e6 * r.errors.gap.p99_s:,.1f}"),
        row("reads with several chunks", lambda r: f"{r.errors.merged_ratio:.3%}"),
        row("chunks lost or extra", lambda r: f"{r.errors.n_lost + r.errors.n_extra}", "0"),
        row("requests not ok", lambda r: f"{n_failed(r.driven.trace)}", "0"),
        ("CPU s per further million, driving", [f"{driving_s:.1f}" for driving_s, _ in costs], "under 25"),
        ("  with decoding, tables, report", [f"{all_s:.1f}" for _, all_s in costs], "under 35"),
        row("peak PSS, MB", lambda r: f"{r.driven.peak_pss_bytes / 1e6:,.0f}", "under 200"),
        row("peak RSS, MB", lambda r: f"{r.driven.peak_rss_bytes / 1e6:,.0f}"),
        row("client without a core, ms", lambda r: f"{1e3 * r.driven.run_delay_s:,.1f}"),
        row("server late p99, us", lambda r: f"{1e6 * r.server.lateness.p99_s:,.1f}"),
        row("verdict", lambda r: r.driven.verdict or "-"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", default="256,1000")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", default="1", help="driving processes; a column for each number")
    told = parser.parse_args()
    server_core, client_core = two_cores()
    for n_streams in map(int, told.streams.split(",")):

        def c(server: TruthServer, n_chunks: int, n_streams: int = n_streams) -> Driven:
            return run_c(server.port, n_streams, n_chunks, client_core)

        def ours(server: TruthServer, n_chunks: int, n_streams: int = n_streams, n_workers: int = 1) -> Driven:
            flags = ["--burst", f"--requests={n_streams}", "--warmup=0", "--input-tokens=32"]
            flags += [f"--output-tokens={n_chunks}", f"--timeout={told.seconds + 60:g}s"]
            return run_inferometer(server.url, flags, client_core, n_workers)

        clients: dict[str, Callable[[TruthServer, int], Driven]] = {"C": c}
        for n_workers in map(int, told.workers.split(",")):
            name = "inferometer" if n_workers == 1 else f"{n_workers} workers"
            clients[name] = partial(ours, n_workers=n_workers)
        shorts = [run_once(run, n_streams, told.seconds / 4, server_core) for run in clients.values()]
        longs = [run_once(run, n_streams, told.seconds, server_core) for run in clients.values()]
        print_columns(
            f"{n_streams} streams released together, {n_streams * CHUNKS_PER_S:,} chunks/s, {told.seconds:g} s",
            list(clients),
            rows_of(longs, shorts),
        )


if __name__ == "__main__":
    main()
