# SPDX-License-Identifier: Apache-2.0
"""What a statistic returns: a number with its interval, or the reason why there is none.

Rule 1: from here up no bare float is reported.
Rule 2: an end of an interval that the sample does not carry is infinite, and "cannot tell" (`Missing`) is a result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtri, stdtrit  # scipy.stats has the same and takes a second to import

LEVEL = 0.95  # confidence of every interval unless the caller says otherwise


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, its interval and where both come from.

    `lo`, `hi`: ends of the interval at confidence `level`, in `unit`; -inf or inf where the sample has no such bound.
    `n`: how many values it rests on (requests, chunks, trials: `method` says which, and how dependence was treated).
    `value` is inf where a percentile that counts failures as worst falls among the failures.
    """

    value: float
    lo: float
    hi: float
    level: float
    n: int
    unit: str
    method: str

    @property
    def is_bounded(self) -> bool:
        """Both ends of the interval are known."""
        return math.isfinite(self.lo) and math.isfinite(self.hi)


@dataclass(frozen=True, slots=True)
class Missing:
    """No number can be told: `reason` says what is missing ("needs 100 values, has 57"), `n` how much there was."""

    reason: str
    n: int
    unit: str


def exact(value: float, *, n: int, unit: str, method: str) -> Estimate:
    """A count or a difference of counters: known without sampling error."""
    return Estimate(value, value, value, LEVEL, n, unit, method)


def t_critical(dof: float, level: float = LEVEL) -> float:
    """Half-width of a two-sided t interval in standard errors; `dof` need not be whole."""
    return float(stdtrit(dof, 0.5 + level / 2))


def z_critical(level: float = LEVEL) -> float:
    """The same for a known standard error."""
    return float(ndtri(0.5 + level / 2))
