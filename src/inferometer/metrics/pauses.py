# SPDX-License-Identifier: Apache-2.0
"""Stalls and pauses of each request: silences inside a stream, and the silence in which a stalled one was given up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inferometer.kinds import Outcome
from inferometer.metrics.rows import Mask
from inferometer.metrics.tokens import IntArray, TokenChunks, token_chunks, token_counts
from inferometer.records import NEVER, Array, Trace
from inferometer.stats import FloatArray
from inferometer.units import NS_PER_S

# A pause that a reader notices: longer than the laxest TPOT limit of MLPerf Inference (Llama-2-70B Server, 200 ms),
# and out of proportion to the stream that it interrupts.
STALL_S = 0.200
STALL_OVER_MEDIAN = 5.0
# Ends that a silence may have had; only of STALLED is it known that the silence was the cause.
_GIVEN_UP = (Outcome.STALLED, Outcome.DEADLINE, Outcome.RESET, Outcome.CENSORED, Outcome.CANCELLED)


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


def pauses(trace: Trace) -> Pauses:
    """A stall is a gap longer than max(200 ms, 5 x the request's median gap), or the silence that ended a request.

    The silence before a deadline, a reset, a cancellation or the end of the records is a gap like any other.
    """
    chunks = token_chunks(trace)
    gaps = np.nan_to_num(chunks.gaps_s)  # the first chunk of a request has none
    silence_s = _silence_s(trace)
    stalls, is_stall = _stalls(trace, gaps, silence_s)
    return Pauses(
        n_stalls=chunks.reduce(np.add, (stalls > 0).astype(np.float64), empty=0.0) + is_stall,
        stalled_s=chunks.reduce(np.add, stalls, empty=0.0) + np.where(is_stall, silence_s, 0.0),
        stream_s=chunks.reduce(np.add, gaps, empty=0.0) + silence_s,
        longest_s=np.maximum(chunks.reduce(np.maximum, gaps, empty=0.0), silence_s),
        n_tokens=chunks.reduce(np.add, np.nan_to_num(token_counts(trace).n_tokens), empty=0.0),
    )


def stalls_ended_ns(trace: Trace) -> IntArray:
    """The instants at which the stalls of all requests were over, in no order. Shapes: int64[n_stalls]."""
    chunks = token_chunks(trace)
    stalls, is_stall = _stalls(trace, np.nan_to_num(chunks.gaps_s), _silence_s(trace))
    return np.concatenate([chunks.t_ns[stalls > 0], trace.requests["t_end_ns"][is_stall]])


def _silence_s(trace: Trace) -> FloatArray:
    """From the last chunk to the instant a request was given up; 0 where it was not. Shapes: float64[n_requests]."""
    requests = trace.requests
    silence_s = (requests["t_end_ns"] - requests["t_last_content_ns"]) / NS_PER_S
    return np.where(_is_given_up(requests), silence_s, 0.0)


def _is_given_up(requests: Array) -> Mask:
    came = (requests["t_last_content_ns"] != NEVER) & (requests["t_end_ns"] != NEVER)
    return np.asarray(came & np.isin(requests["outcome"], _GIVEN_UP))


def _stalls(trace: Trace, gaps: FloatArray, silence_s: FloatArray) -> tuple[FloatArray, Mask]:
    """The gaps that are stalls, 0 elsewhere, and which requests ended in one. Shapes: float64[n], bool[n_requests]."""
    requests, chunks = trace.requests, token_chunks(trace)
    is_long = gaps > STALL_S
    limit = np.full(chunks.n_requests, STALL_S)
    has_long = (chunks.reduce(np.logical_or, is_long, empty=0.0) > 0) | (silence_s > STALL_S) & (chunks.n_chunks >= 2)
    limit[has_long] = np.maximum(STALL_S, STALL_OVER_MEDIAN * _median_gaps(chunks, has_long))
    stalls = np.where(is_long & (gaps > chunks.spread(limit)), gaps, 0.0)
    is_stall = _is_given_up(requests) & ((requests["outcome"] == Outcome.STALLED) | (silence_s > limit))
    return stalls, is_stall


def _median_gaps(chunks: TokenChunks, wanted: Mask) -> FloatArray:
    """Median gap of each wanted request, in the order of trace.requests. All of them have gaps."""
    picked = chunks.spread(wanted)
    picked[chunks.starts] = False
    rows, gaps = chunks.spread(np.arange(chunks.n_requests))[picked], chunks.gaps_s[picked]
    gaps = gaps[np.lexsort((gaps, rows))]
    n_gaps = chunks.n_chunks[wanted] - 1
    starts = np.cumsum(n_gaps) - n_gaps
    return np.asarray((gaps[starts + (n_gaps - 1) // 2] + gaps[starts + n_gaps // 2]) / 2)
