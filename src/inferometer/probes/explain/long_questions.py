# SPDX-License-Identifier: Apache-2.0
"""Questions about long prompts: a list and what stands in it, twins that differ in one part, and prompts that were cut.

Rule 1: everything is made of `tasks`, held out from training, so that the answers of any model can be checked.
Rule 2: how many tokens a prompt has is reckoned, to a few per cent; what it really had, its answer says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count as count_up
from random import Random

import numpy as np

from inferometer.analysis.cutting import STRATEGIES
from inferometer.analysis.reach import PARTS, PartName
from inferometer.probes.bench import Question
from inferometer.probes.explain.filler import Counting
from inferometer.tasks import CountTokens, Passage, Split, Task, items_of_tokens, make_item, make_passage, prompt

DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
ANSWER_TOKENS = 16  # five digits or three syllables, with room
TWIN_TOKENS = 24  # more than an answer: what follows it tells two prompts apart, too
_SIZES = (12, 60)  # facts of the prompts by which it is learned what tokens are made of
_N_SAMPLES = 4
_WIDTH = 8  # a part is an eighth of the list
_FEWEST = 8  # facts of a list that has parts
_STARTS = {"head": 0.0, "middle": 7 / 16, "tail": 7 / 8}  # of the parts, as shares of the list


def counter_of(count: Counting, seed: int) -> CountTokens | None:
    """Reckons the tokens of texts like ours by their words, letters and digits, weighed by what the server counted of a
    few: asking it of every text would take longer than the questions. None if the server does not count."""
    items = [make_item(Task.RETRIEVAL, Split.HELD_OUT, seed, i, n_facts=n) for i in range(_N_SAMPLES) for n in _SIZES]
    counts = [count.count(item.prompt) for item in items]
    told = [n for n in counts if n is not None]
    if len(told) < len(counts):
        return None
    weights, *_ = np.linalg.lstsq(np.array([_features(item.prompt) for item in items]), np.array(told), rcond=None)
    return lambda text: round(float(np.dot(_features(text), weights)))


def _features(text: str) -> list[float]:
    return [
        1.0,
        float(len(text.split())),
        float(len(re.findall(r"[^\W\d]", text))),
        float(len(re.findall(r"\d", text))),
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, its right answer, and where in the list that stands."""

    question: Question
    answer: str
    depth: float


def by_depth(n_tokens: int, n_questions: int, seed: int, count: CountTokens) -> list[Asked]:
    """Questions of at most so many tokens, at each depth in turn."""
    return _asked(n_tokens, n_questions, seed, count, DEPTHS)


def anywhere(n_tokens: int, n_questions: int, seed: int, count: CountTokens) -> list[Asked]:
    """The same where the answer may lie at any depth."""
    return _asked(n_tokens, n_questions, seed, count, (None,))


def _asked(
    n_tokens: int, n_questions: int, seed: int, count: CountTokens, depths: Sequence[float | None]
) -> list[Asked]:
    items = items_of_tokens(
        Task.RETRIEVAL, Split.HELD_OUT, seed, n_questions, n_tokens=n_tokens, count=count, depths=depths
    )
    return [
        Asked(Question(item.prompt, ANSWER_TOKENS), item.answer, depths[i % len(depths)] or 0.0)
        for i, item in enumerate(items)
    ]


@dataclass(frozen=True, slots=True)
class Twins:
    """Two prompts that differ in one part, in which stands what both ask for. `answers`: the two code words."""

    part: PartName
    questions: tuple[Question, Question]
    answers: tuple[str, str]


def twins_of(n_tokens: int, n_pairs: int, seed: int, count: CountTokens) -> list[Twins]:
    """So many pairs for each part of the list, of at most so many tokens."""
    return [_fitted(name, n_tokens, f"twins/{seed}/{name}/{i}", count) for name in PARTS for i in range(n_pairs)]


def _fitted(part: PartName, n_tokens: int, seed: str, count: CountTokens) -> Twins:
    """The longest that fits, of the sizes tried; the shortest where none does.

    Lists of neighbouring sizes differ in tokens by more than a fact has, so that no size may be just right: one that
    was tried before ends the trying.
    """
    n_facts, tried = _FEWEST, dict[int, tuple[int, Twins]]()
    while n_facts not in tried:
        twins = _twins(part, n_facts, seed)
        length = max(count(question.prompt) for question in twins.questions)
        tried[n_facts] = length, twins
        n_more = math.floor(n_facts * (n_tokens - length) / length)  # at least one less where it is too long
        n_facts = max(_FEWEST, n_facts + n_more)
    fitting = [n for n, (length, _) in tried.items() if length <= n_tokens]
    return tried[max(fitting) if fitting else min(tried)][1]


def _twins(part: PartName, n_facts: int, seed: str) -> Twins:
    """Lines of a part are exchanged for spare ones; the one asked for keeps its key and gets another value."""
    n_part = n_facts // _WIDTH
    start = int(_STARTS[part] * n_facts)
    asked = start + n_part // 2
    passage = _list_of(n_facts + n_part, asked, seed)
    head, *lines = passage.context.split("\n")
    mine, spare = lines[:n_facts], lines[n_facts:]
    value, other = passage.turns[0].answer, spare[asked - start].split()[-1]
    theirs = [*mine[:start], *spare, *mine[start + n_part :]]
    theirs[asked] = mine[asked].removesuffix(value) + other
    first, second = (Question(prompt(_with_lines(passage, [head, *one])), TWIN_TOKENS) for one in (mine, theirs))
    return Twins(part, (first, second), (value, other))


def _list_of(n_facts: int, asked: int, seed: str) -> Passage:
    """A list of one fact a line, asked about that fact; of the same kind whatever its size."""
    for i in count_up():
        rng = Random(f"{seed}/{i}")
        passage = make_passage(Task.RETRIEVAL, Split.HELD_OUT, rng, n_facts=n_facts, depth=asked / (n_facts - 1))
        if passage.context.count("\n") == n_facts:
            return passage
    raise AssertionError("half of all lists have a line for each fact")


def _with_lines(passage: Passage, lines: list[str]) -> Passage:
    return Passage(passage.instruction, "\n".join(lines), passage.turns, passage.task)


def cut(text: str, share: float, strategy: str) -> str:
    """So much of a text, by its words, blanks and line ends kept."""
    n_kept = max(1, int(len(text) * share))
    head, tail = text[:n_kept].rpartition(" ")[0], text[-n_kept:].partition(" ")[2]
    if strategy == STRATEGIES[0]:
        return head
    if strategy == STRATEGIES[1]:
        return tail
    n_half = n_kept // 2
    return text[:n_half].rpartition(" ")[0] + "\n" + text[-n_half:].partition(" ")[2]
