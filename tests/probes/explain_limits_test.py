# SPDX-License-Identifier: Apache-2.0
"""`explain limits` on emulated engines: each planted defect found with its cause, and a healthy one left alone."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from tests.probes.conftest import Silent

from inferometer.config import resolve
from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.launch import EmulatedEngine
from inferometer.emulate.law import ServiceLaw
from inferometer.probes.bench import bench
from inferometer.probes.explain import limits

FEW = limits.Amounts(rounds=1, pairs=2, cut=0, speed=1)
ENOUGH_S = 600.0  # nothing is left out for want of time, on a busy machine either


@contextmanager
def examined(folder, engine, *defects, seed=3, context=512, **fields):
    """What the examination of an emulated engine with these defects comes to."""
    law = ServiceLaw(a=0.1, b=0.0002, c=0.001, d=0.0)
    setting = make_setting(
        engine, slots=4, context=context, law=law, seed=seed, mind="reader", defects=defects, **fields
    )
    with EmulatedEngine(setting) as server:
        config = resolve({"url": server.url, "out": str(folder / "bench")})
        with bench(config, Silent(), what="limits", greatest=config, budget_s=ENOUGH_S) as found:
            yield limits.examine(found, ENOUGH_S, seed=seed, most=FEW)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "defects", "codes"),
    [
        ("llama.cpp", (), []),
        ("vllm", ("drops-middle",), ["middle_lost"]),
        ("sglang", ("caps-context",), ["prompt_cut_silently"]),
        ("llama.cpp", ("shortens-answers",), ["answers_cut_silently"]),
    ],
    ids=["healthy", "drops-middle", "caps-context", "shortens-answers"],
)
def test_what_is_planted_is_found_and_nothing_else(tmp_path, engine, defects, codes):
    with examined(tmp_path, engine, *defects) as found:
        assert [finding.code for finding in found.row.findings] == codes
        assert found.window.is_exact
        assert found.window.n_requests <= 12


@pytest.mark.slow
def test_ollama_cuts_by_its_nature_and_tells_no_limit(tmp_path):
    with examined(tmp_path, "ollama", context=640) as found:
        assert [finding.code for finding in found.row.findings] == ["prompt_cut_silently"]
        assert "loses the head" in found.row.findings[0].claim
        assert (found.window.longest, found.window.beyond.what, found.window.n_requests <= 12) == (639, "cut", True)
