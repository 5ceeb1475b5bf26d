# SPDX-License-Identifier: Apache-2.0
"""`inferometer run URL` against every emulated engine: what it says agrees with what the engine itself knows."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from inferometer.emulate.law import ServiceLaw
from inferometer.kinds import Outcome
from inferometer.run_folder import Run

from .verdicts import faults

# What is peculiar to each stands in its own protocol. Those least like the others are tried on every change.
EVERY = [("vllm", "native"), ("llama.cpp", "native"), ("tgi", "native"), ("triton", "native"), ("ollama", "native")]
ALWAYS_WITHOUT = {"vllm": ("no-scale-out",), "llama-cpp-python": ("interrupts",)}
OTHERS = {
    "llama-cpp-python": ("chat", "completions"),
    "vllm": ("chat", "completions"),
    "llama.cpp": ("chat", "completions"),
    "tgi": ("chat", "completions"),
    "lmdeploy": ("native", "chat", "completions"),
    "tensorrt-llm": ("chat", "completions"),
    "sglang": ("native", "chat", "completions"),
    "ollama": ("chat", "completions", "native-chat"),
}
SLOW = [pytest.param(name, api, marks=pytest.mark.slow) for name, apis in OTHERS.items() for api in apis]
INEXACT = ("tgi", "ollama")
LOAD = ("--concurrency", "3", "--requests", "9", "--warmup", "3", "--input-tokens", "40", "--output-tokens", "12")


def run(shell, client, api, *flags, env=None, codes=(0, 4)):
    """A run of the whole tool. Whether its client was disturbed is not the question here: exit code 4 is as good."""
    name = ("--model", "ensemble") if client.engine.setting.engine == "triton" else ()
    done = shell("run", client.url, "--api", api, *LOAD, *name, *flags, "--out", "run", env=env)
    assert done.exit_code in codes, done.stderr
    return Run.open(str(shell.folder / "run"))


@pytest.mark.parametrize(("name", "api"), [*EVERY, *SLOW])
def test_a_run_agrees_with_the_engine(shell, emulated, name, api):
    client = emulated(name, without_traps=ALWAYS_WITHOUT.get(name, ()))
    found = run(shell, client, api)
    assert faults(found, client.log(), engine=name, is_exact=name not in INEXACT) == []
    assert found.trace().requests["n_output_tokens"].min() > 0


@pytest.mark.parametrize(("name", "api"), [("vllm", "chat"), pytest.param("lmdeploy", "chat", marks=pytest.mark.slow)])
def test_with_counted_events_the_tokens_of_each_are_those_it_held(shell, emulated, name, api):
    client = emulated(name, without_traps=("token-without-text",) if name == "vllm" else ())
    found = run(shell, client, api, "--count-tokens")
    assert faults(found, client.log(), engine=name, is_exact=True) == []
    trace = found.trace()
    log = client.log().of_run(found.manifest()["nonce"])
    true = log.all_steps()
    told = trace.chunks["n_tokens"][trace.chunks["n_tokens"] > 0]
    assert sorted(told) == sorted(true["n_tokens"][true["n_tokens"] > 0])
    assert max(told) == 2, "some events held two"


def test_llama_cpp_python_without_its_default_answers_nobody_whole(shell, emulated):
    """`serve` starts it with --interrupt_requests False. This is what load does to it as it comes: three at a time cut
    one another off under status 200; and what the default makes of the same load."""
    outcomes = {}
    for traps in ((), ("interrupts",)):
        client = emulated("llama-cpp-python", without_traps=traps, law=ServiceLaw(a=3.0))
        found = run(shell, client, "completions", "--output-tokens", "40", codes=(0, 3, 4))
        rows = found.trace().requests
        outcomes[traps] = Counter(Outcome(int(outcome)).name for outcome in rows["outcome"])
        shutil.rmtree(found.path)
    assert outcomes[()]["TRUNCATED"] > outcomes[()]["OK"], outcomes
    assert set(outcomes["interrupts",]) == {"OK"}, outcomes


def test_answers_that_end_by_themselves_are_told_as_such(shell, emulated):
    client = emulated("tgi")
    found = run(shell, client, "native", "--output-tokens", "60")
    assert faults(found, client.log(), engine="tgi", is_exact=False) == []
    assert any("output lengths" in note for note in found.manifest()["engine"]["notes"])
    ends = set(found.trace().requests["finish"])
    assert "eos_token" in ends
