# SPDX-License-Identifier: Apache-2.0
"""What a task hands out: a passage with questions whose answers are known, and how it is shown to a model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inferometer.tasks.split import Split

UNKNOWN_ANSWER = "unknown"


class Task(StrEnum):
    RETRIEVAL = "retrieval"
    COPYING = "copying"
    ARITHMETIC = "arithmetic"
    GROUNDED = "grounded"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its one right answer. `depth`: where the fact lies, 0 the first of the context, 1 the last; None
    where the answer lies nowhere. `about`: which kind of fact, for looking at mistakes."""

    question: str
    answer: str
    task: Task
    depth: float | None = None
    about: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """Turns about one context. `instruction`: how to answer; `context` may be empty."""

    instruction: str
    context: str
    turns: tuple[Turn, ...]
    task: Task


@dataclass(frozen=True, slots=True)
class Item:
    """One question, for evaluation: a function of task, split, seed, index, `n_facts` and depth."""

    task: Task
    split: Split
    seed: int
    index: int
    n_facts: int
    passage: Passage

    @property
    def turn(self) -> Turn:
        return self.passage.turns[0]

    @property
    def prompt(self) -> str:
        return prompt(self.passage)

    @property
    def answer(self) -> str:
        return self.turn.answer

    @property
    def depth(self) -> float | None:
        return self.turn.depth


def prompt(passage: Passage, turn_index: int = 0) -> str:
    """The user's message when that one question is asked alone: instruction, context, question, a line each."""
    parts = (passage.instruction, passage.context, passage.turns[turn_index].question)
    return "\n".join(part for part in parts if part)


def messages(passage: Passage, answer_prefix: str = "") -> list[dict[str, str]]:
    """The whole chat, answers included. With a space as `answer_prefix` the words of an answer are the same tokens as
    in the context, which a small model copies more easily; the scorer does not mind."""
    chat = []
    for i, turn in enumerate(passage.turns):
        chat.append({"role": "user", "content": turn.question if i else prompt(passage)})
        chat.append({"role": "assistant", "content": answer_prefix + turn.answer})
    return chat
