# SPDX-License-Identifier: Apache-2.0
"""Questions about long prompts: a list and what stands in it, twins that differ in one part, and prompts that were cut.

Rule 1: everything is made of `tasks`, held out from training, so that the answers of any model can be checked.
Rule 2: lengths are aimed at by the words of such prompts, whose cost is calibrated; what they really have, the server
    says with each answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from inferometer.analysis.cutting import STRATEGIES
from inferometer.analysis.reach import PARTS, PartName
from inferometer.probes.bench import Question
from inferometer.probes.explain.filler import Counting
from inferometer.tasks import Passage, Split, Task, make_item, make_passage, prompt

DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
ANSWER_TOKENS = 16  # five digits or three syllables, with room
TWIN_TOKENS = 24  # more than an answer: what follows it tells two prompts apart, too
_SIZES = (12, 60)  # facts of the prompts by which it is learned how many tokens a fact takes
_N_SAMPLES = 4
_WIDTH = 8  # a part is an eighth of the list
_STARTS = {"head": 0.0, "middle": 7 / 16, "tail": 7 / 8}  # of the parts, as shares of the list


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many facts make so many tokens, on average."""

    n_fixed: float
    per_fact: float

    def n_facts(self, n_tokens: float) -> int:
        return max(1, int((n_tokens - self.n_fixed) / self.per_fact))


def learn_sizes(count: Counting, seed: int) -> Sizes | None:
    """None if the server does not count."""
    means = []
    for n_facts in _SIZES:
        counts = [
            count.count(make_item(Task.RETRIEVAL, Split.HELD_OUT, seed, i, n_facts=n_facts).prompt)
            for i in range(_N_SAMPLES)
        ]
        told = [n for n in counts if n is not None]
        if len(told) < len(counts):
            return None
        means.append(sum(told) / len(told))
    per_fact = (means[1] - means[0]) / (_SIZES[1] - _SIZES[0])
    return Sizes(means[0] - _SIZES[0] * per_fact, max(per_fact, 0.1))


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, its right answer, and where in the list that stands."""

    question: Question
    answer: str
    depth: float


def by_depth(n_facts: int, n_each: int, seed: int, i_first: int) -> list[Asked]:
    """So many questions at each depth."""
    found = []
    for i in range(n_each * len(DEPTHS)):
        depth = DEPTHS[i % len(DEPTHS)]
        item = make_item(Task.RETRIEVAL, Split.HELD_OUT, seed, i_first + i, n_facts=n_facts, depth=depth)
        found.append(Asked(Question(item.prompt, ANSWER_TOKENS), item.answer, depth))
    return found


@dataclass(frozen=True, slots=True)
class Twins:
    """Two prompts that differ in one part, in which stands what both ask for. `answers`: the two code words."""

    part: PartName
    questions: tuple[Question, Question]
    answers: tuple[str, str]


def twins_of(n_facts: int, n_pairs: int, seed: int) -> list[Twins]:
    """So many pairs for each part of the list."""
    return [_twins(name, n_facts, Random(f"twins/{seed}/{name}/{i}")) for name in PARTS for i in range(n_pairs)]


def _twins(part: PartName, n_facts: int, rng: Random) -> Twins:
    """Lines of a part are exchanged for spare ones; the one asked for keeps its key and gets another value."""
    n_part = max(1, n_facts // _WIDTH)
    start = int(_STARTS[part] * n_facts)
    asked = start + n_part // 2
    passage = _list_of(n_facts + n_part, asked, rng)
    head, *lines = passage.context.split("\n")
    mine, spare = lines[:n_facts], lines[n_facts:]
    value = passage.turns[0].answer
    other = spare[asked - start].split()[-1]
    theirs = [*mine[:start], *spare, *mine[start + n_part :]]
    theirs[asked] = mine[asked].removesuffix(value) + other
    first, second = (Question(prompt(_with_lines(passage, [head, *one])), TWIN_TOKENS) for one in (mine, theirs))
    return Twins(part, (first, second), (value, other))


def _list_of(n_facts: int, asked: int, rng: Random) -> Passage:
    """A list of one fact a line, asked about that fact."""
    while True:
        depth = asked / (n_facts - 1) if n_facts > 1 else 0.0
        passage = make_passage(Task.RETRIEVAL, Split.HELD_OUT, rng, n_facts=n_facts, depth=depth)
        if passage.context.count("\n") == n_facts:
            return passage


def _with_lines(passage: Passage, lines: list[str]) -> Passage:
    return Passage(passage.instruction, "\n".join(lines), passage.turns, passage.task)


def to_cut(n_facts: int, n_questions: int, seed: int) -> list[Asked]:
    """Questions whose answers lie anywhere."""
    items = [make_item(Task.RETRIEVAL, Split.HELD_OUT, seed, i, n_facts=n_facts) for i in range(n_questions)]
    return [Asked(Question(item.prompt, ANSWER_TOKENS), item.answer, item.depth or 0.0) for item in items]


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
