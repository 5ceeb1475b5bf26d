# SPDX-License-Identifier: Apache-2.0
"""What a comparison says of runs whose difference is known, and what it leaves open."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inferometer.analysis.compare import (
    HEADLINE,
    Comparison,
    TooFew,
    can_pair,
    compare,
    family_of,
    letter,
    notes_of,
    rows_of,
    verdict_of,
)
from inferometer.analysis.side import Quantity, parse_quantity
from inferometer.errors import UsageError
from inferometer.kinds import Outcome
from inferometer.stats import Missing
from inferometer.stats.trials import ratio_of_trials

TTFT, TPOT = Quantity("ttft_s", "p50"), Quantity("tpot_s", "p50")
RATE = Quantity("output_throughput_tokens_per_s", "value")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def trials(rng, n, *, centre=1.0, spread=0.01):
    return centre * np.exp(spread * rng.normal(size=n))


def words(rows):
    return [row.verdict for row in rows]


def test_a_slower_server_is_worse_in_everything(side, rng):
    found = compare([side("A"), side("B", factor=1.2, first_seed=11)], HEADLINE, rng=rng)
    assert isinstance(found, Comparison)
    assert found.overall(1) == "worse"
    ratios = {row.quantity: row.ratio.value for row in found.rows}
    assert ratios[TTFT] == pytest.approx(1.2, rel=0.05)
    assert ratios[RATE] == pytest.approx(1 / 1.2, rel=0.05)
    assert all(row.verdict == "worse" for row in found.rows if row.quantity in (TTFT, TPOT, RATE))


def test_turned_round_it_is_better(side, rng):
    found = compare([side("A", factor=1.2), side("B", first_seed=11)], (TPOT, RATE), rng=rng)
    assert words(found.rows) == ["better", "better"]


def test_the_same_server_is_the_same_within_the_tolerance(side, rng):
    found = compare([side("A"), side("B", first_seed=11)], (TPOT,), rng=rng)
    assert (words(found.rows), found.overall(1)) == (["same"], "same")


def test_what_is_open_says_how_many_trials_would_settle_it(rng):
    a, b = trials(rng, 5, spread=0.1), trials(rng, 5, spread=0.1)
    (row,) = rows_of([{TTFT: a}, {TTFT: b}], rng=rng, is_paired=False)
    assert row.verdict == "undecided"
    assert 5 < row.n_to_settle <= 1000
    assert row.n_to_find > 5
    assert row.sees > 0.05


def test_a_small_but_sure_change_is_within_the_tolerance_or_not(rng):
    a, b = trials(rng, 8, spread=0.001), trials(rng, 8, centre=1.02, spread=0.001)
    for tolerance, word in ((0.05, "same"), (0.01, "worse")):
        (row,) = rows_of([{TTFT: a}, {TTFT: b}], rng=rng, is_paired=True, tolerance=tolerance)
        assert row.verdict == word


def test_several_metrics_must_be_surer_than_one(rng):
    """p = 0.032 is a difference alone, and none among five."""
    a, b = np.array([1.0, 2, 3, 4, 5]), np.array([4.1, 4.2, 5.1, 6, 7])
    (alone,) = rows_of([{TTFT: a}, {TTFT: b}], rng=rng, is_paired=False)
    assert (alone.verdict, alone.p) == ("worse", alone.p_family)
    others = {Quantity("ttft_s", f"p{q}"): trials(rng, 5, spread=0.5) for q in (90, 95, 99)}
    rows = rows_of([{TTFT: a, **others}, {TTFT: b, **others}], rng=rng, is_paired=False)
    assert (rows[0].verdict, rows[0].p) == ("undecided", alone.p)
    assert rows[0].p_family == pytest.approx(4 * alone.p)


def test_every_candidate_counts_for_the_correction(rng):
    values = [{TTFT: trials(rng, 6)}, {TTFT: trials(rng, 6, centre=1.5)}, {TTFT: trials(rng, 6)}]
    first, second = rows_of(values, rng=rng, is_paired=False)
    assert (first.verdict, first.candidate) == ("worse", 1)
    assert first.p_family == pytest.approx(2 * first.p)
    assert second.candidate == 2


def test_a_family_that_cannot_be_resolved_is_refused_with_the_number_needed(side, rng):
    assert compare([side(n=3), side("B", n=5)], (TTFT,), rng=rng) == TooFew((3, 5), 1, 5, False)
    seven = [parse_quantity(f"{name}_{q}") for name in ("ttft", "tpot") for q in ("p50", "p90", "p95")]
    refused = compare([side(n=5), side("B", n=5)], [*seven, RATE], rng=rng)
    assert isinstance(refused, TooFew)
    assert (refused.n_tests, refused.n_needed) == (7, 6)


def test_what_a_trial_does_not_carry_is_no_test(side, rng):
    found = compare([side("A"), side("B", first_seed=11)], (TTFT, Quantity("ttft_s", "p99_9")), rng=rng)
    assert found.n_tests == 1
    row = found.rows[1]
    assert isinstance(row.ratio, Missing)
    assert (row.verdict, math.isnan(row.p)) == ("undecided", True)
    assert "A p99_9 is not carried" in row.ratio.reason


def test_percentiles_count_failures_as_the_worst(side, rng):
    outcome = np.where(np.arange(120) % 4 == 0, int(Outcome.RESET), int(Outcome.OK))
    broken = side("B", first_seed=11, outcome=outcome)
    found = compare([side("A"), broken], (Quantity("ttft_s", "p99"), TTFT), rng=rng)
    assert (found.rows[0].ratio.value, found.rows[0].verdict) == (math.inf, "worse")
    assert found.rows[1].ratio.value < 2  # the median is no failure


def test_a_baseline_among_failures_is_beaten_by_anything(rng):
    (row,) = rows_of([{TTFT: np.full(5, math.inf)}, {TTFT: trials(rng, 5)}], rng=rng, is_paired=False)
    assert (row.verdict, row.ratio.value, row.n_to_settle) == ("better", 0, None)


def test_failures_on_both_sides_have_no_ratio(rng):
    values = np.array([1.0, 1, 1, 1, math.inf])
    (row,) = rows_of([{TTFT: values}, {TTFT: values}], rng=rng, is_paired=False)
    assert isinstance(row.ratio, Missing)


def test_one_trial_among_failures_leaves_it_open(rng):
    b = np.array([1.0, 1.1, 0.9, 1, math.inf])
    (row,) = rows_of([{TTFT: trials(rng, 5)}, {TTFT: b}], rng=rng, is_paired=False)
    assert (row.verdict, row.n_to_settle) == ("undecided", None)


def test_a_metric_without_better_is_only_different(rng):
    found = ratio_of_trials(trials(rng, 5), trials(rng, 5, centre=2), is_paired=False, rng=rng)
    assert verdict_of(found, found.p, Quantity("in_flight_requests", "value"), 0.05) == "different"


def test_overall(side, rng):
    sides = [side("A"), side("B", first_seed=11)]
    rows = rows_of(
        [
            {TTFT: trials(rng, 5), RATE: trials(rng, 5)},
            {TTFT: trials(rng, 5, centre=2), RATE: trials(rng, 5, centre=2)},
        ],
        rng=rng,
        is_paired=False,
    )
    assert Comparison(tuple(sides), rows, 0.05, False, 2).overall(1) == "mixed"


def test_goodput_joins_where_there_are_limits(side):
    assert family_of([side("A"), side("B")]) == HEADLINE
    limited = [side(name, plan={"slo": "ttft<1s"}) for name in "AB"]
    assert family_of(limited)[-1].metric == "goodput_per_s"
    assert family_of(limited, [TTFT, TTFT]) == (TTFT,)


def rounds(side, title, n, name="one"):
    made = side(title, n=n)
    for i, member in enumerate(made.members):
        member.facts["ab"] = {"id": name, "round": i + 1, "side": title}
    return made


def test_runs_in_turns_are_paired_from_eight_on(side):
    assert can_pair([rounds(side, "A", 8), rounds(side, "B", 8)])
    assert not can_pair([rounds(side, "A", 5), rounds(side, "B", 5)])
    assert not can_pair([rounds(side, "A", 8), rounds(side, "B", 8, name="another")])
    assert not can_pair([side("A", n=8), side("B", n=8)])


def test_notes_say_what_the_design_leaves_open(side, member):
    first, later = side("A", created="2026-11-29T10:00"), side("B", created="2026-11-30T10:00")
    assert any("all of A was measured before B" in note for note in notes_of([first, later], is_paired=False))
    assert notes_of([first, later], is_paired=True) == ()
    alone = type(first)("A", (member(),))
    assert any("A is one run" in note for note in notes_of([alone, later], is_paired=True))


@pytest.mark.parametrize("name", ["ttft", "ttft_max", "nothing_p50"])
def test_what_is_no_quantity(name):
    with pytest.raises(UsageError):
        parse_quantity(name)


def test_quantities_by_name():
    assert parse_quantity("ttft_p99") == Quantity("ttft_s", "p99")
    assert parse_quantity("Output_Throughput").name == "output_throughput"


def test_the_letters_go_on_after_z():
    assert [letter(i) for i in (0, 25, 26, 27, 51, 52)] == ["A", "Z", "AA", "AB", "AZ", "BA"]
