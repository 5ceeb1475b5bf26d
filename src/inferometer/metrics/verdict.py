# SPDX-License-Identifier: Apache-2.0
"""The verdict: every rule asked, its reasons folded into one level per metric and one for the run.

Rule: the run is what its worst headline metric (ttft_s, tpot_s, e2e_s) is, or the worst reason that names no metric. A
reason about another metric is told all the same, and stands in that metric's own verdict.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from inferometer.metrics.reason import Evidence, Level, Reason
from inferometer.metrics.reasons_client import CLIENT_RULES
from inferometer.metrics.reasons_engine import ENGINE_RULES
from inferometer.metrics.reasons_server import SERVER_RULES
from inferometer.metrics.registry import METRICS

_ORDER: tuple[Level, ...] = ("valid", "suspect", "invalid")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reasons`: worst first. The run's has all there are, also those that leave its level alone."""

    level: Level
    reasons: tuple[Reason, ...] = ()


def judge_run(evidence: Evidence) -> Verdict:
    """Ask every rule."""
    reasons = [reason for rule in (*CLIENT_RULES, *ENGINE_RULES, *SERVER_RULES) for reason in rule(evidence)]
    reasons.sort(key=lambda reason: (-_ORDER.index(reason.level), not _is_about_run(reason)))
    return Verdict(_worst(reason for reason in reasons if _is_about_run(reason)), tuple(reasons))


def judge_metric(name: str, run: Verdict) -> Verdict:
    """The part of a run's verdict that concerns one metric."""
    reasons = tuple(reason for reason in run.reasons if not reason.metrics or name in reason.metrics)
    return Verdict(_worst(reasons), reasons)


def _is_about_run(reason: Reason) -> bool:
    return not reason.metrics or any(METRICS[name].is_headline for name in reason.metrics)


def _worst(reasons: Iterable[Reason]) -> Level:
    return max((reason.level for reason in reasons), key=_ORDER.index, default="valid")
