# SPDX-License-Identifier: Apache-2.0
"""AIPerf: responses with content count; what others call TPOT is its ITL, and gaps are ICL."""

from __future__ import annotations

import numpy as np

from inferometer.kinds import TOKEN_BEARING, ChunkKind
from inferometer.metrics.elsewhere.answers import Answers, Untold, one, per_token, seconds
from inferometer.metrics.elsewhere.definition import Tool, definition
from inferometer.metrics.rows import Mask
from inferometer.stats import FloatArray

TOOL = Tool(
    "aiperf",
    "AIPerf",
    "0.13.0",
    "https://github.com/ai-dynamo/aiperf",
    "chat, --use-server-token-count",
    prints=("mean", "min", "max", "p99", "p90", "p50"),
)

_TYPES = "aiperf/metrics/types/"


def _ok(answers: Answers) -> Mask:
    if answers.has(ChunkKind.ERROR).any():
        raise Untold("whether an error was an `event: error`, which fails here, or data alone, which is ignored")
    return answers.settled(answers.has(*TOKEN_BEARING))


@definition(
    TOOL,
    "valid",
    "success",
    "status 200, a response with content, no `event: error`",
    "aiperf/common/models/record_models.py",
)
def success(answers: Answers) -> FloatArray:
    return _ok(answers).astype(np.float64)


@definition(
    TOOL,
    "Time to First Token",
    "first_token",
    "first response with content - request start",
    _TYPES + "ttft_metric.py",
)
def ttft(answers: Answers) -> FloatArray:
    return seconds(answers.sent_ns, answers.first_ns(*TOKEN_BEARING), _ok(answers))


@definition(
    TOOL,
    "Time to First Output Token",
    "first_answer",
    "first response that is not reasoning alone - request start",
    _TYPES + "time_to_first_output_token_metric.py",
)
def ttfo(answers: Answers) -> FloatArray:
    return seconds(answers.sent_ns, answers.first_ns(ChunkKind.CONTENT, ChunkKind.TOOL), _ok(answers))


@definition(
    TOOL,
    "Request Latency",
    "latency",
    "last response with content - request start",
    _TYPES + "request_latency_metric.py",
)
def latency(answers: Answers) -> FloatArray:
    return seconds(answers.sent_ns, answers.last_ns(*TOKEN_BEARING), _ok(answers))


@definition(
    TOOL,
    "Inter Token Latency",
    "per_token",
    "(Request Latency - TTFT) / (O - 1), O >= 2",
    _TYPES + "inter_token_latency_metric.py",
)
def itl(answers: Answers) -> FloatArray:
    n_tokens = answers.tokens(_ok(answers))
    return per_token(latency(answers) - ttft(answers), n_tokens - 1)


@definition(
    TOOL,
    "Inter Chunk Latency",
    "between",
    "between responses with content, all answers pooled",
    _TYPES + "inter_chunk_latency_metric.py",
)
def icl(answers: Answers) -> FloatArray:
    return answers.gaps_s(_ok(answers), *TOKEN_BEARING)


@definition(
    TOOL,
    "Request Throughput",
    "requests",
    "valid requests / (first request start to last response with content)",
    _TYPES + "request_throughput_metric.py",
)
def request_throughput(answers: Answers) -> FloatArray:
    is_ok = _ok(answers)
    return one(is_ok.sum() / answers.span_s(answers.last_ns(*TOKEN_BEARING), is_ok))


@definition(
    TOOL,
    "Output Token Throughput",
    "tokens",
    "O of valid requests / (first request start to last response with content)",
    _TYPES + "output_token_throughput_metrics.py",
)
def token_throughput(answers: Answers) -> FloatArray:
    is_ok = _ok(answers)
    n_tokens = answers.tokens(is_ok)[is_ok].sum()
    return one(n_tokens / answers.span_s(answers.last_ns(*TOKEN_BEARING), is_ok))
