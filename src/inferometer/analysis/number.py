# SPDX-License-Identifier: Apache-2.0
"""An estimate as it stands in a file: fields as in `report.json`, null where there is no number or no bound."""

from __future__ import annotations

import math

import msgspec

from inferometer.stats import LEVEL, Estimate, Missing


class Number(msgspec.Struct, frozen=True, omit_defaults=True):
    """`missing`: why there is no value."""

    value: float | None
    lo: float | None
    hi: float | None
    n: int
    unit: str
    method: str = ""
    level: float = LEVEL
    missing: str = ""

    @property
    def figure(self) -> Estimate | Missing:
        """For who prints it or goes on reckoning."""
        if self.value is None:
            return Missing(self.missing, self.n, self.unit)
        lo = -math.inf if self.lo is None else self.lo
        hi = math.inf if self.hi is None else self.hi
        return Estimate(self.value, lo, hi, self.level, self.n, self.unit, self.method)


def number_of(figure: Estimate | Missing) -> Number:
    if isinstance(figure, Missing):
        return Number(None, None, None, figure.n, figure.unit, missing=figure.reason)
    if not math.isfinite(figure.value):
        return Number(None, None, None, figure.n, figure.unit, missing="lies among the failed requests")
    lo, hi = (bound if math.isfinite(bound) else None for bound in (figure.lo, figure.hi))
    return Number(figure.value, lo, hi, figure.n, figure.unit, figure.method, figure.level)
