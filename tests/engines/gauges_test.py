# SPDX-License-Identifier: Apache-2.0
"""Gauges of every engine, out of pages as they were recorded, or as source and documentation have them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferometer.engines import ENGINES, prometheus
from inferometer.engines.gauges import GAUGES, HISTOGRAMS, Gauges, canonical, series_wanted
from inferometer.engines.prometheus import MetricsError, Series

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"
BY_NAME = {engine.name: engine.gauges for engine in ENGINES if engine.gauges is not None}


def page(name: str) -> str:
    return (TRANSCRIPTS / f"{name}.http").read_bytes().partition(b"\r\n\r\n")[2].decode()


def gauges_of(engine: str, name: str) -> dict[str, float]:
    return canonical(BY_NAME[engine], page(name))


def test_llama_cpp():
    assert gauges_of("llama.cpp", "llama-server-0c1e570-metrics-after") == {
        "requests_running": 0,
        "requests_waiting": 0,
        "n_prompt_tokens": 1113 + 615,
        "n_output_tokens": 130,
        "n_prefix_queried_tokens": 1113 + 615,
        "n_prefix_hit_tokens": 615,
    }
    assert gauges_of("llama.cpp", "llama-server-0c1e570-metrics-idle")["n_output_tokens"] == 0


def test_a_version_without_a_count_of_cached_tokens_does_not_tell_its_prompts():
    text = page("llama-server-0c1e570-metrics-after").replace("prompt_tokens_cached_total", "something_else")
    found = canonical(BY_NAME["llama.cpp"], text)
    assert found.keys() == {"requests_running", "requests_waiting", "n_output_tokens"}


def test_vllm():
    found = gauges_of("vllm", "vllm-0.32.0-metrics-after")
    assert {name: value for name, value in found.items() if name in GAUGES} == {
        "requests_running": 0,
        "requests_waiting": 0,
        "kv_used_ratio": 0,
        "n_preemptions": 0,
        "n_prompt_tokens": 189,
        "n_output_tokens": 94,
        "n_prefix_queried_tokens": 189,
        "n_prefix_hit_tokens": 0,
    }
    ttft = {name: value for name, value in found.items() if "ttft" in name}
    assert (ttft["n_ttft"], ttft["ttft_sum_s"]) == (15, 0.8891501426696777)
    assert [ttft[f"n_ttft_le_{bound}"] for bound in ("0.001", "0.005", "0.01", "0.75", "1", "2560")] == [
        *(0, 7, 12, 14, 15, 15)
    ]
    assert (found["n_queue"], found["n_tpot"]) == (15, 15)


def test_vllm_of_older_versions():
    text = page("vllm-0.32.0-metrics-after").replace("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
    assert canonical(BY_NAME["vllm"], text)["kv_used_ratio"] == 0


def test_vllm_under_load_as_noted():
    labels = '{engine="0",model_name="tiny-llama"}'
    text = f"vllm:num_requests_running{labels} 8.0\nvllm:kv_cache_usage_perc{labels} 0.0009766221082829762\n"
    assert canonical(BY_NAME["vllm"], text) == {"requests_running": 8, "kv_used_ratio": 0.0009766221082829762}


@pytest.mark.parametrize("engine", ["sglang", "lmdeploy", "tensorrt-llm", "tgi"])
def test_engines_that_were_not_seen_running(engine):
    """Every page was written by hand for the same forty requests; what one does not have is not made up."""
    found = gauges_of(engine, f"made/{engine}-metrics")
    assert (found["n_prompt_tokens"], found["n_output_tokens"], found["n_queue"]) == (5120, 640, 40)
    assert found["requests_running"] in (6, 8)
    if engine == "tgi":
        assert not found.keys() & {"kv_used_ratio", "n_preemptions", "n_prefix_hit_tokens", "n_ttft"}
    else:
        assert (found["n_prefix_hit_tokens"], found["n_ttft"]) == (64, 40)
        assert 0 < found["kv_used_ratio"] <= 1
    if engine == "sglang":
        assert found["n_preemptions"] == 2


@pytest.mark.parametrize("engine", BY_NAME)
def test_everything_is_called_by_a_word_of_the_vocabulary(engine):
    assert set(BY_NAME[engine].names) <= set(GAUGES)
    assert set(BY_NAME[engine].histograms) <= set(HISTOGRAMS)


def test_several_replicas_are_one_server():
    """Counts add up, buckets too; of shares the fullest is what runs full."""
    text = "".join(
        f'vllm:num_requests_running{{engine="{i}"}} {n}\n'
        f'vllm:kv_cache_usage_perc{{engine="{i}"}} {share}\n'
        f'vllm:time_to_first_token_seconds_bucket{{engine="{i}",le="0.1"}} {n}\n'
        f'vllm:time_to_first_token_seconds_bucket{{engine="{i}",le="+Inf"}} {n + 1}\n'
        for i, n, share in ((0, 3, 0.2), (1, 4, 0.7))
    )
    assert canonical(BY_NAME["vllm"], text) == {
        "requests_running": 7,
        "kv_used_ratio": 0.7,
        "n_ttft_le_0.1": 7,
        "n_ttft": 9,
    }


def test_a_page_of_something_else_has_none_of_it():
    assert canonical(BY_NAME["vllm"], page("llama-server-0c1e570-metrics-after")) == {}


# --- the text ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "series"),
    [
        ("a 1", Series(1.0)),
        ("a\t1.5e3", Series(1500.0)),
        ("a 1 1395066363000", Series(1.0)),
        ("a{} 1", Series(1.0)),
        ('a{x="1",} 2', Series(2.0, {"x": "1"})),
        ('a{x="1", y = "q{}\\"\\\\\\n z"} 2', Series(2.0, {"x": "1", "y": 'q{}"\\\n z'})),
        ('a{le="+Inf"} 3 # {trace_id="b"} 0.67 1.5', Series(3.0, {"le": "+Inf"})),
        ("a +Inf", Series(float("inf"))),
    ],
)
def test_a_line(line, series):
    assert prometheus.read(f"# HELP a all\n\n{line}\nab 7\n", {"a"}) == {"a": [series]}


@pytest.mark.parametrize("line", ["a", "a one", "a{x=1} 2", 'a{x="1" 2', 'a{x="1"}', 'a{x="1"y="2"} 2', "a 1 2 3"])
def test_a_line_that_is_none_is_an_error_and_only_where_it_matters(line):
    with pytest.raises(MetricsError):
        prometheus.read(line + "\n", {"a"})
    assert prometheus.read(line + "\n", {"b"}) == {}


def test_a_bucket_without_a_bound_is_an_error():
    with pytest.raises(MetricsError, match="without a bound"):
        canonical(BY_NAME["vllm"], 'vllm:time_to_first_token_seconds_bucket{engine="0"} 1\n')


def test_no_number_is_no_gauge():
    assert canonical(BY_NAME["llama.cpp"], "llamacpp:requests_processing NaN\n") == {}


def test_only_what_is_wanted_is_looked_for():
    wanted = series_wanted(BY_NAME["vllm"])
    assert "vllm:time_to_first_token_seconds_bucket" in wanted
    assert not any(name.endswith("_created") for name in wanted)


def test_a_page_that_is_no_prometheus_text_brings_its_reader():
    def read(text, wanted):
        return {name: [Series(float(value))] for name, value in json.loads(text).items() if name in wanted}

    gauges = Gauges("/load", {"requests_running": (("server_load",),)}, read=read)
    assert canonical(gauges, '{"server_load": 3, "another": "word"}') == {"requests_running": 3}
