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

FEW = limits.Amounts(rounds=0, pairs=2, cut=0, speed=0)
ALL = limits.Amounts(rounds=1, pairs=2, cut=20, speed=1)
ENOUGH_S = 600.0  # nothing is left out for want of time, on a busy machine either


@contextmanager
def examined(folder, engine, *defects, seed=3, context=512, most=FEW, **fields):
    """What the examination of an emulated engine with these defects comes to."""
    law = ServiceLaw(a=0.1, b=0.0002, c=0.001, d=0.0)
    setting = make_setting(
        engine, slots=4, context=context, law=law, seed=seed, mind="reader", defects=defects, **fields
    )
    with EmulatedEngine(setting) as server:
        config = resolve({"url": server.url, "out": str(folder / "bench")})
        with bench(config, Silent(), what="limits", greatest=config, budget_s=ENOUGH_S) as found:
            yield limits.examine(found, ENOUGH_S, seed=seed, most=most)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_healthy_one_is_left_alone_and_everything_is_told(tmp_path):
    with examined(tmp_path, "llama.cpp", most=ALL) as found:
        assert found.row.findings == []
        assert found.row.not_measured == []
        assert (found.window.longest, found.window.n_requests) == (511, 2)
        assert (found.overflow.what, found.overflow.n_given) == ("shortened", 32)
        assert found.longest_output.n_prompt + found.longest_output.n_given == 512
        assert {part.verdict for part in found.reach} == {"read"}
        assert [one.n_right for one in found.effective.lengths] == [25, 25, 25]
        assert found.row.figure.hi is None, "nothing was seen to fall"
        assert found.cutting.n == 20
        assert found.cutting.kept[-1].share.value == 0.0, "keeping the head alone loses the question"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "defects", "codes"),
    [
        ("vllm", ("drops-middle",), ["middle_lost"]),
        ("sglang", ("caps-context",), ["prompt_cut_silently"]),
        ("llama.cpp", ("shortens-answers",), ["answers_cut_silently"]),
    ],
    ids=["drops-middle", "caps-context", "shortens-answers"],
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
