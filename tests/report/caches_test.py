# SPDX-License-Identifier: Apache-2.0
"""The line about caches: the state, what was done about it, and the share that came out of them all the same."""

from __future__ import annotations

import pytest

from inferometer.report.caches import caches_parts
from inferometer.stats import exact

UNTOLD = "whether anything came out of a cache was not told"


def share(value):
    return exact(value, n=4000, unit="ratio", method="share of prompt tokens")


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({}, []),
        ({"caches": "new prompts"}, ["every prompt is new to the server", UNTOLD]),
        ({"caches": "new server"}, ["the server is new", UNTOLD]),
        (
            {"caches": "emptied", "caches_emptied_by": "POST /flush_cache"},
            ["emptied before the run by POST /flush_cache", UNTOLD],
        ),
        (
            {"caches": "not known", "caches_not_emptied": "no way is known"},
            ["the server may know the prompts", "not emptied: no way is known", UNTOLD],
        ),
    ],
)
def test_it_says_what_they_can_know_and_why(make_summary, plan, told):
    assert caches_parts(make_summary(plan=plan)) == told


@pytest.mark.parametrize(
    ("by_answers", "by_counters", "told"),
    [
        (0.0, 0.0, ["0 % of prompt tokens beyond the template out of a cache by its answers and its counters"]),
        (0.25, None, ["25.0 % of prompt tokens beyond the template out of a cache by its answers"]),
        (
            0.0,
            0.25,
            [
                "0 % of prompt tokens beyond the template out of a cache by its answers",
                "25.0 % of prompt tokens beyond the template out of a cache by its counters",
            ],
        ),
    ],
)
def test_hits_are_told_by_whom(make_summary, by_answers, by_counters, told):
    numbers = {"fidelity": {"prefix_excess_ratio": share(by_answers)}}
    if by_counters is not None:
        numbers["server"] = {"server_prefix_excess_ratio": share(by_counters)}
    assert caches_parts(make_summary(plan={"caches": "new prompts"}, **numbers))[1:] == told
