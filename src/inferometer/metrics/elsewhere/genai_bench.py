# SPDX-License-Identifier: Apache-2.0
"""genai-bench: latency ends where reading stops, which is the usage event, and TPOT with it."""

from __future__ import annotations

import numpy as np

from inferometer.kinds import ChunkKind
from inferometer.metrics.elsewhere.answers import CHOICE, Answers, IntArray, Untold, per_token, seconds
from inferometer.metrics.elsewhere.definition import Tool, definition
from inferometer.metrics.rows import Mask
from inferometer.stats import FloatArray

TOOL = Tool("genai-bench", "genai-bench", "0.0.5", "https://github.com/sgl-project/genai-bench", "text-to-text")

_STREAM = "genai_bench/user/openai_user.py"
_METRICS = "genai_bench/metrics/request_metrics_collector.py"
_RUN = "genai_bench/metrics/aggregated_metrics_collector.py"
_FLOOR_S = 0.001  # a TPOT over less than this is dropped


def _ok(answers: Answers) -> Mask:
    is_failed, has_text = answers.has(ChunkKind.ERROR), answers.has(ChunkKind.CONTENT, ChunkKind.REASONING)
    n_silent = int((answers.is_whole & ~is_failed & ~has_text).sum())
    if n_silent:
        raise Untold(f"what becomes of {n_silent} answers without text")
    return answers.settled(has_text, fails=is_failed)


def _reads_usage(answers: Answers) -> Mask:
    """Usage is read with or after a finish reason only."""
    return np.asarray((answers.requests["finish"] != "") & answers.is_usage_told)


def _end_ns(answers: Answers) -> IntArray:
    """Where reading stops: usage with or after a finish reason, else the end marker, else the end of the body."""
    reads_usage, usage_ns = _reads_usage(answers), np.asarray(answers.requests["t_usage_ns"])
    is_early = reads_usage & (answers.last_ns(*CHOICE) < usage_ns) & answers.tells_by_event
    if is_early.any():
        raise Untold("whether the event with the finish reason told usage, too")
    return np.where(reads_usage, usage_ns, answers.stream_end_ns)


@definition(TOOL, "completed", "success", "status 200, no error event, text came", _STREAM)
def success(answers: Answers) -> FloatArray:
    return _ok(answers).astype(np.float64)


@definition(TOOL, "ttft", "first_token", "first event with text or reasoning - start", _METRICS)
def ttft(answers: Answers) -> FloatArray:
    return seconds(answers.sent_ns, answers.first_ns(ChunkKind.CONTENT, ChunkKind.REASONING), _ok(answers))


@definition(TOOL, "e2e_latency", "latency", "usage event (else the end of the stream) - start", _STREAM)
def latency(answers: Answers) -> FloatArray:
    return seconds(answers.sent_ns, _end_ns(answers), _ok(answers))


@definition(TOOL, "tpot", "per_token", "(e2e_latency - ttft) / (O - 1), O > 1; dropped under 1 ms", _METRICS)
def tpot(answers: Answers) -> FloatArray:
    n_tokens = answers.tokens(_ok(answers), is_told=_reads_usage(answers))
    output_s = latency(answers) - ttft(answers)
    return np.where(output_s < _FLOOR_S, np.nan, per_token(output_s, n_tokens - 1))


@definition(TOOL, "requests_per_second", "requests", "completed / duration of its own run", _RUN)
def request_rate(answers: Answers) -> FloatArray:
    raise Untold(_DURATION)


@definition(TOOL, "mean_output_throughput_tokens_per_s", "tokens", "O of completed / duration of its own run", _RUN)
def token_rate(answers: Answers) -> FloatArray:
    raise Untold(_DURATION)


_DURATION = "when its own run began and ended"
