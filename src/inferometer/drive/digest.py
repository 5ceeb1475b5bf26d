# SPDX-License-Identifier: Apache-2.0
"""Answers decoded while a run lasts, a little at a time: each once, for whoever wants it.

Rule 1: `work` looks at the clock every few reads and stops in time, in mid-answer if need be. An answer of 4,000 tokens
takes some 20 ms, which is more than the loop may ever be away from its sockets.
Rule 2: memory is bounded. What nobody depends on is left out when too much waits; what nobody else will ever see, as
its bytes are not on disk, is decoded at once then, however late that makes the next read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from inferometer.drive.answer import Answer
from inferometer.drive.exchange import Finished
from inferometer.engines.engine import Dialect
from inferometer.kinds import Outcome

READS_PER_LOOK = 16  # between two looks at the clock: about 0.1 ms
MAX_WAITING = 64  # answers
ALL = 1 << 62
_NO_END_NS = 2**63


class Digest:
    """`add` what is over, `work` when there is time; `deliver` gets every answer that is through.

    n_wanted(finished): how many of its reads are to be decoded, 0 for none; asked once, when it is added.
    must_take_all: nothing may be left out, for its bytes are nowhere else.
    n_followed: of how many requests, from the first on, the reads are to be kept for it at all.
    """

    __slots__ = ("_answer", "_deliver", "_dialect", "_must_take_all", "_n_fed", "_n_wanted", "_waiting", "n_followed")

    def __init__(
        self,
        dialect: Dialect,
        n_wanted: Callable[[Finished], int],
        deliver: Callable[[Finished, Answer], None],
        *,
        must_take_all: bool,
        n_followed: int = ALL,
    ) -> None:
        self.n_followed = n_followed
        self._dialect = dialect
        self._n_wanted = n_wanted
        self._deliver = deliver
        self._must_take_all = must_take_all
        self._waiting: deque[tuple[Finished, int]] = deque()  # with the number of reads wanted
        self._answer: Answer | None = None  # of the first of them, once it is begun
        self._n_fed = 0

    @property
    def n_waiting(self) -> int:
        """Answers that are not through."""
        return len(self._waiting)

    @property
    def is_behind(self) -> bool:
        """So much waits that it should not wait for slack: a slice in every pass costs less than a whole answer."""
        if self.n_followed < ALL:  # a few first answers, which decide whether the run goes on
            return bool(self._waiting)
        return self._must_take_all and len(self._waiting) > MAX_WAITING // 2

    def add(self, finished: Finished) -> None:
        """Takes next to no time, unless too much waits and nothing may be left out."""
        n_wanted = self._n_wanted(finished)
        if not n_wanted:
            return
        self._waiting.append((finished, n_wanted))
        if len(self._waiting) <= MAX_WAITING:
            return
        if self._must_take_all:
            self._feed(len(self._waiting[0][0].reads or ()))
        else:
            self._drop_first()

    def work(self, until_ns: int, now_ns: Callable[[], int]) -> bool:
        """Decode until the clock shows `until_ns`, or nothing waits. Whether nothing does."""
        while self._waiting:
            if now_ns() >= until_ns:
                return False
            self._feed(READS_PER_LOOK)
        return True

    def finish(self) -> None:
        """The run is over: decode what nobody else will see, forget the rest."""
        if self._must_take_all:
            self.work(_NO_END_NS, lambda: 0)
        while self._waiting:
            self._drop_first()

    def _feed(self, n_reads: int) -> None:
        """The next reads of the first answer; hand it over if these were its last."""
        finished, n_wanted = self._waiting[0]
        if self._answer is None:
            self._answer, self._n_fed = Answer(self._dialect), 0
        reads, answer = finished.reads or [], self._answer
        stop = min(self._n_fed + n_reads, n_wanted)
        for i in range(self._n_fed, stop):
            answer.feed(reads[i][0], i)
        self._n_fed = stop
        if stop < n_wanted:
            return
        if finished.outcome is Outcome.OK and n_wanted == len(reads):
            answer.close(len(reads) - 1)
        self._drop_first()
        self._deliver(finished, answer)

    def _drop_first(self) -> None:
        self._waiting.popleft()
        self._answer = None
