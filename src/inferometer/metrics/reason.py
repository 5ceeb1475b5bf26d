# SPDX-License-Identifier: Apache-2.0
"""What a verdict is made of: reasons in numbers, each with a stable code and a remedy, and the evidence they judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from inferometer.metrics.estimates import Statistics
from inferometer.metrics.fidelity import Numbers
from inferometer.metrics.rows import plan_of
from inferometer.metrics.trial import Trial
from inferometer.records import Trace
from inferometer.stats import Estimate

Level = Literal["valid", "suspect", "invalid"]

# The share of a metric's median by which the client may disturb it, at p99 of the disturbance, before the metric is
# no longer believed. Own choice.
TOLERANCE = 0.10
# What befalls more than one in a hundred moves p99, the outermost percentile that is always printed.
TAIL_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is wrong. `code`: stable, for machines; `text`: one line with the numbers; `remedy`: what to do.

    `metrics`: the metrics it spoils; none named = the run as a whole.
    """

    code: str
    level: Level
    text: str
    remedy: str
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known when a run is judged."""

    trace: Trace
    trials: Sequence[Trial]
    metrics: Mapping[str, Statistics]
    numbers: Numbers

    def median(self, metric: str) -> float | None:
        """Median of a metric over the successes, None where it has none."""
        found = self.metrics[metric].get("p50")
        return found.value if isinstance(found, Estimate) else None

    def number(self, name: str) -> float | None:
        """A fidelity number, None where it could not be had."""
        found = self.numbers.get(name)
        return found.value if isinstance(found, Estimate) else None

    def exceeds(self, name: str, threshold: float) -> float | None:
        """The fidelity number if it is above the threshold, else None."""
        value = self.number(name)
        return value if value is not None and value > threshold else None

    @property
    def mode(self) -> str:
        return str(plan_of(self.trace).get("mode", "closed"))

    @property
    def is_users_traffic(self) -> bool:
        """Prompts from a file: their lengths and common beginnings are the traffic, not a mistake."""
        return str(plan_of(self.trace).get("input_tokens", "")).startswith("file:")


def percent(share: float) -> str:
    """`31 %`, `2.5 %`, `0.31 %`."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 else f"{value:.2g} %"
