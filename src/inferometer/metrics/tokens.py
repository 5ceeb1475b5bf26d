# SPDX-License-Identifier: Apache-2.0
"""Token-bearing chunks as plain columns, and how many tokens each carried.

Rule 1: an event is not a token. Counts come from the event itself; else from the usage record, exactly where it equals
the number of events and spread evenly where it does not; `is_exact` keeps the two apart.
Rule 2: chunks of one request stand together, in the order of time, so that sums and maxima per request are one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from inferometer.kinds import TOKEN_BEARING
from inferometer.metrics.rows import Mask
from inferometer.metrics.samples import Samples
from inferometer.records import Trace, measured
from inferometer.stats import FloatArray
from inferometer.units import NS_PER_S

IntArray = npt.NDArray[np.int64]
_BEARS_TOKENS = np.isin(np.arange(256), [int(kind) for kind in TOKEN_BEARING])


@dataclass(frozen=True)
class TokenChunks:
    """The token-bearing chunks of a trace, ordered by request, then time.

    Shapes, per chunk [n]: `at` int64, position in trace.chunks; `t_ns` int64, receive stamp; `n_told` int16, -1 where
    the event does not tell. Per request that has any [k]: `starts` int64, its first chunk; `rows` int64, its row in
    trace.requests; `n_each` int64.
    """

    at: IntArray
    t_ns: IntArray
    n_told: npt.NDArray[np.int16]
    starts: IntArray
    rows: IntArray
    n_each: IntArray
    n_requests: int

    def spread(self, per_request: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A value of each request on all of its chunks. Shapes: [n_requests] -> [n]."""
        return np.repeat(per_request[self.rows], self.n_each)

    def reduce(self, ufunc: np.ufunc, per_chunk: npt.NDArray[Any], empty: float = np.nan) -> FloatArray:
        """`ufunc` over the chunks of each request; `empty` for requests without. Shapes: [n] -> float64[n_requests]."""
        reduced = np.full(self.n_requests, empty)
        if len(self.starts):
            reduced[self.rows] = ufunc.reduceat(per_chunk, self.starts)
        return reduced

    def since_first(self, per_chunk: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Each value less that of the first chunk of its request. Shapes: [n] -> [n]."""
        return np.asarray(per_chunk - np.repeat(per_chunk[self.starts], self.n_each))

    @cached_property
    def gaps_s(self) -> FloatArray:
        """Seconds since the chunk before; NaN for the first of each request. Shapes: float64[n]."""
        gaps = np.empty(len(self.t_ns))
        np.subtract(self.t_ns[1:], self.t_ns[:-1], out=gaps[1:])
        gaps /= NS_PER_S
        gaps[self.starts] = np.nan
        return gaps

    @cached_property
    def n_chunks(self) -> IntArray:
        """Token-bearing chunks of each request. Shapes: int64[n_requests]."""
        n_chunks = np.zeros(self.n_requests, np.int64)
        n_chunks[self.rows] = self.n_each
        return n_chunks


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """How many tokens each token-bearing chunk carried.

    Shapes: `n_tokens` float64[n]; `is_exact` bool[n_requests]: every event of the request has its own true count.
    `is_known` is False, and all of n_tokens NaN, where no answer of the whole trace tells anything.
    """

    n_tokens: FloatArray
    is_exact: Mask
    is_known: bool


class Indexed(Trace):
    """A trace that keeps what many metrics derive from it, each computed once."""

    @cached_property
    def token_chunks(self) -> TokenChunks:
        return _token_chunks(self)

    @cached_property
    def token_counts(self) -> TokenCounts:
        return _token_counts(self, self.token_chunks)


def indexed(trace: Trace) -> Indexed:
    """The same trace, able to keep derived columns, its requests with what metrics read of them."""
    if isinstance(trace, Indexed):
        return trace
    return Indexed(measured(trace.requests), trace.chunks, trace.samples.view(Samples), trace.meta)


def token_chunks(trace: Trace) -> TokenChunks:
    """The chunks that carry text, reasoning or tool calls."""
    return trace.token_chunks if isinstance(trace, Indexed) else _token_chunks(trace)


def token_counts(trace: Trace) -> TokenCounts:
    """Tokens per chunk: told by the event; else one each where usage equals the number of events; else usage spread.

    Answers without usage (failed, cut off) take the average tokens per event of the answers that have it.
    """
    return trace.token_counts if isinstance(trace, Indexed) else _token_counts(trace, _token_chunks(trace))


def row_of_id(trace: Trace) -> IntArray:
    """Row in trace.requests of each request id. Shapes: int64[largest id + 1]."""
    ids = trace.requests["id"]
    rows = np.zeros(int(ids.max(initial=-1)) + 1, np.int64)
    rows[ids] = np.arange(len(ids))
    return rows


def _token_chunks(trace: Trace) -> TokenChunks:
    chunks = trace.chunks
    at = np.flatnonzero(_BEARS_TOKENS[chunks["kind"].astype(np.uint8)])
    ids = chunks["request_id"][at]
    is_first = np.ones(len(at), bool)
    np.not_equal(ids[1:], ids[:-1], out=is_first[1:])
    starts = np.flatnonzero(is_first)
    return TokenChunks(
        at=at,
        t_ns=chunks["t_recv_ns"][at],
        n_told=chunks["n_tokens"][at],
        starts=starts,
        rows=row_of_id(trace)[ids[starts]],
        n_each=np.diff(np.append(starts, len(at))),
        n_requests=len(trace.requests),
    )


def _token_counts(trace: Trace, chunks: TokenChunks) -> TokenCounts:
    n_chunks, has_chunks = chunks.n_chunks, chunks.n_chunks > 0
    usage = trace.requests["n_output_tokens"].astype(np.float64)
    n_told = chunks.reduce(np.add, np.maximum(chunks.n_told, 0).astype(np.int32), empty=0.0)
    events_tell = (chunks.reduce(np.minimum, chunks.n_told, empty=-1.0) >= 0) & (n_told > 0)
    is_exact = events_tell | (has_chunks & (usage == n_chunks))
    is_known = events_tell | (has_chunks & (usage > 0))
    total = np.where(events_tell, n_told, usage)
    n_known = float(n_chunks[is_known].sum())
    average = float(total[is_known].sum()) / n_known if n_known else np.nan
    n_tokens = chunks.spread(np.where(is_known, total / np.maximum(n_chunks, 1), average))
    if events_tell.any():
        n_tokens = np.where(chunks.spread(events_tell), chunks.n_told, n_tokens)
    return TokenCounts(n_tokens, is_exact, bool(is_known.any()))
