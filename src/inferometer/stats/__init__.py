# SPDX-License-Identifier: Apache-2.0
"""Statistics: arrays in, `Estimate` (a number with its interval) or `Missing` ("cannot tell") out.

Rule: nothing here knows what the numbers mean, reads a clock or draws a random number that was not passed in.
"""

from inferometer.stats.bootstrap import bootstrap
from inferometer.stats.combine import difference, product
from inferometer.stats.dependence import (
    FloatArray,
    autocorrelation,
    autocorrelation_time,
    careful_n,
    effective_n,
    effective_n_of_share,
    lag1,
    ratio_variance,
)
from inferometer.stats.estimate import LEVEL, Estimate, Missing, exact, t_critical, z_critical
from inferometer.stats.means import batch_means, mean_estimate, over_trials, ratio_estimate
from inferometer.stats.quantiles import effective_n_of_quantiles, n_needed, quantile, quantile_estimate, rank_interval
from inferometer.stats.shares import clopper_pearson, wilson
from inferometer.stats.steady import Cut, mser5, trend

__all__ = [
    "LEVEL",
    "Cut",
    "Estimate",
    "FloatArray",
    "Missing",
    "autocorrelation",
    "autocorrelation_time",
    "batch_means",
    "bootstrap",
    "careful_n",
    "clopper_pearson",
    "difference",
    "effective_n",
    "effective_n_of_quantiles",
    "effective_n_of_share",
    "exact",
    "lag1",
    "mean_estimate",
    "mser5",
    "n_needed",
    "over_trials",
    "product",
    "quantile",
    "quantile_estimate",
    "rank_interval",
    "ratio_estimate",
    "ratio_variance",
    "t_critical",
    "trend",
    "wilson",
    "z_critical",
]
