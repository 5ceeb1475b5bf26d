# SPDX-License-Identifier: Apache-2.0
"""The load at which a share falls to a target, from shares seen at several loads: a logistic curve in the logarithm.

    share(load) = (1 - lapse) / (1 + exp(-(c + slope (log threshold - log load)))),   share(threshold) = target

`lapse`: misses that no load explains. What one look has of a share scatters about it more than its count says, for
misses come in clusters: its hits are beta-binomial, with a correlation that all looks have in common. Threshold, slope
and correlation are unknown; their posterior is computed on a grid, flat in the logarithm of each, so that looks without
a single miss, or with nothing else, need no special care.
Source: Kontsevich & Tyler 1999 (the grid, for thresholds in psychophysics); Schuett et al. 2016 (beta-binomial).

Hazard: a logistic curve is right only near its threshold; give looks from nearby.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from inferometer.stats.dependence import FloatArray
from inferometer.stats.estimate import LEVEL, Estimate

N_THRESHOLDS = 241
SLOPES = np.geomspace(3.0, 120.0, 12)  # per e-fold of load: from hardly caring to falling off a cliff
CORRELATIONS = np.geomspace(0.003, 0.4, 6)
BEYOND = 2.0  # how far outside of the loads seen a threshold may lie: a factor
LAPSE_SHARE = 0.2  # of the misses that the target allows


@dataclass(frozen=True, slots=True)
class Threshold:
    """`value`: the median of the posterior with its interval; `slope`: its mean slope, per e-fold of load."""

    value: Estimate
    slope: float

    @property
    def half_width(self) -> float:
        """Of the interval, in the logarithm: 0.05 is plus or minus 5 %."""
        return 0.5 * math.log(self.value.hi / self.value.lo)


def find_threshold(
    loads: FloatArray, hits: FloatArray, counts: FloatArray, target: float, *, unit: str, n: int, level: float = LEVEL
) -> Threshold:
    """Where the share falls to `target`. Shapes: loads, hits, counts float64[n_looks], loads above 0.

    `hits` of `counts` met what was asked; of dependent ones give both divided by their autocorrelation time. `n`: how
    many there really were.
    """
    logs = np.log(loads)
    grid = np.linspace(logs.min() - math.log(BEYOND), logs.max() + math.log(BEYOND), N_THRESHOLDS)
    worth = (1 - CORRELATIONS) / CORRELATIONS
    posterior = np.zeros((N_THRESHOLDS, len(SLOPES), len(CORRELATIONS)))
    for x in np.unique(logs):  # what depends on the load alone is computed once for all looks at it
        share = _share(SLOPES * (grid[:, None] - x), target)
        a, b = share[..., None] * worth, (1 - share)[..., None] * worth
        alone = gammaln(a) + gammaln(b)
        for hit, count in zip(hits[logs == x], counts[logs == x], strict=True):
            posterior += gammaln(a + hit) + gammaln(b + count - hit) - alone - gammaln(worth + count) + gammaln(worth)
    weights = np.exp(posterior - posterior.max())
    weights /= weights.sum()
    below = np.cumsum(weights.sum(axis=(1, 2)))
    lo, middle, hi = (float(np.exp(np.interp(q, below, grid))) for q in ((1 - level) / 2, 0.5, (1 + level) / 2))
    method = f"logistic curve over {len(loads)} looks, beta-binomial; posterior on a grid"
    return Threshold(Estimate(middle, lo, hi, level, n, unit, method), float(weights.sum(axis=(0, 2)) @ SLOPES))


def shares_at(loads: FloatArray, threshold: float, slope: float, target: float) -> FloatArray:
    """The curve itself. Shapes: loads float64[n], above 0. Returns: float64[n]."""
    return _share(slope * (math.log(threshold) - np.log(loads)), target)


def _share(steps: FloatArray, target: float) -> FloatArray:
    """`steps`: slope times how far below the threshold a load is, in the logarithm."""
    lapse = LAPSE_SHARE * (1 - target)
    at_target = math.log(target / (1 - lapse - target))
    return np.asarray((1 - lapse) / (1 + np.exp(-np.clip(at_target + steps, -25, 25))))
