# SPDX-License-Identifier: Apache-2.0
"""evalscope `perf`: latency ends at the last event of any kind, usage included, and TPOT with it."""

from __future__ import annotations

import numpy as np

from inferometer.kinds import TOKEN_BEARING, ChunkKind
from inferometer.metrics.elsewhere.answers import JSON, Answers, Untold, one, per_token, seconds
from inferometer.metrics.elsewhere.definition import Tool, definition
from inferometer.metrics.rows import Mask
from inferometer.stats import FloatArray

TOOL = Tool("evalscope", "evalscope perf", "1.14.0", "https://github.com/modelscope/evalscope", "api openai")

_STREAM = "evalscope/perf/plugin/api/default_api.py"
_METRICS = "evalscope/perf/utils/benchmark_util.py"


def _ok(answers: Answers) -> Mask:
    return answers.settled(np.ones(len(answers.requests), bool), fails=answers.has(ChunkKind.ERROR))


@definition(TOOL, "success", "success", "status 200, no error event, the body read to its end", _STREAM)
def success(answers: Answers) -> FloatArray:
    return _ok(answers).astype(np.float64)


@definition(TOOL, "TTFT", "first_token", "first event with tokens - start; 0 where none came", _STREAM)
def ttft(answers: Answers) -> FloatArray:
    is_ok, has_tokens = _ok(answers), answers.has(*TOKEN_BEARING)
    ttft_s = seconds(answers.sent_ns, answers.first_ns(*TOKEN_BEARING), is_ok)
    return np.where(is_ok & ~has_tokens, 0.0, ttft_s)


@definition(TOOL, "latency", "latency", "last event, usage included - start; 0 where none came", _STREAM)
def latency(answers: Answers) -> FloatArray:
    is_ok = _ok(answers)
    return np.where(is_ok & ~answers.has(*JSON), 0.0, seconds(answers.sent_ns, answers.last_ns(*JSON), is_ok))


@definition(TOOL, "TPOT", "per_token", "(latency - TTFT) / (O - 1), O > 1", _METRICS)
def tpot(answers: Answers) -> FloatArray:
    n_tokens = answers.tokens(_ok(answers) & answers.has(*JSON))
    return per_token(latency(answers) - ttft(answers), n_tokens - 1)


@definition(TOOL, "ITL", "between", "between events with tokens, all answers pooled", _STREAM)
def itl(answers: Answers) -> FloatArray:
    return answers.gaps_s(_ok(answers), *TOKEN_BEARING)


@definition(TOOL, "request throughput", "requests", "successes / (first start to last event)", _METRICS)
def request_throughput(answers: Answers) -> FloatArray:
    return one(_ok(answers).sum() / _span_s(answers))


@definition(TOOL, "output token throughput", "tokens", "O of successes / (first start to last event)", _METRICS)
def token_throughput(answers: Answers) -> FloatArray:
    is_ok = _ok(answers)
    n_tokens = answers.tokens(is_ok & answers.has(*JSON))
    return one(np.nan_to_num(n_tokens[is_ok], nan=0.0).sum() / _span_s(answers))


def _span_s(answers: Answers) -> float:
    if answers.is_broken.any():
        raise Untold("when the tool took its broken answers for ended")
    return answers.span_s(answers.last_ns(*JSON))
