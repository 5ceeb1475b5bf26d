# SPDX-License-Identifier: Apache-2.0
"""Do the 95 % intervals that are printed hold the truth in 95 % of samples? Every estimator, on series of known law.

    python benchmarks/coverage.py [--samples 2000]

Each row: as many samples, each with the interval that the product would print for it. Prints the table of
docs/evidence/intervals.md. The interval of a comparison is in comparisons.py, that of a limit in limit_search.py.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from inferometer.metrics.estimates import N_SLICES
from inferometer.metrics.stalls import share as share_of_run
from inferometer.stats import (
    Estimate,
    FloatArray,
    Missing,
    clopper_pearson,
    effective_n_of_quantiles,
    effective_n_of_share,
    mean_estimate,
    over_trials,
    quantile,
    quantile_estimate,
    ratio_estimate,
    trend,
    wilson,
)
from inferometer.stats.trials import geometric_mean
from inferometer.stats.usl import fit_usl, usl

SEED = 20261130
SIGMA = 0.5  # of lognormal latencies, about as skewed as a TTFT
LEAST, MOST, MOST_RANKS = 0.93, 0.97, 0.99  # coverage that was promised; ranks are whole numbers and cannot hit it
UTILISATION = 0.7
N_TRUTH = 2_000  # queues, each of N_LONG requests, that tell what is true of one
N_LONG = 4_000
Shape = tuple[int, int]
Rng = np.random.Generator


@dataclass(frozen=True)
class Law:
    """Series of latencies. `draw(rng, (n_series, n))`; `mean` and `at(q)`: what is true of them."""

    name: str
    draw: Callable[[Rng, Shape], FloatArray]
    mean: float
    at: Callable[[float], float]


def lognormal(name: str, normal: Callable[[Rng, Shape], FloatArray]) -> Law:
    return Law(
        name,
        lambda rng, shape: np.exp(SIGMA * normal(rng, shape)),
        float(np.exp(SIGMA**2 / 2)),
        lambda q: float(np.exp(SIGMA * ndtri(q))),
    )


def independent(rng: Rng, shape: Shape) -> FloatArray:
    return rng.normal(size=shape)


def ar1(phi: float) -> Callable[[Rng, Shape], FloatArray]:
    """Neighbours correlate by phi; variance 1."""

    def draw(rng: Rng, shape: Shape) -> FloatArray:
        series = rng.normal(size=shape)
        for i in range(1, shape[1]):
            series[:, i] = phi * series[:, i - 1] + np.sqrt(1 - phi**2) * series[:, i]
        return series

    return draw


def queue(rng: Rng, shape: Shape) -> FloatArray:
    """Wait and service behind Poisson arrivals at one server, by Lindley's recursion; 400 requests are thrown away."""
    n_series, n = shape
    wait, told = np.zeros(n_series), np.empty(shape)
    for i in range(-400, n):
        service = np.exp(SIGMA * rng.normal(size=n_series))
        if i >= 0:
            told[:, i] = wait + service
        between = rng.exponential(np.exp(SIGMA**2 / 2) / UTILISATION, n_series)
        wait = np.maximum(0.0, wait + service - between)
    return told


def laws() -> tuple[Law, ...]:
    long = queue(np.random.default_rng((SEED, 1)), (N_TRUTH, N_LONG)).ravel()
    long.sort()
    return (
        lognormal("independent, lognormal", independent),
        lognormal("neighbours correlate by 0.8, lognormal", ar1(0.8)),
        Law("a queue at 70 % load", queue, float(long.mean()), lambda q: quantile(long, q)),
    )


# -- what is printed, estimator by estimator --------------------------------------------------------------------------

Found = Iterable[Estimate | Missing]


@dataclass(frozen=True)
class Row:
    """`is_ranks`: an interval of order statistics, which may hold more than it says."""

    estimator: str
    law: str
    n: str
    truth: float
    found: Found
    is_ranks: bool = False


def of_request(values: FloatArray, q: float) -> Estimate | Missing:
    """A percentile over the requests of one run."""
    ordered = np.sort(values)
    (worth,) = effective_n_of_quantiles(values, ordered, [q])
    return quantile_estimate(ordered, q, unit="s", n_eff=worth)


def of_chunks(values: FloatArray, q: float) -> Estimate | Missing:
    """A percentile over gaps between chunks, as many in each slice of time."""
    ordered = np.sort(values)
    hits = (values <= quantile(ordered, q)).reshape(N_SLICES, -1).sum(axis=1).astype(np.float64)
    counts = np.full(N_SLICES, len(values) / N_SLICES)
    return quantile_estimate(ordered, q, unit="s", n_eff=effective_n_of_share(hits, counts), of="chunks")


def of_sliced(values: FloatArray) -> Estimate | Missing:
    """A ratio over slices of time: throughput, mean gap, load."""
    return ratio_estimate(values, np.ones(len(values)), unit="1/s", n=int(values.sum()), of="requests")


def latencies(n_samples: int) -> Iterator[Row]:
    for law in laws():
        for n in (100, 400, 2_000):
            series = law.draw(np.random.default_rng((SEED, 2, n)), (n_samples, n))
            for q in (0.5, 0.9, 0.99):
                found = (of_request(values, q) for values in series)
                yield Row(f"p{100 * q:g} over requests", law.name, f"{n:,}", law.at(q), found, True)
            yield Row("mean over requests", law.name, f"{n:,}", law.mean, (mean_estimate(v, unit="s") for v in series))
    law = lognormal("neighbours correlate by 0.95, lognormal", ar1(0.95))
    for n in (3_200, 16_000):
        series = law.draw(np.random.default_rng((SEED, 3)), (n_samples // 2, n))
        for q in (0.5, 0.99):
            yield Row(
                f"p{100 * q:g} over chunks", law.name, f"{n:,}", law.at(q), (of_chunks(v, q) for v in series), True
            )


def rates(n_samples: int) -> Iterator[Row]:
    rng = np.random.default_rng((SEED, 4))
    for each in (0.5, 8.0):
        counts = rng.poisson(each, (n_samples, 20)).astype(np.float64)
        yield Row(
            "rate over 20 slices of time", "Poisson", f"{20 * each:,.0f} events", each, (of_sliced(v) for v in counts)
        )
    swing = np.exp(0.3 * ar1(0.5)(rng, (n_samples, 32)) - 0.045)
    counts = rng.poisson(20 * swing).astype(np.float64)
    yield Row(
        "rate over 32 slices of time",
        "Poisson, its rate swings by 30 %",
        "640 events",
        20.0,
        (of_sliced(v) for v in counts),
    )
    for share, n in ((0.9, 80), (0.99, 400)):
        ks = rng.binomial(n, share, n_samples)
        yield Row("share (Wilson)", f"independent, {share:.0%}", f"{n}", share, (wilson(int(k), n) for k in ks))
        yield Row(
            "share (Clopper-Pearson)",
            f"independent, {share:.0%}",
            f"{n}",
            share,
            (clopper_pearson(int(k), n) for k in ks),
            True,
        )
    for n in (200, 1_000):
        found = (share_of_run(hits, of="requests") for hits in ar1(0.8)(rng, (n_samples, n)) < ndtri(0.9))
        yield Row("share (Wilson)", "90 %, neighbours correlate by 0.8", f"{n:,}", 0.9, found)


def trials(n_samples: int) -> Iterator[Row]:
    rng = np.random.default_rng((SEED, 5))
    for n in (3, 5, 10):
        values = 1 + 0.05 * rng.normal(size=(n_samples, n))
        found = (over_trials(v, unit="s", statistic="p50") for v in values)
        yield Row("mean over trials", "normal, 5 %", f"{n}", 1.0, found)
        values = np.exp(0.3 * rng.normal(size=(n_samples, n)))
        found = (over_trials(v, unit="s", statistic="p99") for v in values)
        yield Row("mean over trials", "lognormal, 30 %", f"{n}", float(np.exp(0.045)), found)
        found = (geometric_mean(v, unit="s", statistic="p99") for v in values)
        yield Row("geometric mean over trials", "lognormal, 30 %", f"{n}", 1.0, found)


def trends(n_samples: int) -> Iterator[Row]:
    rng = np.random.default_rng((SEED, 6))
    for phi in (0.0, 0.8):
        for n in (100, 1_000):
            t = np.linspace(0, 1, n)
            series = ar1(phi)(rng, (n_samples, n)) + t
            name = f"neighbours correlate by {phi}" if phi else "independent, normal"
            yield Row("rise over a run", name, f"{n:,}", 1.0, (trend(t, v, unit="s") for v in series))


def scalability(n_samples: int) -> Iterator[Row]:
    """The law through a sweep: 1 to 64 in doublings, and twice at 1, each throughput within 2 %."""
    rng = np.random.default_rng((SEED, 7))
    loads = np.array([1.0, 2, 4, 8, 16, 32, 64, 1])
    for gamma, alpha, beta in ((10.0, 0.05, 0.0005), (10.0, 0.2, 0.0), (10.0, 0.0, 0.0)):
        exact = np.array([usl(load, gamma, alpha, beta) for load in loads])
        seen = [exact * (1 + 0.02 * rng.normal(size=8)) for _ in range(n_samples)]
        fits = [fit_usl(loads, each, 0.02 * each, unit="1/s") for each in seen]
        told = [fit for fit in fits if not isinstance(fit, Missing)]
        name = f"USL, alpha {alpha:g}, beta {beta:g}"
        yield Row("gamma of the law", name, "8 points", gamma, (fit.gamma for fit in told))
        yield Row("alpha of the law", name, "8 points", alpha, (fit.alpha for fit in told))
        yield Row("beta of the law", name, "8 points", beta, (fit.beta for fit in told))
        if beta:
            peak = float(np.sqrt((1 - alpha) / beta))
            yield Row("load at the peak", name, "8 points", peak, (fit.peak_load for fit in told))
            most = usl(peak, gamma, alpha, beta)
            yield Row("throughput at the peak", name, "8 points", most, (fit.peak_throughput for fit in told))
        if alpha or beta:
            knee = 2 * (1 - alpha) / (alpha - beta + np.sqrt((alpha - beta) ** 2 + 12 * beta * (1 - alpha)))
            yield Row("load at the knee", name, "8 points", float(knee), (fit.knee_load for fit in told))


def line(row: Row) -> str:
    """`| p99 over requests | ... |`."""
    found = list(row.found)
    told = [each for each in found if isinstance(each, Estimate) and (math.isfinite(each.lo) or math.isfinite(each.hi))]
    holds = sum(each.lo <= row.truth * (1 + 1e-12) and row.truth * (1 - 1e-12) <= each.hi for each in told)
    both_ends = sum(each.is_bounded for each in told)
    held, misled = clopper_pearson(holds, len(told)), clopper_pearson(len(told) - holds, len(found))
    head = f"| {row.estimator} | {row.law} | {row.n} | {100 * len(told) / len(found):.0f} % "
    if isinstance(held, Missing) or isinstance(misled, Missing):
        return head + "| - | 0 % | 0 % |  |"
    most = MOST_RANKS if row.is_ranks else MOST
    word = "**short**" if misled.lo > 1 - LEAST else "wide" if held.lo > most else ""
    text = f"{100 * held.value:.1f} % [{100 * held.lo:.1f}, {100 * held.hi:.1f}]"
    return head + f"| {text} | {100 * both_ends / len(found):.0f} % | {100 * misled.value:.1f} % | {word} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2_000)
    n_samples = parser.parse_args().samples
    print("| interval of | series | n | printed | of these hold the truth | both ends | printed and wrong | |")
    print("|---|---|---|---|---|---|---|---|")
    for rows in (latencies, rates, trials, trends, scalability):
        for row in rows(n_samples):
            print(line(row), flush=True)


if __name__ == "__main__":
    main()
