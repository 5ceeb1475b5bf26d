# SPDX-License-Identifier: Apache-2.0
"""What a sweep or a limit search would do, as far as it can be told before the first request. Pure.

How long it takes is the server's to decide: told is the least, and the most, were every request to take as long as its
deadline allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from inferometer.analysis.curve import MIN_LATENCIES, REQUESTS_PER_SLOT
from inferometer.config import DEFAULT_FOR_S, Experiment
from inferometer.metrics.slo_presets import Objective
from inferometer.probes.limit import ALONE_S, ALONE_WARMUP_S, wait_s
from inferometer.probes.points import MOST_ELSEWHERE, MOST_STARTED
from inferometer.probes.search import LOOKS_IN_BUDGET, budget_for_wait_s
from inferometer.probes.sweep import AUTO_SHARES, MARGIN, PLATEAU, WARMUP_LATENCIES, Ladder
from inferometer.stats.usl import MIN_LOADS


@dataclass(frozen=True, slots=True)
class Outlook:
    """`loads`: those that are known, in the order of the runs. `n_runs`: at most, None: as many as it takes.
    `n_requests`: about so many at least; None: the server decides."""

    loads: tuple[float, ...]
    law: str
    n_runs: int | None
    least_s: float
    longest_s: float
    n_requests: int | None
    notes: tuple[str, ...] = ()


def of_sweep(config: Experiment, ladder: Ladder) -> Outlook:
    if ladder.kind == "rate" and ladder.is_auto:
        return _of_shares(config)
    loads = ladder.loads or _doublings(config)
    all_loads = (*loads, loads[0]) if len(loads) > 1 else loads
    is_closed = ladder.kind == "concurrency"
    rises = [max(1.0, after / before) if is_closed else 1.0 for before, after in pairwise(all_loads)]
    least = loads[:MIN_LOADS] if ladder.is_auto else loads
    n_least, length_s = len(least) + (len(loads) > 1), _base_s(config)
    return Outlook(
        loads,
        "requests in flight" if is_closed else "requests/s",
        len(all_loads),
        n_least * length_s,
        sum(_longest_s(config, rise) for rise in (1.0, *rises)),
        round(sum(load * (REQUESTS_PER_SLOT if is_closed else length_s) for load in least)),
        ("it ends before the highest load where more brings nothing, or more than 1 % of the requests fail",),
    )


def _of_shares(config: Experiment) -> Outlook:
    """Rates that are shares of what the server is seen to do."""
    n_runs, shares = len(AUTO_SHARES) + 2, ", ".join(f"{100 * share:g}" for share in AUTO_SHARES)
    law = f"{PLATEAU} requests in flight to see what it can do, then {shares} % of that in requests/s"
    return Outlook((), law, n_runs, n_runs * _base_s(config), n_runs * _longest_s(config, 1.0), None)


def of_limit(config: Experiment, objective: Objective, *, is_closed: bool, budget_s: float) -> Outlook:
    """Of the last look it is only known that it begins within the budget."""
    unit = "requests in flight" if is_closed else "requests/s"
    law = f"one request at a time, then {unit}: doubled until too much, long looks beside the limit, one load proven"
    wanted_s = 0.0 if is_closed else budget_for_wait_s(wait_s(objective.limits))
    note = f"with these limits a slight overload takes long to show: they want --budget {math.ceil(wanted_s / 60)}m"
    return Outlook(
        (),
        law,
        None,
        ALONE_S + ALONE_WARMUP_S,
        budget_s + budget_s / LOOKS_IN_BUDGET + config.timeout_s,
        None,
        (note,) if wanted_s > budget_s else (),
    )


def _doublings(config: Experiment) -> tuple[float, ...]:
    most = MOST_ELSEWHERE if config.url is not None else MOST_STARTED
    return tuple(float(2**i) for i in range(most.bit_length()))


def _base_s(config: Experiment) -> float:
    """Of a run that needs to be no longer than asked."""
    return (config.for_s or DEFAULT_FOR_S) + (config.warmup.duration_s if config.warmup is not None else 0.0)


def _longest_s(config: Experiment, rise: float) -> float:
    """Of a run whose load is `rise` times that of the run before, in which every request took its deadline."""
    latency_s = config.timeout_s * rise
    window_s = max(config.for_s or DEFAULT_FOR_S, MARGIN * max(REQUESTS_PER_SLOT, MIN_LATENCIES) * latency_s)
    warmup_s = max(_base_s(config) - (config.for_s or DEFAULT_FOR_S), WARMUP_LATENCIES * latency_s)
    return window_s + warmup_s + config.timeout_s
