# SPDX-License-Identifier: Apache-2.0
"""Does the search for the highest load find it? Sixty seeded searches a case, on engines whose limit is known.

    python benchmarks/limit_search.py [--cases queue,slots,batch] [--searches 60] [--jobs 2]

The engine is simulated: the same batching and service law as `inferometer emulate` has, driven without a socket, so
that an hour of searching takes a minute. The search is that of `inferometer limit`, whole: only what takes a look
differs.
Truth: for one slot and equal requests the closed form of M/D/1; else a bisection over simulated requests, a million in
the last steps.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from decimal import Decimal, getcontext
from functools import partial

import numpy as np

from inferometer.analysis.look import Look, look_at
from inferometer.emulate.batch import Batch
from inferometer.emulate.batch import Sequence as Running
from inferometer.emulate.law import ServiceLaw
from inferometer.emulate.prefixes import PrefixCache
from inferometer.kinds import Outcome, Phase
from inferometer.metrics.slo import parse_limits
from inferometer.probes.limit import wait_s
from inferometer.probes.search import Aim, Ask, Found, Search, ask_for
from inferometer.records import CHUNK, SAMPLE, Trace, empty_requests
from inferometer.stats import Estimate, clopper_pearson
from inferometer.units import NS_PER_S

OVERHEAD_S = 2.0  # of a real run, beside warm-up, window and the last answers: asking, planning, decoding
BUDGET_S = 3_600.0
GRID_STEP = 0.05  # of the even grid, as a share of the limit: the resolution that is promised
GRID_LOOKS = (1, 2, 4)  # long looks a point of the grid is given
N_GRIDS = 20  # at most
RIGHT_WITHIN = 0.05


@dataclass(frozen=True)
class Case:
    """An engine, its requests, and what is asked of it."""

    name: str
    says: str
    law: ServiceLaw
    n_slots: int
    n_inputs: tuple[int, int]
    n_outputs: tuple[int, int]
    slo: str
    target: float
    has_closed_form: bool = False


CASES = (
    Case(
        "queue",
        "one slot, equal requests of 50 ms: M/D/1",
        ServiceLaw(50, 0, 0, 0),
        1,
        (1, 1),
        (1, 1),
        "ttft<500ms",
        0.95,
        True,
    ),
    Case(
        "slots",
        "8 slots, 8 to 24 tokens: the wait for a slot",
        ServiceLaw(8, 0.05, 0.3, 0.0005),
        8,
        (128, 128),
        (8, 24),
        "ttft<300ms",
        0.95,
    ),
    Case(
        "batch",
        "32 slots: iterations slow down as more decode",
        ServiceLaw(8, 0.05, 0.6, 0.0005),
        32,
        (64, 128),
        (8, 24),
        "ttft<1s,tpot<20ms",
        0.95,
    ),
)


def drive(case: Case, due_ns: Sequence[int], n_inputs: Sequence[int], n_outputs: Sequence[int]) -> list[Running]:
    """The engine through all arrivals, until the last is answered."""
    batch = Batch(case.law, n_slots=case.n_slots, kv_tokens=1 << 40, prefixes=PrefixCache(0))
    requests = [Running(n_in, n_out, t) for t, n_in, n_out in zip(due_ns, n_inputs, n_outputs, strict=True)]
    i, n, t_ns = 0, len(requests), 0
    while i < n or batch.running or batch.waiting:
        while i < n and requests[i].t_arrival_ns <= t_ns:
            batch.arrive(requests[i])
            i += 1
        iteration = batch.begin(t_ns)
        if iteration is None:
            t_ns = requests[i].t_arrival_ns
            continue
        batch.complete(iteration)
        t_ns = iteration.t_end_ns
    return requests


def simulate(case: Case, rate: float, window_s: float, warmup_s: float, seed: Sequence[int]) -> Trace:
    """A run in open loop with Poisson arrivals, as records."""
    rng = np.random.default_rng(seed)
    due_s = np.cumsum(rng.exponential(1 / rate, int(rate * (window_s + warmup_s) * 1.2 + 100)))
    due_ns = (due_s[due_s < window_s + warmup_s] * NS_PER_S).astype(np.int64)
    n = len(due_ns)
    n_inputs = rng.integers(case.n_inputs[0], case.n_inputs[1] + 1, n)
    n_outputs = rng.integers(case.n_outputs[0], case.n_outputs[1] + 1, n)
    done = drive(case, due_ns.tolist(), n_inputs.tolist(), n_outputs.tolist())
    requests = empty_requests(n)
    requests["id"] = requests["session"] = np.arange(n)
    requests["t_due_ns"] = requests["t_sent_ns"] = due_ns
    requests["phase"] = np.where(due_ns < warmup_s * NS_PER_S, Phase.WARMUP, Phase.MAIN)
    requests["outcome"], requests["attempt"], requests["status"] = Outcome.OK, 1, 200
    requests["t_first_content_ns"] = [one.t_first_ns for one in done]
    requests["t_last_content_ns"] = requests["t_end_ns"] = [one.t_last_ns for one in done]
    requests["n_prompt_tokens"] = requests["n_prompt_tokens_asked"] = n_inputs
    requests["n_output_tokens"] = requests["n_output_tokens_asked"] = n_outputs
    ends_ns = [round(t * NS_PER_S) for t in (warmup_s, warmup_s + window_s)]
    window = {"trial": 0, "t_start_ns": ends_ns[0], "t_end_ns": ends_ns[1]}
    meta = {"plan": {"mode": "open"}, "windows": [window]}
    return Trace(requests, np.zeros(0, CHUNK), np.zeros(0, SAMPLE), meta)


# -- truth ------------------------------------------------------------------------------------------------------------


def truth_of(case: Case) -> float:
    """The rate at which the share within the limits falls to the target."""
    if case.has_closed_form:
        return _bisect(lambda rate: md1_share(case, rate), case.target, 1.0, 0.999 * 1_000 / case.law.a, 40)
    limits = parse_limits(case.slo)

    def share(rate: float, n: int) -> float:
        return look_at(simulate(case, rate, n / rate, 0.02 * n / rate, (1, n)), limits, rate).share

    about = _bisect(partial(share, n=20_000), case.target, 1.0, 1_000.0, 12)
    about = _bisect(partial(share, n=200_000), case.target, 0.97 * about, 1.03 * about, 4)
    # The last step: a million at two rates beside it, and the line between them.
    below, above = 0.995 * about, 1.005 * about
    seen = [share(rate, 1_000_000) for rate in (below, above)]
    return below + (above - below) * (seen[0] - case.target) / (seen[0] - seen[1])


def _bisect(share: Callable[[float], float], target: float, lo: float, hi: float, n_steps: int) -> float:
    for _ in range(n_steps):
        middle = math.sqrt(lo * hi)
        lo, hi = (middle, hi) if share(middle) >= target else (lo, middle)
    return math.sqrt(lo * hi)


def md1_share(case: Case, rate: float) -> float:
    """P(wait + service < limit) of M/D/1. Source: Erlang 1909; sums of alternating signs, so with 60 digits."""
    getcontext().prec = 60
    service_s, limit_s = Decimal(case.law.a) / 1000, Decimal(str(parse_limits(case.slo).per_request[0].value))
    load, wait = Decimal(rate), limit_s - service_s
    total, factorial = Decimal(0), Decimal(1)
    for j in range(int(wait / service_s) + 1):
        factorial *= j or 1
        x = load * (j * service_s - wait)
        total += (x**j if j else Decimal(1)) / factorial * (-x).exp()
    return float((1 - load * service_s) * total)


# -- searches and grids -----------------------------------------------------------------------------------------------


def aim_of(case: Case) -> Aim:
    alone = simulate(case, 0.5, 100.0, 0.0, (2,)).requests
    alone_s = float((alone["t_end_ns"] - alone["t_due_ns"]).mean()) / NS_PER_S
    return Aim(case.target, 1 / alone_s, alone_s, wait_s(parse_limits(case.slo)), "1/s", BUDGET_S)


def take(case: Case, seed: int, ask: Ask) -> tuple[Look, float]:
    """A look at the simulated engine, and what it would have taken."""
    trace = simulate(case, ask.load, ask.window_s, ask.warmup_s, (3, seed, ask.draw))
    t_last_s = float(trace.requests["t_end_ns"].max()) / NS_PER_S
    seconds = max(t_last_s, ask.warmup_s + ask.window_s) + OVERHEAD_S
    return look_at(trace, parse_limits(case.slo), ask.load), seconds


def search(case: Case, seed: int) -> Found:
    return Search(aim_of(case), partial(take, case, seed)).run()


def grid_answers(case: Case, truth: float, seed: int) -> list[float]:
    """What an even grid answers, by how many long looks a point has: the last rate before the first that misses the
    target. Its points lie at random against the truth, as those of who does not know it; points further than a quarter
    from it are not simulated but taken to be right, to the grid's advantage."""
    aim = aim_of(case)
    offset = np.random.default_rng((4, seed)).random()
    rates = [truth * (0.75 + GRID_STEP * (i + offset)) for i in range(9)]
    answers = [rates[0] - GRID_STEP * truth] * len(GRID_LOOKS)
    is_over = [False] * len(GRID_LOOKS)
    for i, rate in enumerate(rates):
        looks = [
            take(case, 1_000 + seed, ask_for(aim, rate, "narrow", draw=i * max(GRID_LOOKS) + j))[0]
            for j in range(max(GRID_LOOKS))
        ]
        for k, n_looks in enumerate(GRID_LOOKS):
            n = sum(look.n for look in looks[:n_looks])
            if sum(look.is_met.sum() for look in looks[:n_looks]) < case.target * n:
                is_over[k] = True
            elif not is_over[k]:
                answers[k] = rate
        if all(is_over):
            break
    return answers


def n_right(errors: Sequence[float]) -> int:
    return sum(abs(error) <= RIGHT_WITHIN for error in errors)


def report(case: Case, n_searches: int, pool: ProcessPoolExecutor) -> None:
    searching = [pool.submit(search, case, seed) for seed in range(n_searches)]
    truth = truth_of(case)
    n_grids = min(n_searches, N_GRIDS)
    gridding = [pool.submit(grid_answers, case, truth, seed) for seed in range(n_grids)]
    found = [each.result() for each in searching]
    limits = [each.limit for each in found if isinstance(each.limit, Estimate)]
    errors = [limit.value / truth - 1 for limit in limits]
    print(f"\n{case.name}: {case.says}; {case.slo} by {case.target:.0%}", flush=True)
    print(f"  true limit {truth:.3f}/s, {'closed form' if case.has_closed_form else 'a million simulated requests'}")
    print("  seed    error   interval             safe  holds  fails   looks   limit s   all s  binds")
    for seed, one in enumerate(found):
        limit = one.limit
        if not isinstance(limit, Estimate):
            print(f"  {seed:4}    none: {limit.reason}")
            continue
        told = [f"{load / truth:5.3f}" if load else "    -" for load in (one.safe, one.holds, one.fails)]
        narrowing_s = sum(each.seconds for each in one.taken if each.ask.stage != "prove")
        print(
            f"  {seed:4}  {limit.value / truth - 1:+7.3f}  [{limit.lo / truth - 1:+.3f}, {limit.hi / truth - 1:+.3f}]"
            f"     {'  '.join(told)}  {len(one.taken):6}  {narrowing_s:8.0f}  {one.seconds:6.0f}  {one.binding}"
        )
    spent_s = float(np.mean([one.seconds for one in found]))
    narrow_s = float(np.mean([sum(e.seconds for e in one.taken if e.ask.stage != "prove") for one in found]))
    n_in = sum(limit.lo <= truth <= limit.hi for limit in limits)
    wrong = sum((one.holds or 0) > truth for one in found), sum((one.fails or math.inf) < truth for one in found)
    unsafe = sum((one.safe or 0) > truth for one in found)
    held = clopper_pearson(n_in, len(limits))
    assert isinstance(held, Estimate)
    print(f"  within 5 %: {n_right(errors)} of {n_searches}; interval holds the truth: {n_in}, ", end="")
    print(f"{100 * held.value:.1f} % [{100 * held.lo:.1f}, {100 * held.hi:.1f}]", end="")
    print(f"; mean error {np.mean(errors):+.3f}")
    print(f"  shown to hold above the truth: {wrong[0]}; shown to fail below it: {wrong[1]}; safe above it: {unsafe}")
    print(f"  time: {narrow_s:,.0f} s to the limit, {spent_s:,.0f} s with the safe load shown")
    ask = ask_for(aim_of(case), truth, "narrow", draw=0)
    look_s = ask.window_s + ask.warmup_s + OVERHEAD_S
    n_points = math.ceil(1 / GRID_STEP) + 1
    answers = np.array([each.result() for each in gridding])
    for k, n_looks in enumerate(GRID_LOOKS):
        grid_s = n_points * n_looks * look_s
        right = n_right(answers[:, k] / truth - 1)
        print(
            f"  even grid, {n_points} points of {n_looks * look_s:,.0f} s: {grid_s:,.0f} s, within 5 %: {right} of "
            f"{n_grids}; the search takes {narrow_s / grid_s:.2f} of it, {spent_s / grid_s:.2f} with the safe load"
        )
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=",".join(case.name for case in CASES))
    parser.add_argument("--searches", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    told = parser.parse_args()
    with ProcessPoolExecutor(told.jobs) as pool:
        for case in CASES:
            if case.name in told.cases.split(","):
                report(case, told.searches, pool)


if __name__ == "__main__":
    main()
