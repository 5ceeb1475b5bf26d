# SPDX-License-Identifier: Apache-2.0
"""Questions of `explain accuracy` with their right answers: of the built-in tasks, of your own file, and free ones.

Rule: all are a function of the seed, so that two targets and two seasons are asked the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from inferometer.analysis.accuracy import Mark, Tally, share_right
from inferometer.analysis.hallucination import Judged, Verdict
from inferometer.analysis.number import number_of
from inferometer.stats import Missing
from inferometer.tasks import (
    Item,
    Split,
    Task,
    copy_answer,
    is_abstention,
    is_right,
    items_of_tokens,
    majority_answer,
    make_item,
    make_passage,
    plain,
)
from inferometer.tasks.own import OwnQuestion

OWN = "own"
# Facts of a text where no length is asked for: about 60 to 250 tokens, which any model has room for.
_SIZES = (4, 8, 12, 16)
_WORDS_PER_FACT = 3  # of copying, whose size is words: enough to be dealt out on notes
_N_COMMON = 200  # training items that the commonest answer is taken of
_STORY = "Write a short story in which all of this is so."


@dataclass(frozen=True, slots=True)
class JudgedQuestion:
    """`answers`: all that is right; none: the text does not tell. `copy`: the answer that lies nearest, None if that
    has no sense. `text`: what is read."""

    task: str
    prompt: str
    answers: tuple[str, ...]
    text: str
    copy: str | None

    @property
    def is_told(self) -> bool:
        return bool(self.answers)

    @property
    def is_grounded(self) -> bool:
        """It has a text that may not hold the answer, and says what to say then."""
        return self.task in (Task.GROUNDED, Task.UNKNOWN, OWN)

    def is_right(self, said: str) -> bool:
        return any(is_right(answer, said) for answer in self.answers) if self.answers else is_abstention(said)

    def judged(self, said: str) -> Judged:
        if self.is_right(said):
            verdict: Verdict = "right" if self.is_told else "abstained"
        else:
            verdict = "abstained" if is_abstention(said) else "wrong"
        in_text = (
            re.search(rf"\b{re.escape(plain(said))}\b", self.text.casefold()) is not None if plain(said) else False
        )
        return Judged(self.is_told, verdict, in_text, len(said))


def made(
    tasks: Sequence[Task], n_each: int, seed: int, *, n_tokens: int | None, count: Callable[[str], int] | None
) -> list[JudgedQuestion]:
    """Of the built-in tasks, one of each in turn, so that the first few are like all. `count`: tokens of a prompt, for
    prompts of `n_tokens`."""
    columns = [list(_items(task, n_each, seed, n_tokens, count)) for task in tasks]
    return [_question(item) for row in zip(*columns, strict=True) for item in row]


def _items(task: Task, n: int, seed: int, n_tokens: int | None, count: Callable[[str], int] | None) -> Sequence[Item]:
    if task is Task.ARITHMETIC:
        return [make_item(task, Split.HELD_OUT, seed, i, n_facts=0) for i in range(n)]
    if n_tokens is not None and count is not None:
        return list(items_of_tokens(task, Split.HELD_OUT, seed, n, n_tokens=n_tokens, count=count))
    factor = _WORDS_PER_FACT if task is Task.COPYING else 1
    return [make_item(task, Split.HELD_OUT, seed, i, n_facts=factor * _SIZES[i % len(_SIZES)]) for i in range(n)]


def _question(item: Item) -> JudgedQuestion:
    answers = () if item.task is Task.UNKNOWN else (item.answer,)
    return JudgedQuestion(item.task, item.prompt, answers, item.passage.context, copy_answer(item))


def own(questions: Sequence[OwnQuestion]) -> list[JudgedQuestion]:
    return [JudgedQuestion(OWN, one.prompt, one.answers, one.context, None) for one in questions]


def mixed(mine: list[JudgedQuestion], theirs: list[JudgedQuestion]) -> list[JudgedQuestion]:
    """Both spread over the whole, so that the first few are like all."""
    places = [*((i / max(1, len(mine)), one) for i, one in enumerate(mine))]
    places += [(i / max(1, len(theirs)), one) for i, one in enumerate(theirs)]
    return [one for _, one in sorted(places, key=lambda place: place[0])]


def free(n: int, seed: int) -> list[str]:
    """Prompts whose answers may be anything, and long: where two engines part first."""
    rng = Random(f"free/{seed}")
    passages = [make_passage(Task.GROUNDED, Split.HELD_OUT, rng, n_facts=5) for _ in range(n)]
    return [f"{_STORY}\n{passage.context.removeprefix('Text: ')}" for passage in passages]


def commonest(task: Task) -> str:
    """What somebody says who has seen nothing but answers of that task."""
    return majority_answer(
        make_item(task, Split.TRAIN, 0, i, n_facts=0 if task is Task.ARITHMETIC else 4).answer for i in range(_N_COMMON)
    )


def marks(questions: Sequence[JudgedQuestion], said: Sequence[tuple[str, bool, bool]]) -> list[Mark]:
    """Shapes: said, (text, whether it came, whether it was cut) by question."""
    owners: dict[str, set[int]] = {}
    for i, question in enumerate(questions):
        for answer in question.answers if question.task != Task.ARITHMETIC else ():  # sums are too often equal
            owners.setdefault(plain(answer), set()).add(i)
    found = []
    for i, (question, (text, is_ok, is_cut)) in enumerate(zip(questions, said, strict=True)):
        is_right_ = is_ok and question.is_right(text)
        of_another = not is_right_ and bool(owners.get(plain(text), set()) - {i})
        # A name of the text that was read is another question's answer by chance.
        of_another &= plain(text) not in question.text.casefold()
        found.append(Mark(question.task, text, is_right_, is_ok, of_another, is_cut))
    return found


def tallies(questions: Sequence[JudgedQuestion], alone: Sequence[Mark], loaded: Sequence[Mark]) -> list[Tally]:
    """By task. `loaded`: empty where that was not asked."""
    unasked = number_of(Missing("was not asked under load", 0, "ratio"))
    rows = []
    for task in dict.fromkeys(question.task for question in questions):
        mine = [question for question in questions if question.task == task]
        copies = [question.is_right(question.copy) for question in mine if question.copy is not None]
        common = commonest(Task(task)) if task != OWN else None
        rows.append(
            Tally(
                task=task,
                n=len(mine),
                alone=share_right(alone, task),
                loaded=share_right(loaded, task) if loaded else unasked,
                majority=None if common is None else sum(one.is_right(common) for one in mine) / len(mine),
                copy=sum(copies) / len(copies) if copies else None,
            )
        )
    return rows
