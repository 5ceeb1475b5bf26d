# SPDX-License-Identifier: Apache-2.0
"""Two experiments in turns: A B, B A, ... so that a drift of the machine favours neither.

Rule 1: in every round both sides are measured once, one right after the other; which comes first is drawn by lot, each
side equally often. A drift then adds to one side as often as to the other, and round i of both sides is a pair.
Rule 2: each turn is a run of its own: an engine that we start is started anew, so that what differs from start to
start is in the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from inferometer.config import Experiment
from inferometer.drive.progress import Observer
from inferometer.errors import Cancelled
from inferometer.experiment.conduct import run
from inferometer.run_folder import Run

SIDES = ("A", "B")


@dataclass(frozen=True, slots=True)
class Round:
    """`number` counts from 1; `runs`: of A and of B."""

    number: int
    runs: tuple[Run, Run]


def orders_of(n_rounds: int, rng: np.random.Generator) -> list[bool]:
    """Whether A comes first in each round: in half of them, at random places; of an odd number the odd one by lot."""
    n_first = n_rounds // 2 + int(n_rounds % 2 and rng.random() < 0.5)
    return [bool(is_first) for is_first in rng.permutation(np.arange(n_rounds) < n_first)]


def rounds(
    configs: Sequence[Experiment],
    folder: Path,
    n_rounds: int,
    *,
    n_spare: int,
    rng: np.random.Generator,
    name: str,
    observer_of: Callable[[str], Observer],
) -> Iterator[Round]:
    """Measure round after round, each run in its folder: `folder`/A/01, `folder`/B/01, ...

    `n_spare`: rounds after the last, for whoever still wants some; `name`: by which the runs know that they belong
    together; `observer_of`: follows a turn, such as "A 03".
    Raises: what a run raises, Cancelled if the user stopped one; what is done stays.
    """
    for number, is_a_first in enumerate([*orders_of(n_rounds, rng), *orders_of(n_spare, rng)], 1):
        order = (0, 1) if is_a_first else (1, 0)
        done: dict[int, Run] = {}
        for position, side in enumerate(order):
            turn = f"{SIDES[side]} {number:02d}"
            config = replace(configs[side], out=str(folder / SIDES[side] / f"{number:02d}"), repeats=1)
            done[side] = run(config, observer_of(turn))
            if done[side].manifest()["is_interrupted"]:
                raise Cancelled(f"stopped by the user in turn {turn}; what was measured is in {folder}")
            facts = {"id": name, "round": number, "side": SIDES[side], "position": position}
            done[side].write_manifest(done[side].manifest() | {"ab": facts})
        yield Round(number, (done[0], done[1]))
