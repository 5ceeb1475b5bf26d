# SPDX-License-Identifier: Apache-2.0
"""How many chunks per second one core takes, each with its own read, before gaps are lost: C and inferometer in turn.

    python benchmarks/rate.py [--streams 1000,64] [--rates 20000,40000,...] [--seconds 10]

Streams are spread evenly over one gap. A rate is held if the 99th percentile of the gaps is within 5 % of the server's
own, nearly every chunk came in a read of its own, and nothing was lost. Each client climbs until it has missed twice.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from clients import Driven, measured_times, n_failed, run_c, run_inferometer, true_times, two_cores
from truth_server import Answers, Room, TruthServer

from inferometer.truth.log import Errors, Lateness, TruthLog, compare, lateness

RATES = "40000,60000,80000,100000,125000,150000,200000"
TTFT_MS = 500.0  # all requests have arrived before the first chunk is due
MAX_GAP_ERROR_RATIO = 0.05
MAX_MERGED_RATIO = 0.01
MAX_MISSES = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One rate, one client. `gap_error_ratio`: of the p99 of all gaps, measured to true."""

    driven: Driven
    errors: Errors
    server: Lateness
    gap_error_ratio: float

    @property
    def is_held(self) -> bool:
        is_whole = not self.errors.n_lost and not self.errors.n_extra and not n_failed(self.driven.trace)
        return is_whole and abs(self.gap_error_ratio) <= MAX_GAP_ERROR_RATIO and self.is_read_singly

    @property
    def is_read_singly(self) -> bool:
        return self.errors.merged_ratio <= MAX_MERGED_RATIO


def try_rate(
    run: Callable[[TruthServer, int, int], Driven], rate_per_s: float, n_streams: int, seconds: float, core: int
) -> Step:
    gap_ms = 1e3 * n_streams / rate_per_s
    n_chunks = max(3, round(seconds * 1e3 / gap_ms))
    answers = Answers(ttft_ms=TTFT_MS, gap_ms=gap_ms, stagger_ms=gap_ms / n_streams, stagger_n=n_streams)
    room = Room(max_requests=n_streams + 100, max_sends=n_streams * n_chunks + 10_000)
    with TruthServer(answers, room, cpu=core) as server:
        driven = run(server, n_streams, n_chunks)
        log: TruthLog = driven.of_run(server.stop())
    measured, true = (np.percentile(t.gap_s, 99) for t in (measured_times(driven.trace), true_times(log)))
    return Step(driven, compare(driven.trace, log), lateness(log), float(measured / true - 1))


HEADING = (
    f"{'':14}{'chunks/s':>9}{'sent':>9} | {'gap p99':>8} | {'reads':>7} | {'TTFT error':>10} | {'gap error':>10} |"
    f" {'CPU s':>6} | {'no core':>7} | {'server':>8} |",
    f"{'client':14}{'asked':>9}{'by server':>9} | {'error':>8} | {'merged':>7} | {'p99, us':>10} | {'p99, us':>10} |"
    f" {'per M':>6} | {'ms':>7} | {'late p99':>8} |",
)


def line(name: str, rate_per_s: float, step: Step) -> str:
    errors, driven = step.errors, step.driven
    cells = (
        f"{name:14}{rate_per_s:>9,.0f}{step.server.delivered_per_s:>9,.0f}",
        f"{step.gap_error_ratio:>+8.1%}",
        f"{errors.merged_ratio:>7.2%}",
        f"{errors.ttft.p99_s * 1e6:>10,.1f}",
        f"{errors.gap.p99_s * 1e6:>10,.1f}",
        f"{1e6 * driven.cpu_driving_s / driven.n_chunks:>6.1f}",
        f"{1e3 * driven.run_delay_s:>7.1f}",
        f"{1e3 * step.server.lateness.p99_s:>5.2f} ms",
        "held" if step.is_held else "missed",
    )
    return " | ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", default="1000,64")
    parser.add_argument("--rates", default=RATES)
    parser.add_argument("--clients", default="C,inferometer")
    parser.add_argument("--seconds", type=float, default=10.0, help="at each rate")
    told = parser.parse_args()
    server_core, client_core = two_cores()

    def c(server: TruthServer, n_streams: int, n_chunks: int) -> Driven:
        return run_c(server.port, n_streams, n_chunks, client_core)

    def ours(server: TruthServer, n_streams: int, n_chunks: int) -> Driven:
        flags = ["--burst", f"--requests={n_streams}", "--warmup=0", "--input-tokens=32"]
        flags += [f"--output-tokens={n_chunks}", f"--timeout={2 * told.seconds + 60:g}s"]
        return run_inferometer(server.url, flags, client_core)

    clients = {"C": c, "inferometer": ours}
    for n_streams in map(int, told.streams.split(",")):
        print(f"\n{n_streams} staggered streams, {told.seconds:g} s at each rate", *HEADING, sep="\n", flush=True)
        best = dict.fromkeys(told.clients.split(","), 0.0)
        misses = dict.fromkeys(best, 0)
        for rate_per_s in map(float, told.rates.split(",")):
            for name in best:
                if misses[name] >= MAX_MISSES:
                    continue
                step = try_rate(clients[name], rate_per_s, n_streams, told.seconds, server_core)
                misses[name] += not step.is_held
                best[name] = rate_per_s if step.is_held else best[name]
                print(line(name, rate_per_s, step), flush=True)
        held = ", ".join(f"{name} {rate_per_s:,.0f}" for name, rate_per_s in best.items())
        ratio = f"; ratio {best['inferometer'] / best['C']:.2f}" if best.get("C") and "inferometer" in best else ""
        print(f"highest rate held, chunks/s: {held}{ratio}", flush=True)


if __name__ == "__main__":
    main()
