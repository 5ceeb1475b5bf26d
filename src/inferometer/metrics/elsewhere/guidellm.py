# SPDX-License-Identifier: Apache-2.0
"""GuideLLM: latency ends with the stream, TPOT holds the first token, and what others call TPOT is its ITL."""

from __future__ import annotations

import numpy as np

from inferometer.kinds import TOKEN_BEARING, ChunkKind
from inferometer.metrics.elsewhere.answers import Answers, Untold, per_token, seconds
from inferometer.metrics.elsewhere.definition import Tool, definition
from inferometer.metrics.rows import Mask
from inferometer.records import NEVER
from inferometer.stats import FloatArray

TOOL = Tool(
    "guidellm",
    "GuideLLM",
    "0.8.1",
    "https://github.com/vllm-project/guidellm",
    "chat completions",
    prints=("mean", "p50", "p95", "p99"),
    percentile="smallest",
)

_STREAM = "guidellm/backends/openai/http.py"
_HANDLER = "guidellm/backends/openai/request_handlers.py"
_STATS = "guidellm/schemas/base/request_stats.py"
_RATES = "guidellm/benchmark/schemas/metrics.py"


def _ok(answers: Answers) -> Mask:
    has_answer = answers.has(ChunkKind.CONTENT, ChunkKind.TOOL)
    has_tokens = answers.is_usage_told & (answers.requests["n_output_tokens"] > 0)
    return answers.settled(has_answer | has_tokens, fails=answers.has(ChunkKind.ERROR))


def _tokens(answers: Answers) -> FloatArray:
    """Usage, else the number of events with tokens."""
    n_events = answers.n_events(*TOKEN_BEARING)
    return np.where(answers.is_usage_told, answers.requests["n_output_tokens"], n_events).astype(np.float64)


def _tokens_after_first(answers: Answers) -> FloatArray:
    return _tokens(answers) - 1


@definition(TOOL, "successful", "success", "no error event; text, a tool call or O > 0", _HANDLER)
def success(answers: Answers) -> FloatArray:
    return _ok(answers).astype(np.float64)


@definition(TOOL, "time_to_first_token_ms", "first_token", "first event with tokens - sent", _STATS)
def ttft(answers: Answers) -> FloatArray:
    return seconds(answers.sent_ns, answers.first_ns(*TOKEN_BEARING), _ok(answers))


@definition(TOOL, "time_to_first_output_token_ms", "first_answer", "first text or tool call - sent", _STATS)
def ttfot(answers: Answers) -> FloatArray:
    return seconds(answers.sent_ns, answers.first_ns(ChunkKind.CONTENT, ChunkKind.TOOL), _ok(answers))


@definition(TOOL, "request_latency", "latency", "end of the stream ([DONE]) - sent", _STREAM)
def latency(answers: Answers) -> FloatArray:
    return seconds(answers.sent_ns, answers.stream_end_ns, _ok(answers))


@definition(
    TOOL,
    "inter_token_latency_ms",
    "per_token",
    "(last - first event with tokens) / (O - 1), O > 1; weighed by O - 1",
    _STATS,
    weights=_tokens_after_first,
)
def itl(answers: Answers) -> FloatArray:
    first_ns, last_ns = answers.first_ns(*TOKEN_BEARING), answers.last_ns(*TOKEN_BEARING)
    return per_token(seconds(first_ns, last_ns, _ok(answers)), _tokens(answers) - 1)


@definition(
    TOOL,
    "time_per_output_token_ms",
    "normalized",
    "(last event with tokens - sent) / O; weighed by O",
    _STATS,
    weights=_tokens,
)
def tpot(answers: Answers) -> FloatArray:
    last_ns = answers.last_ns(*TOKEN_BEARING)
    last_ns = np.where(last_ns != NEVER, last_ns, answers.stream_end_ns)
    return per_token(seconds(answers.sent_ns, last_ns, _ok(answers)), _tokens(answers))


@definition(TOOL, "requests_per_second", "requests", "mean of a rate over its own measurement window", _RATES)
def request_rate(answers: Answers) -> FloatArray:
    raise Untold(_WINDOW)


@definition(TOOL, "output_tokens_per_second", "tokens", "mean of a rate over its own measurement window", _RATES)
def token_rate(answers: Answers) -> FloatArray:
    raise Untold(_WINDOW)


_WINDOW = "its own measurement window"
