# SPDX-License-Identifier: Apache-2.0
"""What is found out of a server by leaving it in mid-answer: one that gives up, that goes on, that cannot tell."""

from __future__ import annotations

import json
import sys

import pytest

from inferometer.emulate.law import ServiceLaw
from inferometer.engines.registry import dialects, engines
from inferometer.host.ask import ask
from inferometer.host.control import Control
from inferometer.host.leave import judged, leave


def left(client):
    facts = ask(client.url, engines=engines(), dialects=dialects())
    engine = next(engine for engine in engines() if engine.name == facts.engine)
    with Control(client.url) as control:
        return leave(control, engine, facts, dialects(), tokens_per_s=200.0)


@pytest.mark.parametrize("engine", ["vllm", "llama.cpp", "sglang", "lmdeploy"])
def test_one_that_gives_the_answer_up(emulated, engine):
    client = emulated(engine, law=ServiceLaw(a=20.0), context=2048)
    found = left(client)
    assert (found.not_tested, found.n_asked) == ("", 1000)
    # SGLang and llama.cpp count when a request ends; what nobody waited for is in the latter's count only.
    assert found.is_freed or found.n_generated is None
    assert found.free_s < 20, "before the answer would have been over"
    assert client.counts()["n_output_tokens"] < 1000
    assert found.notes() == []


@pytest.mark.parametrize(
    ("free_s", "n_generated", "is_freed"),
    [(0.1, 40, True), (3.0, 40, True), (3.0, 256, False), (0.1, 256, None), (0.1, 0, None)],
    ids=["at once", "later", "goes on", "was over", "not counted"],
)
def test_what_counters_make_of_it(free_s, n_generated, is_freed):
    found = judged(free_s, 256, n_generated)
    assert found.is_freed is is_freed
    assert bool(found.notes()) == (is_freed is False), "only one that goes on is told in the report"


def test_one_without_gauges(emulated):
    assert "gauges do not tell" in left(emulated("ollama")).not_tested


def test_a_run_tries_it_on_a_server_of_its_own_alone(shell, emulated):
    load = ("--concurrency", "2", "--requests", "4", "--warmup", "0", "--output-tokens", "4")
    command = (sys.executable, "-m", "inferometer", "emulate", "vllm", "--port", "{port}")
    found = {}
    for name, server in (("own", ("--", *command)), ("other", (emulated("vllm").url,))):
        done = shell("run", *load, "--out", name, *server)
        assert done.exit_code in (0, 4), done.stderr
        engine = json.loads((shell.folder / name / "manifest.json").read_text())["engine"]
        found[name] = engine["when_a_client_leaves"]
    assert found["own"]["is_freed"] is True
    assert found["other"]["not_tested"] == "somebody else runs this server"
