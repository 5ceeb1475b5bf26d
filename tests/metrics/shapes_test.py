# SPDX-License-Identifier: Apache-2.0
"""What figures draw: every value is in it once, thinning is counting, and time stands where things happened."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from traces import CONTENT, MS, closed_loop, failed, gauges, make_trace, open_loop, request, stream
from traces import S as SECOND

from inferometer.kinds import Outcome
from inferometer.metrics.pauses import pauses, stalls_ended_ns
from inferometer.metrics.shapes import Shapes, shapes_of
from inferometer.metrics.shapes.scatter import MAX_POINTS, MIN_IN_BAND, N_BANDS, scatter
from inferometer.metrics.shapes.span import Span, span_of
from inferometer.metrics.shapes.timeline import MAX_SLICES
from inferometer.metrics.slo import Limits, parse_limits
from inferometer.records import SAMPLE, Trace, empty_requests


def shapes(trace: Trace, slo: str = "") -> Shapes:
    return shapes_of(trace, parse_limits(slo))


# --- spans ---------------------------------------------------------------------------------------------------------


def test_an_even_span_for_values_of_one_size_and_a_logarithmic_one_for_others():
    assert not span_of(np.array([8.0, 10.0, 12.0])).is_log
    assert span_of(np.array([1.0] * 50 + [500.0])).is_log
    assert span_of(np.array([0.001, 0.001, *[1.0] * 50])).is_log


def test_values_that_are_the_same_but_for_zeros_or_rounding_have_some_room():
    assert span_of(np.array([0.0, 1.0])) == Span(0.0, 1.0)
    assert span_of(np.array([1.0, 1.0 + 1e-15])).edges(40)[[0, -1]].tolist() == pytest.approx([0.9, 1.1])
    assert span_of(np.array([0.0])) == Span(-0.5, 0.5)


def test_a_logarithmic_span_leaves_out_zeros_and_says_so_by_place():
    span = span_of(np.array([0.0, 1.0, 1.0, 1.0, 100.0]))
    assert (span.lo, span.hi) == (1.0, 100.0)
    assert span.places(np.array([0.0, 1.0, 9.9, 10.1, 100.0]), 2).tolist() == [-1, 0, 0, 1, 1]


@given(st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=50), st.integers(1, 40))
def test_every_value_has_a_place_or_lies_below(values, n_bins):
    array = np.array(values)
    span = span_of(array)
    assert span.lo < span.hi
    places, edges = span.places(array, n_bins), span.edges(n_bins)
    assert ((places == -1) == (array < span.lo)).all()
    assert places.max() < n_bins
    assert (edges[0], edges[-1]) == (span.lo, span.hi)
    assert (np.diff(edges) > 0).all()


# --- distributions -------------------------------------------------------------------------------------------------


def test_each_success_is_in_its_distribution_once():
    trace = closed_loop(300)
    trace.requests["outcome"][:7] = Outcome.RESET
    found = shapes(trace).distributions
    assert list(found) == ["ttft_s", "tpot_s", "e2e_s", "gap_token_s"]
    assert {name: drawn.n for name, drawn in found.items()} == {
        "ttft_s": 293,
        "tpot_s": 293,
        "e2e_s": 293,
        "gap_token_s": 293 * 9,
    }
    for drawn in found.values():
        assert drawn.counts.sum() + drawn.n_below == drawn.n
        assert len(drawn.edges) == len(drawn.counts) + 1


def test_gaps_are_per_chunk_where_tokens_are_not_told():
    rows = [stream(due=0, n=5, n_output_tokens=-1), stream(due=SECOND, n=5, n_output_tokens=-1)]
    assert "gap_s" in shapes(make_trace(*rows)).distributions


def test_nothing_answered_draws_nothing():
    found = shapes(make_trace(failed(due=0, end=SECOND)))
    assert found.distributions == {}
    assert found.ttft_by_prompt is found.tpot_by_load is found.ttft_by_time is None


# --- scatters ------------------------------------------------------------------------------------------------------


def test_few_are_points_and_many_are_cells_that_hold_all_of_them():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 1_000, MAX_POINTS + 1), rng.lognormal(0, 0.3, MAX_POINTS + 1)
    few, many = scatter(x[1:], y[1:]), scatter(x, y)
    assert few is not None
    assert few.cells is None
    assert few.x.tolist() == x[1:].tolist()
    assert many is not None
    assert len(many.x) == 0
    assert many.cells is not None
    assert many.cells.counts.sum() == many.n == MAX_POINTS + 1


def test_a_request_without_one_of_the_two_is_counted_apart():
    found = scatter(np.array([1.0, np.nan, 3.0]), np.array([1.0, 2.0, np.inf]))
    assert found is not None
    assert (found.n, found.n_without) == (1, 2)


def test_bands_are_quantiles_of_their_own_requests():
    x = np.repeat([0.0, float(N_BANDS)], [MIN_IN_BAND, MIN_IN_BAND - 1])
    y = np.arange(len(x), dtype=np.float64)
    found = scatter(x, y)
    assert found is not None
    assert found.bands.n[0] == MIN_IN_BAND
    assert found.bands.p50[0] == pytest.approx((MIN_IN_BAND - 1) / 2)
    assert np.isnan(found.bands.p50[1:]).all(), "the last band holds one too few"


def test_load_is_the_mean_in_flight_while_a_request_was_answered():
    alone = stream(due=0, ttft=100 * MS, gap=100 * MS, n=11)  # 0 to 1.1 s
    other = stream(due=600 * MS, ttft=100 * MS, gap=100 * MS, n=3)  # 0.6 to 0.9 s: 0.3 of the first one's second
    found = shapes(make_trace(alone, other)).tpot_by_load
    assert found is not None
    assert found.x == pytest.approx([1.3, 2.0])
    assert found.y == pytest.approx([0.1, 0.1])


def test_prompts_are_as_told_and_else_as_asked():
    rows = [stream(due=0, n_prompt_tokens=7, n_prompt_tokens_asked=8), stream(due=SECOND, n_prompt_tokens_asked=9)]
    found = shapes(make_trace(*rows)).ttft_by_prompt
    assert found is not None
    assert found.x.tolist() == [7.0, 9.0]


# --- over time -----------------------------------------------------------------------------------------------------


def test_tokens_and_requests_add_up_over_the_slices():
    trace = open_loop(400)
    trace.requests["outcome"][5:9] = Outcome.STALLED
    drawn = shapes(trace).timeline
    assert drawn is not None
    assert len(drawn.edges_s) <= MAX_SLICES * 1.3
    assert drawn.tokens_per_s is not None
    assert (drawn.tokens_per_s * np.diff(drawn.edges_s)).sum() == pytest.approx(400 * 10)
    assert (drawn.ok_per_s * np.diff(drawn.end_edges_s)).sum() == pytest.approx(396)
    assert drawn.failed.sum() == 4
    busy_s = (trace.requests["t_end_ns"] - trace.requests["t_sent_ns"]).sum() / SECOND
    assert (drawn.in_flight * np.diff(drawn.edges_s)).sum() == pytest.approx(busy_s)


def test_the_axis_ends_with_the_last_answer():
    drawn = shapes(make_trace(stream(due=0), stream(due=9 * SECOND, n=3))).timeline
    assert drawn is not None
    assert drawn.edges_s[0] == 0
    assert drawn.edges_s[-1] == drawn.end_edges_s[-1] == pytest.approx(9.028)


def test_within_limits_is_told_only_where_there_are_limits():
    trace = make_trace(stream(due=0, ttft=20 * MS), stream(due=SECOND, ttft=90 * MS))
    assert shapes(trace).timeline.met_per_s is None
    drawn = shapes(trace, "ttft<50ms").timeline
    assert (drawn.met_per_s * np.diff(drawn.end_edges_s)).sum() == pytest.approx(1)


def test_a_stall_stands_where_it_ended():
    stamps = [20 * MS + 4 * MS * i for i in range(10)] + [3 * SECOND + 4 * MS * i for i in range(10)]
    silent = request(due=4 * SECOND, outcome=Outcome.STALLED, chunks=[(4 * SECOND + MS, CONTENT)] * 1, end=8 * SECOND)
    trace = make_trace(request(chunks=[(t, CONTENT) for t in stamps]), silent)
    assert sorted(stalls_ended_ns(trace).tolist()) == [3 * SECOND, 8 * SECOND]
    assert pauses(trace).n_stalls.sum() == 2
    drawn = shapes(trace).timeline
    assert drawn is not None
    assert drawn.stalls.sum() == 2


def test_gauges_are_as_read_and_thinned_to_the_largest_where_there_are_many():
    trace = closed_loop(400)
    few = make_like(trace, [(k * SECOND, "server", "requests_waiting", float(k)) for k in (0, 1, 2, 900)])
    (gauge,) = shapes(few).timeline.gauges
    assert (gauge.name, gauge.values.tolist(), gauge.is_thinned) == ("requests_waiting", [1.0, 2.0], False), (
        "while it ran"
    )
    span_ns = int(trace.requests["t_end_ns"].max())
    readings = [(span_ns * k // 1_000, "gpu-0", "busy_ratio", (k % 10) / 10) for k in range(1_000)]
    (gauge,) = shapes(make_like(trace, readings)).timeline.gauges
    assert gauge.is_thinned
    assert len(gauge.values) < MAX_SLICES * 1.3
    assert gauge.values[:-1].min() >= 0.3, "the largest of each slice"


def make_like(trace: Trace, samples: list[tuple[int, str, str, float]]) -> Trace:
    return Trace(trace.requests, trace.chunks, np.array(samples, SAMPLE), trace.meta)


def test_what_was_not_read_is_no_gauge():
    trace = closed_loop(50, samples=gauges(SECOND, client_cpu_s=1.0))
    assert shapes(trace).timeline.gauges == ()


@pytest.mark.parametrize("n_requests", [0, 3])
def test_nothing_sent_has_no_time(n_requests):
    assert shapes_of(Trace(empty_requests(n_requests)), Limits()).timeline is None
