# SPDX-License-Identifier: Apache-2.0
"""Two samples of trials: their ratio with its interval, several tests at once, and how many trials a change needs.

All of it is on logarithms: what repeats of one experiment differ by is a factor, and so is what is asked for.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, stdtrit

from inferometer.stats.dependence import FloatArray
from inferometer.stats.estimate import LEVEL, Estimate, t_critical
from inferometer.stats.permutation import N_DRAWN, Shifts, shifts

MIN_UNPAIRED = 5  # trials a side: 4 against 4 cannot give a p below 0.029
MIN_PAIRED = 8  # pairs: 5 cannot give a p below 0.062, and 8 leave room for several metrics
POWER = 0.9  # "found in 9 of 10 such comparisons"
# A spread out of few trials is as often too small as too large; planned is with the end of its one-sided interval at
# this confidence, so that what is promised is kept. Source: Kieser & Wassmer 1996, Biometrical Journal 38.
SPREAD_CONFIDENCE = 0.8
MAX_TRIALS = 1_000  # a side; who would need more has no way of knowing from here


@dataclass(frozen=True, slots=True)
class Ratio:
    """b/a of two samples of trials. `spread`: standard deviation of one log value (paired: of one log ratio), infinite
    where a trial is."""

    estimate: Estimate
    shifts: Shifts
    spread: float
    n_a: int
    n_b: int
    is_paired: bool

    @property
    def p(self) -> float:
        """Two-sided, of "there is no difference"."""
        return self.shifts.p()

    @property
    def dof(self) -> int:
        return self.n_a - 1 if self.is_paired else self.n_a + self.n_b - 2


def ratio_of_trials(
    a: FloatArray, b: FloatArray, *, is_paired: bool, rng: np.random.Generator, level: float = LEVEL
) -> Ratio:
    """b/a with the interval of the permutation test.

    Shapes: a float64[n_a], b float64[n_b], one value > 0 per trial. One of the two may hold infinite values, such as
    percentiles that lie among failed requests.
    """
    log_a, log_b = np.log(a), np.log(b)
    found = shifts(log_a, log_b, is_paired=is_paired, rng=rng)
    lo, hi = found.interval(level)
    n = len(a) if is_paired else len(a) + len(b)
    how = f"{found.n_labellings:,} labellings" if found.is_exact else f"{N_DRAWN:,} labellings drawn"
    what = f"{n} pairs of trials" if is_paired else f"{len(a)} and {len(b)} trials"
    method = f"ratio of geometric means of {what}; permutation interval, {how}"
    if not (np.isfinite(log_a).all() and np.isfinite(log_b).all()):
        spread = math.inf
    elif is_paired:
        spread = float((log_b - log_a).std(ddof=1))
    else:
        squares = float(np.square(log_a - log_a.mean()).sum() + np.square(log_b - log_b.mean()).sum())
        spread = math.sqrt(squares / (len(a) + len(b) - 2))
    value = _exp(float(log_b.mean() - log_a.mean()))
    estimate = Estimate(value, _exp(lo), _exp(hi), level, n, "ratio", method)
    return Ratio(estimate, found, spread, len(a), len(b), is_paired)


def geometric_mean(values: FloatArray, *, unit: str, statistic: str, level: float = LEVEL) -> Estimate:
    """Of one statistic per trial, with a t interval of its logarithm. Shapes: values float64[n >= 2], > 0."""
    n, logs = len(values), np.log(values)
    method = f"geometric mean of {statistic} over {n} trials; t interval of the logarithm over trials"
    if not np.isfinite(logs).all():
        return Estimate(math.inf, float(values.min()), math.inf, level, n, unit, method)
    mean, half = float(logs.mean()), t_critical(n - 1, level) * float(logs.std(ddof=1)) / math.sqrt(n)
    return Estimate(math.exp(mean), math.exp(mean - half), math.exp(mean + half), level, n, unit, method)


def _exp(shift: float) -> float:
    return math.inf if shift == math.inf else math.exp(shift)


def holm(p: FloatArray) -> FloatArray:
    """p adjusted for several tests (Holm 1979): at 0.05, any false finding among all of them in 1 of 20 families."""
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def benjamini_hochberg(p: FloatArray) -> FloatArray:
    """p adjusted for screening (Benjamini & Hochberg 1995): of what lies below 0.05, 1 in 20 is false on average. That
    holds where tests depend on each other positively (Benjamini & Yekutieli 2001), as latencies of one run do."""
    order = np.argsort(p, kind="stable")[::-1]
    steps = np.minimum.accumulate(p[order] * len(p) / np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = steps
    return adjusted


def n_to_resolve(n_tests: int, *, is_paired: bool, alpha: float = 1 - LEVEL) -> int:
    """Fewest trials a side with which the smallest p, times the number of tests, is at most alpha."""
    n = MIN_PAIRED if is_paired else MIN_UNPAIRED
    while 2 / (2**n if is_paired else math.comb(2 * n, n)) * n_tests > alpha * (1 + 1e-9):
        n += 1
    return n


def likely_spread(ratio: Ratio) -> float:
    """What the spread of trials is at most, with SPREAD_CONFIDENCE."""
    return ratio.spread * math.sqrt(ratio.dof / float(chdtri(ratio.dof, SPREAD_CONFIDENCE)))


def detectable(spread: float, n: int, *, n_tests: int, is_paired: bool, alpha: float = 1 - LEVEL) -> float:
    """The shift (of logarithms) that n trials a side find with POWER, among n_tests tests."""
    dof = n - 1 if is_paired else 2 * n - 2
    error = spread * math.sqrt((1 if is_paired else 2) / n)
    return error * float(stdtrit(dof, 1 - alpha / n_tests / 2) + stdtrit(dof, POWER))


def n_to_find(shift: float, spread: float, *, n_tests: int, is_paired: bool, alpha: float = 1 - LEVEL) -> int | None:
    """Fewest trials a side that find a shift with POWER; None: more than MAX_TRIALS."""
    if not math.isfinite(spread):
        return None
    first = n_to_resolve(n_tests, is_paired=is_paired, alpha=alpha)

    def is_found(n: int) -> bool:
        return detectable(spread, n, n_tests=n_tests, is_paired=is_paired, alpha=alpha) <= abs(shift)

    found = bisect_left(range(first, MAX_TRIALS + 1), True, key=is_found)
    return first + found if first + found <= MAX_TRIALS else None
