# SPDX-License-Identifier: Apache-2.0
"""Does an engine become slower while it works? A step in how long its iterations take, against what they should.

Two things show it: within a run of one load, slices of time on both sides of an instant; and a load that is measured at
the beginning and again in the end.
Rule: a slower machine is told from a busier one by the law of the iterations: what is compared is measured over fitted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from inferometer.analysis.iteration_model import Fitted, Load
from inferometer.analysis.number import Number, number_of
from inferometer.metrics.pauses import STALL_S
from inferometer.stats import LEVEL, Estimate, FloatArray, Missing, effective_n, mean_estimate
from inferometer.units import NS_PER_S

MIN_SLICES = 4  # on either side of a step
SLICE_S = 1.0
# Idle shared machines wander by 10 to 27 % within half a minute (docs/evidence/default-runs.md): a step is beyond that.
MIN_STEP, SURE_STEP = 1.3, 1.15


class Slowdown(msgspec.Struct, frozen=True):
    """`factor`: by which everything takes longer after `at_s` of the examination, as far as that is known."""

    factor: Number
    at_s: float | None
    shown_by: str

    @property
    def is_told(self) -> bool:
        value, lo = self.factor.value, self.factor.lo
        return value is not None and value >= MIN_STEP and lo is not None and lo >= SURE_STEP


def within(load: Load, model: Fitted, t_begun_s: float) -> Slowdown | Missing:
    """The best step within a run that began at `t_begun_s` of the examination."""
    slices = _slices(load, model)
    n = len(slices)
    if n < 2 * MIN_SLICES:
        return Missing(f"needs {2 * MIN_SLICES} slices of {SLICE_S:g} s, has {n}", n, "ratio")
    logs = np.log(slices[:, 1])
    at = _best_step(logs)
    factor = _step(logs[:at], logs[at:], f"slices of {SLICE_S:g} s on both sides of the best step")
    return Slowdown(number_of(factor), t_begun_s + float(slices[at, 0]), f"{load.name}, slice by slice")


def again(first: Load, later: Load, model: Fitted) -> Slowdown | Missing:
    """The same load at the beginning and in the end."""
    before, after = (np.log(_slices(load, model)[:, 1]) for load in (first, later))
    if min(len(before), len(after)) < 2:
        return Missing("needs two slices of each", min(len(before), len(after)), "ratio")
    factor = _step(before, after, f"slices of {SLICE_S:g} s of {first.name} at the beginning and in the end")
    return Slowdown(number_of(factor), None, f"{first.name}, at the beginning and in the end")


def since_when_s(loads: Sequence[tuple[float, Load]], model: Fitted) -> float | None:
    """The best step over all runs, each with the instant at which it began."""
    found = [
        np.column_stack([part[:, 0] + t_begun_s, part[:, 1]])
        for t_begun_s, load in loads
        for part in [_slices(load, model)]
    ]
    slices = np.concatenate(found)
    if len(slices) < 2 * MIN_SLICES:
        return None
    return float(slices[_best_step(np.log(slices[:, 1])), 0])


def _slices(load: Load, model: Fitted) -> FloatArray:
    """Beginning (s of the run) and measured over fitted of each slice with tokens in it. Shapes: float64[n, 2]."""
    one = load.spans
    if not len(one.rows):
        return np.zeros((0, 2))
    number = (one.t_end_ns // round(SLICE_S * NS_PER_S)).astype(np.int64)
    found, at = np.unique(number, return_inverse=True)
    predicted = model.seconds(one)
    # A stall is no slower machine. One that is stopped for some ms every few ms is: most of its spans are as before, so
    # that a median would not see it.
    kept = one.seconds - predicted < STALL_S
    measured, expected = (
        np.bincount(at, np.where(kept, seconds, 0.0), len(found)) for seconds in (one.seconds, predicted)
    )
    told = (measured > 0) & (expected > 0)
    return np.column_stack([found[told] * SLICE_S, measured[told] / expected[told]])


def _best_step(logs: FloatArray) -> int:
    """Where two means explain most; at least MIN_SLICES on either side."""
    n = np.arange(MIN_SLICES, len(logs) - MIN_SLICES + 1)
    before = np.cumsum(logs)[n - 1]
    gains = n * (len(logs) - n) * np.square(before / n - (logs.sum() - before) / (len(logs) - n))
    return int(n[np.argmax(gains)])


def _step(before: FloatArray, after: FloatArray, of: str) -> Estimate:
    """exp of the difference of two means; the t intervals of both, of as many slices as they are worth."""
    log_factor, half, n = float(after.mean() - before.mean()), 0.0, len(before) + len(after)
    for logs in (before, after):
        side = mean_estimate(logs, unit="ratio", n_eff=effective_n(logs))
        half = math.hypot(half, side.hi - side.value if isinstance(side, Estimate) else math.inf)
    lo, hi = (math.exp(log_factor + sign * half) if math.isfinite(half) else sign * math.inf for sign in (-1, 1))
    return Estimate(math.exp(log_factor), lo, hi, LEVEL, n, "ratio", f"ratio of {of}; t intervals of both")
