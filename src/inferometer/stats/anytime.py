# SPDX-License-Identifier: Apache-2.0
"""A mean looked at as often as one likes, its spread unknown: the t test as a mixture, and its interval.

    E(t, n) = (1 + n g)^-1/2 ((1 + t^2/(n-1)) / (1 + t^2/((n-1)(1 + n g))))^(n/2)

is the Bayes factor of "the mean is some standard deviations from 0, which are normal with variance g" against "it is
0", whatever the standard deviation is. While the mean is 0 the chance that it *ever* reaches 1/alpha is at most alpha,
so that the interval of all means against which it has not is right with 1 - alpha at every look together: one may stop
because of what one sees.
Source: Lai 1976, Annals of Statistics 4; Perez-Ortiz, Lardy, de Heide & Gruenwald 2024, Annals of Statistics 52.

Hazard: for values that are about normal, such as logarithms of ratios of two runs of one round.
"""

from __future__ import annotations

import math
from bisect import bisect_left

from scipy.special import chdtri, ndtri

from inferometer.stats.dependence import FloatArray
from inferometer.stats.trials import POWER, SPREAD_CONFIDENCE

# Standard deviations squared by which means are thought to be from 0: ten of what rounds differ by are a fifth for
# rounds that differ by 2 %. The smaller it is, the more rounds even a great difference takes; the larger, the more a
# small one takes.
EFFECT_VARIANCE = 100.0
MAX_VALUES = 1_000  # who would need more has no way of knowing from here


def critical(n: int, alpha: float) -> float:
    """How many standard errors the interval of n values reaches to each side; infinite where n are too few."""
    if n < 2:
        return math.inf
    width = 1 + n * EFFECT_VARIANCE
    needed = (math.sqrt(width) / alpha) ** (2 / n)
    if needed >= width:
        return math.inf
    return math.sqrt((n - 1) * (needed - 1) / (1 - needed / width))


def always_interval(values: FloatArray, alpha: float) -> tuple[float, float]:
    """Ends of the interval of the mean, right with 1 - alpha over all looks at a growing sample. Shapes: float64[n]."""
    n = len(values)
    reach = critical(n, alpha)
    if math.isinf(reach):
        return -math.inf, math.inf
    mean, half = float(values.mean()), reach * float(values.std(ddof=1)) / math.sqrt(n)
    return mean - half, mean + half


def n_to_settle(shift: float, values: FloatArray, alpha: float) -> int | None:
    """Values in all with which the interval ends before `shift` from the mean in 9 of 10 such samples, by how much
    these differ; None: more than can be planned for, or these are too few to say."""
    n = len(values)
    if n < 2 or not shift:
        return None
    # Out of few values the spread is as often too small as too large: the end of its one-sided interval.
    spread = float(values.std(ddof=1)) * math.sqrt((n - 1) / float(chdtri(n - 1, SPREAD_CONFIDENCE)))

    def is_enough(n: int) -> bool:
        return (critical(n, alpha) + float(ndtri(POWER))) * spread / math.sqrt(n) <= abs(shift)

    found = bisect_left(range(2, MAX_VALUES + 1), True, key=is_enough)
    return 2 + found if 2 + found <= MAX_VALUES else None
