# SPDX-License-Identifier: Apache-2.0
"""How long a request stays in flight on one server, as earlier runs saw it.

A closed loop that time ends needs more prompts than will be answered, and nobody knows how many these are. As if every
slot went at the speed of one alone, they are many times too many, and to make them takes longer than to measure. What
was seen under a load as heavy or lighter is a better bound: under more, a request takes no less.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from inferometer.config import Experiment
from inferometer.kinds import Outcome, Phase
from inferometer.records import Array
from inferometer.units import NS_PER_S

_Asked = tuple[str, str, int, bool]
_FEWEST = 5  # answers, for a mean


@dataclass(slots=True)
class Pace:
    """By what was asked: mean seconds of a request by the number in flight, the least of all runs: one while the
    machine was slow must not leave the next without prompts."""

    _seen: dict[_Asked, dict[int, float]] = field(default_factory=dict)

    def learn(self, config: Experiment, requests: Array) -> None:
        """From the rows of a run; of one in closed loop alone, for only there it is the load that was chosen."""
        is_good = (requests["phase"] == Phase.MAIN) & (requests["outcome"] == Outcome.OK)
        if config.mode != "closed" or config.concurrency is None or is_good.sum() < _FEWEST:
            return
        rows = requests[is_good]
        taken_s = float((rows["t_last_content_ns"] - rows["t_sent_ns"]).mean() / NS_PER_S)
        seen = self._seen.setdefault(_asked(config), {})
        seen[config.concurrency] = min(taken_s, seen.get(config.concurrency, taken_s))

    def at_least_s(self, config: Experiment) -> float | None:
        """What a request of this load takes at the least; None if nothing as light was seen with these lengths."""
        seen = self._seen.get(_asked(config), {})
        return max((taken_s for load, taken_s in seen.items() if load <= (config.concurrency or 0)), default=None)


def _asked(config: Experiment) -> _Asked:
    return config.input_tokens, config.output_tokens, config.shared_prefix, config.is_streamed
