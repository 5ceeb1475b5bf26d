# SPDX-License-Identifier: Apache-2.0
"""`explain memory` and `explain cost` on emulated engines: a defect of each kind found by its cause, a healthy one left
alone, and what is known of an engine whose model is. All seeds: benchmarks/defects_memory.py."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from inferometer.config import resolve
from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.launch import EmulatedEngine
from inferometer.emulate.law import ServiceLaw
from inferometer.host.description import describe
from inferometer.probes.bench import bench
from inferometer.probes.explain import cost, memory
from inferometer.report import explain_cost, explain_memory

from .conftest import Silent

LENGTHS = {"input_tokens": "uniform:192-320", "output_tokens": "uniform:192-320"}
LAW = ServiceLaw(a=3.0, b=0.01, c=0.05, d=0.0)
pytestmark = pytest.mark.slow


@contextmanager
def benched(tmp_path, engine="vllm", lengths=(), **fields):
    setting = make_setting(engine, **{"law": LAW, "context": 2048, "slots": 16, "seed": 3} | fields)
    with EmulatedEngine(setting) as server:
        config = resolve({"url": f"http://127.0.0.1:{server.port}", "out": str(tmp_path / "bench"), **dict(lengths)})
        with bench(config, Silent(), what="test", greatest=config, budget_s=60.0) as found:
            yield found


def examined(tmp_path, **fields):
    with benched(tmp_path, lengths=LENGTHS, **fields) as at:
        return memory.examine(at, memory.MemoryWish(concurrency=16, budget_s=30.0, n_rounds=0))


@pytest.mark.parametrize(
    ("defect", "code", "words"),
    [("small-cache", "cache_too_small", "too small"), ("leaks-memory", "memory_grows", "not given back")],
)
def test_a_planted_defect_is_found_by_its_cause(tmp_path, defect, code, words):
    found = examined(tmp_path, defects=[defect])
    assert [finding.code for finding in found.row.findings] == [code]
    assert words in found.row.findings[0].cause
    assert words in explain_memory.render(found, folder="x").splitlines()[0]


def test_a_healthy_engine_is_left_alone_and_what_is_not_known_is_listed(tmp_path):
    found = examined(tmp_path)
    assert found.row.findings == []
    assert any("--model-file" in line for line in found.row.not_measured)
    assert found.cache.n_tokens == 16 * 2048
    assert found.load.held_most.value < 16 * 700


def test_cost_of_an_engine_whose_model_is_known(tmp_path):
    law = ServiceLaw(a=3.0, b=0.05, c=0.05, d=0.0)
    with benched(tmp_path, law=law) as at:
        wish = cost.CostWish(describe("SmolLM2-135M"), concurrency=8, price_per_hour=3.6, api=(1.0, 2.0), budget_s=40.0)
        found = cost.examine(at, wish)
    assert [phase.name for phase in found.phases] == ["prefill", "decode alone", "decode together"]
    prefill, alone, together = found.phases
    assert prefill.time.value == pytest.approx(law.b / 1000, rel=0.5)
    assert alone.time.value == pytest.approx((law.a + law.c) / 1000, rel=0.2)
    assert together.batch > 4
    assert together.step.value > together.time.value * 1.1, "a fifth of a step is others' prompts"
    assert together.time.value == pytest.approx((law.a + law.c * together.batch) / 1000, rel=0.1)
    assert alone.flops == pytest.approx(2 * 134_515_008, rel=0.1)
    assert found.priced.per_1000.value == pytest.approx(1.0 / found.priced.load.value)
    screen = explain_cost.render(found, folder="x")
    assert "MFU, measured" in screen
    assert "per million output tokens" in screen
