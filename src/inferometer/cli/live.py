# SPDX-License-Identifier: Apache-2.0
"""The live view of a run on stderr: a panel on a terminal, a plain line now and then elsewhere.

Its numbers are medians over the latest finished requests; the report has the real ones. It decodes only as many answers
as fit into a few percent of the time, so that watching a run does not change it.
"""

from __future__ import annotations

import shutil
import sys
from bisect import insort
from collections import deque
from typing import TextIO

from inferometer.drive.answer import Answer
from inferometer.drive.exchange import Finished
from inferometer.drive.progress import Progress
from inferometer.engines.engine import Dialect
from inferometer.kinds import TOKEN_BEARING, Outcome
from inferometer.report.panel import PanelFacts, panel_lines, plain_line, redraw
from inferometer.units import NS_PER_S

PLAIN_EVERY_S = 5.0
MAX_READS_PER_S = 2_000  # that are decoded; one takes about 8 us
MAX_READS = 256  # of one answer; of a longer one only the beginning is decoded, for its TTFT
N_LATEST = 101  # requests the medians are over


class Silent:
    """For --quiet."""

    def say(self, text: str) -> None:
        pass

    def begin(self, dialect: Dialect) -> None:
        pass

    def on_finished(self, finished: Finished) -> None:
        pass

    def on_progress(self, progress: Progress) -> None:
        pass

    def close(self) -> None:
        pass


class Live:
    """Draws on `stream`; `begin` tells how answers are to be read."""

    def __init__(self, stream: TextIO, dialect: Dialect | None = None) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._dialect = dialect
        self._n_lines = 0
        self._next_plain = (0, 0.0)  # trial, and seconds into it
        self._second = 0
        self._n_reads_left = 0
        self._ttft = _Median()
        self._tpot = _Median()

    def say(self, text: str) -> None:
        self._wipe()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def begin(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def on_finished(self, finished: Finished) -> None:
        if finished.outcome is not Outcome.OK or self._dialect is None or not finished.reads:
            return
        if (second := finished.t_end_ns // NS_PER_S) != self._second:
            self._second, self._n_reads_left = second, MAX_READS_PER_S
        reads = finished.reads[:MAX_READS]
        self._n_reads_left -= len(reads)
        if self._n_reads_left < 0:
            return
        answer = Answer(self._dialect)
        for i, (data, _, _) in enumerate(reads):
            answer.feed(data, i)
        stamps = [
            reads[read_id][1]
            for kind, read_id in zip(answer.kinds, answer.read_ids, strict=True)
            if kind in TOKEN_BEARING
        ]
        if stamps:
            self._ttft.add((stamps[0] - finished.t_due_ns) / NS_PER_S)
            n_output = answer.n_output_tokens or 0
            if n_output > 1 and answer.is_streamed:
                self._tpot.add((stamps[-1] - stamps[0]) / (n_output - 1) / NS_PER_S)

    def on_progress(self, progress: Progress) -> None:
        facts = PanelFacts(
            progress.stage,
            progress.trial,
            progress.n_trials,
            progress.elapsed_s,
            progress.remaining_s,
            progress.n_in_flight,
            progress.n_done,
            progress.n_failed,
            progress.n_done / progress.elapsed_s if progress.elapsed_s > 0 else 0.0,
            self._ttft.value(),
            self._tpot.value(),
            progress.last_error,
        )
        if self._is_terminal:
            lines = panel_lines(facts, shutil.get_terminal_size().columns)
            self._stream.write(redraw(lines, self._n_lines))
            self._n_lines = len(lines)
        elif (progress.trial, progress.elapsed_s) >= self._next_plain:
            self._next_plain = (progress.trial, progress.elapsed_s + PLAIN_EVERY_S)
            self._stream.write(plain_line(facts) + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._wipe()
        self._stream.flush()

    def _wipe(self) -> None:
        if self._n_lines:
            self._stream.write(redraw([], self._n_lines))
            self._n_lines = 0


class _Median:
    """Median of the latest values."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, value: float) -> None:
        self._latest.append(value)
        insort(self._sorted, value)
        if len(self._latest) > N_LATEST:
            self._sorted.remove(self._latest.popleft())

    def value(self) -> float | None:
        return self._sorted[len(self._sorted) // 2] if self._sorted else None


def make_observer(*, is_quiet: bool) -> Live | Silent:
    return Silent() if is_quiet else Live(sys.stderr)
