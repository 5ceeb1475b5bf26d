# SPDX-License-Identifier: Apache-2.0
"""A server's gauges over HTTP: what there is to read, readings that fail, and the secrets that must not be kept."""

from __future__ import annotations

import pytest
from tests.host.fake_server import Answer, recorded, serving

from inferometer.clock import Clock
from inferometer.engines import generic, llamacpp, ollama, vllm
from inferometer.host.control import Control
from inferometer.host.gpu import GpuSampler, NoGpu, why_not
from inferometer.host.scrape import Scraper, look

LLAMA_CPP, VLLM = llamacpp.ENGINE, vllm.ENGINE
PAGE = recorded("llama-server-0c1e570-metrics-after")


def found(engine, **routes):
    with serving({f"GET /{name}": route for name, route in routes.items()}) as url, Control(url) as control:
        return look(control, engine)


def test_what_there_is_to_read():
    prospect = found(LLAMA_CPP, metrics=PAGE)
    assert (prospect.path, prospect.not_measured) == ("/metrics", "")
    assert set(prospect.names) == set(LLAMA_CPP.gauges.names) - {"kv_used_ratio"}
    assert {"n_ttft", "ttft_sum_s"} <= set(found(VLLM, metrics=recorded("vllm-0.32.0-metrics-idle")).names)


@pytest.mark.parametrize(
    ("engine", "route", "reason"),
    [
        (
            LLAMA_CPP,
            recorded("llama-server-0c1e570-metrics-not-enabled"),
            "/metrics answered HTTP 501; start llama-server with --metrics",
        ),
        (
            VLLM,
            PAGE,
            "/metrics has no metric of vLLM that is known; start vLLM without --disable-log-stats",
        ),
        (
            LLAMA_CPP,
            lambda *_: Answer(b"llamacpp:requests_processing many\n"),
            "not a number in Prometheus text: 'llamacpp:requests_processing many'; start llama-server with --metrics",
        ),
        (generic.ENGINE, PAGE, "no metrics of OpenAI-compatible server are known"),
        (ollama.ENGINE, PAGE, "no metrics of Ollama are known"),
    ],
)
def test_why_there_is_nothing_to_read(engine, route, reason):
    prospect = found(engine, metrics=route)
    assert (prospect.names, prospect.not_measured) == ((), reason)


def test_readings_that_fail_are_counted_and_timed_and_are_no_zeros():
    answers = [PAGE(None, {}), Answer(b"overloaded", 503), Answer(b"llamacpp:requests_processing ?\n"), PAGE(None, {})]
    with serving({"GET /metrics": lambda *_: answers.pop(0)}) as url, Control(url) as control:
        clock = Clock()
        scraper = Scraper(control, LLAMA_CPP.gauges, clock)
        readings = [scraper.read() for _ in range(4)]
    good, overloaded, damaged, again = (dict(reading.gauges) for reading in readings)
    assert good["n_output_tokens"] == again["n_output_tokens"] == 130
    for reading in (overloaded, damaged):
        assert reading.keys() == {"scrape_s", "n_scrapes", "n_scrape_failures"}
    assert [dict(reading.gauges)["n_scrape_failures"] for reading in readings] == [0, 1, 2, 2]
    assert all(dict(reading.gauges)["scrape_s"] > 0 for reading in readings)
    assert [reading.t_ns for reading in readings] == sorted(reading.t_ns for reading in readings)
    assert "not a number" in scraper.last_error
    assert scraper.first_page == scraper.last_page
    assert "llamacpp:tokens_predicted_total 130" in scraper.last_page


def test_a_key_that_a_page_echoes_is_masked():
    key = "sk-very-secret-0123456789"
    page = f'vllm:num_requests_running{{model_name="m",key="{key}"}} 3\n'.encode()
    headers = [("authorization", f"Bearer {key}")]
    with serving({"GET /metrics": lambda *_: Answer(page)}) as url, Control(url, headers=headers) as control:
        scraper = Scraper(control, VLLM.gauges, Clock())
        assert dict(scraper.read().gauges)["requests_running"] == 3
    assert key not in scraper.first_page
    assert "*" * len(key) in scraper.first_page


@pytest.mark.skipif(not why_not(), reason="there is a GPU to be read")
def test_without_a_gpu_it_is_said_why():
    with pytest.raises(NoGpu, match=r"NVIDIA|inferometer\[gpu\]"):
        GpuSampler()


@pytest.mark.skipif(bool(why_not()), reason="there is no GPU, or no NVML")
def test_a_gpu_tells_of_itself():
    sampler = GpuSampler()
    readings = sampler.read()
    sampler.close()
    assert len(readings) == len(sampler.names) > 0
    for i, (source, gauges) in enumerate(readings):
        told = dict(gauges)
        assert source == f"gpu-{i}"
        assert 0 <= told["busy_ratio"] <= 1
        assert 0 < told["memory_used_bytes"] <= told["memory_bytes"]
        assert 0 < told["power_w"] < 3000
        assert 0 < told["temperature_c"] < 130
