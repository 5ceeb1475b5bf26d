# SPDX-License-Identifier: Apache-2.0
"""The answers of a trace as other clients see them: when events of which kinds came, how they ended, what was counted.

Rule 1: same bytes, same instants. Arrivals are this client's receive stamps; another client's own delay, which can be
larger than any difference of definition, is not in what is computed here.
Rule 2: what the records do not hold raises Untold. Nothing is guessed.
Rule 3: covered are the main-phase requests that ended. What was still open when the records end has no counterpart in
tools that wait for every answer.

Readings of the records that no formula can check: a row of CHUNK is an event (one event with reasoning and answer text
makes two rows with one stamp); an `empty` row is an event with a choice; the other client understands the bytes at all
(some do not take line ends and spaces that the standard allows).
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inferometer.kinds import TOKEN_BEARING, ChunkKind, Outcome
from inferometer.metrics.rows import UNFINISHED, Mask, is_counted
from inferometer.records import NEVER, Array, Trace
from inferometer.stats import FloatArray
from inferometer.units import NS_PER_S

IntArray = npt.NDArray[np.int64]

CHOICE = (ChunkKind.ROLE, *TOKEN_BEARING, ChunkKind.EMPTY)  # events whose `choices` is not empty
JSON = (*CHOICE, ChunkKind.USAGE, ChunkKind.ERROR)  # events that hold JSON: neither a comment nor [DONE]

# `error` of a row whose HTTP message was whole and whose stream just stopped; a cut connection is told in other words.
WHOLE_BUT_SHORT = ("the stream ended without a finish reason", "the answer holds no token")
_BROKEN = (Outcome.HTTP_STATUS, Outcome.DNS, Outcome.TLS, Outcome.REFUSED, Outcome.RESET)


class Untold(Exception):
    """A formula asks for something that the records do not hold; the text says what."""


class _Seen(NamedTuple):
    """Events of some kinds, by request [n]: how many, the instants of the first and the last."""

    n_events: IntArray
    first_ns: IntArray
    last_ns: IntArray


class Answers:
    """The covered requests of a trace, and when events of which kinds came. Arrays are by request [n] unless said."""

    def __init__(self, trace: Trace) -> None:
        is_covered = is_counted(trace.requests) & ~np.isin(trace.requests["outcome"], UNFINISHED)
        self.requests: Array = trace.requests[is_covered]
        rows = np.full(int(trace.requests["id"].max(initial=-1)) + 1, -1)
        rows[self.requests["id"]] = np.arange(len(self.requests))
        self._rows = rows[trace.chunks["request_id"]]
        self._chunks = trace.chunks
        self._seen: dict[tuple[ChunkKind, ...], _Seen] = {}

    @property
    def is_streamed(self) -> bool:
        """No answer came in one piece."""
        came = self.requests["t_last_content_ns"] != NEVER
        return not bool((came & (self.requests["t_first_content_ns"] == NEVER)).any())

    @property
    def sent_ns(self) -> IntArray:
        return np.asarray(self.requests["t_sent_ns"])

    @property
    def end_ns(self) -> IntArray:
        return np.asarray(self.requests["t_end_ns"])

    @property
    def stream_end_ns(self) -> IntArray:
        """The end marker, where many stop to read; without one the end of the answer."""
        done_ns = self.first_ns(ChunkKind.DONE)
        return np.where(done_ns != NEVER, done_ns, self.end_ns)

    def has(self, *kinds: ChunkKind) -> Mask:
        """Whether an event of one of these kinds came."""
        return np.asarray(self.first_ns(*kinds) != NEVER)

    def n_events(self, *kinds: ChunkKind) -> IntArray:
        return self._see(kinds).n_events

    def first_ns(self, *kinds: ChunkKind) -> IntArray:
        """When the first event of these kinds came, NEVER where none did."""
        return self._see(kinds).first_ns

    def last_ns(self, *kinds: ChunkKind) -> IntArray:
        return self._see(kinds).last_ns

    def gaps_s(self, is_in: Mask, *kinds: ChunkKind) -> FloatArray:
        """Between one event of these kinds and the next of the same answer, over the answers of a mask. [n_gaps]"""
        rows, t_ns = self._events(kinds)
        is_gap = (rows[1:] == rows[:-1]) & is_in[rows[1:]]
        return np.asarray(np.diff(t_ns)[is_gap] / NS_PER_S)

    def _see(self, kinds: tuple[ChunkKind, ...]) -> _Seen:
        if kinds not in self._seen:
            rows, t_ns = self._events(kinds)
            n_requests = len(self.requests)
            first_ns, last_ns = np.full((2, n_requests), NEVER, np.int64)
            first_ns[rows[::-1]] = t_ns[::-1]  # of several, numpy keeps what is written last
            last_ns[rows] = t_ns
            self._seen[kinds] = _Seen(np.bincount(rows, minlength=n_requests), first_ns, last_ns)
        return self._seen[kinds]

    def _events(self, kinds: tuple[ChunkKind, ...]) -> tuple[IntArray, IntArray]:
        at = np.flatnonzero(np.isin(self._chunks["kind"], kinds) & (self._rows >= 0))
        return self._rows[at], np.asarray(self._chunks["t_recv_ns"][at])

    # How the answer ended, as far as a client sees it that does not ask for a finish reason

    @cached_property
    def is_whole(self) -> Mask:
        """The status was 200 and the HTTP message came to its proper end, whatever was in it."""
        outcome, error = self.requests["outcome"], self.requests["error"]
        is_short = (outcome == Outcome.TRUNCATED) & np.isin(error.astype(str), WHOLE_BUT_SHORT)
        is_told_error = (outcome == Outcome.ENGINE_ERROR) & self.has(ChunkKind.DONE)
        return np.asarray((outcome == Outcome.OK) | is_short | is_told_error)

    @cached_property
    def is_broken(self) -> Mask:
        """An error for any HTTP client: no connection, another status, a connection cut in mid-answer."""
        outcome = self.requests["outcome"]
        return np.asarray(np.isin(outcome, _BROKEN) | ((outcome == Outcome.TRUNCATED) & ~self.is_whole))

    def settled(self, if_whole: Mask, fails: Mask | None = None) -> Mask:
        """Successes: the whole answers of a mask. `fails`: those that the tool gives up, however they go on.

        Raises: Untold where an answer ended by this client's own limits or on broken bytes.
        """
        fails = np.zeros(len(self.requests), bool) if fails is None else fails
        n_unclear = int((~self.is_whole & ~self.is_broken & ~fails).sum())
        if n_unclear:
            raise Untold(f"how {n_unclear} of {len(self.requests)} answers would have ended for this client")
        return self.is_whole & if_whole & ~fails

    # Tokens

    @property
    def is_usage_told(self) -> Mask:
        """A count of output tokens came with some event."""
        return np.asarray((self.requests["t_usage_ns"] != NEVER) & (self.requests["n_output_tokens"] >= 0))

    @cached_property
    def tells_by_event(self) -> Mask:
        """Some event of the answer told how many tokens it held, by a running count or by token ids."""
        is_told = np.zeros(len(self.requests), bool)
        is_told[self._rows[(self._chunks["n_tokens"] >= 0) & (self._rows >= 0)]] = True
        return is_told

    def tokens(self, needed: Mask, is_told: Mask | None = None) -> FloatArray:
        """Output tokens by usage, NaN elsewhere. `is_told`: where the tool finds the count; default, wherever it came.

        Raises: Untold where a needed count is not told: the tool then counts the text with the model's tokenizer.
        """
        is_told = self.is_usage_told if is_told is None else is_told & self.is_usage_told
        n_untold = int((needed & ~is_told).sum())
        if n_untold:
            raise Untold(f"text and tokenizer of {n_untold} of {int(needed.sum())} answers, for which it sees no usage")
        return np.where(is_told, self.requests["n_output_tokens"], np.nan).astype(np.float64)

    # The run

    def span_s(self, ends_ns: IntArray, is_in: Mask | None = None) -> float:
        """From the first request sent to the last end.

        Raises: Untold for a trace of several repeats, or of no length.
        """
        n_trials = len(np.unique(self.requests["trial"]))
        if n_trials > 1:
            raise Untold(f"one run; these are {n_trials} repeats")
        known = (self.sent_ns != NEVER) & (ends_ns != NEVER)
        known = known if is_in is None else known & is_in
        if not known.any() or not (span_ns := int(ends_ns[known].max() - self.sent_ns[known].min())):
            raise Untold("a span from the first request sent to the last end")
        return span_ns / NS_PER_S


def seconds(earlier_ns: IntArray, later_ns: IntArray, is_in: Mask) -> FloatArray:
    """From one instant to another, NaN outside of the mask and where either did not come. Shapes: [n] -> float64[n]."""
    known = is_in & (earlier_ns != NEVER) & (later_ns != NEVER)
    return np.where(known, (later_ns - earlier_ns) / NS_PER_S, np.nan)


def per_token(elapsed_s: FloatArray, n_tokens: FloatArray) -> FloatArray:
    """Divided by a number of tokens, NaN where that is not positive. Shapes: [n], [n] -> float64[n]."""
    is_defined = n_tokens > 0
    return np.where(is_defined, elapsed_s / np.where(is_defined, n_tokens, 1.0), np.nan)


def one(value: float) -> FloatArray:
    """A number of the whole run."""
    return np.array([value], np.float64)
