# SPDX-License-Identifier: Apache-2.0
"""The ladder of loads: the tool's error against the ground-truth server, and where it stops being trustworthy here.

Rule 1: who measures is passed in (`measure`): this file knows neither the driving loop nor a plan.
Rule 2: an error is measured minus the server's own stamps; a server that is late does not make the tool wrong, and is
shown beside it.
Rule 3: a load beyond the budget is tried once more: a busy moment of the machine is not a limit of the tool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from inferometer.records import NEVER, Trace
from inferometer.truth.launch import TruthServer
from inferometer.truth.log import Errors, Lateness, Spread, compare, lateness, spread
from inferometer.truth.script import Prescription
from inferometer.units import format_duration, format_number

N_TRIES = 2
MAX_GAP_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Load:
    """Equal streams against a server that prescribes everything but their release.

    `release_s` 0: all streams are sent at once, and each slot sends `n_rounds` requests one after the other (a closed
    loop of `n_streams` slots). Otherwise one round, sent evenly over so many seconds (an open loop, constant rate).
    """

    n_streams: int
    chunks_per_s: float  # of each stream
    n_chunks: int
    ttft_s: float = 0.1
    n_rounds: int = 1
    release_s: float = 0.0

    @property
    def name(self) -> str:
        release = "together" if self.is_together else "spread"
        return f"{self.n_streams} x {self.chunks_per_s:g}/s {release}"

    @property
    def is_together(self) -> bool:
        return self.release_s == 0

    @property
    def n_requests(self) -> int:
        return self.n_streams * self.n_rounds

    @property
    def rate_per_s(self) -> float:
        """Chunks per second when all streams run."""
        return self.n_streams * self.chunks_per_s

    @property
    def duration_s(self) -> float:
        """How long it takes a server and a client that keep up."""
        return self.release_s + self.n_rounds * (self.ttft_s + (self.n_chunks - 1) / self.chunks_per_s)

    @property
    def prescription(self) -> Prescription:
        """What the server is started with; requests need not say anything."""
        return Prescription(
            ttft_ms=self.ttft_s * 1e3, gap_ms=1e3 / self.chunks_per_s, n_chunks=self.n_chunks, usage="own"
        )


# In the order of their rates. 256 x 50/s released together is the case that known clients get wrong by tens of
# milliseconds; from 50,000/s on streams are spread, because nothing else measures such rates.
LADDER = (
    Load(1, 50, n_chunks=20, n_rounds=5),
    Load(10, 50, n_chunks=50, n_rounds=2),
    Load(64, 50, n_chunks=75, n_rounds=2),
    Load(256, 50, n_chunks=100, n_rounds=2),
    Load(256, 50, n_chunks=150, release_s=1.0),
    Load(256, 100, n_chunks=250, release_s=0.5),
    Load(256, 200, n_chunks=500, release_s=0.5),
    Load(256, 300, n_chunks=750, release_s=0.5),
    Load(256, 400, n_chunks=1000, release_s=0.5),
    Load(256, 600, n_chunks=1500, release_s=0.5),
)


@dataclass(frozen=True, slots=True)
class Budget:
    """The largest error, 99th percentile of its absolute value, at which the tool still counts as trustworthy."""

    ttft_p99_s: float = 1e-3
    gap_p99_s: float = 1e-3  # and never more than MAX_GAP_SHARE of the gap itself

    def reasons(self, load: Load, errors: Errors) -> tuple[str, ...]:
        """Why a load is beyond it; empty if it is within."""
        found = []
        gap_limit_s = min(self.gap_p99_s, MAX_GAP_SHARE / load.chunks_per_s)
        for name, error, limit_s in (("TTFT", errors.ttft, self.ttft_p99_s), ("gap", errors.gap, gap_limit_s)):
            if not error.n:
                found.append(f"nothing was left to tell a {name} error from")
            elif error.p99_s > limit_s:
                found.append(
                    f"{name} error {format_duration(error.p99_s)} at p99, the budget is {format_duration(limit_s)}"
                )
        if errors.n_requests != load.n_requests or errors.n_unknown:
            found.append(f"{errors.n_requests} of {load.n_requests} requests could be compared")
        if errors.n_lost or errors.n_extra:
            found.append(f"{errors.n_lost} chunks sent but not recorded, {errors.n_extra} recorded but not sent")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Rung:
    """One load, measured. `server`: how well the server kept to its prescription. `reasons`: why it is too much."""

    load: Load
    errors: Errors
    server: Lateness
    sent_late: Spread  # the client's own lateness, due to sent: part of every latency from due, and told beside it
    reasons: tuple[str, ...]

    @property
    def is_within(self) -> bool:
        return not self.reasons


def climb(
    measure: Callable[[str, Load], Trace],
    ladder: Sequence[Load] = LADDER,
    budget: Budget | None = None,
    server_cpu: int | None = None,
) -> Iterator[Rung]:
    """Loads one after the other, each with a server of its own; ends after the first that is beyond the budget.

    `measure(url, load)` sends the load and returns its trace, with `meta["clock"]["origin_ns"]` and requests marked
    by header `x-request-id: <plan id>-...`. `server_cpu`: the core the server stays on.

    Raises: EngineError if the server does not start or stop; whatever `measure` raises.
    """
    budget = budget or Budget()
    for load in ladder:
        for _ in range(N_TRIES):
            rung = _try(measure, load, budget, server_cpu)
            if rung.is_within:
                break
        yield rung
        if not rung.is_within:
            return


def _try(measure: Callable[[str, Load], Trace], load: Load, budget: Budget, server_cpu: int | None) -> Rung:
    with TruthServer(load.prescription, cpu=server_cpu) as server:
        trace = measure(server.url, load)
        log = server.stop()
    if nonce := trace.meta.get("nonce"):
        log = log.of_run(nonce)  # without the questions that came before the load
    errors = compare(trace, log)
    main = trace.requests[trace.requests["t_sent_ns"] != NEVER]
    sent_late = spread(main["t_sent_ns"] - main["t_due_ns"])
    return Rung(load, errors, lateness(log), sent_late, budget.reasons(load, errors))


# As text

_COLUMNS = "".join(f"{word:>8}" for word in ("mean", "p50", "p99", "max"))
HEADING = (
    f"{'':21}{'chunks/s':>9} |{'TTFT error, us':^32} |{'gap error, us':^32} | {'reads':>6} |"
    f" {'client':>8} | {'server':>8}",
    f"{'streams':21}{'sent':>9} |{_COLUMNS} |{_COLUMNS} | {'merged':>6} | {'late p99':>8} | {'late p99':>8}",
)


def line(rung: Rung) -> str:
    """One row of the table under `HEADING`."""
    errors, server = rung.errors, rung.server
    return (
        f"{rung.load.name:21}{format_number(server.delivered_per_s):>9} |{_cells(errors.ttft)} |{_cells(errors.gap)}"
        f" | {_in_percent(errors.merged_ratio):>6} | {format_duration(rung.sent_late.p99_s):>8}"
        f" | {format_duration(server.lateness.p99_s):>8}"
    )


def verdict(rungs: Sequence[Rung]) -> str:
    """Up to where the tool can be trusted on this machine, and what ended the ladder. `rungs`: at least one."""
    within = [rung for rung in rungs if rung.is_within]
    if not within:
        return f"not trustworthy on this machine, already at {rungs[0].load.name}: {'; '.join(rungs[0].reasons)}"
    rate = format_number(max(rung.load.rate_per_s for rung in within))
    claim = f"trustworthy up to {rate} chunks/s on this machine"
    if len(within) == len(rungs):
        return f"{claim}, the highest load tried"
    return f"{claim}; beyond the budget at {rungs[-1].load.name}: {'; '.join(rungs[-1].reasons)}"


def lines(rungs: Sequence[Rung]) -> list[str]:
    """The whole table, verdict last."""
    return [*HEADING, *map(line, rungs), verdict(rungs)]


def _cells(error: Spread) -> str:
    return "".join(f"{_in_us(value_s):>8}" for value_s in (error.mean_s, error.p50_s, error.p99_s, error.max_s))


def _in_percent(ratio: float) -> str:
    return "-" if np.isnan(ratio) else f"{ratio:.1%}"


def _in_us(value_s: float) -> str:
    if np.isnan(value_s):
        return "-"
    value_us = value_s * 1e6
    return f"{value_us:,.0f}" if abs(value_us) >= 10 else f"{value_us:.1f}"
