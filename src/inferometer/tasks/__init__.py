# SPDX-License-Identifier: Apache-2.0
"""Tasks whose answers can be checked: generated questions, one right answer each, no judge.

    make_passage   a context and some questions with their answers, for training
    make_item      one question, for evaluation: a function of its arguments, everywhere
    is_right       the scorer

Rule 1: made of the standard library only, so that any model can be asked, wherever it runs.
Rule 2: what is trained on and what is asked share no name, no value, no wording and no sum.
"""

from inferometer.tasks.make import (
    CountTokens,
    items_of_tokens,
    make_item,
    make_passage,
    n_facts_for,
    smallest_size,
)
from inferometer.tasks.passage import UNKNOWN_ANSWER, Item, Passage, Task, Turn, messages, prompt
from inferometer.tasks.score import copy_answer, is_abstention, is_right, majority_answer, plain
from inferometer.tasks.split import Split

__all__ = [
    "UNKNOWN_ANSWER",
    "CountTokens",
    "Item",
    "Passage",
    "Split",
    "Task",
    "Turn",
    "copy_answer",
    "is_abstention",
    "is_right",
    "items_of_tokens",
    "majority_answer",
    "make_item",
    "make_passage",
    "messages",
    "n_facts_for",
    "plain",
    "prompt",
    "smallest_size",
]
