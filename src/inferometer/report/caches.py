# SPDX-License-Identifier: Apache-2.0
"""The line about the server's prefix caches: what they could know when the run began, and what shows that it was so."""

from __future__ import annotations

from inferometer.kinds import EMPTIED, NEW_PROMPTS, NEW_SERVER, NOT_KNOWN
from inferometer.metrics.summary import Summary
from inferometer.report.figures import value_text
from inferometer.stats import Estimate

_STATES = {
    NEW_PROMPTS: "every prompt is new to the server",
    EMPTIED: "emptied before the run by {by}",
    NEW_SERVER: "the server is new",
    NOT_KNOWN: "the server may know the prompts",
}
_PROOFS = (("prefix_excess_ratio", "its answers"), ("server_prefix_excess_ratio", "its counters"))


def caches_parts(summary: Summary) -> list[str]:
    """`every prompt is new to the server`, `0 % of prompt tokens beyond the template out of a cache by its answers`.

    Nothing for a run of before that was written down. What template and shared prefix explain is not counted.
    """
    plan = summary.plan
    state = str(plan.get("caches") or "")
    if state not in _STATES:
        return []
    parts = [_STATES[state].format(by=plan.get("caches_emptied_by"))]
    if state == NOT_KNOWN and (why := plan.get("caches_not_emptied")):
        parts.append(f"not emptied: {why}")
    numbers = summary.fidelity | summary.server
    by_share: dict[str, list[str]] = {}
    for name, who in _PROOFS:
        if isinstance(number := numbers.get(name), Estimate):
            by_share.setdefault(value_text(number), []).append(who)
    told = [
        f"{share} of prompt tokens beyond the template out of a cache by {' and '.join(who)}"
        for share, who in by_share.items()
    ]
    return [*parts, *(told or ["whether anything came out of a cache was not told"])]
