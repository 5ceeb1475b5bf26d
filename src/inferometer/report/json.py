# SPDX-License-Identifier: Apache-2.0
"""The summary as JSON, for programs: every number with interval, n, unit and method. See docs/reference/json.md.

Rule 1: numbers are exact and in base units (s, bytes, ratios in 0..1); nothing is rounded for the eye.
Rule 2: the document is always valid JSON: what is missing, not a number or without bound is null.

Schema history (SCHEMA): "inferometer/report/1" first. Fields may be added under the same number; one that changes its
meaning or disappears makes a new one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from inferometer.metrics.slo import RunLimitResult
from inferometer.metrics.summary import Summary
from inferometer.metrics.verdict import Verdict
from inferometer.stats import Estimate, Missing

SCHEMA = "inferometer/report/1"
AMONG_FAILURES = "lies among the failed requests"


def to_json(summary: Summary) -> bytes:
    """The document as UTF-8, indented, with a final newline."""
    return msgspec.json.format(msgspec.json.encode(to_dict(summary)), indent=2) + b"\n"


def to_dict(summary: Summary) -> dict[str, Any]:
    """The document as plain dicts, lists, strings, numbers, booleans and None."""
    return {
        "schema": SCHEMA,
        "verdict": _verdict(summary.verdict),
        "counts": dict(summary.counts),
        "metrics": {name: _numbers(statistics) for name, statistics in summary.metrics.items()},
        "metric_verdicts": {name: _short_verdict(verdict) for name, verdict in summary.metric_verdicts.items()},
        "limits": _limits(summary),
        "fidelity": _numbers(summary.fidelity),
        "server": _numbers(summary.server),
        "gauges": _plain(summary.gauges),
        "stamps": summary.stamps,
        "is_cut_off": summary.is_cut_off,
        "windows": [_plain(window) for window in summary.windows],
        "in_flight": [_plain({"trial": f.trial, "t_s": f.t_s, "n": f.n}) for f in summary.in_flight],
        "plan": _plain(summary.plan),
        "engine": _plain(summary.engine),
        "host": _plain(summary.host),
        "versions": _plain(summary.versions),
    }


def estimate(number: Estimate | Missing) -> dict[str, Any]:
    """`{"value", "lo", "hi", "level", "n", "unit", "method"}`, or `{"value": null, "missing", "n", "unit"}`."""
    if isinstance(number, Missing):
        return {"value": None, "missing": number.reason, "n": int(number.n), "unit": number.unit}
    fields: dict[str, Any] = {
        "value": finite(number.value),
        "lo": finite(number.lo),
        "hi": finite(number.hi),
        "level": number.level,
        "n": int(number.n),
        "unit": number.unit,
        "method": number.method,
    }
    return fields | ({"missing": AMONG_FAILURES} if math.isinf(number.value) else {})


def _numbers(numbers: Mapping[str, Estimate | Missing]) -> dict[str, Any]:
    return {name: estimate(number) for name, number in numbers.items()}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "level": verdict.level,
        "reasons": [
            {
                "code": reason.code,
                "level": reason.level,
                "text": reason.text,
                "remedy": reason.remedy,
                "metrics": list(reason.metrics),
            }
            for reason in verdict.reasons
        ],
    }


def _short_verdict(verdict: Verdict) -> dict[str, Any]:
    """The level of one metric, and the codes of the reasons; their words are in the run's verdict."""
    return {"level": verdict.level, "reasons": list(dict.fromkeys(reason.code for reason in verdict.reasons))}


def _limits(summary: Summary) -> dict[str, Any]:
    limits = summary.limits
    return {
        "per_request": [
            {
                "limit": limit.text,
                "metric": limit.metric,
                "op": limit.op,
                "threshold": limit.value,
                "attained": estimate(share),
            }
            for limit, share in limits.per_request
        ],
        "per_run": [_run_limit(result) for result in limits.per_run],
        "is_failed": limits.is_failed,
    }


def _run_limit(result: RunLimitResult) -> dict[str, Any]:
    return {
        "limit": result.limit.text,
        "metric": result.limit.metric,
        "statistic": result.limit.statistic,
        "op": result.limit.op,
        "threshold": result.limit.value,
        "observed": estimate(result.observed),
        "result": result.result,
        "is_met": result.is_met,
    }


def finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def _plain(fact: Any) -> Any:
    """The same fact without NumPy types, NaN and infinities: mappings, sequences and scalars of a manifest."""
    if isinstance(fact, Mapping):
        return {str(name): _plain(value) for name, value in fact.items()}
    if isinstance(fact, np.ndarray | np.generic):
        return _plain(fact.tolist())
    if isinstance(fact, list | tuple):
        return [_plain(value) for value in fact]
    return finite(fact) if isinstance(fact, float) else fact
