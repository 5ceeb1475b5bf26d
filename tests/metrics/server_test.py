# SPDX-License-Identifier: Apache-2.0
"""What the server says of itself, on traces and readings written by hand."""

from __future__ import annotations

import numpy as np
import pytest
from traces import CONTENT, MS, S, closed_loop, make_trace, request

from inferometer.kinds import Outcome
from inferometer.metrics.server import (
    in_buckets,
    server_numbers,
    server_prefill,
    server_queue,
    server_tpot,
    server_ttft,
    ttft_outside,
)
from inferometer.metrics.summary import summarize
from inferometer.metrics.window import Window
from inferometer.stats import Estimate, Missing

WINDOW = [Window(0, 0, 10 * S)]


def readings(*rows, t_ns=(-1 * S, 5 * S, 11 * S)):
    """Samples of the server: one mapping per instant."""
    return [
        (t, "server", gauge, float(value))
        for i, (t, row) in enumerate(zip(t_ns, rows, strict=True))
        for gauge, value in ({"n_scrapes": i + 1, "n_scrape_failures": 0, "scrape_s": 0.002} | row).items()
    ]


def numbers(*rows, requests=(), plan=None, t_ns=(-1 * S, 5 * S, 11 * S)):
    return server_numbers(make_trace(*requests, samples=readings(*rows, t_ns=t_ns), plan=plan), WINDOW)


def value(found, name):
    number = found[f"server_{name}"]
    assert isinstance(number, Estimate), number
    return number.value


def ok(n_prompt, n_output, **columns):
    chunks = [(20 * MS, CONTENT), (50 * MS, CONTENT)]
    return request(sent=2 * MS, chunks=chunks, tokens=n_output, n_prompt_tokens=n_prompt, **columns)


# --- of each request -----------------------------------------------------------------------------------------------


def test_the_servers_own_times_and_what_lies_outside():
    whole = ok(5, 4, server_ttft_ns=11 * MS, server_queue_ns=4 * MS, server_decode_ns=30 * MS)  # as vLLM tells
    parts = ok(5, 4, server_prefill_ns=12 * MS, server_decode_ns=27 * MS)  # as llama.cpp
    both = ok(5, 4, server_prefill_ns=12 * MS, server_queue_ns=3 * MS)
    one = ok(5, 1, server_prefill_ns=12 * MS, server_decode_ns=0)
    trace = make_trace(whole, parts, both, one, ok(5, 4))
    nan = np.nan
    for fn, expected in (
        (server_ttft, [0.011, nan, nan, nan, nan]),
        (server_queue, [0.004, nan, 0.003, nan, nan]),
        (server_prefill, [nan, 0.012, 0.012, 0.012, nan]),
        (server_tpot, [0.010, 0.009, nan, nan, nan]),
        (ttft_outside, [0.007, 0.006, 0.003, 0.006, nan]),  # of 18 ms from sent
    ):
        np.testing.assert_allclose(fn(trace), expected, atol=1e-12, err_msg=fn.__name__)


# --- gauges --------------------------------------------------------------------------------------------------------


def test_without_readings_there_is_nothing():
    assert server_numbers(make_trace(ok(5, 4)), WINDOW) == {}
    assert summarize(closed_loop()).server == {}


def test_peaks_are_those_inside_the_window():
    found = numbers(
        {"requests_running": 9, "requests_waiting": 9, "kv_used_ratio": 0.9},
        {"requests_running": 4, "requests_waiting": 2, "kv_used_ratio": 0.31},
        {"requests_running": 0, "requests_waiting": 0, "kv_used_ratio": 0.0},
    )
    assert [value(found, f"{name}_max") for name in ("requests_running", "requests_waiting")] == [4, 2]
    assert value(found, "kv_used_max_ratio") == 0.31


def test_what_a_server_does_not_tell_is_missing_and_not_zero():
    found = numbers({}, {}, {})
    for name in ("requests_running_max", "kv_used_max_ratio", "preemptions", "prefix_hit_ratio", "prompt_tokens"):
        assert found[f"server_{name}"] == Missing("the server does not tell", 0, found[f"server_{name}"].unit)
    assert "server_prompt_tokens_more" not in found


def test_counters_that_begin_anew_are_not_believed():
    found = numbers({"n_preemptions": 5}, {"n_preemptions": 7}, {"n_preemptions": 1})
    assert "began anew" in found["server_preemptions"].reason


def test_tokens_are_compared_over_the_whole_run():
    sent = [ok(100, 10), ok(120, 20)]
    first, last = {"n_prompt_tokens": 1000, "n_output_tokens": 500}, {"n_prompt_tokens": 1220, "n_output_tokens": 530}
    found = numbers(first, first, last, requests=sent)
    assert (value(found, "prompt_tokens"), value(found, "prompt_tokens_more")) == (220, 0)
    assert (value(found, "output_tokens"), value(found, "output_tokens_more")) == (30, 0)
    more = numbers(first, first, last | {"n_output_tokens": 537}, requests=sent)
    assert value(more, "output_tokens_more") == 7


@pytest.mark.parametrize("other", [request(outcome=Outcome.RESET, n_prompt_tokens=3), ok(-1, -1)])
def test_with_a_request_of_unknown_end_there_is_nothing_to_compare(other):
    row = {"n_prompt_tokens": 0, "n_output_tokens": 0}
    found = numbers(row, row, {"n_prompt_tokens": 220, "n_output_tokens": 30}, requests=[ok(100, 10), other])
    assert value(found, "output_tokens") == 30
    assert "1 requests did not end well" in found["server_output_tokens_more"].reason


def test_prefix_hits_beyond_template_and_shared_prefix():
    first = {"n_prefix_hit_tokens": 50, "n_prefix_queried_tokens": 100}
    last = {"n_prefix_hit_tokens": 110, "n_prefix_queried_tokens": 300}
    sent = [ok(100, 10), ok(100, 10)]
    plan = {"n_template_tokens": 4, "shared_prefix": 16}
    found = numbers(first, first, last, requests=sent, plan=plan)
    assert value(found, "prefix_excess_ratio") == (60 - 2 * 20) / 200
    assert value(numbers(first, first, last, requests=sent), "prefix_excess_ratio") == 0, "32 each may be the template"


def test_a_histogram_gives_means_and_quantiles_with_their_bucket_as_interval():
    rises = {"n_ttft": 100, "ttft_sum_s": 12.0, "n_ttft_le_0.1": 40, "n_ttft_le_0.2": 90, "n_ttft_le_0.4": 100}
    before = dict.fromkeys(rises, 7.0)
    after = {name: 7.0 + rise for name, rise in rises.items()}
    found = numbers(before, before, after, after, t_ns=(-1 * S, 0, 10 * S, 11 * S))
    assert value(found, "ttft_mean_s") == pytest.approx(0.12)
    median = found["server_ttft_p50_s"]
    assert (median.value, median.lo, median.hi) == pytest.approx((0.12, 0.1, 0.2))
    assert (median.n, median.unit) == (100, "s")
    assert found["server_queue_mean_s"] == Missing("the server does not tell", 0, "s")


def test_an_empty_histogram_and_one_that_is_too_short():
    assert "took in nothing" in numbers(*[{"n_ttft": 3, "ttft_sum_s": 1}] * 3)["server_ttft_mean_s"].reason
    assert "beyond 0.2 s" in in_buckets(np.array([0.1, 0.2]), np.array([1.0, 2.0]), 10, 0.5, "s").reason
    assert "no buckets" in in_buckets(np.zeros(0), np.zeros(0), 10, 0.5, "s").reason
    first = in_buckets(np.array([0.1, 0.2]), np.array([8.0, 10.0]), 10, 0.5, "s")
    assert (first.lo, first.hi, first.value) == pytest.approx((0.0, 0.1, 0.0625))


def test_the_cost_of_reading():
    row = {"scrape_s": 0.004, "n_scrape_failures": 1}
    samples = [*readings({}, {}, row), *[(t, "scraper", "cpu_s", 0.5 + t / S * 0.01) for t in (-1 * S, 11 * S)]]
    found = server_numbers(make_trace(samples=sorted(samples)), WINDOW)
    assert (value(found, "scrape_p50_s"), value(found, "scrape_max_s")) == pytest.approx((0.003, 0.004))
    assert value(found, "scrape_failures") == 1
    assert found["scraper_cpu_ratio"].value == pytest.approx(0.01)


# --- reasons -------------------------------------------------------------------------------------------------------


def judged(counters, **changes):
    """A healthy closed loop whose server's counters rose so; 400 requests of 100 tokens and 10."""
    end = 60 * S
    samples = [
        (t, "server", gauge, float(value * (t > 0)))
        for t in (-1 * S, end)
        for gauge, value in ({"n_scrapes": 2, "n_scrape_failures": 0} | counters).items()
    ]
    trace = closed_loop(samples=samples, n_prompt_tokens=100, **changes)
    return {reason.code: reason for reason in summarize(trace).verdict.reasons}


def test_counts_that_agree_are_no_reason():
    assert judged({"n_prompt_tokens": 40_000, "n_output_tokens": 4_000}) == {}
    assert judged({"n_prompt_tokens": 40_700, "n_output_tokens": 4_070}) == {}, "within 2 %"


def test_work_that_was_not_ours_spoils_the_run():
    found = judged({"n_prompt_tokens": 40_000, "n_output_tokens": 4_400})["server_counts"]
    assert (found.level, found.metrics) == ("suspect", ())
    assert "4,400 output tokens, its answers tell 4,000: 10 % more" in found.text


def test_answers_that_tell_more_than_was_done_spoil_what_is_per_token():
    found = judged({"n_output_tokens": 3_000})["server_counts"]
    assert found.metrics == ("tpot_s", "output_throughput_tokens_per_s")
    assert "25 % fewer" in found.text
    assert judged({"n_prompt_tokens": 30_000})["server_counts"].metrics == ("input_throughput_tokens_per_s",)


def test_prefix_hits_by_the_counters_count_where_answers_do_not_tell():
    hits = {"n_prefix_hit_tokens": 20_000, "n_prefix_queried_tokens": 40_000}
    found = judged(hits)["prefix_hits"]
    assert "18 % of the prompt tokens came from a prefix cache, by the server's counters" in found.text
    assert "ttft_s" in found.metrics
    assert "prefix_hits" not in judged(hits | {"n_prefix_hit_tokens": 12_000})
    assert "prefix_hits" not in judged(hits, n_cached_tokens=0), "an answer that tells its own is asked instead"
    assert "prefix_hits" not in judged(hits, plan={"input_tokens": "file:prompts.jsonl"})
