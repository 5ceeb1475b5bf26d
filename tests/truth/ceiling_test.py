# SPDX-License-Identifier: Apache-2.0
"""The server's own ceiling: when a rate counts as kept, and a climb at rates that any machine keeps."""

from __future__ import annotations

import pytest

from inferometer.truth import ceiling
from inferometer.truth.log import Lateness, Spread


def rung(rate_per_s, *, late_p99_s=30e-6, delivered_ratio=1.0):
    late = Spread(2e-6, 2e-6, late_p99_s, late_p99_s, 100)
    return ceiling.Rung(rate_per_s, Lateness(late, late, 100, rate_per_s * delivered_ratio, rate_per_s, 0.0))


@pytest.mark.parametrize(
    ("fields", "is_on_time"),
    [({}, True), ({"late_p99_s": 1e-3}, True), ({"late_p99_s": 1.1e-3}, False), ({"delivered_ratio": 0.98}, False)],
)
def test_on_time(fields, is_on_time):
    assert rung(1000, **fields).is_on_time is is_on_time


def test_verdicts():
    assert ceiling.verdict([rung(1000)]) == "on time up to 1,000 chunks/s, the highest rate tried"
    assert ceiling.verdict([rung(1000), rung(5000, late_p99_s=1)]).startswith("on time up to 1,000 chunks/s (late by ")
    assert ceiling.verdict([rung(1000, late_p99_s=1)]).startswith("late already at 1,000 chunks/s")


def test_the_table_is_aligned():
    assert len(ceiling.line(rung(1000))) == len(ceiling.HEADING)


def test_a_climb_counts_every_chunk():
    (told,) = ceiling.climb([200], n_streams=4, duration_s=0.2)
    assert told.kept.n_chunks == 4 * 10
    assert told.kept.asked_per_s == pytest.approx(200, rel=0.2)
