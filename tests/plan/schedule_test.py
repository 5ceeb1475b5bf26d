# SPDX-License-Identifier: Apache-2.0
"""Schedules: what each mode plans, the law of the arrivals, no drift, and the same again from the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammainc

from inferometer.errors import UsageError
from inferometer.plan.schedule import MAX_REQUESTS, Stage, burst, closed, open_loop, parse_arrivals
from inferometer.units import NS_PER_S

POISSON, CONSTANT = parse_arrivals("poisson"), parse_arrivals("constant")


def due_of(schedule, trial=0):
    (stage,) = schedule.trials[trial]
    return stage.due_ns


# -- closed loop ----------------------------------------------------------------------------------------------------


def test_closed_by_count_sends_the_warm_up_beside():
    schedule = closed(4, n_requests=100, n_warmup=4)
    assert schedule.trials == ((Stage(concurrency=4, n_requests=104, n_warmup=4),),)
    assert (schedule.mode, schedule.law, schedule.n_planned) == ("closed", "closed loop, 4 in flight", 104)
    assert schedule.facts()["n_requests"] == 100


def test_closed_by_time_is_a_window_after_the_warm_up():
    schedule = closed(4, for_s=30, warmup_s=3, n_trials=2)
    stage = Stage(concurrency=4, duration_ns=33 * NS_PER_S, warmup_ns=3 * NS_PER_S)
    assert schedule.trials == ((stage,), (stage,))
    assert schedule.n_planned is None
    assert (schedule.facts()["duration_s"], schedule.facts()["warmup_s"]) == (30, 3)


def test_a_timed_warm_up_before_a_counted_run_is_a_stage_of_its_own():
    (stages,) = closed(4, n_requests=100, warmup_s=10).trials
    assert stages == (
        Stage(concurrency=4, duration_ns=10 * NS_PER_S, warmup_ns=10 * NS_PER_S),
        Stage(concurrency=4, n_requests=104, n_warmup=4),
    )


# -- open loop: a surge


def test_a_surge_is_poisson_at_each_of_its_rates():
    schedule = open_loop(50, parse_arrivals("surge:4,20s,60s"), seed=3, for_s=100)
    due_s = due_of(schedule) / NS_PER_S
    assert np.all(np.diff(due_s) >= 0)
    for lo, hi, rate in ((0, 20, 50), (20, 60, 200), (60, 100, 50)):
        gaps = np.diff(due_s[(due_s >= lo) & (due_s < hi)])
        assert len(gaps) == pytest.approx(rate * (hi - lo), abs=4 * np.sqrt(rate * (hi - lo)))
        assert gaps.std() / gaps.mean() == pytest.approx(1, abs=0.1)
    assert "4 times the rate from 20 to 60 s" in schedule.law


def test_before_a_surge_nothing_differs():
    plain = due_of(open_loop(50, POISSON, seed=3, for_s=30))
    surged = due_of(open_loop(50, parse_arrivals("surge:4,20s,25s"), seed=3, for_s=30))
    n_before = np.count_nonzero(plain < 20 * NS_PER_S)
    assert (plain[:n_before] == surged[:n_before]).all()
    assert len(surged) > len(plain)


@pytest.mark.parametrize(
    "text", ["surge", "surge:4", "surge:1,5s,9s", "surge:4,9s,5s", "surge:4,5s,later", "surge:x,1,2"]
)
def test_what_is_no_surge_is_refused(text):
    with pytest.raises(UsageError):
        parse_arrivals(text)


# -- open loop: counts ----------------------------------------------------------------------------------------------


def test_constant_arrivals_are_absolute_instants_from_zero():
    due_ns = due_of(open_loop(3, CONSTANT, seed=1, n_requests=7))
    assert due_ns.tolist() == [0, 333_333_333, 666_666_667, 1_000_000_000, 1_333_333_333, 1_666_666_667, 2_000_000_000]


def test_constant_arrivals_do_not_drift():
    due_ns = due_of(open_loop(300_000, CONSTANT, seed=1, n_requests=1_000_001))
    assert due_ns[1_000_000] == round(1_000_000 * NS_PER_S / 300_000)
    assert np.diff(due_ns).min() >= 3333
    assert np.diff(due_ns).max() <= 3334


@pytest.mark.parametrize("law", ["poisson", "constant", "gamma:2"])
def test_a_counted_run_has_exactly_that_many(law):
    schedule = open_loop(50, parse_arrivals(law), seed=3, n_requests=1000, n_warmup=10)
    assert len(due_of(schedule)) == schedule.n_planned == 1010
    assert schedule.facts()["n_requests"] == 1000
    timed = open_loop(50, parse_arrivals(law), seed=3, n_requests=1000, warmup_s=2)
    due_ns = due_of(timed)
    assert np.count_nonzero(due_ns >= 2 * NS_PER_S) == timed.facts()["n_requests"] == 1000


def test_a_timed_run_has_a_fixed_window_and_as_many_requests_as_the_law_gives():
    assert len(due_of(open_loop(4, CONSTANT, seed=1, for_s=60))) == 240
    counts = []
    for trial in range(200):
        (stage,) = open_loop(20, POISSON, seed=trial, for_s=10, warmup_s=1).trials[0]
        assert stage.duration_ns == 11 * NS_PER_S
        assert stage.due_ns.max() < stage.duration_ns
        counts.append(np.count_nonzero(stage.due_ns >= stage.warmup_ns))
    assert np.mean(counts) == pytest.approx(200, abs=3 * np.sqrt(200 / 200))
    assert np.var(counts) == pytest.approx(200, rel=0.3)  # a Poisson count; 200 of them: standard error 10 %


def test_after_a_counted_warm_up_the_window_begins_with_the_first_request_that_counts():
    (stage,) = open_loop(10, CONSTANT, seed=1, for_s=5, n_warmup=3).trials[0]
    assert len(stage.due_ns) == 3 + 50
    assert stage.duration_ns == stage.due_ns[3] + 5 * NS_PER_S


# -- open loop: laws ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cv", [0.5, 1.0, 2.0])
def test_gaps_have_the_mean_the_variation_and_the_law_asked_for(cv):
    n, rate = 50_000, 0.01  # gaps so long that rounding to nanoseconds does not show
    due_ns = due_of(open_loop(rate, parse_arrivals(f"gamma:{cv}"), seed=5, n_requests=n))
    gaps_s = np.diff(due_ns, prepend=0) / NS_PER_S
    assert gaps_s.mean() == pytest.approx(1 / rate, rel=4 * cv / np.sqrt(n))
    assert gaps_s.std() / gaps_s.mean() == pytest.approx(cv, rel=0.05)
    ordered = np.sort(gaps_s)
    cdf = gammainc(1 / cv**2, ordered * rate / cv**2)
    distance = np.abs(cdf - (np.arange(n) + 0.5) / n).max()
    assert distance < 1.63 / np.sqrt(n) + 1e-3  # 1 % point of Kolmogorov-Smirnov


def test_poisson_gaps_do_not_remember():
    gaps = np.diff(due_of(open_loop(1000, POISSON, seed=7, n_requests=50_000))).astype(float)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 4 / np.sqrt(len(gaps))
    assert gaps.std() / gaps.mean() == pytest.approx(1, abs=0.02)


def test_instants_do_not_depend_on_how_many_were_drawn_at_once():
    short = due_of(open_loop(10, POISSON, seed=1, n_requests=50))
    long = due_of(open_loop(10, POISSON, seed=1, n_requests=5000))
    timed = due_of(open_loop(10, POISSON, seed=1, for_s=100))
    assert np.array_equal(short, long[:50])
    assert np.array_equal(timed, long[: len(timed)])


def test_trials_are_seeded_children_of_one_seed():
    schedule = open_loop(10, POISSON, seed=1, n_requests=20, n_trials=3)
    again = open_loop(10, POISSON, seed=1, n_requests=20, n_trials=5)
    other = open_loop(10, POISSON, seed=2, n_requests=20)
    assert [due_of(schedule, i).tolist() for i in range(3)] == [due_of(again, i).tolist() for i in range(3)]
    assert len({tuple(due_of(schedule, i)) for i in range(3)} | {tuple(due_of(other))}) == 4


@pytest.mark.parametrize("law", ["poisson", "constant", "gamma:3"])
def test_instants_ascend(law):
    due_ns = due_of(open_loop(1e5, parse_arrivals(law), seed=1, n_requests=100_000))
    assert due_ns.dtype == np.int64
    assert due_ns[0] >= 0
    assert (np.diff(due_ns) >= 0).all()


# -- burst ----------------------------------------------------------------------------------------------------------


def test_burst_is_all_at_once_after_a_closed_warm_up():
    (stages,) = burst(64, n_warmup=20).trials
    assert stages[0] == Stage(concurrency=8, n_requests=20, n_warmup=20)
    assert stages[1].due_ns.tolist() == [0] * 64
    assert stages[1].n_warmup == stages[1].warmup_ns == 0
    assert burst(64, n_warmup=20).facts()["n_requests"] == 64
    assert len(burst(64).trials[0]) == 1
    (timed,) = burst(64, warmup_s=2).trials
    assert timed[0] == Stage(concurrency=8, duration_ns=2 * NS_PER_S, warmup_ns=2 * NS_PER_S)


# -- what cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("poison", "did you mean poisson?"),
        ("const", "did you mean constant?"),
        ("gama:2", "did you mean gamma:2?"),
        ("gamma", "coefficient of variation"),
        ("gamma:0", "above 0"),
        ("gamma:x", "coefficient of variation"),
        ("gamma:11", "up to 10"),
        ("poisson:2", "did you mean poisson?"),
        ("weekly", "choose poisson, constant, gamma:CV"),
        ("surgee:2", "did you mean surge:4,5s,10s?"),
    ],
)
def test_an_unknown_law_is_refused(text, meant):
    with pytest.raises(UsageError, match="is not a law of arrivals") as caught:
        parse_arrivals(text)
    assert meant in caught.value.remedy


def test_more_requests_than_a_run_may_have_are_refused_before_they_are_drawn():
    with pytest.raises(UsageError, match="more than the 10,000,000"):
        open_loop(1e9, POISSON, seed=1, for_s=60)
    for make in (lambda n: closed(1, n_requests=n), lambda n: burst(n)):
        with pytest.raises(UsageError, match="more than"):
            make(MAX_REQUESTS + 1)


def test_ends_and_warm_ups_that_contradict_each_other_are_a_bug_of_the_caller():
    with pytest.raises(ValueError, match="n_requests or for_s"):
        closed(1)
    with pytest.raises(ValueError, match="n_requests or for_s"):
        open_loop(1, POISSON, seed=1, n_requests=1, for_s=1)
    with pytest.raises(ValueError, match="n_warmup or warmup_s"):
        closed(1, for_s=1, n_warmup=1, warmup_s=1)
