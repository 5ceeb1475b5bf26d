# SPDX-License-Identifier: Apache-2.0
"""How evenly tokens flow: gaps, playback at reading speed, the fluidity index.

Rule 1: gaps are between token-bearing events, stamped when they arrived; they are per chunk unless the name says token.
Rule 2: no loop over chunks: what looks sequential (slack, playback) is a running maximum within each request.
"""

from __future__ import annotations

import numpy as np

from inferometer.metrics.registry import metric
from inferometer.metrics.rows import Mask, is_ok
from inferometer.metrics.tokens import IntArray, TokenChunks, count_tokens, token_chunks
from inferometer.records import Trace
from inferometer.stats import FloatArray
from inferometer.units import NS_PER_S

# Silent reading of English, 238 words per minute (Brysbaert 2019, doi 10.1016/j.jml.2019.104047), at 0.75 words per
# token (OpenAI's rule of thumb): 5.3 tokens/s.
READING_SPEED_TOKENS_PER_S = 238 / 60 / 0.75
# Below this share of answers with known counts per event, a figure per token would speak for a selection.
MIN_EXACT_SHARE = 0.9


@metric(unit="s", better="lower", per="chunk", needs="two or more token-bearing chunks")
def gap(trace: Trace) -> FloatArray:
    """Time between one token-bearing chunk and the next of the same answer; a chunk may hold several tokens."""
    chunks = token_chunks(trace)
    return _on_all_chunks(trace, chunks, chunks.gaps_s())


@metric(unit="s/token", better="lower", per="chunk", needs="token counts per event")
def gap_token(trace: Trace) -> FloatArray:
    """Gap divided by the tokens of the event that ends it; only where the count of every event of the answer is known.

    Not defined for any chunk when fewer than 90 % of the answers with gaps have such counts.
    """
    chunks = token_chunks(trace)
    counts = count_tokens(trace, chunks)
    has_gaps = is_ok(trace.requests) & (chunks.per_request() >= 2)
    if not has_gaps.any() or counts.is_exact[has_gaps].mean() < MIN_EXACT_SHARE:
        return np.full(len(trace.chunks), np.nan)
    is_known = counts.is_exact[chunks.row] & (counts.n_tokens > 0)
    per_token = chunks.gaps_s() / np.where(is_known, counts.n_tokens, np.nan)
    return _on_all_chunks(trace, chunks, per_token)


@metric(unit="s", better="lower", per="request", needs="two or more token-bearing chunks")
def gap_max(trace: Trace) -> FloatArray:
    """The longest gap between token-bearing chunks of each answer."""
    chunks = token_chunks(trace)
    longest = np.full(chunks.n_requests, -np.inf)
    gaps = chunks.gaps_s()
    np.maximum.at(longest, chunks.row[~chunks.is_first], gaps[~chunks.is_first])
    return np.where(np.isfinite(longest), longest, np.nan)


@metric(unit="s", better="lower", per="request", needs="a streamed answer with token counts")
def underrun(trace: Trace) -> FloatArray:
    """Time for which a reader at 5.3 tokens/s, who starts with the first token, would have waited for the next one."""
    return playback_wait_s(trace, READING_SPEED_TOKENS_PER_S)


@metric(unit="ratio", better="higher", per="request", needs="a streamed answer with token counts")
def fluidity(trace: Trace) -> FloatArray:
    """Etalon's fluidity index: share of token deadlines met at reading speed, the first deadline being the arrival of
    the first token."""
    return fluidity_index(trace, None, 1 / READING_SPEED_TOKENS_PER_S)


def playback_wait_s(trace: Trace, tokens_per_s: float) -> FloatArray:
    """Seconds a display at constant speed stands still after the first token. Shapes: float64[n_requests].

    Token j may be shown at first + j / speed plus the waits so far; the waits add up to the largest delay of a chunk
    behind that line.
    """
    chunks = token_chunks(trace)
    behind_ns = _behind_ns(trace, chunks, NS_PER_S / tokens_per_s)
    waits = np.full(chunks.n_requests, np.nan)
    if len(chunks.row):
        starts = np.flatnonzero(chunks.is_first)
        waits[chunks.row[starts]] = np.maximum.reduceat(behind_ns, starts) / NS_PER_S
    return waits


def _behind_ns(trace: Trace, chunks: TokenChunks, per_token_ns: float) -> FloatArray:
    """How far each chunk is behind a line that starts with the first and gives every token `per_token_ns`."""
    n_tokens = count_tokens(trace, chunks).n_tokens
    if not len(n_tokens):
        return np.zeros(0)
    starts = np.flatnonzero(chunks.is_first)
    n_chunks = np.diff(np.append(starts, len(chunks.row)))
    before = np.cumsum(n_tokens) - n_tokens
    index = before - np.repeat(before[starts], n_chunks)  # tokens that came before this chunk, in its request
    since_first = chunks.t_ns - np.repeat(chunks.t_ns[starts], n_chunks)
    return np.asarray(since_first - index * per_token_ns)


def fluidity_index(trace: Trace, first_s: float | None, token_s: float) -> FloatArray:
    """Share of token deadlines met: `first_s` from due for the first token (None: its own arrival), `token_s` for each
    further one, slack saved up. Shapes: float64[n_requests].

    A token later than its deadline by x misses floor(x / token_s) + 1 deadlines, and the deadlines start anew from it.
    So the deadline of token i is i * token_s after the latest of: the first deadline, and each earlier arrival j less
    j * token_s. Source: Etalon, arXiv 2407.07000, as given in arXiv 2507.09019.
    """
    chunks = token_chunks(trace)
    index = np.full(chunks.n_requests, np.nan)
    if not len(chunks.row):
        return index
    starts = np.flatnonzero(chunks.is_first)
    rows = chunks.row[starts]
    token_ns = token_s * NS_PER_S
    behind = np.rint(_behind_ns(trace, chunks, token_ns)).astype(np.int64)
    if first_s is None:
        first_line = np.zeros(len(starts), np.int64)
    else:
        due = trace.requests["t_due_ns"][rows]
        first_line = due + round(first_s * NS_PER_S) - chunks.t_ns[starts]
    # Before each chunk: how far behind the line the display already is, which is where its deadline lies.
    line = np.empty(len(behind), np.int64)
    line[1:] = behind[:-1]
    line[starts] = first_line
    line = _running_max(line, chunks.is_first)
    late = behind - line
    # Tokens of one chunk arrive together: once the first of them is met or missed, the others are early.
    n_missed = np.where(late > 0, np.floor(late / token_ns) + 1, 0.0)
    missed = np.add.reduceat(n_missed, starts)
    n_tokens = np.add.reduceat(count_tokens(trace, chunks).n_tokens, starts)
    met = np.maximum(n_tokens - np.add.reduceat((late > 0).astype(np.float64), starts), 0.0)
    index[rows] = 1 - missed / np.maximum(met + missed, 1.0)
    return index


def _running_max(values: IntArray, is_first: Mask) -> IntArray:
    """Running maximum that starts anew at each True. Each group is lifted above all before it, then lowered again."""
    group = np.cumsum(is_first) - 1
    low, high = int(values.min()), int(values.max())
    step = high - low + 1
    n_groups = int(group[-1]) + 1
    if step * n_groups < 2**62:
        lift = group * step
        return np.asarray(np.maximum.accumulate(values + lift) - lift)
    middle = int(np.flatnonzero(is_first)[n_groups // 2])  # too many, too spread for 64 bits: halve
    halves = (slice(None, middle), slice(middle, None))
    return np.concatenate([_running_max(values[half], is_first[half]) for half in halves])


def _on_all_chunks(trace: Trace, chunks: TokenChunks, values: FloatArray) -> FloatArray:
    """Values of token-bearing chunks, aligned with trace.chunks; NaN elsewhere."""
    if len(values) == len(trace.chunks):
        return values
    aligned = np.full(len(trace.chunks), np.nan)
    aligned[chunks.at] = values
    return aligned
