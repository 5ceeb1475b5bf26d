# SPDX-License-Identifier: Apache-2.0
"""Arrivals: the offsets of one planned stage turned into instants, as the stage goes on."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from inferometer.kinds import Phase
from inferometer.plan.schedule import Stage

FAR_NS = 1 << 62  # later than any run


@dataclass(frozen=True, slots=True)
class Window:
    """The main part of a trial on the run axis: its first instant, and the one after which nothing was due."""

    trial: int
    t_start_ns: int
    t_end_ns: int


class Arrivals:
    """`next_ns` is the instant the next request is due, FAR_NS while none is known; `take()` draws it.

    Open loop: the instants were planned. Closed loop: a slot is due again the instant its request ended (`freed`).
    """

    def __init__(self, stage: Stage, t_start_ns: int, stagger_ns: int = 0, first_slot_ns: int = 0) -> None:
        """`stagger_ns`: how far apart the slots of a closed loop open, the first `first_slot_ns` after its start."""
        self._stage = stage
        self._t_start_ns = t_start_ns
        is_stop_known = stage.duration_ns is not None and not (stage.n_warmup and stage.due_ns is None)
        self._t_stop_ns = t_start_ns + (stage.duration_ns or 0) if is_stop_known else FAR_NS
        self._due = None if stage.due_ns is None else deque((stage.due_ns + t_start_ns).tolist())
        t_first_ns = t_start_ns + first_slot_ns
        self._free = [t_first_ns + i * stagger_ns for i in range(stage.concurrency or 0)]  # a heap: the earliest first
        self._n_left = FAR_NS if stage.n_requests is None else stage.n_requests
        self._n_taken = 0
        self._t_main_ns: int | None = None
        self._t_last_due_ns = t_start_ns
        self.next_ns = FAR_NS
        self._look()

    def take(self) -> tuple[int, Phase]:
        """The instant the next request is due, and whether it still warms up."""
        t_due_ns = self.next_ns
        if self._due is None:
            heapq.heappop(self._free)
        else:
            self._due.popleft()
        self._n_left -= 1
        t_warm_ns = self._t_start_ns + self._stage.warmup_ns
        phase = Phase.WARMUP if self._n_taken < self._stage.n_warmup or t_due_ns < t_warm_ns else Phase.MAIN
        if phase is Phase.MAIN and self._t_main_ns is None:
            self._begin_main(t_due_ns)
        self._n_taken += 1
        self._t_last_due_ns = t_due_ns
        self._look()
        return t_due_ns, phase

    def _begin_main(self, t_due_ns: int) -> None:
        """The window opens: at the end of a timed warm-up, or with the first request after a counted one, and then a
        closed loop measures for its whole duration from there."""
        stage = self._stage
        self._t_main_ns = self._t_start_ns + stage.warmup_ns if stage.warmup_ns else t_due_ns
        if stage.n_warmup and stage.duration_ns is not None and self._due is None:
            self._t_stop_ns = t_due_ns + stage.duration_ns

    def freed(self, t_ns: int) -> None:
        """A request of this stage ended; in a closed loop its slot is free."""
        if self._due is None:
            heapq.heappush(self._free, t_ns)
            self._look()

    def is_over(self, now_ns: int) -> bool:
        """Nothing further will become due."""
        if self._due is not None:
            return not self._due
        return self._n_left <= 0 or (self.next_ns == FAR_NS and now_ns >= self._t_stop_ns)

    def window(self, trial: int, now_ns: int, *, is_cut_short: bool) -> Window:
        """For a stage that is over. When all was due at once the window ends with the last answer."""
        t_start_ns = self._t_last_due_ns if self._t_main_ns is None else self._t_main_ns
        is_burst = self._stage.duration_ns is None and self._t_last_due_ns == t_start_ns
        if is_burst or is_cut_short:
            t_end_ns = min(now_ns, self._t_stop_ns)
        else:
            t_end_ns = self._t_last_due_ns if self._stage.duration_ns is None else self._t_stop_ns
        return Window(trial, t_start_ns, max(t_end_ns, t_start_ns))

    def _look(self) -> None:
        waiting: Sequence[int] = self._free if self._due is None else self._due
        is_due = bool(waiting) and self._n_left > 0 and waiting[0] < self._t_stop_ns
        self.next_ns = waiting[0] if is_due else FAR_NS
