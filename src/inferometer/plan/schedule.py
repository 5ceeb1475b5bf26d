# SPDX-License-Identifier: Apache-2.0
"""When requests are due: stages of open or closed loop, decided before the first request is sent.

Rule 1: instant k is an absolute function of the drawn gaps, never a sum of rounded intervals, so that nothing drifts.
Rule 2: a schedule knows neither sockets nor clocks; the driving loop turns offsets into instants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of a trial under one rule of arrival.

    Open loop (`due_ns` given): request k of the stage is due `due_ns[k]` after the stage's start, whatever happens.
    Closed loop (`concurrency` given): that many slots; a request is due when a slot frees. It ends after `n_requests`
    or, when that is None, at `duration_ns` after the stage's start (warm-up included in both).
    Warm-up: the first `n_warmup` requests, and all those due before `warmup_ns`.
    """

    due_ns: npt.NDArray[np.int64] | None = None
    concurrency: int | None = None
    n_requests: int | None = None
    duration_ns: int | None = None
    n_warmup: int = 0
    warmup_ns: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """`mode`: "closed", "open" or "burst"; `law`: for people, e.g. "poisson 4/s"; `trials`: the stages of each repeat."""

    mode: str
    law: str
    trials: tuple[tuple[Stage, ...], ...]
    concurrency: int | None = None
    rate_per_s: float | None = None
