# SPDX-License-Identifier: Apache-2.0
"""Stalls and pauses of each request: silences inside a stream, and the silence in which a stalled one was given up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inferometer.kinds import Outcome
from inferometer.metrics.rows import Mask
from inferometer.metrics.tokens import TokenChunks, count_tokens, sum_per_row
from inferometer.records import NEVER, Trace
from inferometer.stats import FloatArray
from inferometer.units import NS_PER_S

# A pause that a reader notices: longer than the laxest TPOT limit of MLPerf Inference (Llama-2-70B Server, 200 ms),
# and out of proportion to the stream that it interrupts.
STALL_S = 0.200
STALL_OVER_MEDIAN = 5.0


@dataclass(frozen=True, slots=True)
class Pauses:
    """Per request, float64[n_requests] each; NaN or 0 where nothing was streamed.

    `n_stalls`, `stalled_s`: gaps that count as stalls, and their sum; `stream_s`: first to last chunk (to the
    end, if it was given up in silence); `longest_s`: the longest gap; `n_tokens`: tokens received.
    """

    n_stalls: FloatArray
    stalled_s: FloatArray
    stream_s: FloatArray
    longest_s: FloatArray
    n_tokens: FloatArray

    def of(self, rows: npt.NDArray[np.intp]) -> Pauses:
        """The same for some of the requests."""
        return Pauses(
            self.n_stalls[rows], self.stalled_s[rows], self.stream_s[rows], self.longest_s[rows], self.n_tokens[rows]
        )


def pauses(trace: Trace, chunks: TokenChunks) -> Pauses:
    """A stall is a gap longer than max(200 ms, 5 x the request's median gap), or the silence that ended a request."""
    requests, n = trace.requests, chunks.n_requests
    gaps, rows = chunks.gaps_s()[~chunks.is_first], chunks.row[~chunks.is_first]
    is_long = gaps > STALL_S
    limit = np.full(n, STALL_S)
    suspects = np.bincount(rows[is_long], minlength=n) > 0
    limit[suspects] = np.maximum(STALL_S, STALL_OVER_MEDIAN * _medians(gaps, rows, suspects))
    is_stall = is_long & (gaps > limit[rows])
    n_stalls = sum_per_row(rows[is_stall], None, n)
    stalled_s = sum_per_row(rows[is_stall], gaps[is_stall], n)
    stream_s = sum_per_row(rows, gaps, n)
    longest_s = np.zeros(n)
    np.maximum.at(longest_s, rows, gaps)
    given_up = (requests["outcome"] == Outcome.STALLED) & (requests["t_last_content_ns"] != NEVER)
    silence_s = np.where(given_up, (requests["t_end_ns"] - requests["t_last_content_ns"]) / NS_PER_S, 0.0)
    n_tokens = sum_per_row(chunks.row, np.nan_to_num(count_tokens(trace, chunks).n_tokens), n)
    return Pauses(
        n_stalls + given_up, stalled_s + silence_s, stream_s + silence_s, np.maximum(longest_s, silence_s), n_tokens
    )


def _medians(gaps: FloatArray, rows: npt.NDArray[np.int32], wanted: Mask) -> FloatArray:
    """Median gap of the wanted requests, in the order of their rows."""
    picked = wanted[rows]
    rows, gaps = rows[picked], gaps[picked]
    gaps = gaps[np.lexsort((gaps, rows))]
    n_gaps = np.bincount(rows, minlength=len(wanted))[wanted]
    starts = np.cumsum(n_gaps) - n_gaps
    return np.asarray((gaps[starts + (n_gaps - 1) // 2] + gaps[starts + n_gaps // 2]) / 2)
