# SPDX-License-Identifier: Apache-2.0
"""The live view of a run on stderr: a panel on a terminal, a plain line now and then elsewhere.

Its numbers are medians over the latest finished requests; the report has the real ones. Only a panel has them: where
nobody looks, nothing is decoded while the run lasts.
"""

from __future__ import annotations

import math
import shutil
import sys
from bisect import insort
from collections import deque
from typing import TextIO

from inferometer.drive.progress import Progress
from inferometer.report.panel import PanelFacts, panel_lines, plain_line, redraw, start_line

PLAIN_EVERY_S = 5.0
PLAIN_WIDTH = 200
N_LATEST = 101  # requests the medians are over


class Silent:
    """For --quiet."""

    wants_latencies = False

    def say(self, text: str) -> None:
        pass

    def on_start(self, waited_s: float, last_line: str) -> None:
        pass

    def on_progress(self, progress: Progress) -> None:
        pass

    def close(self) -> None:
        pass


class Live:
    """Draws on `stream`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._n_lines = 0
        self._next_plain = (0, 0.0)  # trial, and seconds into it
        self._next_start_s = PLAIN_EVERY_S
        self._ttft = _Median()
        self._tpot = _Median()

    @property
    def wants_latencies(self) -> bool:
        return self._is_terminal

    def say(self, text: str) -> None:
        self._wipe()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def on_start(self, waited_s: float, last_line: str) -> None:
        if self._is_terminal:
            line = start_line(waited_s, last_line, shutil.get_terminal_size().columns)
            self._stream.write(redraw([line], self._n_lines))
            self._n_lines = 1
        elif waited_s >= self._next_start_s:
            self._next_start_s = waited_s + PLAIN_EVERY_S
            self._stream.write(start_line(waited_s, last_line, PLAIN_WIDTH) + "\n")
        self._stream.flush()

    def on_progress(self, progress: Progress) -> None:
        for ttft_s, tpot_s in progress.latest:
            self._ttft.add(ttft_s)
            self._tpot.add(tpot_s)
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
    """Median of the latest values that are known."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, value: float) -> None:
        if math.isnan(value):
            return
        self._latest.append(value)
        insort(self._sorted, value)
        if len(self._latest) > N_LATEST:
            self._sorted.remove(self._latest.popleft())

    def value(self) -> float | None:
        return self._sorted[len(self._sorted) // 2] if self._sorted else None


def make_observer(*, is_quiet: bool) -> Live | Silent:
    return Silent() if is_quiet else Live(sys.stderr)
