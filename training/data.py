# SPDX-License-Identifier: Apache-2.0
"""Batches of training text: generated, never stored, a pure function of seed, index and progress.

Rule 1: a row is one context and several questions about it: each is another answer to learn from, nearly for nothing.
Rule 2: all rows of a batch are of one length, or a little shorter and padded; there are few lengths. Some batches are
a *course*.
Rule 3: short rows first. Where to look for an answer is found soon among 60 tokens, and hardly ever among 600.
Rule 4: no torch here, so that the process which generates ahead starts fast and takes no thread from training.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
from collections import deque
from dataclasses import dataclass, replace
from multiprocessing.process import parent_process
from random import Random
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from inferometer.embedded.words import PAD, SPECIALS
from inferometer.tasks import Item, Split, Task, make_passage
from training.drill import drill
from training.garble import Garbler
from training.tokenizer import Chat, encode_chat

Ints = npt.NDArray[np.int64]

TASKS = tuple(Task)
NOT_WANTED = -100  # what torch's cross entropy leaves out
PAD_ID = SPECIALS.index(PAD)

_N_AHEAD = 2  # courses
# Kernels are made anew for each shape of a matrix, which takes half as long as a step: so there are few shapes.
_WANTED_STEP = 32


@dataclass(frozen=True, slots=True)
class Diet:
    """What is fed, and when. Shares are shares of rows; lengths are in tokens; `*_at` are progress, 0..1."""

    n_tokens: int = 6144  # of a batch
    n_batches: int = 8  # of a course
    lengths: tuple[int, ...] = (64, 96, 144, 208, 304, 432, 608)  # of rows; the last is a prompt of 512 and then some
    n_first: int = 2  # how many of these there are at the beginning
    grow_from: float = 0.12
    grow_until: float = 0.55
    shares: tuple[float, ...] = (0.24, 0.10, 0.16, 0.32, 0.18)  # in the order of Task
    n_turns_most: int = 8
    garbled_share: float = 0.4  # of rows in which words are pieces of the vocabulary
    plain_share: float = 0.5  # of rows without the instruction in the beginning; none from `grow_until` on
    drill_alone: float = 0.035  # until then rows are drill and nothing else, and that of the easiest
    drill_hard: float = 0.12  # when drill has become as hard as it gets
    drill_until: float = 0.25  # when the last of it is fed

    def growth(self, progress: float) -> float:
        return min(1.0, max(0.0, (progress - self.grow_from) / (self.grow_until - self.grow_from)))

    def drilled(self, progress: float) -> float:
        """Share of rows that are drill."""
        return min(1.0, max(0.0, (self.drill_until - progress) / (self.drill_until - self.drill_alone)))

    def drill_level(self, progress: float) -> float:
        """How hard drill is, 0..1."""
        return min(1.0, max(0.0, (progress - self.drill_alone) / (self.drill_hard - self.drill_alone)))

    def rows(self, progress: float) -> tuple[int, ...]:
        """Lengths of rows now: the longer ones come one after the other."""
        n_more = len(self.lengths) - self.n_first
        return self.lengths[: self.n_first + round(n_more * self.growth(progress))]


@dataclass(frozen=True, slots=True)
class Batch:
    """`ids`: [rows, n], padded behind. At position `wanted[r, i]` of row r the next token is `targets[r, i]`, of the
    task with index `tasks[r, i]`; places left over have target NOT_WANTED."""

    n_longest: int
    ids: Ints
    wanted: Ints
    targets: Ints
    tasks: Ints


def pack(n_longest: int, chats: list[tuple[Task, Chat]], n_tokens: int | None = None) -> Batch:
    """Rows of one batch as arrays, `n_tokens` wide or as the longest asks for. Only the chats' answers are targets."""
    n_rows = len(chats)
    ids = np.full((n_rows, n_tokens or max(len(chat.ids) for _, chat in chats)), PAD_ID, np.int64)
    n_wanted = max(sum(end - begin for begin, end in chat.answers) for _, chat in chats)
    n_wanted = -(-n_wanted // _WANTED_STEP) * _WANTED_STEP
    wanted, tasks = np.zeros((n_rows, n_wanted), np.int64), np.zeros((n_rows, n_wanted), np.int64)
    targets = np.full((n_rows, n_wanted), NOT_WANTED, np.int64)
    for row, (task, chat) in enumerate(chats):
        ids[row, : len(chat.ids)] = chat.ids
        at = [i for begin, end in chat.answers for i in range(begin, end)]
        wanted[row, : len(at)] = np.array(at) - 1
        targets[row, : len(at)] = [chat.ids[i] for i in at]
        tasks[row, : len(at)] = TASKS.index(task)
    return Batch(n_longest, ids, wanted, targets, tasks)


def pack_items(tokenizer: Tokenizer, items: list[Item]) -> Batch:
    """Items with one question each, for a quick look at accuracy."""
    return pack(0, [(item.task, encode_chat(tokenizer, item.passage)) for item in items])


@dataclass(frozen=True, slots=True)
class _Cost:
    """How many tokens things take on average in one task: what is always there, a fact, a turn."""

    always: float
    fact: float
    turn: float


class Kitchen:
    """Makes batches. The same seed, diet, tokenizer, index and progress give the same batch."""

    def __init__(self, tokenizer: Tokenizer, seed: int, diet: Diet) -> None:
        self._tokenizer, self._seed, self._diet = tokenizer, seed, diet
        self._costs = {task: self._cost(task) for task in TASKS}
        self._garbler = Garbler(tokenizer)

    def course(self, index: int, progress: float) -> list[Batch]:
        """Batches of some lengths. Rows of a batch are of one length or shorter, and padded; their number follows."""
        diet, rng = self._diet, Random(f"course/{self._seed}/{index}")
        lengths = diet.rows(progress)
        batches = []
        for _ in range(diet.n_batches):
            n_long = rng.choice((*lengths, lengths[-1]))  # twice as often the longest
            rows: list[tuple[Task, Chat]] = []
            while len(rows) < diet.n_tokens // n_long:
                row = self._any_row(rng, n_long, progress)
                if len(row[1].ids) <= n_long:
                    rows.append(row)
            batches.append(pack(lengths[-1], rows, n_long))
        return batches

    def _any_row(self, rng: Random, n_long: int, progress: float) -> tuple[Task, Chat]:
        diet = self._diet
        if rng.random() < diet.drilled(progress):
            passage = drill(rng, n_long, diet.drill_level(progress))
            return passage.task, _until(encode_chat(self._tokenizer, passage), n_long)
        task = rng.choices(TASKS, diet.shares)[0]
        is_plain = rng.random() < diet.plain_share * (1.0 - diet.growth(progress))
        is_garbled = rng.random() < diet.garbled_share
        return task, self._row(task, rng, n_long, is_plain=is_plain, is_garbled=is_garbled)

    def _row(self, task: Task, rng: Random, n_long: int, *, is_plain: bool, is_garbled: bool) -> Chat:
        """A chat of at most `n_long` tokens, unless even its first turn has more."""
        n_facts, n_turns = self._size(task, rng, n_long)
        for _ in range(8):
            passage = make_passage(task, Split.TRAIN, rng, n_facts=n_facts, n_turns=n_turns)
            if is_plain:
                passage = replace(passage, instruction="")
            if is_garbled:
                passage = self._garbler.garble(rng, passage)
            chat = encode_chat(self._tokenizer, passage)
            if chat.answers[0][1] <= n_long:
                break
            n_facts = max(_smallest(task), n_facts * 3 // 4)
        return _until(chat, n_long)

    def _size(self, task: Task, rng: Random, n_long: int) -> tuple[int, int]:
        """Facts and turns that take about `n_long` tokens, rather a few more than a few less."""
        cost, most = self._costs[task], self._diet.n_turns_most
        room = max(0.0, n_long - cost.always) * 1.05
        if task is Task.ARITHMETIC:
            n_facts = int(rng.random() * room / cost.fact) if rng.random() < 0.3 else 0
            return n_facts, max(1, round((room - n_facts * cost.fact) / cost.turn))
        # From one turn and all the room for facts to nearly as many turns as facts.
        n_turns = 1 + int(rng.random() * (most if task is not Task.COPYING else most // 2))
        n_turns = max(1, min(n_turns, round(0.7 * room / cost.turn)))
        return max(_smallest(task), round((room - n_turns * cost.turn) / cost.fact)), n_turns

    def _cost(self, task: Task) -> _Cost:
        def mean(n_facts: int, n_turns: int) -> float:
            rng = Random(f"cost/{task}")
            made = (make_passage(task, Split.TRAIN, rng, n_facts=n_facts, n_turns=n_turns) for _ in range(48))
            return float(np.mean([len(encode_chat(self._tokenizer, passage).ids) for passage in made]))

        few, many, turns = mean(16, 1), mean(48, 1), mean(16, 3)
        fact, turn = (many - few) / 32, (turns - few) / 2
        return _Cost(few - 16 * fact - turn, fact, turn)


def _until(chat: Chat, n_long: int) -> Chat:
    """The turns that fit in `n_long` tokens; the first one even if it does not."""
    n_turns = max(1, sum(end <= n_long for _, end in chat.answers))
    return Chat(chat.ids[: chat.answers[n_turns - 1][1]], chat.answers[:n_turns])


def _smallest(task: Task) -> int:
    return 0 if task is Task.ARITHMETIC else 1


class Ahead:
    """Courses made by a process of its own, some ahead of their use, in the order asked for.

    `position` is all that a resumed run needs to go on with exactly the batches that it would have seen.
    """

    def __init__(self, tokenizer: Tokenizer, seed: int, diet: Diet, position: Position | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._requests: Any = context.Queue()
        self._courses: Any = context.Queue()
        self._position = position or Position(deque(), 0, 0)
        self._course: list[Batch] = []
        self._process = context.Process(
            target=_cook, args=(tokenizer.to_str(), seed, diet, self._requests, self._courses), daemon=True
        )
        self._process.start()
        for request in self._position.asked:
            self._requests.put(request)
        if self._position.n_taken:
            self._course = self._receive()

    def take(self, progress: float) -> Batch:
        """The next batch; courses that are asked for now are those of this progress."""
        at = self._position
        if self._course and at.n_taken == len(self._course):
            at.asked.popleft()
            at.n_taken = 0
        while len(at.asked) <= _N_AHEAD:
            at.asked.append((at.n_asked, progress))
            self._requests.put(at.asked[-1])
            at.n_asked += 1
        if at.n_taken == 0:
            self._course = self._receive()
        at.n_taken += 1
        return self._course[at.n_taken - 1]

    @property
    def position(self) -> Position:
        return replace(self._position, asked=deque(self._position.asked))

    def _receive(self) -> list[Batch]:
        while True:
            try:
                course: list[Batch] = self._courses.get(timeout=5)
            except queue.Empty:
                if not self._process.is_alive():
                    raise RuntimeError("the process that makes the batches has died; its error is above") from None
            else:
                return course

    def __enter__(self) -> Ahead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._requests.cancel_join_thread()
        self._process.terminate()
        self._process.join()


@dataclass(slots=True)
class Position:
    """Where in the data a run is. `asked`: index and progress of the course in use and of those asked for after it;
    `n_taken`: batches of the course in use that were taken; `n_asked`: courses asked for so far."""

    asked: deque[tuple[int, float]]
    n_taken: int
    n_asked: int


def _cook(tokenizer: str, seed: int, diet: Diet, requests: Any, courses: Any) -> None:
    """What the process does, until it is ended or its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    kitchen = Kitchen(Tokenizer.from_str(tokenizer), seed, diet)
    parent = parent_process()
    assert parent is not None
    while parent.is_alive():
        try:
            request = requests.get(timeout=5)
        except queue.Empty:
            continue
        courses.put(kitchen.course(*request))
