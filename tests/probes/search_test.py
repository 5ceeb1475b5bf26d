# SPDX-License-Identifier: Apache-2.0
"""The search over a made-up server whose limit is known: it is found, called safe only below it, and in time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from inferometer.analysis.look import Look
from inferometer.probes.search import SAFE_SHARE, Aim, Ask, Found, Search, Taken, alpha_of, ask_for, verdict_of
from inferometer.stats import Estimate, Missing

LIMIT = 40.0
IN_FLIGHT = {"is_whole": True, "first_load": 1.0, "wait_s": 0.0, "unit": "requests"}


def share_at(load, limit=LIMIT, steepness=20.0):
    return 1 / (1 + math.exp(-(math.log(0.95 / 0.05) + steepness * math.log(limit / load))))


class Server:
    """Answers looks with independent requests; what is counted is the time it would have taken."""

    def __init__(self, seed=1, *, limit=LIMIT, growth_above=math.inf, alone=1.0):
        self._rng = np.random.default_rng(seed)
        self._limit, self._growth_above, self._alone = limit, growth_above, alone

    def take(self, ask: Ask) -> tuple[Look, float]:
        n = round(ask.load * ask.window_s)
        is_met = self._rng.random(n) < share_at(ask.load, self._limit) * self._alone
        misses = {"ttft<500ms": int((~is_met).sum()), "tpot<50ms": 0}
        growth = "the queue grows" if ask.load > self._growth_above and ask.is_long else ""
        return Look(ask.load, is_met, self._rng.normal(-1, 0.2, n), misses, growth), ask.window_s + ask.warmup_s


def aim(**changes) -> Aim:
    return Aim(
        **(
            {"target": 0.95, "first_load": 5.0, "alone_s": 0.2, "wait_s": 0.5, "unit": "1/s", "budget_s": 3_600}
            | changes
        )
    )


def searched(server: Server, **changes) -> Found:
    return Search(aim(**changes), server.take).run()


@pytest.mark.parametrize("seed", range(3))
def test_the_limit_is_found_and_the_safe_load_lies_below(seed):
    found = searched(Server(seed))
    assert isinstance(found.limit, Estimate)
    assert found.limit.value == pytest.approx(LIMIT, rel=0.05)
    assert found.limit.lo <= LIMIT <= found.limit.hi
    assert found.safe <= SAFE_SHARE * found.limit.value * 1.001
    assert found.holds < LIMIT < found.fails
    assert found.binding == "ttft<500ms"
    assert found.stopped == ""
    assert found.seconds < aim().budget_s


def test_all_verdicts_together_are_wrong_as_seldom_as_one_end_of_an_interval():
    server = Server()
    loads = [(20.0 + i, "narrow") for i in range(20)] + [(10.0 - i, "prove") for i in range(6)]
    taken = [Taken(ask := ask_for(aim(), load, stage, draw=0), *server.take(ask)) for load, stage in loads]
    shares = {load: alpha_of(taken, load) for load, _ in loads}
    assert 0.9 * 0.025 < sum(shares.values()) <= 0.025
    assert shares[10.0] == 2 * shares[9.0] > 4 * shares[20.0]
    assert alpha_of(taken[:21], 10.0) == shares[10.0]  # settled when a load is first looked at


def test_a_short_look_never_acquits():
    server = Server(limit=1e9)
    taken = [Taken(ask := ask_for(aim(), 10.0, "scout", draw=i), *server.take(ask)) for i in range(50)]
    assert verdict_of(aim(), taken, 10.0) == "undecided"
    ask = ask_for(aim(), 10.0, "narrow", draw=50)
    assert verdict_of(aim(), [*taken, Taken(ask, *server.take(ask))], 10.0) == "above"


def test_a_growing_queue_fails_a_load_although_all_requests_were_in_time():
    server = Server(limit=1e9, growth_above=0.0)
    ask = ask_for(aim(), 10.0, "narrow", draw=0)
    once = Taken(ask, *server.take(ask))
    assert verdict_of(aim(), [once], 10.0) == "undecided"
    assert verdict_of(aim(), [once, once], 10.0) == "below"


def test_a_look_that_the_client_spoiled_counts_for_nothing():
    server = Server(limit=1.0)
    ask = ask_for(aim(), 10.0, "narrow", draw=0)
    look, seconds = server.take(ask)
    assert verdict_of(aim(), [Taken(ask, look, seconds)], 10.0) == "below"
    assert verdict_of(aim(), [Taken(ask, replace(look, is_spoiled=True), seconds)] * 9, 10.0) == "undecided"


class Late(Server):
    """Everything is within the limits, but from a load on the client is late: every time, or the first time only."""

    def __init__(self, above, *, is_once=False, **server):
        super().__init__(**server)
        self._above, self._is_once, self._seen = above, is_once, set()

    def take(self, ask):
        look, seconds = super().take(ask)
        is_late = ask.load > self._above and not (self._is_once and ask.load in self._seen)
        self._seen.add(ask.load)
        return (replace(look, is_met=look.is_met & False, is_spoiled=True) if is_late else look), seconds


def test_where_the_client_is_late_it_is_the_limit_and_not_the_server():
    found = searched(Late(60.0, limit=1e9))
    assert isinstance(found.limit, Missing)
    assert found.stopped == "the client, not the server, is the limit above 40 requests/s"
    assert found.limit.reason == f"needs long looks, has none: {found.stopped}"
    assert (found.fails, found.binding) == (None, "")


def test_a_client_that_was_late_at_the_first_load_says_so():
    found = searched(Late(0.0))
    assert found.stopped == "the client, not the server, is the limit at 5 requests/s already"


def test_a_client_that_was_late_for_a_moment_does_not_end_the_search():
    found = searched(Late(15.0, is_once=True))
    assert isinstance(found.limit, Estimate)
    assert found.limit.value == pytest.approx(LIMIT, rel=0.05)


def test_where_nothing_meets_the_limits_there_is_no_limit():
    found = searched(Server(alone=0.3))
    assert isinstance(found.limit, Missing)
    assert (found.safe, found.holds) == (None, None)
    assert found.stopped == "no load was small enough"


def test_where_everything_meets_them_it_says_how_far_it_looked():
    found = searched(Server(limit=1e9), most=80.0)
    assert isinstance(found.limit, Missing)
    assert "even 80 is within the limits" in found.stopped
    assert found.limit.reason == found.stopped
    assert (found.holds, found.fails) == (80.0, None)
    assert found.taken[-1].ask.is_long


@pytest.mark.parametrize("seed", range(4))
def test_a_short_look_at_the_highest_load_does_not_acquit_it(seed):
    """With 64 in flight 93 % are within the limits: thirty requests do not tell that from 95 %."""
    found = searched(Server(seed, limit=63.0), **IN_FLIGHT, most=64.0)
    assert isinstance(found.limit, Estimate)
    assert found.limit.value == pytest.approx(63, rel=0.1)
    assert found.holds is None or found.holds < 63


def test_when_the_time_is_spent_it_says_what_is_known():
    found = searched(Server(), budget_s=20)
    assert found.stopped == "the time was spent"
    assert found.seconds < 1.5 * 20
    assert found.safe is None or found.safe < LIMIT


def test_a_long_look_lasts_until_an_overload_would_show():
    """5 % too much makes requests wait 0.05 s longer every second: after ten seconds half a second."""
    ask = ask_for(aim(), 10.0, "narrow", draw=0)
    assert ask.warmup_s >= 10
    assert ask.window_s >= 8 * 10
    assert ask_for(aim(), 10.0, "scout", draw=0).window_s < 5


def test_whole_loads_stay_whole():
    found = searched(Server(), is_whole=True, first_load=1.0, wait_s=0.0, most=64.0)
    assert isinstance(found.limit, Estimate)
    assert all(each.ask.load == round(each.ask.load) for each in found.taken)
    assert found.limit.value == pytest.approx(LIMIT, rel=0.1)


class Slots(Server):
    """Serves so many at a time within the limits; of more, fewer and fewer find a slot in time."""

    def __init__(self, n, seed=1):
        super().__init__(seed)
        self._n = n

    def take(self, ask):
        is_met = self._rng.random(round(ask.load / 0.2 * ask.window_s)) < (
            0.999 if ask.load <= self._n else 0.8 * self._n / ask.load
        )
        closeness = self._rng.normal(-1, 0.2, len(is_met))
        return Look(ask.load, is_met, closeness, {}, ""), ask.window_s + ask.warmup_s


@pytest.mark.parametrize("n", [4, 6, 8])
@pytest.mark.parametrize("seed", range(3))
def test_a_server_of_few_slots_has_a_safe_number_in_flight(n, seed):
    found = searched(Slots(n, seed), **IN_FLIGHT, most=64.0)
    assert found.safe is not None
    assert found.safe <= min(n, SAFE_SHARE * found.limit.value)
    assert found.holds <= n < found.fails
