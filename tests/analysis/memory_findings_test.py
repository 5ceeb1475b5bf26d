# SPDX-License-Identifier: Apache-2.0
"""Rules on memory: each cause from the measurements that show it, and none from healthy ones."""

from __future__ import annotations

import msgspec
import pytest

from inferometer.analysis.memory import Cache, Load, Round, Taken, error_of, gain_of, n_in_room, used_share
from inferometer.analysis.memory_findings import findings_of, no_load, row_of
from inferometer.analysis.number import number_of
from inferometer.stats import Estimate, Missing, exact, wilson


def told(value, unit="tokens", lo=None, hi=None, n=100):
    lo, hi = value if lo is None else lo, value if hi is None else hi
    return number_of(Estimate(value, lo, hi, 0.95, n, unit, ""))


CACHE = Cache(n_tokens=2560, block_tokens=16, format="fp16", bytes_per_token=1000)
LOAD = Load(
    concurrency=16,
    held_mean=told(1000.0, lo=900.0, hi=1100.0),
    held_most=told(2000.0),
    tokens_per_request=told(500.0, lo=490.0, hi=510.0),
    kv_used=told(0.4, "ratio"),
    waiting=told(0.0, "requests"),
    running=told(16.0, "requests"),
    preemptions=told(0.0, "preemptions"),
    per_request=told(0.0, "1/request"),
    failed=number_of(wilson(0, 200, of="requests")),
    latency_s=5.0,
    inputs="300",
    outputs="200",
)
TAKEN = Taken(
    before_bytes=1e9,
    after_bytes=1e9,
    growth=told(2000.0, "B/request", lo=1000.0, hi=3000.0),
    growth_bytes=1e5,
    growth_per_s=2e4,
    machine_bytes=16e9,
)


def changed(struct, **changes):
    return msgspec.structs.replace(struct, **changes)


def codes(cache=CACHE, load=LOAD, taken=TAKEN):
    return [finding.code for finding in findings_of(cache, load, taken)]


def test_a_healthy_engine_is_left_alone():
    assert codes() == []
    assert codes(load=no_load(16)) == []


def test_preemptions_name_the_room_that_is_missing():
    load = changed(LOAD, preemptions=told(60.0, "preemptions"), per_request=told(0.6, "1/request"))
    (found,) = findings_of(CACHE, load, TAKEN)
    assert (found.code, found.level) == ("cache_too_small", "bad")
    assert "room for 2,560 tokens" in found.cause
    assert "8,000 tokens" in found.remedy.change
    assert found.remedy.settings == ("max_concurrency=5",)
    assert (found.trial.concurrency, found.trial.fields) == (16, {"input_tokens": "300", "output_tokens": "200"})
    assert found.trial.latency_s == 5.0


def test_a_preemption_in_many_requests_is_nothing():
    assert codes(load=changed(LOAD, preemptions=told(1.0, "preemptions"), per_request=told(0.005, "1/request"))) == []


def test_a_full_cache_while_requests_wait_is_enough_where_preemptions_are_not_told():
    untold = number_of(Missing("the server does not tell", 0, "preemptions"))
    full = changed(LOAD, kv_used=told(0.97, "ratio"), waiting=told(10.0, "requests"), preemptions=untold)
    full = changed(full, per_request=number_of(Missing("the server does not tell", 0, "1/request")))
    assert codes(load=full) == ["cache_too_small"]
    assert codes(load=changed(full, waiting=told(0.0, "requests"))) == []
    assert codes(load=changed(full, kv_used=told(0.6, "ratio"))) == [], "what is missing is slots, not room"


def test_failures_are_the_caches_only_if_it_is_shared_and_full():
    load = changed(LOAD, failed=number_of(wilson(40, 200, of="requests")), held_most=told(2550.0))
    assert codes(load=load) == ["cache_runs_full"]
    assert codes(CACHE, changed(load, held_most=told(1000.0))) == []
    assert codes(changed(CACHE, slots=4), load) == []


LEAK = changed(TAKEN, growth=told(9e5, "B/request", lo=8e5, hi=1e6), growth_per_s=5e6)


def test_growth_beyond_what_a_cache_explains_is_a_leak():
    (found,) = findings_of(CACHE, LOAD, LEAK)
    assert (found.code, found.level) == ("memory_grows", "bad")
    assert "516 kB of it" in found.cause, "500 tokens and a block of 16, at 1,000 B each"
    assert "50 min" in found.claim


def test_growth_that_a_cache_explains_or_that_takes_weeks_is_none():
    assert codes(changed(CACHE, bytes_per_token=2000), LOAD, LEAK) == []
    assert codes(CACHE, LOAD, changed(LEAK, growth_per_s=1e4)) == []
    slots = changed(CACHE, bytes_per_token=2000, slots=4)
    assert codes(slots, LOAD, LEAK) == ["memory_grows"], "slots are there from the start"
    small = changed(CACHE, bytes_per_token=2000, predicted_bytes=5e6)
    assert codes(small, LOAD, LEAK) == ["memory_grows"], "100 requests grew by more than the whole cache"
    (unknown,) = findings_of(changed(CACHE, bytes_per_token=None), LOAD, LEAK)
    assert "not known here" in unknown.cause


def test_a_cache_of_another_size_than_predicted():
    cache = changed(CACHE, predicted_bytes=2e6, told_bytes=1e6, error=number_of(error_of(2e6, 1e6)), source="its log")
    assert codes(cache) == ["cache_unlike_predicted"]
    assert codes(changed(cache, error=number_of(error_of(1.01e6, 1e6)))) == []


def test_the_figure_of_the_row_is_the_servers_gauge_or_what_the_client_counts():
    assert row_of(CACHE, LOAD, [], []).figure.value == 0.4
    without = changed(LOAD, kv_used=number_of(Missing("not told", 0, "ratio")))
    assert row_of(CACHE, without, [], []).figure.value == pytest.approx(1000 / 2560)
    assert isinstance(used_share(without, Cache()), Missing)


def test_whole_blocks_count_for_the_room():
    assert n_in_room(LOAD, CACHE) == 5  # 500 tokens take 32 blocks of 16
    assert n_in_room(LOAD, changed(CACHE, block_tokens=512)) == 5
    assert n_in_room(LOAD, Cache()) is None


def test_the_gain_is_over_pairs():
    rounds = [Round(told(100.0, "tokens/s"), told(100.0 * gain, "tokens/s")) for gain in (3.0, 4.0, 5.0)]
    found = gain_of(rounds)
    assert found.value == pytest.approx((3 * 4 * 5) ** (1 / 3))
    assert found.lo < found.value < found.hi
    assert isinstance(gain_of(rounds[:1]), Missing)


def test_an_error_of_prediction_needs_both_sizes():
    assert isinstance(error_of(None, 1.0), Missing)
    assert isinstance(error_of(1.0, None), Missing)
    assert error_of(102.0, 100.0) == exact(
        pytest.approx(0.02), n=1, unit="ratio", method="predicted over the engine's own figure, less 1"
    )
