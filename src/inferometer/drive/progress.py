# SPDX-License-Identifier: Apache-2.0
"""What a live observer is told while a run goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from inferometer.drive.exchange import Finished


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the run stands. `t_ns` on the run axis; `remaining_s` is None where a count, not time, ends the run."""

    stage: str  # "starting", "warm-up", "measuring", "draining"
    trial: int
    n_trials: int
    elapsed_s: float
    remaining_s: float | None
    n_in_flight: int
    n_done: int
    n_failed: int
    last_error: str


class Observer(Protocol):
    """Follows a run from outside. Both calls come in slack and must be quick."""

    def say(self, text: str) -> None:
        """A rare event in words: an engine started, a trial begun."""

    def on_finished(self, finished: Finished) -> None:
        """A request is over; `reads` are its bytes and stamps."""

    def on_progress(self, progress: Progress) -> None:
        """Several times a second."""
