# SPDX-License-Identifier: Apache-2.0
"""A look at answers while a run lasts: latencies of some of them, for whoever watches; the report has the real ones.

Rule: it decodes only as many answers as fit into a few percent of the time, so that watching a run does not change it.
"""

from __future__ import annotations

import math

from inferometer.drive.answer import Answer
from inferometer.drive.exchange import Finished
from inferometer.kinds import TOKEN_BEARING, Outcome
from inferometer.units import NS_PER_S

MAX_READS_PER_S = 2_000  # that are decoded; one takes about 8 us
MAX_READS = 256  # of one answer; of a longer one only the beginning is decoded, for its TTFT

Latency = tuple[float, float]  # TTFT from due and time per output token, seconds; NaN: not known


class Glance:
    """How much of each answer is to be decoded."""

    def __init__(self) -> None:
        self._second = 0
        self._n_reads_left = 0

    def n_wanted(self, finished: Finished) -> int:
        """Reads to decode of a request that is over: 0 if it failed, or there is no time for it."""
        if finished.outcome is not Outcome.OK or not finished.reads:
            return 0
        if (second := finished.t_end_ns // NS_PER_S) != self._second:
            self._second, self._n_reads_left = second, MAX_READS_PER_S
        n_reads = min(len(finished.reads), MAX_READS)
        self._n_reads_left -= n_reads
        return n_reads if self._n_reads_left >= 0 else 0


def latency_of(finished: Finished, answer: Answer) -> Latency | None:
    """What an answer, or its beginning, tells; None if it failed or bore no token."""
    reads = finished.reads
    if finished.outcome is not Outcome.OK or not reads:
        return None
    bearing = [read_id for kind, read_id in zip(answer.kinds, answer.read_ids, strict=True) if kind in TOKEN_BEARING]
    if not bearing:
        return None
    t_first_ns, t_last_ns = reads[bearing[0]][1], reads[bearing[-1]][1]
    n_output = answer.n_output_tokens or 0
    is_timed = n_output > 1 and answer.is_streamed
    tpot_s = (t_last_ns - t_first_ns) / (n_output - 1) / NS_PER_S if is_timed else math.nan
    return (t_first_ns - finished.t_due_ns) / NS_PER_S, tpot_s
