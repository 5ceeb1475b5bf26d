# SPDX-License-Identifier: Apache-2.0
"""How often `compare` is wrong: A against A, a true change of 5 %, and what the intervals hold, by simulation.

    python benchmarks/comparisons.py [--comparisons 1000] [--quick]
    python benchmarks/comparisons.py --real 20          # A against A on llama.cpp, in turns: 20 minutes
    python benchmarks/comparisons.py --emulated 20      # a true change of 5 % on an emulated engine: 20 minutes

The simulated server is a queue at 70 % load: its requests wait for each other, so that those of one trial depend on
each other as real ones do. On top, every run starts a little different, and the machine drifts while runs take turns.
Prints the tables of docs/evidence/comparisons.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu, ttest_ind, ttest_rel

from inferometer.analysis.compare import HEADLINE, Row, rows_of
from inferometer.analysis.side import Quantity
from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.launch import EmulatedEngine
from inferometer.emulate.law import ServiceLaw
from inferometer.experiment.rounds import orders_of
from inferometer.stats import Estimate, FloatArray, clopper_pearson
from inferometer.stats.trials import ratio_of_trials

CHANGE = 0.05
N_REQUESTS = 400  # per trial, after as many that are thrown away: the queue starts empty
UTILISATION = 0.7
PREFILL_S, TOKEN_S, N_TOKENS = 0.05, 0.02, 48
SERVER_SD = 0.2  # of the log of a prompt's service, apart from its length
START_SD = 0.01  # of the log of all times of a run: what differs from start to start
DRIFT_SD, DRIFT_PHI = 0.03, 0.9  # of the log of the machine's speed from turn to turn: an AR(1) series
SEED = 20261130


@dataclass(frozen=True)
class Design:
    """Trials a side, and the order of the turns."""

    name: str
    n: int
    is_paired: bool
    is_interleaved: bool = True


DESIGNS = (
    Design("in turns, 5 trials a side", 5, False),
    Design("in turns, 8 pairs", 8, True),
    Design("in turns, 16 pairs", 16, True),
    Design("first all of A, then all of B, 5 trials a side", 5, False, False),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comparisons", type=int, default=1000)
    parser.add_argument(
        "--quick", action="store_true", help="a fiftieth of it; good for nothing but to see that it runs"
    )
    parser.add_argument("--real", type=int, metavar="N", help="N comparisons of llama.cpp with itself instead")
    parser.add_argument(
        "--emulated", type=int, metavar="N", help="N times a change of 5 % on an emulated engine instead"
    )
    parser.add_argument("--only", choices=("same", "found", "coverage"), help="one of the tables")
    told = parser.parse_args()
    if told.real or told.emulated:
        for line in real(told.real) if told.real else emulated(told.emulated):
            print(line, flush=True)
        return
    n = 20 if told.quick else told.comparisons
    tables = {"same": same(n), "found": found(max(n // 5, 20)), "coverage": coverage(n * 2)}
    for name in [told.only] if told.only else tables:
        for line in tables[name]:
            print(line, flush=True)
        print()


# --- a server in numbers -------------------------------------------------------------------------------------------


def speeds(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Factor on all times of each turn: drift of the machine, and how a run happened to start. [n_series, n_turns]"""
    n_series, n_turns = shape
    drift = np.empty(shape)
    drift[:, 0] = rng.normal(size=n_series)
    for i in range(1, n_turns):
        drift[:, i] = DRIFT_PHI * drift[:, i - 1] + np.sqrt(1 - DRIFT_PHI**2) * rng.normal(size=n_series)
    return np.exp(DRIFT_SD * drift + START_SD * rng.normal(size=shape))


@dataclass(frozen=True)
class Plan:
    """What all trials of a comparison are asked: gaps between arrivals, and the length of each prompt as a factor."""

    between_s: FloatArray
    length: FloatArray

    @staticmethod
    def draw(n_series: int, rng: np.random.Generator) -> Plan:
        shape = (2 * N_REQUESTS, n_series, 1)
        return Plan(rng.exponential(PREFILL_S / UTILISATION, shape), np.exp(0.5 * rng.normal(size=shape) - 0.125))

    def of(self, i: int) -> Plan:
        """That of series i."""
        return Plan(self.between_s[:, i : i + 1], self.length[:, i : i + 1])


def ttft_of(plan: Plan, speed: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Wait and prefill of every request. Shapes: speed float64[n_series, n_trials] -> float64[N_REQUESTS, ...].

    Waits by Lindley's recursion: Poisson arrivals, one server at UTILISATION when speed is 1. The server adds to each
    prompt a disturbance of its own.
    """
    shape = (2 * N_REQUESTS, *speed.shape)
    service = PREFILL_S * speed * plan.length * np.exp(SERVER_SD * rng.normal(size=shape))
    between = np.broadcast_to(plan.between_s, shape)
    wait = np.zeros(speed.shape)
    ttft = np.empty(shape)
    for i in range(shape[0]):
        ttft[i] = wait + service[i]
        wait = np.maximum(0.0, wait + service[i] - between[i])
    return ttft[N_REQUESTS:]


def trials(plan: Plan, speed: FloatArray, rng: np.random.Generator) -> dict[Quantity, FloatArray]:
    """One value per headline quantity and trial. Shapes: speed float64[n_series, n_trials] -> the same each."""
    ttft = ttft_of(plan, speed, rng)
    # Time per token: busier batches decode slower, and neighbours share a batch.
    busy = ttft / ttft.mean()
    tpot = TOKEN_S * speed * (1 + 0.05 * busy) * np.exp(0.03 * rng.normal(size=ttft.shape))
    e2e = ttft + (N_TOKENS - 1) * tpot
    values = (
        np.median(ttft, axis=0),
        np.quantile(ttft, 0.99, axis=0),
        np.median(tpot, axis=0),
        np.median(e2e, axis=0),
        N_TOKENS / e2e.mean(axis=0),  # of a closed loop of one
    )
    return dict(zip(HEADLINE, values, strict=True))


def sides(
    design: Design, n: int, rng: np.random.Generator, plan: Plan | None = None
) -> list[dict[Quantity, FloatArray]]:
    """n comparisons of a server with itself, of a plan each. float64[n, n_trials] per side."""
    speed = speeds((n, 2 * design.n), rng)
    is_a = np.empty(speed.shape, bool)
    for i in range(n):
        if design.is_interleaved:
            is_a[i] = np.array([[first, not first] for first in orders_of(design.n, rng)]).ravel()
        else:
            is_a[i] = np.arange(2 * design.n) < design.n
    of_a, of_b = (speed[mask].reshape(n, design.n) for mask in (is_a, ~is_a))
    plan = Plan.draw(n, rng) if plan is None else plan
    return [trials(plan, of_a, rng), trials(plan, of_b, rng)]


def judged(values: Sequence[dict[Quantity, FloatArray]], i: int, is_paired: bool) -> tuple[Row, ...]:
    """Comparison i, by the code that `inferometer compare` runs."""
    one = [{quantity: side[quantity][i] for quantity in side} for side in values]
    return rows_of(one, rng=np.random.default_rng(0), is_paired=is_paired)


def share_text(k: int, n: int) -> str:
    share = clopper_pearson(k, n)
    assert isinstance(share, Estimate)
    return f"{100 * share.value:.1f} % [{100 * share.lo:.1f}, {100 * share.hi:.1f}]"


# --- A against A ---------------------------------------------------------------------------------------------------


def same(n: int) -> Iterator[str]:
    """How often a server is called different from itself."""
    yield f"A against A, {n:,} comparisons of 5 metrics each\n"
    yield "| how | anything called better or worse | some metric below 5 % if each were alone |"
    yield "|---|---|---|"
    for design in DESIGNS:
        rng = np.random.default_rng(SEED)
        values = sides(design, n, rng)
        rows = [judged(values, i, design.is_paired) for i in range(n)]
        called = sum(any(row.verdict in ("better", "worse") for row in each) for each in rows)
        alone = sum(any(row.p <= 0.05 for row in each) for each in rows)
        yield f"| {design.name} | {share_text(called, n)} | {share_text(alone, n)} |"
    called = sum(naive_differs(np.random.default_rng((SEED, i))) for i in range(min(n, 300)))
    yield f"| one run a side, Mann-Whitney over their requests | {share_text(called, min(n, 300))} | |"


def naive_differs(rng: np.random.Generator) -> bool:
    """Requests of one run a side taken for independent, as pooled comparisons do."""
    ttft = ttft_of(Plan.draw(1, rng), speeds((1, 2), rng), rng)[:, 0, :]
    return bool(mannwhitneyu(ttft[:, 0], ttft[:, 1]).pvalue <= 0.05)


# --- a true change -------------------------------------------------------------------------------------------------


def found(n: int) -> Iterator[str]:
    """A first comparison says how many trials find 5 %; as many are then taken afresh of servers that differ so, by the
    same plan, as `ab` does."""
    yield f"A true change of 5 % in all times, {n:,} times: a first A/A of 8 pairs recommends K, K pairs are measured\n"
    yield "| metric | K recommended, median (90 % of them) | found | called the wrong way round |"
    yield "|---|---|---|---|"
    rng = np.random.default_rng(SEED + 1)
    plan = Plan.draw(n, rng)
    pilots = sides(Design("", 8, True), n, rng, plan)
    wanted = {q: [judged(pilots, i, True)[j].n_to_find or 1000 for i in range(n)] for j, q in enumerate(HEADLINE)}
    most = 300
    for j, quantity in enumerate(HEADLINE):
        right = wrong = counted = 0
        for i in range(n):
            k = wanted[quantity][i]
            if k > most:
                continue
            counted += 1
            values = scaled(sides(Design("", k, True), 1, rng, plan.of(i)), CHANGE)
            verdict = judged(values, 0, True)[j].verdict
            right += verdict == "worse"
            wrong += verdict == "better"
        ks = np.array(wanted[quantity])
        shown = f"{np.median(ks):.0f} ({np.quantile(ks, 0.05):.0f} to {np.quantile(ks, 0.95):.0f})"
        told = share_text(right, counted) if counted else "-"
        left = "" if counted == n else f" of {counted}, {n - counted} needed more than {most}"
        yield f"| {quantity.name} | {shown} | {told}{left} | {wrong} |"


def scaled(values: list[dict[Quantity, FloatArray]], change: float) -> list[dict[Quantity, FloatArray]]:
    """The second side slower by `change` in everything: what is true is then known for every metric."""
    a, b = values
    return [a, {q: v / (1 + change) if q.of.better == "higher" else v * (1 + change) for q, v in b.items()}]


# --- what intervals hold -------------------------------------------------------------------------------------------


def coverage(n: int) -> Iterator[str]:
    """Share of intervals that hold the true ratio, beside what the usual ones would."""
    yield f"Share of 95 % intervals that hold the true ratio, {n:,} comparisons each\n"
    yield "| trials differ by | design | permutation | t (Welch, paired) | bootstrap, percentile |"
    yield "|---|---|---|---|---|"
    laws = {
        "a lognormal factor, 5 %": lambda rng, size: 0.05 * rng.normal(size=size),
        "a factor with heavy tails (t, 3 degrees)": lambda rng, size: 0.05 * rng.standard_t(3, size),
        "a skewed factor (exponential)": lambda rng, size: 0.05 * rng.exponential(size=size),
        "p99 of the queue above": None,
    }
    for name, law in laws.items():
        for k, is_paired in ((5, False), (8, True), (10, False)):
            rng = np.random.default_rng(SEED + 2)
            if law is None:
                a, b = (np.log(side[HEADLINE[1]]) for side in sides(Design("", k, is_paired), n, rng))
            else:
                a, b = law(rng, (n, k)), law(rng, (n, k))
            held = np.mean([holds(a[i], b[i], is_paired, rng) for i in range(n)], axis=0)
            design = f"{k} pairs" if is_paired else f"{k} and {k}"
            yield f"| {name} | {design} | " + " | ".join(f"{100 * share:.1f} %" for share in held) + " |"
    a_, b_ = np.random.default_rng(SEED + 3).normal(size=(2, n, 5)) * np.array([0.03, 0.1])[:, None, None]
    held = np.mean([holds(a_[i], b_[i], False, np.random.default_rng(i)) for i in range(n)], axis=0)
    yield "| a lognormal factor, A 3 %, B 10 % | 5 and 5 | " + " | ".join(f"{100 * s:.1f} %" for s in held) + " |"


def holds(log_a: FloatArray, log_b: FloatArray, is_paired: bool, rng: np.random.Generator) -> tuple[bool, bool, bool]:
    """Whether 0 lies in the interval of the permutation test, of t, and of the bootstrap of trials."""
    ratio = ratio_of_trials(np.exp(log_a), np.exp(log_b), is_paired=is_paired, rng=rng).estimate
    by_t = (ttest_rel(log_b, log_a) if is_paired else ttest_ind(log_b, log_a, equal_var=False)).pvalue > 0.05
    drawn_a = rng.integers(0, len(log_a), (500, len(log_a)))
    drawn_b = drawn_a if is_paired else rng.integers(0, len(log_b), (500, len(log_b)))
    lo, hi = np.quantile(log_b[drawn_b].mean(axis=1) - log_a[drawn_a].mean(axis=1), (0.025, 0.975))
    return ratio.lo <= 1 <= ratio.hi, bool(by_t), bool(lo <= 0 <= hi)


# --- real runs -----------------------------------------------------------------------------------------------------


def ab(a: str, b: str, *more: str) -> list[dict[str, Any]]:
    """The rows of `inferometer ab A B`."""
    argv = [sys.executable, "-m", "inferometer", "ab", a, b, "--format", "json", "--quiet", *more]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    return list(json.loads(done.stdout)["rows"])


def real(n: int) -> Iterator[str]:
    """llama.cpp against itself, started anew for every run, by the command line, n times."""
    called = 0
    for i in range(n):
        rows = ab("llamacpp", "llamacpp", "--model", "trained", "--repeats", "5", "--for", "3s", "--warmup", "1s")
        differs = [row for row in rows if row["verdict"] in ("better", "worse")]
        called += bool(differs)
        print(f"{i + 1}: {', '.join(map(name_of, differs)) or 'no difference'}", file=sys.stderr, flush=True)
    yield f"called different in {called} of {n}: {share_text(called, n)}"


def emulated(n: int) -> Iterator[str]:
    """An emulated engine against one that is slower by CHANGE in all it does, n times, with as many pairs as a first
    comparison of the engine with itself recommends."""
    law = ServiceLaw(4.0, 0.025, 0.1, 0.00025, 0.1)
    slower = ServiceLaw(*(cost * (1 + CHANGE) for cost in (law.a, law.b, law.c, law.d)), law.noise)
    # So many requests, not so many seconds: of a short time, those that end in it are not the same on both sides.
    short = ("--requests", "32", "--warmup", "1s", "--metrics", "tpot_p50,e2e_p50,output_throughput")
    with EmulatedEngine(make_setting("vllm", law=law)) as a, EmulatedEngine(make_setting("vllm", law=slower)) as b:
        first = ab(a.url, a.url, "--repeats", "8", *short)
        wanted = {name_of(row): row["n_to_find_tolerance"] for row in first}
        k = max(wanted.values())
        yield f"recommended, pairs: {', '.join(f'{name} {each}' for name, each in wanted.items())}; {k} are measured"
        found = []
        for i in range(n):
            found.append(ab(a.url, b.url, "--repeats", str(k), *short))
            told = ", ".join(f"{name_of(row)} {row['ratio']['value'] - 1:+.1%} {row['verdict']}" for row in found[-1])
            print(f"{i + 1}: {told}", file=sys.stderr, flush=True)
    for j, name in enumerate(wanted):
        right = sum(rows[j]["verdict"] == "worse" for rows in found)
        wrong = sum(rows[j]["verdict"] == "better" for rows in found)
        ratios = [rows[j]["ratio"]["value"] - 1 for rows in found]
        yield (
            f"{name}: found in {right} of {n}: {share_text(right, n)}; the wrong way round {wrong}; "
            f"ratios {min(ratios):+.1%} to {max(ratios):+.1%}"
        )


def name_of(row: dict[str, Any]) -> str:
    return Quantity(row["metric"], row["statistic"]).name


if __name__ == "__main__":
    main()
