# SPDX-License-Identifier: Apache-2.0
"""How many processes drive a run, and on which cores."""

from __future__ import annotations

import math
import os

from inferometer.config import Experiment
from inferometer.errors import UsageError
from inferometer.experiment.subject import Subject
from inferometer.host.environment import n_cores_usable
from inferometer.plan.make import Shape

# What one core was measured to hold with everything recorded and the gaps still true (docs/evidence/load.md).
CHUNKS_PER_S = 40_000
SENDS_PER_S = 1_000


def check_workers(config: Experiment) -> None:
    """Raises: UsageError where several processes cannot share what was prepared."""
    if (config.workers or 1) > 1 and not hasattr(os, "fork"):
        raise UsageError("--workers above 1 needs Linux or macOS", "leave --workers out")


def n_workers_of(config: Experiment, shape: Shape, taken_s: float, subject: Subject) -> int:
    """As many as asked for, else as the load asks for and the machine has room for; never more than can have work.

    `taken_s`: what one request takes at the least, 0 where that is not known.
    """
    n_useful = config.concurrency if config.mode == "closed" else config.requests
    n_wanted = config.workers or _n_worth_it(config, shape, taken_s, subject)
    return max(1, min(n_wanted, n_useful or n_wanted))


def _n_worth_it(config: Experiment, shape: Shape, taken_s: float, subject: Subject) -> int:
    """One, where nothing tells how fast it will be."""
    if not hasattr(os, "fork"):
        return 1
    if config.mode == "open":
        sends_per_s = config.rate or 0.0
    else:
        sends_per_s = (config.concurrency or 0) / taken_s if taken_s else 0.0
    chunks_per_s = sends_per_s * (shape.outputs.mean if config.is_streamed else 1)
    n_asked_for = math.ceil(max(chunks_per_s / CHUNKS_PER_S, sends_per_s / SENDS_PER_S))
    return max(1, min(n_asked_for, _n_spare(subject)))


def _n_spare(subject: Subject) -> int:
    """Cores that the engine can do without: half of them where it runs on this machine and shares them with us."""
    if subject.client_cores:
        return len(subject.client_cores)
    n_cores = n_cores_usable()
    return n_cores // 2 if subject.is_local else n_cores - 1
