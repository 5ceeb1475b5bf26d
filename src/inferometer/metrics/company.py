# SPDX-License-Identifier: Apache-2.0
"""What else an engine was doing while a stream waited for its next tokens: out of the records alone.

    n_decoding   streams that had their first token and not yet their last, this one included: mean
    n_context    prompt and answer so far of all of these, in tokens: mean
    n_prefilled  prompt tokens of others that were computed meanwhile: sum
    n_attended   pairs of such a token and one before it in its prompt: sum
    n_arrived    requests of others that were sent meanwhile: number

Means are over the time of a gap, and over the gaps of a span; all instants are those at which tokens came.
Rule 1: a prompt is computed from when the server began it (by its own clock; else from the first token of anybody after
it was sent, for an iteration under way takes nobody in) to its first token, evenly.
Rule 2: what the server had in its cache was not computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.metrics.rows import Mask
from inferometer.metrics.tokens import IntArray, token_chunks, token_counts
from inferometer.records import NEVER, Array, Trace
from inferometer.stats import FloatArray
from inferometer.units import NS_PER_S

SPAN_TOKENS = 8  # gaps are joined to spans of so many: the wakings of two processes then weigh an eighth


@dataclass(frozen=True, slots=True)
class Spans:
    """Stretches of streams, from one token to a later one. Shapes: [n] each.

    `rows`: of trace.requests; `t_start_ns`, `t_end_ns`; `n_tokens`: that came in it, the one at its start not;
    `n_decoding`, `n_context`, `n_prefilled`, `n_attended`, `n_arrived`: as above; `n_doublings`: mean of
    log2 of n_decoding.
    """

    rows: IntArray
    t_start_ns: IntArray
    t_end_ns: IntArray
    n_tokens: FloatArray
    n_decoding: FloatArray
    n_context: FloatArray
    n_prefilled: FloatArray
    n_attended: FloatArray
    n_arrived: FloatArray
    n_doublings: FloatArray

    @property
    def seconds(self) -> FloatArray:
        return np.asarray((self.t_end_ns - self.t_start_ns) / NS_PER_S)

    def of(self, which: Mask | Array | slice) -> Spans:
        """Some of them."""
        return Spans(*(getattr(self, name)[which] for name in Spans.__slots__))


@dataclass(frozen=True, slots=True)
class Prefills:
    """Prompts that were computed. Shapes: [n] each. `is_told`: the beginning is by the server's own clock.
    `n_attended`: pairs of a token that was computed and one before it."""

    rows: IntArray
    t_begun_ns: IntArray
    t_first_ns: IntArray
    n_tokens: FloatArray
    n_attended: FloatArray
    is_told: Mask


class Course:
    """Something that changes at instants and is constant between: its integral from its beginning to any instant."""

    def __init__(self, t_ns: Array, steps: FloatArray) -> None:
        """`steps`: by how much it changes at t_ns. Shapes: [n] each."""
        order = np.argsort(t_ns, kind="stable")
        self._t_ns = t_ns[order].astype(np.float64)
        self._level = np.cumsum(steps[order])
        spans = np.diff(self._t_ns, append=self._t_ns[-1:])
        self._integral = np.concatenate([[0.0], np.cumsum(self._level * spans)[:-1]]) if len(order) else np.zeros(0)

    def at(self, t_ns: Array) -> FloatArray:
        """Its level just after an instant."""
        if not len(self._t_ns):
            return np.zeros(len(t_ns))
        before = np.searchsorted(self._t_ns, t_ns, side="right")
        return np.where(before > 0, self._level[np.maximum(before - 1, 0)], 0.0)

    def between(self, t_start_ns: Array, t_end_ns: Array) -> FloatArray:
        """Level times time in ns, summed."""
        if not len(self._t_ns):
            return np.zeros(len(t_start_ns))
        return np.asarray(self._until(t_end_ns) - self._until(t_start_ns))

    def _until(self, t_ns: Array) -> FloatArray:
        return np.asarray(np.interp(t_ns, self._t_ns, self._integral))


def decoding(trace: Trace) -> Course:
    """Streams between their first token and their last."""
    chunks = token_chunks(trace)
    first, last = chunks.t_ns[chunks.starts], chunks.t_ns[chunks.starts + chunks.n_each - 1]
    ones = np.ones(len(first))
    return Course(np.concatenate([first, last]), np.concatenate([ones, -ones]))


def context(trace: Trace) -> Course:
    """Tokens of prompt and answer so far of the streams that decode."""
    chunks = token_chunks(trace)
    n_done = np.cumsum(_n_each(trace))
    if not len(n_done):
        return Course(chunks.t_ns, n_done)
    ends = chunks.starts + chunks.n_each - 1
    prompts = prompt_tokens(trace.requests)[chunks.rows]
    before = n_done - _n_each(trace)
    so_far = n_done - np.repeat(before[chunks.starts], chunks.n_each) + np.repeat(prompts, chunks.n_each)
    steps = np.diff(so_far, prepend=0.0)
    steps[chunks.starts] = so_far[chunks.starts]
    steps[ends] = -np.where(chunks.n_each > 1, so_far[ends - 1], 0.0)
    return Course(chunks.t_ns, steps)


def prefills(trace: Trace) -> Prefills:
    """Every prompt that was computed to its first token, in the order of trace.requests."""
    requests, chunks = trace.requests, token_chunks(trace)
    rows = np.sort(chunks.rows)
    found = requests[rows]
    first = found["t_first_content_ns"].astype(np.int64)
    told_ns = _prefill_ns(found)
    is_told = told_ns >= 0
    begun = np.where(is_told, first - told_ns, _next_token(chunks.t_ns, found["t_sent_ns"], first))
    n_cached = np.maximum(found["n_cached_tokens"], 0)
    n_tokens = np.maximum(prompt_tokens(requests)[rows] - n_cached, 1.0)
    n_attended = n_tokens * (n_cached + n_tokens / 2)
    begun = np.clip(begun, found["t_sent_ns"], first - 1)
    return Prefills(rows, begun.astype(np.int64), first, n_tokens, n_attended, np.asarray(is_told))


def prompts_alone(trace: Trace) -> Spans:
    """Prompts that were computed while nobody got tokens and no other prompt was, as far as the server's own clock
    tells how long that took: a span of one token each, in the order of trace.requests."""
    done = prefills(trace)
    n = len(done.rows)
    ones = np.ones(n)
    prompts = Course(np.concatenate([done.t_begun_ns, done.t_first_ns]), np.concatenate([ones, -ones]))
    own_ns = (done.t_first_ns - done.t_begun_ns).astype(np.float64)
    is_only_one = prompts.between(done.t_begun_ns, done.t_first_ns) < 1.01 * own_ns  # but for rounding
    is_alone = done.is_told & is_only_one & (decoding(trace).between(done.t_begun_ns, done.t_first_ns) == 0)
    zeros = np.zeros(n)
    return Spans(
        done.rows, done.t_begun_ns, done.t_first_ns, ones, ones, zeros, done.n_tokens, done.n_attended, zeros, zeros
    ).of(is_alone)


def spans(trace: Trace, n_tokens: int = SPAN_TOKENS) -> Spans:
    """All streams cut into spans of at least so many tokens; what is left at an end goes with the span before it."""
    each = gaps(trace)
    if not len(each.rows):
        return each
    done = np.cumsum(each.n_tokens)
    is_first = np.append(True, np.diff(each.rows) != 0)
    before = (done - each.n_tokens)[is_first]
    so_far = done - before[np.cumsum(is_first) - 1]  # within its stream, this gap included
    whole = np.maximum.reduceat(so_far, np.flatnonzero(is_first))[np.cumsum(is_first) - 1] // n_tokens
    # What is left at the end of a stream goes with the span before it.
    number = np.minimum(np.ceil(so_far / n_tokens), np.maximum(whole, 1.0))
    starts = np.flatnonzero(is_first | np.append(True, np.diff(number) != 0))
    ends = np.append(starts[1:], len(number)) - 1
    tokens = np.add.reduceat(each.n_tokens, starts)
    # Over its iterations, not over its time: one with a long prompt in it is one iteration.
    decoding_, context_, doublings = (
        np.add.reduceat(each.n_tokens * each_of, starts) / np.maximum(tokens, 1.0)
        for each_of in (each.n_decoding, each.n_context, each.n_doublings)
    )
    prefilled, attended, arrived = (
        np.add.reduceat(each_of, starts) for each_of in (each.n_prefilled, each.n_attended, each.n_arrived)
    )
    return Spans(
        each.rows[starts],
        each.t_start_ns[starts],
        each.t_end_ns[ends],
        tokens,
        decoding_,
        context_,
        prefilled,
        attended,
        arrived,
        doublings,
    )


def gaps(trace: Trace) -> Spans:
    """The same of every two neighbouring chunks of a stream."""
    chunks = token_chunks(trace)
    follows = np.ones(len(chunks.t_ns), bool)
    follows[chunks.starts] = False
    ends = np.flatnonzero(follows)
    t_start, t_end = chunks.t_ns[ends - 1], chunks.t_ns[ends]
    until = np.maximum(t_end, t_start + 1)  # two that came in one read: what was there at that instant
    done = prefills(trace)
    # At least the stream itself: what is missing of it is rounding.
    n_decoding = np.maximum(decoding(trace).between(t_start, until) / (until - t_start), 1.0)
    return Spans(
        chunks.spread(np.arange(chunks.n_requests))[ends],
        t_start,
        t_end,
        _n_each(trace)[ends],
        n_decoding,
        context(trace).between(t_start, until) / (until - t_start),
        _computed(done, done.n_tokens, t_start, t_end),
        _computed(done, done.n_attended, t_start, t_end),
        _arrived(trace, t_start, t_end),
        np.log2(n_decoding),
    )


def _computed(done: Prefills, amounts: FloatArray, t_start_ns: IntArray, t_end_ns: IntArray) -> FloatArray:
    """How much of it, prompt by prompt, was computed between these instants. Shapes: amounts float64[n_prompts]."""
    speed = amounts / (done.t_first_ns - done.t_begun_ns)
    course = Course(np.concatenate([done.t_begun_ns, done.t_first_ns]), np.concatenate([speed, -speed]))
    return np.maximum(course.between(t_start_ns, t_end_ns), 0.0)


def _arrived(trace: Trace, t_start_ns: IntArray, t_end_ns: IntArray) -> FloatArray:
    """How many requests were sent after one instant and until another. Shapes: int64[n] each -> float64[n]."""
    sent = np.sort(trace.requests["t_sent_ns"][trace.requests["t_sent_ns"] != NEVER])
    until_end, until_start = (np.searchsorted(sent, t_ns, side="right") for t_ns in (t_end_ns, t_start_ns))
    return (until_end - until_start).astype(np.float64)


def next_token_ns(trace: Trace, done: Prefills) -> IntArray:
    """For each of these: when somebody got a token after it was sent, which is when an iteration that was under way
    then had ended; when it was sent, if nobody did before its own first. Shapes: int64[n]."""
    return _next_token(token_chunks(trace).t_ns, trace.requests["t_sent_ns"][done.rows], done.t_first_ns)


def _n_each(trace: Trace) -> FloatArray:
    """Tokens of each chunk; one where nobody tells."""
    return np.nan_to_num(token_counts(trace).n_tokens, nan=1.0)


def prompt_tokens(requests: Array) -> FloatArray:
    """As the server counted, else as asked. Shapes: float64[n_requests]."""
    counted = requests["n_prompt_tokens"]
    return np.maximum(np.where(counted >= 0, counted, requests["n_prompt_tokens_asked"]), 0).astype(np.float64)


def _prefill_ns(requests: Array) -> IntArray:
    """From its beginning to its first token by the server's own clock; NEVER where that was not told."""
    prefill, ttft, queue = (requests[f"server_{name}_ns"] for name in ("prefill", "ttft", "queue"))
    by_difference = np.where((ttft >= 0) & (queue >= 0), np.maximum(ttft - queue, 0), NEVER)
    return np.where(prefill >= 0, prefill, by_difference).astype(np.int64)


def _next_token(t_ns: IntArray, t_sent_ns: Array, t_first_ns: Array) -> IntArray:
    """The first token of anybody after a request was sent, or that instant if its own came before any."""
    ordered = np.sort(t_ns)
    at = np.minimum(np.searchsorted(ordered, t_sent_ns, side="left"), len(ordered) - 1)
    following = ordered[at] if len(ordered) else t_first_ns
    return np.where((following > t_sent_ns) & (following < t_first_ns), following, t_sent_ns).astype(np.int64)
