# SPDX-License-Identifier: Apache-2.0
"""How evenly tokens flow: gaps, playback at reading speed, the fluidity index.

Rule 1: gaps are between token-bearing events, stamped when they arrived; they are per chunk unless the name says token.
Rule 2: no loop over chunks: what looks sequential (slack, playback) is a running maximum within each request.
"""

from __future__ import annotations

import numpy as np

from inferometer.metrics.registry import metric
from inferometer.metrics.rows import is_ok
from inferometer.metrics.tokens import IntArray, TokenChunks, token_chunks, token_counts
from inferometer.records import Trace
from inferometer.stats import FloatArray
from inferometer.units import NS_PER_S

# Silent reading of English, 238 words per minute (Brysbaert 2019, doi 10.1016/j.jml.2019.104047), at 0.75 words per
# token (OpenAI's rule of thumb): 5.3 tokens/s.
READING_SPEED_TOKENS_PER_S = 238 / 60 / 0.75
# Below this share of answers with known counts per event, a figure per token would speak for a selection.
MIN_EXACT_SHARE = 0.9


@metric(unit="s", better="lower", per="chunk", needs="an answer of two or more chunks with tokens")
def gap(trace: Trace) -> FloatArray:
    """Time between one token-bearing chunk and the next of the same answer; a chunk may hold several tokens."""
    chunks = token_chunks(trace)
    return _on_all_chunks(trace, chunks, chunks.gaps_s)


@metric(unit="s/token", better="lower", per="chunk", needs="an answer whose token counts per event are known")
def gap_token(trace: Trace) -> FloatArray:
    """Gap divided by the tokens of the event that ends it; only where the count of every event of the answer is known.

    Not defined for any chunk when fewer than 90 % of the answers with gaps have such counts.
    """
    chunks, counts = token_chunks(trace), token_counts(trace)
    has_gaps = is_ok(trace.requests) & (chunks.n_chunks >= 2)
    if not has_gaps.any() or counts.is_exact[has_gaps].mean() < MIN_EXACT_SHARE:
        return np.full(len(trace.chunks), np.nan)
    n_tokens = np.where(chunks.spread(counts.is_exact) & (counts.n_tokens > 0), counts.n_tokens, np.nan)
    return _on_all_chunks(trace, chunks, chunks.gaps_s / n_tokens)


@metric(unit="s", better="lower", per="request", needs="an answer of two or more chunks with tokens")
def gap_max(trace: Trace) -> FloatArray:
    """The longest gap between token-bearing chunks of each answer."""
    chunks = token_chunks(trace)
    return chunks.reduce(np.fmax, chunks.gaps_s)


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
    if not token_counts(trace).is_known:
        return np.full(chunks.n_requests, np.nan)
    return chunks.reduce(np.maximum, _behind_ns(trace, chunks, NS_PER_S / tokens_per_s)) / NS_PER_S


def _behind_ns(trace: Trace, chunks: TokenChunks, per_token_ns: float) -> FloatArray:
    """How far each chunk is behind a line that starts with the first and gives every token `per_token_ns`.

    Shapes: float64[n chunks with tokens].
    """
    n_tokens = token_counts(trace).n_tokens
    before = np.cumsum(n_tokens) - n_tokens  # tokens that came before this chunk, in all requests so far
    return np.asarray(chunks.since_first(chunks.t_ns) - chunks.since_first(before) * per_token_ns)


def fluidity_index(trace: Trace, first_s: float | None, token_s: float) -> FloatArray:
    """Share of token deadlines met: `first_s` from due for the first token (None: its own arrival), `token_s` for each
    further one, slack saved up. Shapes: float64[n_requests].

    A token later than its deadline by x misses floor(x / token_s) + 1 deadlines, and the deadlines start anew from it.
    So the deadline of token i is i * token_s after the latest of: the first deadline, and each earlier arrival j less
    j * token_s. Source: Etalon, arXiv 2407.07000, as given in arXiv 2507.09019.
    """
    chunks, counts = token_chunks(trace), token_counts(trace)
    if not counts.is_known:
        return np.full(chunks.n_requests, np.nan)
    token_ns = token_s * NS_PER_S
    behind = np.rint(_behind_ns(trace, chunks, token_ns)).astype(np.int64)
    # The line before each chunk, in the same terms: how far behind the display already is, which is its deadline.
    line = np.empty_like(behind)
    line[1:] = behind[:-1]
    line[chunks.starts] = 0
    if first_s is not None:
        due = trace.requests["t_due_ns"][chunks.rows]
        line[chunks.starts] = due + round(first_s * NS_PER_S) - chunks.t_ns[chunks.starts]
    late = behind - _running_max(line, chunks.starts)
    missed = chunks.reduce(np.add, np.where(late > 0, np.floor(late / token_ns) + 1, 0.0))
    # Tokens of one chunk arrive together: once the first of them has met or missed its deadline, the others are early.
    n_late = chunks.reduce(np.add, (late > 0).astype(np.float64))
    met = np.maximum(chunks.reduce(np.add, counts.n_tokens) - n_late, 0.0)
    return np.asarray(1 - missed / np.maximum(met + missed, 1.0))


def _running_max(values: IntArray, starts: IntArray) -> IntArray:
    """Running maximum that begins anew at each start: groups are lifted, each above all before it, and lowered again.

    Shapes: int64[n], int64[n_groups].
    """
    step = int(values.max()) - int(values.min()) + 1
    if step * len(starts) < 2**62:
        sizes = np.diff(np.append(starts, len(values)))
        lift = np.repeat(np.arange(len(starts)) * step, sizes)
        return np.asarray(np.maximum.accumulate(values + lift) - lift)
    half = len(starts) // 2  # too many groups too far apart for 64 bits
    middle = int(starts[half])
    return np.concatenate(
        [_running_max(values[:middle], starts[:half]), _running_max(values[middle:], starts[half:] - middle)]
    )


def _on_all_chunks(trace: Trace, chunks: TokenChunks, values: FloatArray) -> FloatArray:
    """Values of token-bearing chunks, aligned with trace.chunks; NaN elsewhere."""
    if len(values) == len(trace.chunks):
        return values
    aligned = np.full(len(trace.chunks), np.nan)
    aligned[chunks.at] = values
    return aligned
