# SPDX-License-Identifier: Apache-2.0
"""Latencies of requests: one function per metric, seconds per row, NaN where a row has no such thing.

Rule 1: latency counts from the instant a request was due; what counts from sending says so in its name.
Rule 2: the first token is the first non-empty piece of text, reasoning or tool call; a role-only event is not a token.
"""

from __future__ import annotations

import numpy as np

from inferometer.metrics.registry import metric
from inferometer.metrics.rows import elapsed_s, is_ok, told
from inferometer.records import NEVER, Trace
from inferometer.stats import FloatArray
from inferometer.units import NS_PER_S

_STREAMED = "a streamed answer with text"


@metric(
    unit="s",
    better="lower",
    per="request",
    needs=_STREAMED,
    is_headline=True,
    counts_failures=True,
    depends=("due", "prompt"),
)
def ttft(trace: Trace) -> FloatArray:
    """From the instant the request was due to its first token-bearing chunk (text, reasoning or tool call)."""
    return elapsed_s(trace.requests, "t_due_ns", "t_first_content_ns")


@metric(unit="s", better="lower", per="request", needs=_STREAMED, counts_failures=True, depends=("prompt",))
def ttft_sent(trace: Trace) -> FloatArray:
    """Time to first token from the instant the request was sent: what the client lost on the way is not in it."""
    return elapsed_s(trace.requests, "t_sent_ns", "t_first_content_ns")


@metric(
    unit="s",
    better="lower",
    per="request",
    needs="reasoning text before the answer",
    counts_failures=True,
    depends=("due", "prompt"),
)
def ttfat(trace: Trace) -> FloatArray:
    """From due to the first token of the answer proper. Not defined where no answer of the run has reasoning text.

    Infinite for a success that thought and never answered: no latency, but the worst of them where failures count.
    """
    requests = trace.requests
    answered = requests["t_first_answer_ns"] != NEVER
    reasons_first = answered & (requests["t_first_answer_ns"] > requests["t_first_content_ns"])
    if not reasons_first.any():
        return np.full(len(requests), np.nan)
    is_silent = is_ok(requests) & (requests["t_first_content_ns"] != NEVER) & ~answered
    return np.where(is_silent, np.inf, elapsed_s(requests, "t_due_ns", "t_first_answer_ns"))


@metric(
    unit="s/token", better="lower", per="request", needs="two or more tokens", is_headline=True, counts_failures=True
)
def tpot(trace: Trace) -> FloatArray:
    """Time per output token after the first: (last content - first content) / (output tokens - 1), one per request."""
    requests = trace.requests
    n_tokens = told(requests, "n_output_tokens")
    # One event with several tokens has no second instant to measure to: not defined, rather than 0.
    spans = requests["t_last_content_ns"] > requests["t_first_content_ns"]
    is_defined = spans & (n_tokens >= 2)
    stream_s = elapsed_s(requests, "t_first_content_ns", "t_last_content_ns")
    return np.where(is_defined, stream_s / np.where(is_defined, n_tokens - 1, 1), np.nan)


@metric(
    unit="s", better="lower", per="request", is_headline=True, counts_failures=True, depends=("due", "prompt", "answer")
)
def e2e(trace: Trace) -> FloatArray:
    """From due to the last token-bearing chunk (of an answer in one piece: to its last byte)."""
    return elapsed_s(trace.requests, "t_due_ns", "t_last_content_ns")


@metric(unit="s", better="lower", per="request", counts_failures=True, depends=("prompt", "answer"))
def e2e_sent(trace: Trace) -> FloatArray:
    """From sent to the last token-bearing chunk."""
    return elapsed_s(trace.requests, "t_sent_ns", "t_last_content_ns")


@metric(
    unit="s/token",
    better="lower",
    per="request",
    needs="a token count",
    counts_failures=True,
    depends=("due", "prompt", "answer"),
)
def normalized_latency(trace: Trace) -> FloatArray:
    """End-to-end latency from due divided by the number of output tokens (what GuideLLM calls TPOT)."""
    n_tokens = told(trace.requests, "n_output_tokens")
    return e2e(trace) / np.where(n_tokens >= 1, n_tokens, np.nan)


@metric(unit="tokens/s", better="higher", per="request", needs="two or more tokens")
def user_speed(trace: Trace) -> FloatArray:
    """Speed at which one user sees tokens: 1 / TPOT ("interactivity")."""
    return 1.0 / tpot(trace)


@metric(unit="s", better="lower", per="request", depends=("due",))
def ttfb(trace: Trace) -> FloatArray:
    """From due to the answer's status line and headers; many servers send them before they have begun to work."""
    return elapsed_s(trace.requests, "t_due_ns", "t_head_ns")


@metric(unit="s", better="none", per="request", needs="a usage record")
def usage_tail(trace: Trace) -> FloatArray:
    """From the last token-bearing chunk to the last event with usage; 0 where usage came no later than the text."""
    return np.maximum(elapsed_s(trace.requests, "t_last_content_ns", "t_usage_ns"), 0.0)


@metric(unit="s", better="lower", per="request", needs="a request that was sent", over="sent")
def lateness(trace: Trace) -> FloatArray:
    """From due to sent: how far the client was behind. In closed loop, the time to hand a slot over.

    Not defined for a request that was sent twice: the time its first connection took to fail is not the client's.
    """
    late_s = elapsed_s(trace.requests, "t_due_ns", "t_sent_ns")
    return np.where(trace.requests["attempt"] > 1, np.nan, late_s)


def read_lag(trace: Trace) -> FloatArray:
    """From the kernel's receive stamp to the client's own, per chunk, in seconds: what kernel stamps spare us.

    Shapes: float64[n_chunks].
    """
    return np.asarray((trace.chunks["t_read_ns"] - trace.chunks["t_recv_ns"]) / NS_PER_S)
