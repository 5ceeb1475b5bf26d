# SPDX-License-Identifier: Apache-2.0
"""Token-bearing chunks as plain columns, and how many tokens each carried.

Rule: an event is not a token. Counts come from the event itself; else from the usage record, exactly where it equals
the number of events and spread evenly where it does not; `is_exact` keeps the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferometer.kinds import TOKEN_BEARING
from inferometer.metrics.rows import Mask
from inferometer.records import Trace
from inferometer.stats import FloatArray
from inferometer.units import NS_PER_S

IntArray = npt.NDArray[np.int64]
_BEARS_TOKENS = np.isin(np.arange(-128, 128).astype(np.int8), [int(kind) for kind in TOKEN_BEARING])


@dataclass(frozen=True, slots=True)
class TokenChunks:
    """The token-bearing chunks of a trace, ordered by request, then time.

    Shapes: `at`, `row`, `t_ns` int64[n]: position in trace.chunks, row in trace.requests, receive stamp.
    `is_first`: bool[n], begins its request. `n_told`: int64[n], -1 where the event does not tell.
    """

    at: IntArray
    row: npt.NDArray[np.int32]
    t_ns: IntArray
    is_first: Mask
    n_told: IntArray
    n_requests: int

    def gaps_s(self) -> FloatArray:
        """Seconds since the chunk before; NaN for the first of each request. Shapes: float64[n]."""
        gaps = np.full(len(self.t_ns), np.nan)
        gaps[1:] = np.diff(self.t_ns) / NS_PER_S
        gaps[self.is_first] = np.nan
        return gaps

    def per_request(self) -> IntArray:
        """Number of token-bearing chunks of each request. Shapes: int64[n_requests]."""
        return np.bincount(self.row, minlength=self.n_requests)


def chunk_rows(trace: Trace) -> npt.NDArray[np.int32]:
    """The row in trace.requests of each chunk. Shapes: int32[n_chunks]."""
    ids = trace.requests["id"]
    row_of = np.zeros(int(ids.max(initial=-1)) + 1, np.int32)
    row_of[ids] = np.arange(len(ids), dtype=np.int32)
    return np.asarray(row_of[trace.chunks["request_id"]])


def token_chunks(trace: Trace) -> TokenChunks:
    """Pick the chunks that carry text, reasoning or tool calls."""
    at = np.flatnonzero(_BEARS_TOKENS[trace.chunks["kind"].astype(np.int16) + 128])
    row = chunk_rows(trace)[at]
    is_first = np.ones(len(at), bool)
    is_first[1:] = np.diff(row) != 0
    t_ns, n_told = trace.chunks["t_recv_ns"][at], trace.chunks["n_tokens"][at].astype(np.int64)
    return TokenChunks(at, row, t_ns, is_first, n_told, len(trace.requests))


def sum_per_row(rows: npt.NDArray[np.int32], weights: npt.NDArray[Any] | None, n_rows: int) -> FloatArray:
    """Sum of the weights (None: the number) of the entries that belong to each row. Shapes: float64[n_rows]."""
    return np.bincount(rows, weights, n_rows).astype(np.float64)


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """How many tokens each token-bearing chunk carried.

    Shapes: `n_tokens` float64[n], NaN where nothing at all is known; `is_exact` bool[n_requests]: every event of the
    request has its own true count; `has_guess` says that some answers told nothing and took the others' average.
    """

    n_tokens: FloatArray
    is_exact: Mask
    has_guess: bool


def count_tokens(trace: Trace, chunks: TokenChunks) -> TokenCounts:
    """Tokens per chunk: told by the event; else one each where usage equals the number of events; else usage spread.

    Answers without usage (failed, cut off) take the average tokens per event of the answers that have it.
    """
    n_chunks = chunks.per_request()
    usage = trace.requests["n_output_tokens"].astype(np.float64)
    n_untold = sum_per_row(chunks.row, chunks.n_told < 0, chunks.n_requests)
    n_counted = sum_per_row(chunks.row, np.maximum(chunks.n_told, 0), chunks.n_requests)
    events_tell = (n_chunks > 0) & (n_untold == 0) & (n_counted > 0)
    is_exact = events_tell | ((n_chunks > 0) & (usage == n_chunks))
    is_known = events_tell | ((usage > 0) & (n_chunks > 0))
    total = np.where(usage > 0, usage, n_counted)
    n_known = float(n_chunks[is_known].sum())
    average = float(total[is_known].sum()) / n_known if n_known else np.nan
    per_event = np.where(is_known, total / np.maximum(n_chunks, 1), average)
    # The usage record is the total; an end token without text of its own is spread over the events that have some.
    scale = np.where(events_tell, total / np.maximum(n_counted, 1), 0.0)
    tells = events_tell[chunks.row]
    n_tokens = np.where(tells, chunks.n_told * scale[chunks.row], per_event[chunks.row])
    return TokenCounts(n_tokens, is_exact, bool((~is_known & (n_chunks > 0)).any()))
