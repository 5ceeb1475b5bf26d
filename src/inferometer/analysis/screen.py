# SPDX-License-Identifier: Apache-2.0
"""Every metric that two sides have and that is not in the family: which of them to look at. Hints, never verdicts.

Rule: a hint decides nothing. Among many metrics some move by chance; of the hints, 1 in 20 is expected to have. Who
wants to know asks for that metric (`--metrics`), of runs taken afresh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inferometer.analysis.compare import asked_of, values_of
from inferometer.analysis.side import Quantity, Side
from inferometer.metrics.registry import METRICS
from inferometer.stats import LEVEL, Estimate, FloatArray, Missing
from inferometer.stats.trials import benjamini_hochberg, ratio_of_trials

FALSE_SHARE = 1 - LEVEL  # of the hints, that may be due to chance
STATISTICS = ("p50", "p99")


@dataclass(frozen=True, slots=True)
class Hint:
    """A quantity of a candidate that may differ. `q`: p after Benjamini and Hochberg."""

    candidate: int
    quantity: Quantity
    ratio: Estimate
    q: float


@dataclass(frozen=True, slots=True)
class Screening:
    """`hints`: those with q up to FALSE_SHARE, the surest first. `n_tests`: quantities that had a ratio, over all
    candidates."""

    hints: tuple[Hint, ...]
    n_tests: int


def screen(
    sides: Sequence[Side], family: Sequence[Quantity], *, rng: np.random.Generator, is_paired: bool
) -> Screening:
    """Every candidate against the first side, in all that `family` leaves out. The sides must be comparable."""
    others = [quantity for quantity in quantities() if quantity not in family]
    return hints_of([{other: values_of(side, other) for other in others} for side in sides], rng, is_paired=is_paired)


def hints_of(
    values: Sequence[Mapping[Quantity, FloatArray | Missing]], rng: np.random.Generator, *, is_paired: bool
) -> Screening:
    """From one value per trial of each side, as `rows_of` takes them."""
    ratios = {
        key: ratio_of_trials(*both, is_paired=is_paired, rng=rng)
        for key, both in asked_of(values).items()
        if not isinstance(both, Missing)
    }
    adjusted = benjamini_hochberg(np.array([ratio.p for ratio in ratios.values()]))
    told = [
        Hint(candidate, quantity, ratio.estimate, q)
        for ((candidate, quantity), ratio), q in zip(ratios.items(), adjusted.tolist(), strict=True)
        if q <= FALSE_SHARE * (1 + 1e-9)
    ]
    return Screening(tuple(sorted(told, key=lambda hint: hint.q)), len(ratios))


def quantities() -> tuple[Quantity, ...]:
    """Of every metric, one or two statistics; not the largest of a run, which says little of the next."""
    return tuple(
        Quantity(metric.name, statistic)
        for metric in METRICS.values()
        if not metric.is_largest
        for statistic in (("value",) if metric.per == "run" else STATISTICS)
    )
