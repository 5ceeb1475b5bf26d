# SPDX-License-Identifier: Apache-2.0
"""Growth of memory per request: what goes on is told from what is built up once."""

from __future__ import annotations

import numpy as np
import pytest
from traces import S, make_trace, stream

from inferometer.analysis.growth import growth
from inferometer.stats import Missing

KB = 1000.0


def run(memory, *, n_s=30, per_s=20, seed=1):
    """A run whose engine holds memory(t in seconds) bytes, with some noise."""
    rng = np.random.default_rng(seed)
    rows = [stream(due=int(k * S / per_s), ttft=S // 100, gap=S // 1000) for k in range(n_s * per_s)]
    samples = [(t * S, "engine", "private_bytes", memory(t) + rng.normal(0, 50 * KB)) for t in range(n_s + 1)]
    return make_trace(*rows, samples=samples, windows=[{"trial": 0, "t_start_ns": 0, "t_end_ns": n_s * S}])


def test_a_leak_is_found_with_its_size_in_the_interval():
    found = [growth(run(lambda t: 5e7 + 20 * t * 100 * KB, seed=seed)).per_request for seed in range(20)]
    assert sum(one.lo <= 100 * KB <= one.hi for one in found) >= 17
    assert all(one.lo > 50 * KB for one in found)
    assert found[0].unit == "B/request"


def test_what_is_built_up_once_is_none():
    early = growth(run(lambda t: 5e7 + 4e7 * min(t, 8) / 8)).per_request
    assert early.lo < 16 * KB
    none = growth(run(lambda t: 5e7))
    assert none.per_request.lo <= 0 <= none.per_request.hi or abs(none.per_request.value) < 16 * KB
    assert none.last == pytest.approx(5e7, rel=0.01)


def test_a_short_run_and_an_engine_that_cannot_be_seen():
    assert "window of 15 s, has 6 s" in growth(run(lambda t: 5e7, n_s=6)).per_request.reason
    trace = run(lambda t: 5e7)
    assert "needs 100 requests" in growth(run(lambda t: 5e7, per_s=2)).per_request.reason
    assert isinstance(growth(trace, source="gpu-0").per_request, Missing)
    assert "cannot be seen" in growth(trace, source="gpu-0").per_request.reason
