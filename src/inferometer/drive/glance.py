# SPDX-License-Identifier: Apache-2.0
"""A look at answers while a run lasts: latencies of some of them, for whoever watches; the report has the real ones.

Rule: it decodes only as many answers as fit into a few percent of the time, so that watching a run does not change it.
"""

from __future__ import annotations

import math

from inferometer.drive.answer import Answer
from inferometer.drive.exchange import Finished
from inferometer.engines.engine import Dialect
from inferometer.kinds import TOKEN_BEARING, Outcome
from inferometer.units import NS_PER_S

MAX_READS_PER_S = 2_000  # that are decoded; one takes about 8 us
MAX_READS = 256  # of one answer; of a longer one only the beginning is decoded, for its TTFT

Latency = tuple[float, float]  # TTFT from due and time per output token, seconds; NaN: not known


class Glance:
    """`look` at every request that is over; some tell their latencies."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._second = 0
        self._n_reads_left = 0

    def look(self, finished: Finished) -> Latency | None:
        """None if it failed, bore no token, or there was no time for it."""
        if finished.outcome is not Outcome.OK or not finished.reads:
            return None
        if (second := finished.t_end_ns // NS_PER_S) != self._second:
            self._second, self._n_reads_left = second, MAX_READS_PER_S
        reads = finished.reads[:MAX_READS]
        self._n_reads_left -= len(reads)
        if self._n_reads_left < 0:
            return None
        answer = Answer(self._dialect)
        for i, (data, _, _) in enumerate(reads):
            answer.feed(data, i)
        stamps = [
            reads[read_id][1]
            for kind, read_id in zip(answer.kinds, answer.read_ids, strict=True)
            if kind in TOKEN_BEARING
        ]
        if not stamps:
            return None
        n_output = answer.n_output_tokens or 0
        is_timed = n_output > 1 and answer.is_streamed
        tpot_s = (stamps[-1] - stamps[0]) / (n_output - 1) / NS_PER_S if is_timed else math.nan
        return (stamps[0] - finished.t_due_ns) / NS_PER_S, tpot_s
