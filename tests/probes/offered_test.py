# SPDX-License-Identifier: Apache-2.0
"""What is printed as --set can be typed for that engine, and would change it."""

from __future__ import annotations

import pytest
from tests.analysis.points import number

from inferometer.analysis.finding import Finding, Remedy
from inferometer.engines import generic
from inferometer.engines.registry import engine_named
from inferometer.probes.explain.offered import tellable


def remedy_of(engine, *settings, told=None):
    remedy = Remedy("do it", settings)
    finding = Finding("x", "scale", "bad", "claim", "cause", "witness", number(1.0), remedy=remedy)
    return tellable(finding, engine, told or {}).remedy


@pytest.mark.parametrize(
    ("name", "setting", "told"),
    [
        ("llama-cpp-python", "max_concurrency=8", {}),
        ("ollama", "prefix_cache=on", {}),
        ("sglang", "prefix_cache=on", {}),
        ("sglang", "chunked_prefill=on", {}),
        ("vllm", "chunked_prefill=on", {}),
        ("vllm", "prefix_cache=on", {"prefix_cache": True}),
        ("llama.cpp", "max_concurrency=16", {"max_concurrency": 16}),
    ],
)
def test_what_an_engine_has_not_or_has_already_is_not_offered(name, setting, told):
    assert remedy_of(engine_named(name), setting, told=told).settings == ()


@pytest.mark.parametrize(
    ("name", "setting", "told"),
    [
        ("vllm", "chunked_prefill=on", {"chunked_prefill": False}),
        ("tensorrt-llm", "chunked_prefill=on", {}),
        ("lmdeploy", "prefix_cache=on", {}),
        ("vllm", "max_concurrency=16", {"max_concurrency": 8}),
        ("ollama", "max_concurrency=16", {}),
    ],
)
def test_what_would_change_it_is(name, setting, told):
    assert remedy_of(engine_named(name), setting, told=told) == Remedy("do it", (setting,))


def test_why_an_engine_cannot_be_told_is_said():
    told = remedy_of(engine_named("llama-cpp-python"), "max_concurrency=8").change
    assert told.startswith("do it; llama-cpp-python")
    assert "has no setting for it: it serves one request at a time" in told


def test_of_a_server_that_we_cannot_start_no_setting_is_known():
    assert remedy_of(generic.ENGINE, "max_concurrency=8") == Remedy("do it")
