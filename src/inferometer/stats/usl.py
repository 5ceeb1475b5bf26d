# SPDX-License-Identifier: Apache-2.0
"""The Universal Scalability Law: throughput X at concurrency N, and where it stops being worth to go on.

    X(N) = gamma N / (1 + alpha (N - 1) + beta N (N - 1))

gamma: throughput of one alone; alpha: the share that cannot be done side by side; beta: what each pair costs the other.
Source: Gunther 2007, Guerrilla Capacity Planning, ch. 4-6. 1/X is linear in A = 1/gamma, B = alpha/gamma and C =
beta/gamma, which is what is solved for.

Rule: a peak is told only where beta is significantly above 0 and a load beyond it was measured; where throughput only
flattens there is none to tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from inferometer.stats.dependence import FloatArray
from inferometer.stats.estimate import LEVEL, Estimate, Missing, t_critical

MIN_LOADS = 6
MIN_SPAN = 20.0  # largest over smallest load: a shorter curve does not tell alpha from beta
_MOST_REACH = 100.0  # of an interval, in the logarithm: it tells nothing any more, and its ends are still numbers
_N_ROUNDS = 50  # of Gauss-Newton; it settles in five or so


@dataclass(frozen=True, slots=True)
class UslFit:
    """The fitted law. `peak_load`: where throughput is largest; `knee_load`: where throughput over latency is, X / R =
    X^2 / N: before it a further request in flight adds more speed than wait. `r2`: of the throughputs; `residuals`:
    measured over fitted less 1, in the order of loads. `is_two_regimes`: their signs follow one another as they would
    not by chance."""

    gamma: Estimate
    alpha: Estimate
    beta: Estimate
    peak_load: Estimate | Missing
    peak_throughput: Estimate | Missing
    knee_load: Estimate | Missing
    r2: float
    residuals: tuple[float, ...]
    is_two_regimes: bool


def usl(load: float, gamma: float, alpha: float, beta: float) -> float:
    """Throughput at a load."""
    return gamma * load / (1 + alpha * (load - 1) + beta * load * (load - 1))


def fit_usl(
    loads: FloatArray, throughputs: FloatArray, errors: FloatArray | None = None, *, unit: str
) -> UslFit | Missing:
    """Weighted least squares, with intervals by the t distribution over the residuals.

    Shapes: loads, throughputs, errors float64[n]. `errors`: standard errors of the throughputs, used as weights only:
    how much the points scatter about the law decides the intervals. Intervals end at 0, below which the parameters mean
    nothing.
    """
    n_loads = len(np.unique(loads))
    span = float(loads.max() / loads.min()) if len(loads) else 0.0
    if n_loads < MIN_LOADS or span < MIN_SPAN - 1e-9:
        reason = f"needs {MIN_LOADS} loads over a factor of {MIN_SPAN:.0f}, has {n_loads} over {span:.3g}"
        return Missing(reason, n_loads, unit)
    weights = np.ones(len(loads)) if errors is None else 1 / errors
    curve = _Curve(loads, throughputs, weights / weights.mean())
    free, covariance = curve.fit([0, 1, 2])
    allowed = free if (free[1:] >= 0).all() else curve.fit_allowed()
    if free[0] <= 0 or allowed[0] <= 0:  # the curve comes from infinity
        reason = f"throughput does not rise from {loads.min():g} in flight on: begin with fewer"
        return Missing(reason, n_loads, unit)
    told = partial(_delta, allowed=allowed, free=free, covariance=covariance, n=len(loads))
    gamma = told(lambda c: 1 / c[0], unit)
    alpha, beta = told(lambda c: c[1] / c[0], "ratio"), told(lambda c: c[2] / c[0], "ratio")
    fitted = curve.at(allowed)
    residuals = throughputs / fitted - 1
    spread = float(np.square(throughputs - throughputs.mean()).sum())
    peak = _peak(beta, loads, told)
    return UslFit(
        gamma,
        alpha,
        beta,
        peak,
        told(_most_of, unit) if isinstance(peak, Estimate) else peak,
        _knee(alpha, beta, loads, told),
        1 - float(np.square(throughputs - fitted).sum()) / spread if spread else math.nan,
        tuple(residuals.tolist()),
        _is_hump(residuals[np.argsort(loads)]),
    )


@dataclass(frozen=True, slots=True)
class _Curve:
    """Points to be fitted. Shapes: float64[n] each."""

    loads: FloatArray
    throughputs: FloatArray
    weights: FloatArray

    @property
    def design(self) -> FloatArray:
        """1/X = design @ coefficients. Shapes: float64[n, 3]."""
        n = self.loads
        return np.column_stack([np.ones(len(n)), n - 1, n * (n - 1)]) / n[:, None]

    def at(self, coefficients: FloatArray) -> FloatArray:
        return np.asarray(1 / (self.design @ coefficients))

    def fit(self, kept: list[int]) -> tuple[FloatArray, FloatArray]:
        """Coefficients, those not kept 0, with their covariance. Begins with the fit that is linear, in 1/X, or where
        that has throughputs below 0, with any that has not."""
        design = self.design[:, kept]
        found = np.linalg.lstsq(design * self.throughputs[:, None], np.ones(len(self.loads)), rcond=None)[0]
        if (design @ found <= 0).any():
            found = 1 / (self.throughputs.mean() * design.sum(axis=0))
        for _ in range(_N_ROUNDS):
            fitted = 1 / (design @ found)
            slopes = -design * np.square(fitted)[:, None] * self.weights[:, None]
            step = np.linalg.lstsq(slopes, (self.throughputs - fitted) * self.weights, rcond=None)[0]
            while (design @ (found + step) <= 0).any():  # a throughput is positive
                step = step / 2
            found = found + step
            if np.abs(step).max() <= 1e-12 * np.abs(found).max():
                break
        residuals = (self.throughputs - 1 / (design @ found)) * self.weights
        scatter = float(np.square(residuals).sum()) / max(1, len(self.loads) - len(kept))
        coefficients, covariance = np.zeros(3), np.zeros((3, 3))
        coefficients[kept] = found
        covariance[np.ix_(kept, kept)] = np.linalg.inv(slopes.T @ slopes) * scatter
        return coefficients, covariance

    def fit_allowed(self) -> FloatArray:
        """The best coefficients that are all at least 0, where alpha or beta of the free ones is not."""
        sets = [[0, 1], [0, 2], [0], *([[1, 2], [1], [2]] if self.loads.min() > 1 else [])]
        fits = [self.fit(kept)[0] for kept in sets]
        costs = [float(np.square((self.throughputs - self.at(c)) * self.weights).sum()) for c in fits]
        return min((cost, i, fit) for i, (cost, fit) in enumerate(zip(costs, fits, strict=True)) if (fit >= 0).all())[2]


def _delta(
    value: Callable[[FloatArray], float],
    unit: str,
    *,
    allowed: FloatArray,
    free: FloatArray,
    covariance: FloatArray,
    n: int,
    is_scale: bool = False,
) -> Estimate:
    """A function of the coefficients with its interval by the delta method: at the free ones and cut off at 0; of what
    `is_scale`, which has no 0 to reach, at the allowed ones and in the logarithm."""
    point = float(value(allowed))
    at = allowed if is_scale else free
    steps = np.diag(1e-5 * np.maximum(np.sqrt(np.diag(covariance)), 1e-12))
    gradient = np.array([(value(at + step) - value(at - step)) / (2 * step.sum()) for step in steps])
    half = t_critical(n - 3) * math.sqrt(max(0.0, float(gradient @ covariance @ gradient)))
    if is_scale:
        reach = min(half / point, _MOST_REACH)
        lo, hi = point * math.exp(-reach), point * math.exp(reach)
    else:
        centre = float(value(at))
        lo, hi = max(0.0, centre - half), max(0.0, centre + half)
    method = f"least squares of the Universal Scalability Law over {n} points; t interval, delta method"
    return Estimate(point, min(lo, point), max(hi, point), LEVEL, n, unit, method)


def _peak_of(coefficients: FloatArray) -> float:
    a, b, c = coefficients
    return math.sqrt(max(a - b, 0.0) / c) if c > 0 else math.inf


def _most_of(coefficients: FloatArray) -> float:
    """The throughput at the peak."""
    a, b, c = coefficients
    return usl(_peak_of(coefficients), 1 / a, b / a, c / a)


def _peak(beta: Estimate, loads: FloatArray, told: Callable[..., Estimate]) -> Estimate | Missing:
    most = float(loads.max())
    none = Missing(f"no peak seen up to {most:g} in flight", beta.n, "requests")
    if beta.lo <= 0:
        return none
    peak = told(_peak_of, "requests", is_scale=True)
    return peak if peak.value <= most else none


def _knee_of(coefficients: FloatArray) -> float:
    """Where X^2 / N is largest: 1 - alpha - (alpha - beta) N - 3 beta N^2 = 0, in the form that bears beta = 0."""
    alpha, beta = coefficients[1] / coefficients[0], coefficients[2] / coefficients[0]
    slope = alpha - beta
    below = slope + math.sqrt(max(0.0, slope * slope + 12 * beta * (1 - alpha)))
    return 2 * (1 - alpha) / below if below > 0 else math.inf


def _knee(alpha: Estimate, beta: Estimate, loads: FloatArray, told: Callable[..., Estimate]) -> Estimate | Missing:
    most = float(loads.max())
    none = Missing(f"no knee seen up to {most:g} in flight", len(loads), "requests")
    if (alpha.lo <= 0 and beta.lo <= 0) or alpha.value >= 1:
        return none
    knee = told(_knee_of, "requests", is_scale=True)
    return knee if knee.hi < most else none


def _is_hump(residuals: FloatArray) -> bool:
    """Neighbours lie on the same side too often for chance: at most two changes of sign over all loads, where every
    order of signs is equally likely. Wald & Wolfowitz 1940 in its plainest form, at 5 %."""
    n = len(residuals)
    n_changes = int((np.diff(np.sign(residuals)) != 0).sum())
    chance = sum(math.comb(n - 1, k) for k in range(n_changes + 1)) / 2 ** (n - 1)
    return bool(chance < 0.05)
