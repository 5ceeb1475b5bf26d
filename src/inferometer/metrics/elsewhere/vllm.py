# SPDX-License-Identifier: Apache-2.0
"""vLLM `bench serve`: every event with a choice is a token, also one with a role or an empty text."""

from __future__ import annotations

import numpy as np

from inferometer.kinds import ChunkKind
from inferometer.metrics.elsewhere.answers import CHOICE, Answers, one, per_token, seconds
from inferometer.metrics.elsewhere.definition import Tool, definition
from inferometer.metrics.rows import Mask
from inferometer.stats import FloatArray

TOOL = Tool(
    "vllm",
    "vLLM bench serve",
    "0.32.0",
    "https://github.com/vllm-project/vllm",
    "backend openai-chat",
    prints=("mean", "p50", "p99"),
)

_EVENTS = "vllm/benchmarks/lib/endpoint_request_func.py"
_METRICS = "vllm/benchmarks/serve.py"


def _ok(answers: Answers) -> Mask:
    return answers.settled(answers.has(*CHOICE))


def _tokens(answers: Answers, is_ok: Mask) -> FloatArray:
    """Usage is looked for only in events without a choice."""
    return answers.tokens(is_ok, is_told=answers.has(ChunkKind.USAGE))


@definition(TOOL, "success", "success", "status 200, an event with a choice, the body read to its end", _EVENTS)
def success(answers: Answers) -> FloatArray:
    return _ok(answers).astype(np.float64)


@definition(TOOL, "TTFT", "first_token", "first event with a choice - just before the POST", _EVENTS)
def ttft(answers: Answers) -> FloatArray:
    return seconds(answers.sent_ns, answers.first_ns(*CHOICE), _ok(answers))


@definition(TOOL, "E2EL", "latency", "last event with a choice - just before the POST", _EVENTS)
def e2el(answers: Answers) -> FloatArray:
    return seconds(answers.sent_ns, answers.last_ns(*CHOICE), _ok(answers))


@definition(TOOL, "TPOT", "per_token", "(E2EL - TTFT) / (O - 1), O > 1", _METRICS)
def tpot(answers: Answers) -> FloatArray:
    n_tokens = _tokens(answers, _ok(answers))
    return per_token(e2el(answers) - ttft(answers), n_tokens - 1)


@definition(TOOL, "ITL", "between", "between events with a choice, all answers pooled", _EVENTS)
def itl(answers: Answers) -> FloatArray:
    return answers.gaps_s(_ok(answers), *CHOICE)


@definition(TOOL, "Request throughput", "requests", "successes / (first POST to last answer)", _METRICS)
def request_throughput(answers: Answers) -> FloatArray:
    return one(_ok(answers).sum() / answers.span_s(answers.end_ns))


@definition(TOOL, "Output token throughput", "tokens", "O of successes / (first POST to last answer)", _METRICS)
def output_throughput(answers: Answers) -> FloatArray:
    is_ok = _ok(answers)
    return one(_tokens(answers, is_ok)[is_ok].sum() / answers.span_s(answers.end_ns))
