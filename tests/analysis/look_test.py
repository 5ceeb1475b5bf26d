# SPDX-License-Identifier: Apache-2.0
"""What one run says of one load: who met the limits, by how much, and what dependent requests are worth."""

from __future__ import annotations

import numpy as np
import pytest
from tests.metrics.traces import CONTENT, MS, make_trace, request

from inferometer.analysis.look import Look, look_at
from inferometer.kinds import Outcome
from inferometer.metrics.slo import parse_limits


def answered(due_ms, ttft_ms, gap_ms=10):
    first = (due_ms + ttft_ms) * MS
    return request(due=due_ms * MS, chunks=[(first, CONTENT, 1), (first + gap_ms * MS, CONTENT, 1)])


def test_a_request_must_meet_all_limits_and_each_miss_is_counted():
    rows = [answered(0, 50), answered(1, 250), answered(2, 50, 90), answered(3, 300, 90)]
    look = look_at(make_trace(*rows), parse_limits("ttft<200ms,tpot<50ms"), 4.0)
    assert look.is_met.tolist() == [True, False, False, False]
    assert dict(look.misses) == {"ttft<200ms": 2, "tpot<50ms": 2}
    assert look.share == 0.25
    assert look.closeness == pytest.approx(np.log([0.25, 1.25, 1.8, 1.8]))


def test_what_failed_misses_every_limit():
    rows = [answered(0, 50), request(due=MS, outcome=Outcome.RESET)]
    look = look_at(make_trace(*rows), parse_limits("ttft<200ms"), 1.0)
    assert look.is_met.tolist() == [True, False]
    assert look.closeness[1] == pytest.approx(np.log(10))


def test_requests_that_come_close_together_are_worth_less_although_none_missed():
    wave = np.sin(np.arange(400) / 30)
    calm = Look(1.0, np.ones(400, bool), np.random.default_rng(1).normal(size=400), {}, "")
    waves = Look(1.0, np.ones(400, bool), wave, {}, "")
    assert calm.n_worth > 300
    assert waves.n_worth < 60
