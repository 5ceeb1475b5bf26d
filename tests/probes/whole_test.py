# SPDX-License-Identifier: Apache-2.0
"""One examination after the other: what one that fails, or has no time, is to those after it."""

from __future__ import annotations

import msgspec
import pytest

from inferometer.analysis.finding import Challenge, Row
from inferometer.analysis.number import Number
from inferometer.errors import BY_USER, Cancelled, EngineError
from inferometer.probes.explain.whole import Explaining, Part
from inferometer.probes.points import Stopped


class Found(msgspec.Struct):
    row: Row


def part(challenge: Challenge, *, least_s: float = 0.0, error: Exception | None = None) -> Part:
    def examine(bench, seconds):
        if error is not None:
            raise error
        return Found(Row(challenge, f"{seconds:.0f} s", Number(1.0, None, None, 1, "ratio")))

    return Part(challenge, 0.5, least_s, f"{challenge}.json", examine)


def explained(on_bench, *parts: Part) -> Explaining:
    going = Explaining(on_bench, parts)
    going.go()
    return going


def test_one_that_fails_is_a_row_and_the_others_go_on(on_bench):
    going = explained(on_bench, part("latency", error=Stopped(EngineError("it answers 503"))), part("cost"))
    assert going.cause is None
    assert going.rows["latency"].not_measured == ["it answers 503"]
    assert going.rows["cost"].figure.value == 1.0


def test_one_that_the_user_stopped_is_the_last(on_bench):
    going = explained(on_bench, part("latency", error=Stopped(Cancelled(BY_USER))), part("cost"))
    assert isinstance(going.cause, Cancelled)
    assert "cost" not in going.rows


def test_one_without_the_time_it_needs_is_not_begun(on_bench):
    going = explained(on_bench, part("latency", least_s=3_600), part("cost"))
    assert "it needs 3600 s" in going.rows["latency"].not_measured[0]
    assert going.rows["cost"].headline == f"{on_bench.left_s():.0f} s"


def test_nobody_has_less_than_it_needs(on_bench):
    going = explained(on_bench, part("latency", least_s=50), part("cost"))
    assert going.rows["latency"].headline in [f"{50 + 0.5 * (60 - used - 50):.0f} s" for used in range(10)]
    assert going.seconds == pytest.approx(on_bench.used_s(), abs=5.0)
