# SPDX-License-Identifier: Apache-2.0
"""The block of the server's own figures: what adds up, what differs, what was not measured."""

from __future__ import annotations

import pytest

from inferometer.report.json import to_dict
from inferometer.report.server import server_lines
from inferometer.stats import LEVEL, Missing, exact


def number(value, unit="requests", n=31):
    return exact(value, n=n, unit=unit, method="by hand")


SERVER = {
    "server_requests_running_max": number(4.0),
    "server_requests_waiting_max": number(0.0),
    "server_kv_used_max_ratio": number(0.3125, "ratio"),
    "server_preemptions": number(2.0, "preemptions"),
    "server_prefix_hit_ratio": number(0.0078, "ratio"),
    "server_prompt_tokens": number(10_604.0, "tokens"),
    "server_prompt_tokens_more": number(0.0, "tokens"),
    "server_output_tokens": number(4_074.0, "tokens"),
    "server_output_tokens_more": number(0.0, "tokens"),
    "server_scrape_p50_s": number(0.0017, "s"),
    "server_scrape_max_s": number(0.0049, "s"),
    "server_scrape_failures": number(0.0, "readings"),
    "scraper_cpu_ratio": number(0.0023, "ratio"),
}
TOLD = {"server_ttft_mean_s": number(0.0181, "s"), "server_queue_mean_s": number(0.0004, "s")}
MEASURED = {"path": "/metrics", "not_measured": "", "last_error": ""}


@pytest.fixture
def lines(make_summary, usual):
    """`lines(times={...}, server={...}, gauges={...})`: the block on one line each, as wide as it takes."""

    def make(times=None, server=None, gauges=MEASURED):
        for name, mean_s in (times or {}).items():
            usual[name] = {"mean": number(mean_s, "s")}
        summary = make_summary(metrics=usual, server=SERVER if server is None else server, gauges=gauges)
        return [line.removeprefix("server").strip() for line in server_lines(summary, 400)]

    return make


def test_a_run_of_before_gauges_has_no_block(lines):
    assert lines(server={}, gauges={}) == []


def test_the_whole_block_fits_its_width(make_summary, usual, golden):
    usual |= {
        name: {"mean": number(mean, "s")} for name, mean in (("ttft_outside_s", 0.0026), ("server_prefill_s", 0.0173))
    }
    summary = make_summary(metrics=usual, server=SERVER, gauges=MEASURED)
    for width in (80, 100):
        block = server_lines(summary, width)
        assert all(len(line) <= width for line in block)
        golden(f"server-{width}.txt", "\n".join(block) + "\n")


def test_times_that_add_up(lines):
    first = "first token 19.8 [19.4, 20.2] ms from sent (means of 491 requests): "
    prefill = {"server_prefill_s": 0.0173, "ttft_outside_s": 0.0025}
    assert lines(prefill)[0] == first + (
        "17.3 ms prefill by its own clock, 2.50 ms outside it (network, client, waiting to be begun)"
    )
    whole = {"server_ttft_s": 0.0181, "server_queue_s": 0.0004, "ttft_outside_s": 0.0017}
    del whole["ttft_outside_s"]
    assert lines(whole | {"ttft_outside_s": 0.0017})[0] == first + (
        "18.1 ms by its own clock, 0.400 ms of it waiting, 1.70 ms outside it (network, client)"
    )


def test_times_out_of_histograms(lines):
    assert lines(server=SERVER | TOLD)[0] == (
        "first token 19.8 [19.4, 20.2] ms from sent (means of 491 requests): "
        "18.1 ms by its own clock, over all it served, 0.400 ms of it waiting"
    )


def test_load_tokens_and_readings(lines):
    assert lines() == [
        "running 4 at most; waiting 0 at most; KV cache 31.2 % full at most; preempted 2 times; "
        "prefix cache hits 0.78 % of the prompt tokens",
        "tokens counted 10,604 in, 4,074 out, as its answers tell",
        "read 31 times, in 1.70 ms (median), 4.90 ms at most; reading took 0.23 % of a core",
    ]


def test_what_differs_and_what_cannot_be_compared(lines):
    more = {"server_output_tokens_more": number(26.0, "tokens")}
    assert "4,074 out; its answers tell otherwise: +0 in, +26 out" in " ".join(lines(server=SERVER | more))
    unknown = {name: Missing("no", 1, "tokens") for name in SERVER if name.endswith("_more")}
    assert "tokens counted 10,604 in, 4,074 out" in lines(server=SERVER | unknown)


def test_what_was_not_measured_says_why_and_what_to_do(lines):
    reason = "/metrics answered HTTP 501; start llama-server with --metrics"
    assert lines(server={}, gauges={"not_measured": reason}) == [f"its own gauges: not measured: {reason}"]
    failed = SERVER | {"server_scrape_failures": number(3.0, "readings")}
    found = lines(server=failed, gauges=MEASURED | {"last_error": "/metrics answered HTTP 503"})
    assert "3 readings failed" in found[-2]
    assert found[-1] == "last reading that failed: /metrics answered HTTP 503"


def test_the_same_in_json(make_summary):
    document = to_dict(make_summary(server=SERVER, gauges=MEASURED))
    assert document["gauges"] == MEASURED
    assert document["server"].keys() == SERVER.keys()
    assert document["server"]["server_kv_used_max_ratio"] == {
        **{"value": 0.3125, "lo": 0.3125, "hi": 0.3125, "level": LEVEL},
        **{"n": 31, "unit": "ratio", "method": "by hand"},
    }
