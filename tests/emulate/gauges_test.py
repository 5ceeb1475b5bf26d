# SPDX-License-Identifier: Apache-2.0
"""What emulated engines tell of themselves: each in its own names, and equal to what the log of sends says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.patience import until

from inferometer.emulate.gauges import Histogram, counter, gauge, histogram, text
from inferometer.emulate.law import ServiceLaw
from inferometer.kinds import TOKEN_BEARING

LAW = ServiceLaw(a=10.0, b=0.05, c=0.5, d=0.001)
VLLM, LMDEPLOY = '{engine="0",model_name="emulated"}', '{engine="0",model_name="emulated"}'
SGLANG = '{engine_type="unified",model_name="emulated",pp_rank="0",tp_rank="0"}'
TRTLLM = '{engine_type="undefined",model_name="undefined"}'
# Engine: page, running, waiting, tokens of answers, of prompts, sum and count of its own TTFT, use of the cache.
NAMES = {
    "vllm": (
        "/metrics",
        f"vllm:num_requests_running{VLLM}",
        f"vllm:num_requests_waiting{VLLM}",
        f"vllm:generation_tokens_total{VLLM}",
        f"vllm:prompt_tokens_total{VLLM}",
        f"vllm:time_to_first_token_seconds_sum{VLLM}",
        f"vllm:kv_cache_usage_perc{VLLM}",
    ),
    "llama.cpp": (
        "/metrics",
        "llamacpp:requests_processing",
        "llamacpp:requests_deferred",
        "llamacpp:tokens_predicted_total",
        "llamacpp:prompt_tokens_total",
        None,
        None,
    ),
    "tgi": (
        "/metrics",
        "tgi_batch_current_size",
        "tgi_queue_size",
        "tgi_request_generated_tokens_sum",
        "tgi_request_input_length_sum",
        None,
        None,
    ),
    "lmdeploy": (
        "/metrics",
        f"lmdeploy:num_requests_running{LMDEPLOY}",
        f"lmdeploy:num_requests_waiting{LMDEPLOY}",
        f"lmdeploy:generation_tokens_total{LMDEPLOY}",
        f"lmdeploy:prompt_tokens_total{LMDEPLOY}",
        f"lmdeploy:time_to_first_token_seconds_sum{LMDEPLOY}",
        f"lmdeploy:gpu_cache_usage_perc{LMDEPLOY}",
    ),
    "sglang": (
        "/metrics",
        f"sglang:num_running_reqs{SGLANG}",
        f"sglang:num_queue_reqs{SGLANG}",
        f"sglang:generation_tokens_total{SGLANG}",
        f"sglang:prompt_tokens_total{SGLANG}",
        f"sglang:time_to_first_token_seconds_sum{SGLANG}",
        f"sglang:token_usage{SGLANG}",
    ),
    "tensorrt-llm": (
        "/prometheus/metrics",
        f"trtllm_num_requests_running{TRTLLM}",
        f"trtllm_num_requests_waiting{TRTLLM}",
        f"trtllm_generation_tokens_total{TRTLLM}",
        f"trtllm_prompt_tokens_total{TRTLLM}",
        f"trtllm_time_to_first_token_seconds_sum{TRTLLM}",
        f"trtllm_kv_cache_utilization{TRTLLM}",
    ),
}


PROMPT = " ".join(f"g{i}" for i in range(100))
WISH = {"prompt": PROMPT, "ignore_eos": True, "stream": True}


@pytest.mark.parametrize("name", NAMES)
def test_counters_agree_with_the_log(emulated, name):
    page, _, _, outputs, prompts, ttft_sum, _ = NAMES[name]
    client = emulated(name, law=LAW, slots=2, seed=21)
    with ThreadPoolExecutor(5) as pool:
        wishes = [WISH | {"prompt": f"{i} {PROMPT}", "max_tokens": 12} for i in range(5)]
        list(pool.map(lambda wish: client.ask("/v1/completions", wish), wishes))
    told, log = client.gauges(page), client.log()
    assert told[outputs] == log.all_steps()["n_tokens"].sum()
    assert told[prompts] == 5 * 101
    if ttft_sum is not None:
        first_ns = []
        for row in range(5):
            steps = log.steps_of(row)
            first_ns.append(steps["t_due_ns"][np.isin(steps["kind"], TOKEN_BEARING)][0])
        true_s = (np.array(first_ns) - log.requests["t_arrival_ns"]).sum() / 1e9
        assert told[ttft_sum] == pytest.approx(true_s, rel=1e-9)
        assert told[ttft_sum.replace("_sum", "_count")] == 5


@pytest.mark.parametrize("name", NAMES)
def test_gauges_say_who_runs_and_who_waits(emulated, name):
    page, running, waiting, _, _, _, used = NAMES[name]
    without = ("no-exact-length",) if name == "tgi" else ()
    client = emulated(name, law=LAW, slots=2, seed=22, without_traps=without)
    idle = client.gauges(page)
    assert (idle[running], idle[waiting]) == (0, 0)
    with client.held(5, "/v1/completions", WISH | {"max_tokens": 5000}):
        until(lambda: (client.gauges(page)[running], client.gauges(page)[waiting]) == (2, 3))
        assert used is None or 0.01 < client.gauges(page)[used] < 1
    until(lambda: client.gauges(page)[running] == 0)
    assert client.gauges(page)[waiting] == 0


def test_an_engine_s_own_times_are_those_of_the_log(emulated):
    client = emulated("llama.cpp", law=LAW)
    wish = {"prompt": "a b c d", "n_predict": 10, "ignore_eos": True, "stream": True}
    timings = client.events("/completion", wish)[-1]["timings"]
    steps = client.log().steps_of(0)
    due_ns = steps["t_due_ns"][np.isin(steps["kind"], TOKEN_BEARING)]
    assert timings["predicted_n"] == 10
    assert timings["prompt_ms"] == pytest.approx(10 + 0.05 * 4)
    assert timings["predicted_ms"] == pytest.approx((due_ns[-1] - due_ns[0]) / 1e6)


def test_lines_of_a_scraped_page():
    measured = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 3.0):
        measured.add(value)
    page = text([counter("c_total", 3, {"b": "2", "a": "1"}), gauge("g", 0.5), histogram("h", measured, {"x": "y"})])
    assert page.decode().splitlines() == [
        "# TYPE c_total counter",
        'c_total{a="1",b="2"} 3',
        "# TYPE g gauge",
        "g 0.5",
        "# TYPE h histogram",
        'h_bucket{le="0.1",x="y"} 2',
        'h_bucket{le="1.0",x="y"} 3',
        'h_bucket{le="+Inf",x="y"} 4',
        'h_sum{x="y"} 3.65',
        'h_count{x="y"} 4',
    ]


def test_a_coarser_histogram_loses_no_value():
    fine = Histogram((0.1, 0.2, 0.4, 0.8))
    for value in (0.05, 0.15, 0.3, 0.5, 2.0):
        fine.add(value)
    coarse = fine.from_bound(0.3)
    assert (coarse.bounds, coarse.counts, coarse.n, coarse.sum) == ((0.4, 0.8), [3, 1, 1], 5, fine.sum)
