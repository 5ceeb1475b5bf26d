# SPDX-License-Identifier: Apache-2.0
"""A share against a target, looked at as often as one likes: the mixture sequential probability ratio test.

    E(k of n) = integral of p^k (1-p)^(n-k) over the alternative / ((length of it) target^k (1-target)^(n-k))

While the share really is on the wrong side, E is a nonnegative supermartingale that begins at 1, so the chance that it
*ever* reaches 1/alpha is at most alpha (Ville 1939): whoever stops as soon as it does is wrong with no more than that
chance, however often he looked. The alternative is everything on the other side of the target, evenly weighted.
Source: Robbins 1970, "Statistical methods related to the law of the iterated logarithm"; Wald 1947 for one alternative.

Hazard: successes must be independent. Of dependent ones give counts divided by their autocorrelation time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy.special import betainc, betaincc, betaln

Verdict = Literal["above", "below", "undecided"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """How strongly a share is shown to be above, and to be below a target: logarithms of E."""

    log_above: float
    log_below: float

    def verdict(self, alpha: float) -> Verdict:
        """Wrong with a chance of at most `alpha` on each side, over all looks taken together."""
        needed = -math.log(alpha)
        if self.log_above >= needed:
            return "above"
        return "below" if self.log_below >= needed else "undecided"


def evidence(k: float, n: float, target: float) -> Evidence:
    """For `k` successes among `n`, which need not be whole; 0 < target < 1."""
    shapes = (k + 1, n - k + 1)
    null = k * math.log(target) + (n - k) * math.log1p(-target)
    whole = float(betaln(*shapes)) - null
    return Evidence(
        whole + _log(float(betaincc(*shapes, target))) - math.log1p(-target),
        whole + _log(float(betainc(*shapes, target))) - math.log(target),
    )


def _log(share: float) -> float:
    return math.log(share) if share > 0 else -math.inf
