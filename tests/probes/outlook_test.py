# SPDX-License-Identifier: Apache-2.0
"""What a sweep and a limit search would do, before they do it."""

from __future__ import annotations

from inferometer.config import Experiment, Warmup
from inferometer.metrics.slo_presets import parse_objective
from inferometer.probes.outlook import of_limit, of_sweep
from inferometer.probes.sweep import AUTO_SHARES, Ladder

CONFIG = Experiment(url="http://127.0.0.1:8000", for_s=20.0, warmup=Warmup(duration_s=4.0), timeout_s=1.0)


def test_a_sweep_over_concurrency_takes_ten_requests_a_slot_at_least():
    told = of_sweep(CONFIG, Ladder("concurrency", (1.0, 2.0, 8.0)))
    assert (told.loads, told.n_runs, told.n_requests) == ((1.0, 2.0, 8.0), 4, 110)
    assert told.least_s == 4 * 24


def test_at_most_it_takes_what_deadlines_allow():
    """A rise by 4 in load may make a request last 4 s, of which a point needs ten: 1.2 x 40 s, and its warm-up 6 s."""
    told = of_sweep(CONFIG, Ladder("concurrency", (1.0, 2.0, 8.0)))
    assert told.longest_s == (20 + 4 + 1) + (24 + 4 + 1) + (48 + 6 + 1) + (20 + 4 + 1)


def test_a_single_load_is_not_measured_again():
    assert of_sweep(CONFIG, Ladder("concurrency", (4.0,))).n_runs == 1


def test_a_sweep_over_rates_sends_what_they_say():
    told = of_sweep(CONFIG, Ladder("rate", (1.0, 3.0)))
    assert told.n_requests == 24 + 72
    assert told.n_runs == 3


def test_rates_of_auto_are_shares_of_what_is_not_known_yet():
    told = of_sweep(CONFIG, Ladder("rate"))
    assert (told.loads, told.n_requests, told.n_runs) == ((), None, len(AUTO_SHARES) + 2)


def test_doubling_ends_where_the_server_may_have_no_more():
    assert of_sweep(CONFIG, Ladder("concurrency")).loads[-1] == 1_024
    assert of_sweep(Experiment(), Ladder("concurrency")).loads[-1] == 64


def test_limits_that_want_more_time_say_so():
    objective = parse_objective("ttft<1s", 0.95)
    told = of_limit(CONFIG, objective, is_closed=False, budget_s=900.0)
    assert "want --budget 34m" in told.notes[0], "ten looks of 200 s"
    assert told.longest_s == 900 + 90 + 1
    assert of_limit(CONFIG, objective, is_closed=False, budget_s=3_600.0).notes == ()
