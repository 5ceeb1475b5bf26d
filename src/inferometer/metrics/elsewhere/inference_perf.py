# SPDX-License-Identifier: Apache-2.0
"""inference-perf: answer text alone is a token, reasoning is not, and latency ends with the body."""

from __future__ import annotations

import numpy as np

from inferometer.kinds import ChunkKind
from inferometer.metrics.elsewhere.answers import Answers, Untold, one, per_token, seconds
from inferometer.metrics.elsewhere.definition import Tool, definition
from inferometer.metrics.rows import Mask
from inferometer.stats import FloatArray

TOOL = Tool(
    "inference-perf",
    "inference-perf",
    "0.7.0",
    "https://github.com/kubernetes-sigs/inference-perf",
    "chat, streaming, use_server_output_tokens",
)

_REPORT = "inference_perf/reportgen/base.py"
_CLIENT = "inference_perf/client/modelserver/openai_client.py"


def _ok(answers: Answers) -> Mask:
    return answers.settled(np.ones(len(answers.requests), bool))


def _streams(answers: Answers) -> Mask:
    """Successes with more than one token stamp: the others have no TTFT, TPOT or ITL."""
    is_ok, n_events = _ok(answers), answers.n_events(ChunkKind.CONTENT)
    n_single = int((is_ok & (n_events == 1)).sum())
    if n_single:
        raise Untold(f"text and tokenizer of {n_single} answers in one event: of one token they have no TTFT")
    return is_ok & (n_events > 1)


def _tokens(answers: Answers) -> FloatArray:
    """The server's count; 0 where neither a count nor any content came."""
    n_tokens = answers.tokens(_ok(answers) & answers.has(ChunkKind.CONTENT))
    return np.nan_to_num(n_tokens, nan=0.0)


@definition(TOOL, "successes", "success", "status 200, the body read to its end", _CLIENT)
def success(answers: Answers) -> FloatArray:
    return _ok(answers).astype(np.float64)


@definition(
    TOOL,
    "time_to_first_token",
    "first_token",
    "first event with content - start, answers of two or more tokens",
    _REPORT,
)
def ttft(answers: Answers) -> FloatArray:
    return seconds(answers.sent_ns, answers.first_ns(ChunkKind.CONTENT), _streams(answers))


@definition(TOOL, "request_latency", "latency", "end of the body - start", _CLIENT)
def latency(answers: Answers) -> FloatArray:
    return seconds(answers.sent_ns, answers.end_ns, _ok(answers))


@definition(
    TOOL,
    "time_per_output_token",
    "per_token",
    "(last - first event with content) / (O - 1), O > 1",
    _REPORT,
)
def tpot(answers: Answers) -> FloatArray:
    first_ns, last_ns = answers.first_ns(ChunkKind.CONTENT), answers.last_ns(ChunkKind.CONTENT)
    return per_token(seconds(first_ns, last_ns, _streams(answers)), _tokens(answers) - 1)


@definition(
    TOOL,
    "inter_token_latency",
    "between",
    "between tokens, those of one event at its instant, all answers pooled",
    _REPORT,
)
def itl(answers: Answers) -> FloatArray:
    is_in = _streams(answers)
    n_bundled = int((is_in & (_tokens(answers) != answers.n_events(ChunkKind.CONTENT))).sum())
    if n_bundled:
        raise Untold(f"text and tokenizer of {n_bundled} answers: each token of an event after the first is a gap of 0")
    return answers.gaps_s(is_in, ChunkKind.CONTENT)


@definition(
    TOOL,
    "normalized_time_per_output_token",
    "normalized",
    "request_latency / O; 0 where O is 0",
    _REPORT,
)
def ntpot(answers: Answers) -> FloatArray:
    latency_s, n_tokens = latency(answers), _tokens(answers)
    return np.where((n_tokens == 0) & ~np.isnan(latency_s), 0.0, per_token(latency_s, n_tokens))


@definition(TOOL, "requests_per_sec", "requests", "successes / (first start to last end)", _REPORT)
def request_rate(answers: Answers) -> FloatArray:
    return one(_ok(answers).sum() / answers.span_s(answers.end_ns))


@definition(TOOL, "output_tokens_per_sec", "tokens", "O of successes / (first start to last end)", _REPORT)
def token_rate(answers: Answers) -> FloatArray:
    return one(_tokens(answers)[_ok(answers)].sum() / answers.span_s(answers.end_ns))
