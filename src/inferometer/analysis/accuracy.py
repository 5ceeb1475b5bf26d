# SPDX-License-Identifier: Apache-2.0
"""What `explain accuracy` found: the file `accuracy.json` in its folder, beside the runs that it is made of.

Rule 1: the same questions are asked every time, so all that is compared is compared in pairs.
Rule 2: a difference has to be beyond what the engine does to itself, alone, when asked twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from inferometer.analysis.agreement import Agreement
from inferometer.analysis.finding import Row
from inferometer.analysis.hallucination import Consistency, Hallucination
from inferometer.analysis.number import Number, number_of
from inferometer.stats import Missing, wilson
from inferometer.stats.paired import n_items_needed, paired

SCHEMA = "inferometer/accuracy/1"
FILE = "accuracy.json"
POINT = 0.01  # the difference that a comparison says how many items it needs for
ALL = "all"
MOST_BROKEN = 0.2  # of the answers, failed or cut: with more, what came says too little of who answers


@dataclass(frozen=True, slots=True)
class Mark:
    """One answer, judged. `text` is "" where none came; `is_ok`: it came, and `is_cut`: was ended by its length."""

    task: str
    text: str
    is_right: bool
    is_ok: bool
    is_of_another: bool  # it is the right answer to another question that was asked, and not to this one
    is_cut: bool = False

    @property
    def is_whole(self) -> bool:
        return self.is_ok and not self.is_cut


class Tally(msgspec.Struct, frozen=True):
    """One task. `alone`, `loaded`: shares that are right, one request at a time and with others; `majority`, `copy`:
    of those who understand nothing, who say the commonest answer or what lies nearest; None where that has no sense."""

    task: str
    n: int
    alone: Number
    loaded: Number
    majority: float | None
    copy: float | None


class Change(msgspec.Struct, frozen=True):
    """The same questions asked in two ways, `ways`: in words. `n_changed`: other text; `n_lost`, `n_won`: right the
    first time only, the second time only; `p`: of "one is lost as easily as won". `n_failed`, `n_of_another`: of the
    changed, no whole answer came, or the answer to another question. `n_needed`: questions that would show a point.
    """

    ways: tuple[str, str]
    n: int
    n_changed: int
    n_lost: int
    n_won: int
    difference: Number
    p: float
    n_failed: int
    n_of_another: int
    n_needed: int | None


class Against(msgspec.Struct, frozen=True):
    """Another target with the same questions. `n_same_prompts`: of `n_prompts` whose token counts both told, equal.
    `differs`: what is known to differ, in words."""

    target: str
    engine: dict[str, Any]
    change: Change
    agreement: Agreement
    n_same_prompts: int
    n_prompts: int
    differs: list[str]


class AccuracyExamination(msgspec.Struct, frozen=True):
    """`again`: alone twice, the floor; `load`: alone and with `concurrency` in flight; both None where only one of the
    two was asked. `stopped`: why it ended early, "": it did not."""

    row: Row
    concurrency: int
    tallies: list[Tally]
    again: Change | None
    load: Change | None
    floor: Agreement | None
    under_load: Agreement | None
    hallucination: Hallucination | None
    consistency: Consistency | None
    against: Against | None
    seed: int
    created: str
    engine: dict[str, Any]
    plan: dict[str, Any]
    host: dict[str, Any]
    versions: dict[str, Any]
    stopped: str = ""
    schema: str = SCHEMA


def change(ways: tuple[str, str], first: Sequence[Mark], second: Sequence[Mark]) -> Change:
    """Shapes: first, second, by question."""
    pairs = list(zip(first, second, strict=True))
    changed = [(one, other) for one, other in pairs if one.text != other.text or one.is_ok != other.is_ok]
    n_lost = sum(one.is_right and not other.is_right for one, other in pairs)
    n_won = sum(other.is_right and not one.is_right for one, other in pairs)
    found = paired(len(pairs), n_lost, n_won)
    return Change(
        ways=ways,
        n=len(pairs),
        n_changed=len(changed),
        n_lost=n_lost,
        n_won=n_won,
        difference=number_of(found.difference),
        p=found.p,
        n_failed=sum(one.is_ok and not other.is_ok for one, other in changed),
        n_of_another=sum(other.is_of_another and not one.is_of_another for one, other in changed),
        n_needed=n_items_needed(POINT, (n_lost + n_won) / len(pairs)) if n_lost + n_won else None,
    )


def only_changed_in_second(first: Sequence[Mark], again: Sequence[Mark], loaded: Sequence[Mark]) -> tuple[int, int]:
    """Questions answered otherwise under load though the same twice alone, and the reverse."""
    n_load = n_again = 0
    for one, twice, busy in zip(first, again, loaded, strict=True):
        n_load += one.text == twice.text and one.text != busy.text
        n_again += one.text != twice.text and one.text == busy.text
    return n_load, n_again


def right_of_whole(marks: Sequence[Mark]) -> Number:
    """Right, of those that came whole: what failed or was cut says nothing of who answers."""
    n_broken = sum(not mark.is_whole for mark in marks)
    if n_broken > MOST_BROKEN * len(marks):
        return number_of(Missing(f"{n_broken} of {len(marks)} answers failed or were cut", len(marks), "ratio"))
    return share_right([mark for mark in marks if mark.is_whole])


def share_right(marks: Sequence[Mark], task: str = ALL) -> Number:
    asked = [mark for mark in marks if task in (ALL, mark.task)]
    if not asked:
        return number_of(Missing("was not asked", 0, "ratio"))
    return number_of(wilson(sum(mark.is_right for mark in asked), len(asked), of="questions"))
