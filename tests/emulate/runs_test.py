# SPDX-License-Identifier: Apache-2.0
"""`inferometer run URL` against every emulated engine: what it says agrees with what the engine itself knows."""

from __future__ import annotations

import pytest

from inferometer.run_folder import Run

from .verdicts import faults

# What is peculiar to each stands in its own protocol. Those least like the others are tried on every change.
EVERY = [("vllm", "native"), ("llama.cpp", "native"), ("tgi", "native"), ("triton", "native"), ("ollama", "native")]
OTHERS = {
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
    client = emulated(name, without_traps=("no-scale-out",) if name == "vllm" else ())
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


def test_answers_that_end_by_themselves_are_told_as_such(shell, emulated):
    client = emulated("tgi")
    found = run(shell, client, "native", "--output-tokens", "60")
    assert faults(found, client.log(), engine="tgi", is_exact=False) == []
    assert any("output lengths" in note for note in found.manifest()["engine"]["notes"])
    ends = set(found.trace().requests["finish"])
    assert "eos_token" in ends
