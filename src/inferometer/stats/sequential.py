# SPDX-License-Identifier: Apache-2.0
"""A share against a target, looked at as often as one likes: the mixture sequential probability ratio test.

    E(k of n) = integral of w(p) p^k (1-p)^(n-k) over the alternative / (target^k (1-target)^(n-k))

While the share really is on the wrong side, E is a nonnegative supermartingale that begins at 1, so the chance that it
*ever* reaches 1/alpha is at most alpha (Ville 1939): whoever stops as soon as it does is wrong with no more than that
chance, however often he looked. That holds for any weights w that sum to 1; they decide how soon it is reached. The
alternative is everything on the other side of the target: below it evenly weighted, above it by 1 / sqrt(1-p), so that
what misses hardly at all is acquitted sooner.
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
        needed = -math.log(alpha) if alpha else math.inf
        if self.log_above >= needed:
            return "above"
        return "below" if self.log_below >= needed else "undecided"


def evidence(k: float, n: float, target: float) -> Evidence:
    """For `k` successes among `n`, which need not be whole; 0 < target < 1."""
    above, below = (k + 1, n - k + 0.5), (k + 1, n - k + 1)
    null = k * math.log(target) + (n - k) * math.log1p(-target)
    return Evidence(
        float(betaln(*above)) - null + _log(float(betaincc(*above, target))) - math.log(2 * math.sqrt(1 - target)),
        float(betaln(*below)) - null + _log(float(betainc(*below, target))) - math.log(target),
    )


def _log(share: float) -> float:
    return math.log(share) if share > 0 else -math.inf
