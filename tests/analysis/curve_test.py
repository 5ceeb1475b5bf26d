# SPDX-License-Identifier: Apache-2.0
"""Points of a sweep: what is wrong with each, when it is saturated, and the law through them."""

from __future__ import annotations

import msgspec
import pytest
from tests.analysis.points import number, point

from inferometer.analysis.curve import Law, drift_of, gain_per_doubling, is_saturated, law_of, marked, resource_of
from inferometer.stats import Missing, exact
from inferometer.stats.usl import usl


def test_a_gain_is_reckoned_per_doubling():
    assert gain_per_doubling(point(1, 10), point(2, 11)) == pytest.approx(0.1)
    assert gain_per_doubling(point(1, 10), point(4, 12.1)) == pytest.approx(0.1)


def test_saturated_is_what_gains_next_to_nothing_twice():
    assert not is_saturated([point(1, 10), point(2, 10.1)])
    assert not is_saturated([point(1, 10), point(2, 18), point(4, 18.2)])
    assert is_saturated([point(1, 10), point(2, 18), point(4, 18.2), point(8, 18.1)])


def test_a_point_that_brings_nothing_says_so():
    texts = [each.limit for each in marked([point(1, 10), point(2, 18), point(4, 18.2), point(8, 18.0)])]
    assert texts == ["", "", "throughput gains 1.1 % per doubling", "throughput loses 1.1 % per doubling"]


def test_a_throughput_that_is_hardly_known_tells_no_gain():
    vague = point(2, 9, request_throughput=number(9, "1/s", half=0.3))
    assert marked([point(1, 10), vague])[1].limit == ""
    assert not is_saturated([point(1, 10), vague, point(4, 9)])


def test_the_law_through_points():
    law = law_of([point(load, usl(load, 10, 0.1, 0.001)) for load in (1, 2, 4, 8, 16, 32)])
    assert isinstance(law, Law)
    assert (law.gamma.value, law.alpha.value, law.beta.value) == pytest.approx((10, 0.1, 0.001))
    assert isinstance(law_of([point(1, 10), point(2, 18)]), Missing)


def test_an_invalid_point_is_no_point_of_the_law():
    loads = (1, 2, 4, 8, 16, 32, 64)
    points = [point(load, usl(load, 10, 0.1, 0.001)) for load in loads]
    points[6] = point(64, 900.0, verdict="invalid")
    law = law_of(points)
    assert (law.gamma.value, law.alpha.value, law.beta.value) == pytest.approx((10, 0.1, 0.001))
    points[5] = point(32, 900.0, verdict="invalid")
    assert law_of(points).reason == "needs 6 loads over a factor of 20, has 5 over 16; 2 more are invalid"


def test_drift_is_the_first_load_again():
    drift = drift_of(point(1, 10), point(1, 9))
    assert drift.value == pytest.approx(0.9)
    assert drift.lo < 0.9 < drift.hi < 1


@pytest.mark.parametrize(
    ("waiting", "used", "codes", "told"),
    [
        (3, 0.99, [], "memory"),
        (3, 0.4, [], "slots or batch size: requests wait while the cache has room"),
        (3, None, [], "slots or batch size: requests wait"),
        (0, 0.99, [], "compute or bandwidth"),
        (3, 0.99, ["late_sends"], "the client"),
        (None, None, [], ""),
    ],
)
def test_what_a_saturated_server_is_short_of(waiting, used, codes, told):
    def gauge(value, unit):
        return Missing("not told", 0, unit) if value is None else exact(value, n=9, unit=unit, method="gauge")

    server = {
        "server_requests_waiting_max": gauge(waiting, "requests"),
        "server_kv_used_max_ratio": gauge(used, "ratio"),
    }
    found = resource_of(server, codes)
    assert found.startswith(told)
    assert bool(found) == bool(told)


def test_a_point_survives_its_file():
    here = point(4, 18)
    assert msgspec.json.decode(msgspec.json.encode(here), type=type(here)) == here
