# SPDX-License-Identifier: Apache-2.0
"""How the requests of a stage are dealt out among several workers, like cards: one each, in turn.

Rule 1: the shares of all workers are the stage: every planned request is in exactly one of them, under the instant it
would have had alone.
Rule 2: what one worker gets depends on the plan and the number of workers only, never on how fast another is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from inferometer.plan.schedule import Stage


@dataclass(frozen=True, slots=True)
class Share:
    """One worker's part of a stage: its requests have the ids first, first + stride, first + 2 stride, ..."""

    stage: Stage
    first: int
    stride: int

    @property
    def is_empty(self) -> bool:
        return self.stage.concurrency == 0 or self.stage.n_planned == 0

    @property
    def has_main(self) -> bool:
        """Whether anything but warm-up is in it."""
        n_planned = self.stage.n_planned
        return not self.is_empty and (n_planned is None or n_planned > self.stage.n_warmup)


def share_of(stage: Stage, worker: int, n_workers: int, first_id: int) -> Share:
    """What worker number `worker` of `n_workers` does of a stage whose first request has the id `first_id`.

    A closed loop of fewer slots than workers is dealt out among as many workers as it has slots; the others have none.
    """
    n_dealt = n_workers if stage.concurrency is None else min(n_workers, stage.concurrency)
    if stage.due_ns is not None:
        due_ns, n_warmup = stage.due_ns[worker::n_dealt], _dealt(stage.n_warmup, worker, n_dealt)
        return Share(replace(stage, due_ns=due_ns, n_warmup=n_warmup), first_id + worker, n_dealt)
    dealt = Stage(
        concurrency=_dealt(stage.concurrency or 0, worker, n_dealt),
        n_requests=None if stage.n_requests is None else _dealt(stage.n_requests, worker, n_dealt),
        duration_ns=stage.duration_ns,
        n_warmup=_dealt(stage.n_warmup, worker, n_dealt),
        warmup_ns=stage.warmup_ns,
    )
    return Share(dealt, first_id + worker, n_dealt)


def _dealt(count: int, worker: int, n_workers: int) -> int:
    """How many of `count` things worker number `worker` gets."""
    return len(range(worker, count, n_workers)) if worker < n_workers else 0
