# SPDX-License-Identifier: Apache-2.0
"""What a live observer is told while a run goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from inferometer.drive.glance import Latency


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the run stands. `remaining_s` is None where a count, not time, ends the run and nothing tells when.

    `latest`: latencies of some requests that ended since the last progress, where the observer wants them.
    """

    stage: str  # "starting", "warm-up", "measuring", "draining"
    trial: int
    n_trials: int
    elapsed_s: float
    remaining_s: float | None
    n_in_flight: int
    n_done: int
    n_failed: int
    last_error: str
    latest: tuple[Latency, ...] = ()


class Observer(Protocol):
    """Follows a run from outside. The calls come in slack and must be quick.

    `wants_latencies`: whether answers are to be decoded for it while the run lasts.
    """

    @property
    def wants_latencies(self) -> bool: ...

    def say(self, text: str) -> None:
        """A rare event in words: an engine started, a trial begun."""

    def on_start(self, waited_s: float, last_line: str) -> None:
        """A few times a second while an engine that we started is loading; what it printed last."""

    def on_progress(self, progress: Progress) -> None:
        """Several times a second."""
