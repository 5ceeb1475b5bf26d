# SPDX-License-Identifier: Apache-2.0
"""A surge: for a while so many times the rate, and before and after it the rate itself.

Time runs faster in it: arrivals are drawn at one rate, and the stretch of the surge is pressed together. So they are a
Poisson process before, in and after it, with no seam in between (time change of a Poisson process, Cinlar 1975, 4.7).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inferometer.errors import UsageError
from inferometer.units import parse_duration_s

MAX_FACTOR = 1_000.0


@dataclass(frozen=True, slots=True)
class Surge:
    """`factor` times the rate, from `from_s` to `until_s` after the first request could be due."""

    factor: float
    from_s: float
    until_s: float

    @property
    def extra_s(self) -> float:
        """Seconds at the plain rate that bring as many requests as the surge brings more."""
        return (self.factor - 1) * (self.until_s - self.from_s)

    def pressed(self, plain_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Instants with the surge, of instants at the plain rate; ascending stays ascending."""
        inside = self.from_s + (plain_s - self.from_s) / self.factor
        end_s = self.from_s + self.factor * (self.until_s - self.from_s)
        return np.where(plain_s < self.from_s, plain_s, np.where(plain_s < end_s, inside, plain_s - self.extra_s))


def parse_surge(text: str) -> Surge:
    """`4,5s,10s`: four times the rate from 5 to 10 seconds. Raises: UsageError."""
    remedy = "write --arrivals surge:4,5s,10s for four times the rate from 5 to 10 seconds"
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not re.fullmatch(r"\d+(\.\d+)?", parts[0]) or not 1 < float(parts[0]) <= MAX_FACTOR:
        raise UsageError(f"--arrivals surge:{text} is no surge", remedy)
    surge = Surge(float(parts[0]), parse_duration_s(parts[1]), parse_duration_s(parts[2]))
    if surge.until_s <= surge.from_s:
        raise UsageError(f"--arrivals surge:{text} ends before it begins", remedy)
    return surge
