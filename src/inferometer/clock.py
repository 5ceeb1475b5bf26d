# SPDX-License-Identifier: Apache-2.0
"""The only file that reads a clock.

Rule 1: every instant is int64 nanoseconds since the run's start on the monotonic axis.
Rule 2: kernel receive stamps are CLOCK_REALTIME; `pair()` brackets the offset so that they can be mapped. A step of
the wall clock is then a recorded fact, not a latency.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

# A bracket wider than this was interrupted between its readings; the previous offset is the better one. Three
# readings take 0.2 us here; an interrupt costs several.
MAX_BRACKET_NS = 5_000

# CLOCK_MONOTONIC as it is, for a process that stamps for another's axis and cannot afford a method call per stamp.
monotonic_ns = time.monotonic_ns


@dataclass(frozen=True, slots=True)
class ClockPair:
    """One reading of both clocks. `t_ns`: run axis; `realtime_ns`: Unix time; `width_ns`: how long the reading took."""

    t_ns: int
    realtime_ns: int
    width_ns: int

    @property
    def offset_ns(self) -> int:
        """Add to a run instant to get Unix time."""
        return self.realtime_ns - self.t_ns


class Clock:
    """Monotonic nanoseconds since it was made. `origin_ns` (CLOCK_MONOTONIC) lets other processes share the axis."""

    __slots__ = ("origin_ns",)

    def __init__(self, origin_ns: int | None = None) -> None:
        self.origin_ns = time.monotonic_ns() if origin_ns is None else origin_ns

    def now_ns(self) -> int:
        return time.monotonic_ns() - self.origin_ns

    def pair(self) -> ClockPair:
        """Read realtime between two monotonic readings; the instant is their middle."""
        t_ns, offset_ns, width_ns = self.offset()
        return ClockPair(t_ns, t_ns + offset_ns, width_ns)

    def offset(self) -> tuple[int, int, int]:
        """`t_ns`, `offset_ns` and `width_ns` of a pair as plain numbers, for who needs one in every pass of a loop."""
        before = time.monotonic_ns()
        realtime = time.time_ns()
        after = time.monotonic_ns()
        t_ns = (before + after) // 2 - self.origin_ns
        return t_ns, realtime - t_ns, after - before

    def sleep_until(self, t_ns: int) -> None:
        """Sleep. In the driving loop only where it rests on purpose: nothing is seen meanwhile."""
        while (left_ns := t_ns - self.now_ns()) > 0:
            time.sleep(left_ns / 1e9)


def sleep_s(seconds: float) -> None:
    """Plain sleep, for waiting on processes."""
    time.sleep(seconds)


def process_cpu_ns() -> int:
    """CPU time of this process, all threads."""
    return time.process_time_ns()


def utc_now() -> datetime:
    """Wall time, for names and manifests; never for durations."""
    return datetime.now(UTC)


def clock_resolution_s() -> dict[str, float]:
    """Resolution of the clocks in use, for `doctor`."""
    return {name: time.get_clock_info(name).resolution for name in ("monotonic", "time")}
