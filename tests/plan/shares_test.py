# SPDX-License-Identifier: Apache-2.0
"""Shares of a stage: together they are the stage, whatever the number of workers."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.plan.schedule import Stage, open_loop, parse_arrivals
from inferometer.plan.shares import share_of


def shares(stage, n_workers, first_id=0):
    return [share_of(stage, worker, n_workers, first_id) for worker in range(n_workers)]


def ids(share):
    return [share.first + k * share.stride for k in range(share.stage.n_planned or 0)]


@pytest.mark.parametrize("n_workers", [1, 2, 3, 7, 20])
def test_every_instant_of_an_open_loop_is_dealt_once_under_its_own_id(n_workers):
    stage = open_loop(50, parse_arrivals("poisson"), seed=3, n_requests=13, n_warmup=4).trials[0][0]
    dealt = {}
    for share in shares(stage, n_workers, first_id=100):
        for k, request_id in enumerate(ids(share)):
            assert request_id not in dealt
            dealt[request_id] = (int(share.stage.due_ns[k]), k < share.stage.n_warmup)
    assert sorted(dealt) == list(range(100, 117))
    assert [dealt[100 + k] for k in range(17)] == [(int(due_ns), k < 4) for k, due_ns in enumerate(stage.due_ns)]


@pytest.mark.parametrize("n_workers", [1, 2, 3, 5])
def test_slots_requests_and_warm_up_of_a_closed_loop_are_dealt_out(n_workers):
    stage = Stage(concurrency=5, n_requests=23, n_warmup=6)
    found = shares(stage, n_workers, first_id=7)
    assert sum(share.stage.concurrency for share in found) == 5
    assert sum(share.stage.n_requests for share in found) == 23
    assert sum(share.stage.n_warmup for share in found) == 6
    assert sorted(request_id for share in found for request_id in ids(share)) == list(range(7, 30))
    assert max(share.stage.concurrency for share in found) - min(share.stage.concurrency for share in found) <= 1


def test_a_worker_without_a_slot_has_nothing_to_do():
    """A burst's warm-up has few slots; the worker takes part in the burst all the same."""
    warmup, burst = Stage(concurrency=2, n_requests=5, n_warmup=5), Stage(due_ns=np.zeros(7, np.int64))
    found = shares(warmup, 3)
    assert [share.is_empty for share in found] == [False, False, True]
    assert sorted(request_id for share in found for request_id in ids(share)) == list(range(5))
    assert not any(share.has_main for share in found)
    assert [share.stage.n_planned for share in shares(burst, 3)] == [3, 2, 2]


def test_a_stage_that_time_ends_lasts_as_long_for_everybody():
    stage = Stage(concurrency=3, duration_ns=100, warmup_ns=20)
    for share in shares(stage, 2):
        assert (share.stage.duration_ns, share.stage.warmup_ns, share.stage.n_requests) == (100, 20, None)
        assert share.has_main


def test_more_workers_than_requests_leaves_some_without():
    assert [share.is_empty for share in shares(Stage(due_ns=np.arange(2)), 4)] == [False, False, True, True]
