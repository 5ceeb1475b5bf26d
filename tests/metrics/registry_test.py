# SPDX-License-Identifier: Apache-2.0
"""The registry: names, units and documentation of every metric."""

from __future__ import annotations

import pytest

from inferometer.metrics import METRICS
from inferometer.metrics.registry import base_name, metric

CANONICAL = [
    *("ttft_s", "ttft_sent_s", "ttfat_s", "tpot_s", "e2e_s", "e2e_sent_s", "normalized_latency_s", "ttfb_s"),
    *("user_speed_tokens_per_s", "usage_tail_s", "lateness_s"),
    *("server_ttft_s", "server_queue_s", "server_prefill_s", "server_tpot_s", "ttft_outside_s"),
    *("gap_s", "gap_token_s", "gap_max_s", "underrun_s", "fluidity_ratio"),
    *("request_throughput_per_s", "output_throughput_tokens_per_s", "input_throughput_tokens_per_s"),
    *("total_throughput_tokens_per_s", "goodput_per_s", "prefix_hit_ratio"),
    *("attainment_ratio", "error_ratio", "stalls_per_1000_tokens", "stalled_time_ratio", "stalled_requests_ratio"),
    *("longest_pause_s", "in_flight_requests", "little_law_ratio", "offered_per_s", "delivered_per_s"),
]


def test_the_names_are_those_of_the_json_schema():
    assert sorted(METRICS) == sorted(CANONICAL)


def test_headline_metrics_are_three():
    assert [name for name, found in METRICS.items() if found.is_headline] == ["ttft_s", "tpot_s", "e2e_s"]


@pytest.mark.parametrize("name", CANONICAL)
def test_every_metric_is_documented_in_one_line_and_says_what_it_needs(name):
    found = METRICS[name]
    assert found.doc.endswith(".")
    assert "\n" not in found.doc
    assert found.needs
    assert name.startswith(base_name(found))


def test_two_metrics_cannot_have_one_name():
    def ttft(trace):
        """Another."""

    with pytest.raises(AssertionError, match="two metrics are called ttft_s"):
        metric(unit="s", better="lower", per="request")(ttft)
