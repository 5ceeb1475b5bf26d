# SPDX-License-Identifier: Apache-2.0
"""Runs as cells of a choice: which cell a run was, and runs of several loads held against runs of several loads."""

from __future__ import annotations

import pytest

from inferometer.analysis.cells import cell_of, mixed, unlike
from inferometer.analysis.choice import Workload

WORKLOADS = (Workload("default", "128", "10", 0, ""), Workload("long", "1024", "10", 0, ""))


@pytest.fixture
def at(member):
    """`at(4)`: a run with 4 in flight."""

    def make(load, **plan):
        return member(f"c{load}", plan={"law": f"closed loop, {load} in flight", "concurrency": load, **plan})

    return make


def test_a_run_is_of_the_cell_with_its_load_and_lengths(at):
    loads = (1.0, 4.0)
    assert cell_of(at(4), "concurrency", loads, WORKLOADS) == (0, 4.0)
    assert cell_of(at(1, input_tokens="1024"), "concurrency", loads, WORKLOADS) == (1, 1.0)
    assert cell_of(at(8), "concurrency", loads, WORKLOADS) is None
    assert cell_of(at(4), "rate", loads, WORKLOADS) is None


def test_runs_at_several_loads_are_alike_whichever_came_first(at):
    one, four, long = at(1), at(4), at(4, input_tokens="1024")
    here = {(1, 4.0): [long], (0, 4.0): [four], (0, 1.0): [one]}
    assert unlike(here, {(0, 1.0): [one, one], (0, 4.0): [four], (1, 4.0): [long]}, ()) == []
    assert unlike({(0, 1.0): [one]}, {(0, 4.0): [four]}, ()) == []


def test_what_differs_within_a_cell_is_told_and_may_be_ignored(at):
    here = {(0, 1.0): [at(1)], (0, 4.0): [at(4)]}
    there = {(0, 1.0): [at(1)], (0, 4.0): [at(4, timeout_s=5.0)]}
    (found,) = unlike(here, there, ())
    assert (found.kind, found.text) == ("plan", "timeout_s None and 5.0")
    assert unlike(here, there, ("plan",)) == []


def test_another_model_is_told_though_no_cell_is_common(at, member):
    other = member("other", engine={"model": "large"})
    assert [each.kind for each in unlike({(0, 1.0): [at(1)]}, {(0, 4.0): [other]}, ())] == ["model"]


def test_runs_of_several_loads_are_one_candidate(at):
    assert mixed("runs", {(0, 1.0): [at(1)], (0, 4.0): [at(4), at(4, seed=7)]}, ()) == []


def test_runs_of_two_engines_or_two_plans_are_not(at, member):
    other = member("other", engine={"title": "vLLM", "model": "large"})
    both = {(0, 1.0): [at(1)], (0, 4.0): [other]}
    assert [each.kind for each in mixed("runs", both, ())] == ["model", "engine"]
    assert [each.kind for each in mixed("runs", both, ("engine",))] == ["model"]
    assert [each.kind for each in mixed("runs", {(0, 4.0): [at(4), at(4, timeout_s=5.0)]}, ())] == ["plan"]
