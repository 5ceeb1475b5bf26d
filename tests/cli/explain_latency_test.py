# SPDX-License-Identifier: Apache-2.0
"""`explain latency` as one types it: refusals before anything is sent, and an examination of an emulated engine."""

from __future__ import annotations

import json

import pytest

from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.launch import EmulatedEngine
from inferometer.emulate.law import ServiceLaw


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--budget", "5s"], ("--budget 5s is no time", "give 20s")),
        (["--budget", "soon"], ("'soon' is not a duration",)),
        (["--concurrency", "0"], ("concurrency",)),
        (["--warmup", "5s"], ("No such option: --warmup",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_flag(shell, tripwire, refused, words, told):
    refused(shell("explain", "latency", tripwire.url, *words), 2, *told)
    assert not tripwire.is_touched()
    assert list(shell.folder.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(600)  # 20 s of measuring; on a machine that has other things to do much longer
def test_an_engine_that_stalls_while_prompts_are_computed(shell):
    law = ServiceLaw(a=4.0, b=0.08, c=0.1, d=0.0)
    setting = make_setting("llama.cpp", slots=4, context=8192, law=law, defects=["prefill-alone"], seed=1)
    with EmulatedEngine(setting) as server:
        url = f"http://127.0.0.1:{server.port}"
        done = shell("explain", "latency", url, "--budget", "20s", "--out", "latency", "--format", "json", timeout=500)
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["schema"] == "inferometer/latency/1"
    assert [load["name"] for load in found["loads"]] == [
        "alone, short",
        "alone",
        "alone, long",
        "2 in flight",
        "4 in flight, mixed",
        "4 in flight",
        "alone, again",
    ]
    assert found["stalls"]["cause"] == "prefill"
    assert "prefill_stalls" in [finding["code"] for finding in found["row"]["findings"]]
    assert found["model"]["a"]["value"] == pytest.approx(4e-3, rel=0.1)
    assert json.loads((shell.folder / "latency" / "latency.json").read_text()) == found

    again = shell("report", "latency")
    assert again.exit_code == 0
    assert again.stdout.startswith("latency   a request of 128 tokens")
    assert "--batch-size 512" in again.stdout
