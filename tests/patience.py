# SPDX-License-Identifier: Apache-2.0
"""Waiting for what a process of its own does in its own time: for the thing itself, never for a while."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from inferometer.clock import Clock, sleep_s
from inferometer.units import NS_PER_S


def until(is_so: Callable[[], bool], what: str = "it", within_s: float = 60.0) -> None:
    """Wait until a condition holds. `within_s`: for a machine that is busy; fails with `what` in the message."""
    clock = Clock()
    while not is_so():
        assert clock.now_ns() < within_s * NS_PER_S, f"{what} never came to be so"
        sleep_s(0.01)


def until_larger(file: Path, n_bytes: int) -> None:
    """Wait until a file is there and larger than that."""
    until(lambda: file.exists() and file.stat().st_size > n_bytes, f"{file} of more than {n_bytes:,} bytes")
