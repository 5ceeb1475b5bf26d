# SPDX-License-Identifier: Apache-2.0
"""From answers to shares: what is right, how sure that is, and what somebody reaches who understands nothing.

Rule 1: no torch here, so that the arithmetic behind the table is tested wherever the tests run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inferometer.stats.estimate import Estimate, Missing
from inferometer.stats.shares import clopper_pearson, wilson
from inferometer.tasks import Item, Split, Task, copy_answer, is_right, majority_answer, make_item

ONCE = 0  # in place of a length, for a task that has none: arithmetic
TOLERANCE = 0.01  # of a log-probability
_N_SEEN = 500  # training answers that the majority baseline has seen


@dataclass(frozen=True, slots=True)
class Cell:
    """A place in the table. `n_tokens`: of the prompt, about; `n_facts` is the usual size of its items."""

    task: Task
    n_tokens: int

    def __str__(self) -> str:
        return f"{self.task}-{self.n_tokens or 'once'}"


@dataclass(frozen=True, slots=True)
class Answered:
    """One question as it was answered by one `engine` (a number format, or the reference)."""

    engine: str
    index: int
    prompt: str
    expected: str
    said: str
    depth: float | None
    about: str
    is_right: bool


def judge(engine: str, item: Item, said: str) -> Answered:
    turn = item.turn
    return Answered(engine, item.index, item.prompt, item.answer, said, turn.depth, turn.about, is_right(item, said))


def can_still_be_right(expected: str, begun: str) -> bool:
    """Whether an answer that begins so could become right by going on."""
    text = begun.strip().casefold()
    return (expected.strip().casefold() + ".").startswith(text)


def share(answers: Iterable[bool]) -> Estimate | Missing:
    """Share of right ones with Wilson's interval."""
    verdicts = list(answers)
    return wilson(sum(verdicts), len(verdicts), of="questions")


def said_by_majority(task: Task, n_facts: int) -> str:
    """The commonest answer among what is trained on."""
    items = (make_item(task, Split.TRAIN, 0, i, n_facts=n_facts) for i in range(_N_SEEN))
    return majority_answer(item.answer for item in items)


def baselines(items: Sequence[Item]) -> dict[str, Estimate | Missing]:
    """Accuracy of the commonest training answer, and of copying what lies nearest."""
    often = said_by_majority(items[0].task, items[0].n_facts)
    return {
        "majority": share(is_right(item, often) for item in items),
        "copy": share(is_right(item, copy_answer(item)) for item in items),
    }


@dataclass(frozen=True, slots=True)
class Loss:
    """Two engines on the same questions. `share_lost`: of the questions on which they differ, those that the second
    has wrong; its interval above one half means that the second is worse."""

    n: int
    n_lost: int
    n_won: int
    share_lost: Estimate | Missing


def loss(before: Sequence[bool], after: Sequence[bool]) -> Loss:
    """Verdicts on the same questions in the same order. Questions on which both agree say nothing about a difference
    (McNemar 1947)."""
    n_lost = sum(b and not a for b, a in zip(before, after, strict=True))
    n_won = sum(a and not b for b, a in zip(before, after, strict=True))
    differing = "questions on which they differ"
    return Loss(len(before), n_lost, n_won, clopper_pearson(n_lost, n_lost + n_won, of=differing))


@dataclass(frozen=True, slots=True)
class Parity:
    """`n_same` of `n_prompts` answers are the reference's. Differences are those of `n_tokens` log-probabilities."""

    n_prompts: int
    n_same: int
    n_tokens: int
    largest: float
    p99: float
    n_beyond: int
