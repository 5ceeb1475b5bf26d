# SPDX-License-Identifier: Apache-2.0
"""What is found wrong with how an engine scales, out of points and overloads by hand; and what is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from tests.analysis.points import number, point

from inferometer.analysis import scale
from inferometer.analysis.curve import law_of
from inferometer.analysis.finding import Trial
from inferometer.analysis.number import Number
from inferometer.analysis.overload import Overload
from inferometer.analysis.scale import Context, Prefix
from inferometer.analysis.scale_findings import findings_of
from inferometer.stats import Estimate, Missing
from inferometer.stats.usl import usl

LOADS = (1, 2, 4, 8, 16, 32)
WAITS = "slots or batch size: requests wait while the cache has room"


def overload(**changes):
    fields = {
        "word": "sheds",
        "rate": 6.0,
        "surge_rate": 40.0,
        "surge_s": 5.0,
        "counts": {"ok": 100, "shed": 100, "failed": 0, "unfinished": 0},
        "kept": number(1.0, "ratio"),
        "before": number(0.05),
        "worst": number(0.4),
        "refusal": number(0.001),
        "recovery": number(0.2, half=0.5),
        "least_recovery_s": 0.3,
        "unfair": number(1.0, "ratio", half=0.1),
        "folder": "points/007-surge",
    }
    return Overload(**(fields | changes))


def codes(points, *, running=None, **more):
    plateau, load = scale.plateau_of(points)
    speedup = scale.speedup_of(points, plateau)
    law = law_of(points)
    fields = {"overload": None, "prefix": None} | more
    law = None if isinstance(law, Missing) else law
    return [f.code for f in findings_of(points, law, speedup, plateau, load, running, **fields)]


def test_an_engine_that_scales_and_sheds_is_left_alone():
    points = [point(load, usl(load, 10, 0.05, 0.0)) for load in LOADS]
    assert codes(points, overload=overload()) == []


def test_failures_below_the_plateau_come_first():
    points = [point(1, 10), point(2, 19), point(4, 20, error=Number(0.4, 0.35, 0.45, 100, "ratio"))]
    assert codes(points) == ["fails_under_load"]
    plateau, load = scale.plateau_of(points)
    fields = (points, None, scale.speedup_of(points, plateau), plateau, load, None, None, None)
    (shed,) = findings_of(*fields, sheds=True)
    assert (shed.code, shed.level) == ("sheds_under_load", "fair")


def test_one_at_a_time_is_told_by_who_waits():
    points = [point(load, 10, resource=WAITS) for load in LOADS]
    assert codes(points, running=1.0) == ["one_at_a_time"]


def test_who_serves_many_together_to_little_avail_is_not_one_at_a_time():
    throughputs = (10, 12, 13, 13, 13, 13)
    points = [point(n, x, resource=WAITS if n > 16 else "") for n, x in zip(LOADS, throughputs, strict=True)]
    assert codes(points, running=16.0) == []
    assert codes(points) == [], "that requests wait at the last load says nothing of how many are served"


def test_without_gauges_one_at_a_time_is_told_by_the_first_tokens():
    points = [point(load, 10, tpot_p50=number(0.004, "s/token")) for load in LOADS]
    assert codes(points) == ["one_at_a_time"]


def test_what_is_short_of_compute_is_not_one_at_a_time():
    points = [point(load, 10, resource="compute or bandwidth: nobody waits") for load in LOADS]
    assert codes(points) == []


def test_throughput_that_falls_names_the_peak():
    points = [point(load, usl(load, 10, 0.05, 0.01)) for load in LOADS]
    found = findings(points)
    assert [f.code for f in found] == ["falls_with_load"]
    assert found[0].remedy.settings == ("max_concurrency=10",)
    trial = found[0].trial
    assert (trial.metric, trial.concurrency) == ("output_throughput_tokens_per_s", 32)
    assert trial.latency_s == pytest.approx(32 / usl(32, 10, 0.05, 0.01))


def findings(points, **more):
    plateau, load = scale.plateau_of(points)
    fields = {"running": None, "overload": None, "prefix": None} | more
    law = law_of(points)
    return findings_of(points, law, scale.speedup_of(points, plateau), plateau, load, **fields)


def test_slots_that_end_a_rising_curve_are_worth_knowing():
    throughputs = (10, 19, 35, 60, 61, 61)
    points = [point(load, x, resource=WAITS if load > 8 else "") for load, x in zip(LOADS, throughputs, strict=True)]
    (found,) = [f for f in findings(points, running=8.0) if f.code == "slots"]
    assert found.level == "fair"
    assert found.remedy.settings == ("max_concurrency=16",)
    assert "71 %" in found.remedy.expected
    assert found.remedy.source == "gain per doubling from 4 to 8 in flight"


def test_a_gain_is_told_with_the_loads_it_was_measured_between():
    points = [point(1, 10), point(2, 19), point(8, 60), point(32, 62, resource=WAITS)]
    (found,) = [f for f in findings(points, running=8.0) if f.code == "slots"]
    assert found.remedy.source == "gain per doubling from 2 to 8 in flight"
    assert "78 %" in found.remedy.expected


def test_who_became_slower_meanwhile_is_not_held_to_waits_from_before():
    points = [point(load, usl(load, 10, 0.05, 0.0)) for load in LOADS]
    late = {"recovery": Number(None, None, None, 30, "s", missing="not back within 12.0 s")}
    for again, is_told in ((number(0.7, "ratio", half=0.1), False), (number(0.95, "ratio", half=0.1), True)):
        found = findings(points, overload=overload(again=again, **late))
        assert ("slow_recovery" in [finding.code for finding in found]) == is_told


@pytest.mark.parametrize(
    ("changes", "code", "level"),
    [
        ({"word": "collapses", "kept": number(0.5, "ratio"), "n_preempted": 40.0}, "collapses", "bad"),
        ({"word": "fails", "counts": {"ok": 50, "shed": 0, "failed": 50}}, "fails_when_overloaded", "bad"),
        ({"word": "queues", "worst": number(4.0)}, "queues", "fair"),
        ({"recovery": Number(None, None, None, 30, "s", missing="not back within 12.0 s")}, "slow_recovery", "bad"),
        ({"recovery": number(9.0, half=0.05)}, "slow_recovery", "bad"),
        ({"unfair": number(3.0, "ratio", half=0.1)}, "unfair_queue", "bad"),
    ],
)
def test_each_way_of_bearing_too_much(changes, code, level):
    points = [point(load, usl(load, 10, 0.05, 0.0)) for load in LOADS]
    (found,) = findings(points, overload=overload(**changes))
    assert (found.code, found.level) == (code, level)
    assert found.remedy is not None
    assert found.cause
    assert found.shown_by


def test_preemptions_are_named_where_the_server_counts_them():
    points = [point(load, usl(load, 10, 0.05, 0.0)) for load in LOADS]
    surge = overload(word="collapses", kept=number(0.5, "ratio"), n_preempted=40.0, n_in_flight=120)
    (found,) = findings(points, overload=surge)
    assert "preempted 40 times" in found.cause
    assert found.shown_by == "its counter of preemptions"
    assert found.trial.concurrency == 120, "as many as the surge brought: fewer did not show it"
    assert found.trial.latency_s == pytest.approx(120 / (0.5 * usl(32, 10, 0.05, 0.0)))


def test_an_engine_that_became_slower_meanwhile_is_charged_with_nothing_else():
    points = [point(load, usl(load, 10, 0.05, 0.0)) for load in LOADS]
    surge = overload(word="collapses", kept=number(0.5, "ratio"))
    plateau, load = scale.plateau_of(points)
    fields = (points, None, scale.speedup_of(points, plateau), plateau, load, None, surge, None)
    assert [f.code for f in findings_of(*fields, drift=number(0.5, "ratio"))] == ["slower_than_before"]
    assert [f.code for f in findings_of(*fields, drift=number(0.95, "ratio"))] == ["collapses"]


@pytest.mark.parametrize(("ttft", "n"), [(0.3, 0), (0.97, 1)])
def test_a_cache_that_brings_nothing_is_worth_knowing(ttft, n):
    points = [point(load, usl(load, 10, 0.05, 0.0)) for load in LOADS]
    prefix = Prefix(512, 460, number(ttft, "ratio", half=0.05), Number(None, None, None, 0, "ratio"))
    found = findings(points, prefix=prefix)
    assert [f.code for f in found] == ["prefix_not_reused"] * n
    fields = {"input_tokens": "512", "shared_prefix": 460}
    assert [f.trial for f in found] == [Trial("ttft_s", "p50", 1, fields=fields)] * n


@pytest.mark.parametrize(
    ("cached", "longer", "n"), [(0.9, 3.5, 0), (0.1, 3.5, 1), (None, 3.5, 1), (None, 1.05, 0), (None, None, 1)]
)
def test_a_cache_is_not_blamed_that_says_it_was_used_or_had_nothing_to_save(cached, longer, n):
    untold = Number(None, None, None, 0, "ratio", missing="the server does not tell")
    points = [point(load, usl(load, 10, 0.05, 0.0)) for load in LOADS]
    prefix = Prefix(512, 460, number(0.97, "ratio"), untold if cached is None else number(cached, "ratio"))
    ttft = untold if longer is None else number(longer, "ratio")
    context = Context(128, 512, ttft, untold, untold, untold)
    assert [f.code for f in findings(points, prefix=prefix, context=context)] == ["prefix_not_reused"] * n


def test_the_plateau_is_the_least_load_that_brings_about_as_much():
    plateau, load = scale.plateau_of([point(n, x) for n, x in zip((1, 4, 16, 64), (10, 30, 58, 60), strict=True)])
    assert (plateau.value, load) == (60, 16)
    assert scale.plateau_of([])[0].value is None


def test_enough_is_two_loads_in_a_row_that_bring_little():
    assert not scale.is_enough([point(1, 10), point(2, 19), point(4, 19.5)])
    assert scale.is_enough([point(2, 19), point(4, 19.5), point(16, 21)])
    assert not scale.is_saturated([point(1, 10), point(4, 30)], running=4.0)
    assert scale.is_saturated([point(1, 10), point(4, 30)], running=3.0)


def test_a_prompt_token_costs_what_it_was_made_to_cost():
    rng = np.random.default_rng(1)
    short, long = (0.01 + 0.0001 * n + rng.normal(0, 0.001, 40) for n in (128, 512))
    found = scale.prefill_of(short, long, 384)
    assert isinstance(found, Estimate)
    assert found.lo < 0.0001 < found.hi
    assert found.hi - found.lo < 5e-6
    ratio = scale.ratio_of_samples(short, long, of="requests")
    assert ratio.value == pytest.approx(0.0612 / 0.0228, rel=0.1)
    assert isinstance(scale.ratio_of_samples(short[:3], long, of="requests"), Missing)
