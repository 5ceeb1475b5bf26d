# SPDX-License-Identifier: Apache-2.0
"""Open loop at a high rate: is every request sent, on time, and under the law that was asked for?

    python benchmarks/open_loop.py [--rate 1000] [--seconds 30]

Answers of 5 chunks. What left the client is judged by its own stamps (due to sent); the law of the arrivals by the
server's log alone: the gaps between requests, as another process saw them.
"""

from __future__ import annotations

import argparse

import numpy as np
import scipy.stats
from clients import Driven, lateness_s, n_failed, print_columns, run_inferometer, two_cores
from truth_server import Answers, Room, TruthServer

from inferometer.records import NEVER, Array
from inferometer.truth.log import TruthLog
from inferometer.units import NS_PER_S

N_CHUNKS = 5
MAX_RATE_ERROR_RATIO = 0.001
MAX_LATE_P99_MS = 1.0
BIN_S = 0.1


def drive(law: str, rate_per_s: float, seconds: float, cores: tuple[int, int]) -> tuple[Driven, TruthLog]:
    server_core, client_core = cores
    n_requests = round(rate_per_s * seconds * 1.2) + 1_000
    room = Room(max_requests=n_requests, max_sends=n_requests * N_CHUNKS * 2)
    with TruthServer(Answers(ttft_ms=60, ttft_spread_ms=10, gap_ms=20), room, cpu=server_core) as server:
        flags = [f"--rate={rate_per_s:g}", f"--arrivals={law}", f"--for={seconds:g}s", "--warmup=0"]
        flags += ["--input-tokens=32", f"--output-tokens={N_CHUNKS}"]
        driven = run_inferometer(server.url, flags, client_core)
        return driven, driven.of_run(server.stop())


def arrivals_s(log: TruthLog) -> Array:
    """When requests reached the server, from the first on, ascending."""
    instants_ns = np.sort(log.requests["t_arrival_ns"])
    return (instants_ns - instants_ns[0]) / NS_PER_S


def of_constant(at_s: Array, rate_per_s: float) -> list[tuple[str, list[str], str]]:
    """How far arrivals lie from the grid they were planned on."""
    off_us = 1e6 * (at_s - np.arange(len(at_s)) / rate_per_s)
    off_us -= np.median(off_us)
    error_ratio = (len(at_s) - 1) / at_s[-1] / rate_per_s - 1
    sizes_us = np.percentile(np.abs(off_us), (50, 99))
    gaps_us = 1e6 * np.diff(at_s)
    return [
        ("rate at the server, error", [f"{error_ratio:+.4%}"], f"within {MAX_RATE_ERROR_RATIO:.1%}"),
        ("off the grid p50 / p99, us", [f"{sizes_us[0]:,.1f} / {sizes_us[1]:,.1f}"], ""),
        ("gaps, mean / standard deviation, us", [f"{gaps_us.mean():,.1f} / {gaps_us.std():,.1f}"], ""),
    ]


def of_poisson(at_s: Array, rate_per_s: float) -> list[tuple[str, list[str], str]]:
    """Gaps exponential (Kolmogorov-Smirnov), counts as spread as their mean (chi-squared), gaps independent."""
    gaps = np.diff(at_s) * rate_per_s
    n_bins = int(at_s[-1] / BIN_S)
    counts = np.histogram(at_s, n_bins, (0, n_bins * BIN_S))[0]
    expected = rate_per_s * BIN_S
    spread = float(((counts - expected) ** 2).sum() / expected)
    spread_p = 2 * min(scipy.stats.chi2.cdf(spread, n_bins), scipy.stats.chi2.sf(spread, n_bins))
    same = scipy.stats.kstest(gaps, "expon")
    lag = scipy.stats.spearmanr(gaps[:-1], gaps[1:])
    return [
        ("requests at the server", [f"{len(at_s):,}"], f"{rate_per_s * at_s[-1]:,.0f} +- root"),
        ("gaps exponential: KS D, p", [f"{same.statistic:.4f}, {same.pvalue:.2f}"], "p over 0.01"),
        (f"counts per {BIN_S:g} s: variance/mean, p", [f"{spread / n_bins:.3f}, {spread_p:.2f}"], "p over 0.01"),
        ("gap and the next: rank correlation, p", [f"{lag.statistic:+.4f}, {lag.pvalue:.2f}"], "p over 0.01"),
    ]


def of_client(driven: Driven, rate_per_s: float, seconds: float) -> list[tuple[str, list[str], str]]:
    trace = driven.trace
    n_sent = int((trace.requests["t_sent_ns"] != NEVER).sum())
    late_ms = 1e3 * lateness_s(trace)
    p50, p99 = np.percentile(late_ms, (50, 99))
    n_new = len(np.unique(trace.requests["conn"]))
    return [
        ("due / sent", [f"{len(trace.requests):,} / {n_sent:,}"], "equal"),
        ("sent per second", [f"{n_sent / seconds:,.1f}"], f"{rate_per_s:,.0f}"),
        ("lateness p50 / p99, ms", [f"{p50:.3f} / {p99:.3f}"], f"p99 under {MAX_LATE_P99_MS:g}"),
        ("lateness max, ms", [f"{late_ms.max():.2f}"], ""),
        ("requests not ok", [f"{n_failed(trace):,}"], "0"),
        ("connections", [f"{n_new:,}"], ""),
        ("client without a core, ms", [f"{1e3 * driven.run_delay_s:,.1f}"], ""),
        ("verdict", [driven.verdict], ""),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    told = parser.parse_args()
    cores = two_cores()
    loads = (
        ("constant", told.rate, of_constant),
        ("poisson", told.rate, of_poisson),
        ("poisson", told.rate / 5, of_poisson),  # where the time a send takes is small against a gap
    )
    for law, rate_per_s, judge in loads:
        driven, log = drive(law, rate_per_s, told.seconds, cores)
        rows = of_client(driven, rate_per_s, told.seconds) + judge(arrivals_s(log), rate_per_s)
        print_columns(f"open loop, {law}, {rate_per_s:,.0f} requests/s, {told.seconds:g} s", ("inferometer",), rows)


if __name__ == "__main__":
    main()
