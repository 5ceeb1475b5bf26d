# SPDX-License-Identifier: Apache-2.0
"""Waiting for what a process of its own does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(is_so: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait until a condition holds; the engine's clock is not ours to stop."""
    t_end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < t_end, "it never came to be so"
        time.sleep(0.02)
