# SPDX-License-Identifier: Apache-2.0
"""One batch of streams through its checks: what came of them, and what failed."""

from __future__ import annotations

import signal
import traceback
from collections import Counter
from random import Random
from types import FrameType

from fuzz.properties import check
from fuzz.streams import N_TURNS, Stream, batch

BATCH = 5 * N_TURNS
MAX_CPU_S = 60.0  # of one batch, which takes about half a second: a hang
MAX_FAILURES_PER_BATCH = 20

Batch = tuple[Counter[tuple[str, str]], list[tuple[Stream, str]]]  # (kind, outcome) -> streams; failures and why


class Hang(Exception):
    """MAX_CPU_S of CPU time went by; raised in the midst of the stream that takes them."""


def run_batch(task: tuple[int, int]) -> Batch:
    """`task`: (seed, number of the batch); the same streams and the same cuts for the same task."""
    seed, number = task
    totals: Counter[tuple[str, str]] = Counter()
    failures: list[tuple[Stream, str]] = []
    rng = Random(f"{seed}/{number}/cuts")
    signal.signal(signal.SIGVTALRM, _on_alarm)
    signal.setitimer(signal.ITIMER_VIRTUAL, MAX_CPU_S, MAX_CPU_S)
    try:
        for stream in batch(seed, number, BATCH):
            try:
                totals[stream.kind, check(stream, rng)] += 1
            except Exception:  # noqa: BLE001 whatever leaves a check is what we look for
                totals[stream.kind, "FAILED"] += 1
                if len(failures) < MAX_FAILURES_PER_BATCH:
                    failures.append((stream, traceback.format_exc()))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return totals, failures


def _on_alarm(number: int, frame: FrameType | None) -> None:
    raise Hang(f"a batch took more than {MAX_CPU_S:.0f} s of CPU time, now in this stream")
