# SPDX-License-Identifier: Apache-2.0
"""`choose`: what is refused before anything is sent or made, who is left out and why, and what a dry run says."""

from __future__ import annotations

import pytest

from inferometer.cli.candidates import devices_of, ease_of, facts_of, parse_price
from inferometer.cli.choosing import weights_of
from inferometer.engines.registry import engines
from inferometer.errors import UsageError

SLO = ("--slo", "ttft<500ms")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), ("no limits to choose within", "--slo")),
        ((*SLO, "--concurrency", "auto"), ("the same for all candidates", "--concurrency 1,4,16")),
        ((*SLO, "--concurrency", "1", "--rate", "2"), ("one kind of load",)),
        ((*SLO, "--budget", "10s"), ("--budget 10 s is no time: 3 rounds of turns, 1 x 3 runs each", "--budget 2m")),
        ((*SLO, "--budget", "1m", "--for", "60s"), ("one round of 3 runs, 60 s each after 2 s", "--budget 10m")),
        ((*SLO, "--weigh", "speed=3"), ("--weigh 'speed' is not known", "throughput")),
        ((*SLO, "--weigh", "ttft=much"), ("'ttft=much' is no weight",)),
        ((*SLO, "--price", "cheap"), ("'cheap' is not a price", "2.5/h")),
        ((*SLO, "--workload", "chta"), ("--workload 'chta'", "did you mean chat?")),
        ((*SLO, "--workload", "chat", "--workload", "chat"), ("there twice",)),
        ((*SLO, "--engines", "vlm", "--model", "m"), ("there is no engine 'vlm'", "did you mean vllm?")),
        ((*SLO, "--engines", "llamacpp"), ("which model", "--model trained")),
        ((*SLO, "--configs", "missing.toml"), ("missing.toml", "No such file")),
        ((*SLO, "--run", "missing"), ("'missing'",)),
        ((*SLO, "--tolerance", "no"), ("'no' is not a share",)),
        ((*SLO, "--ignore", "everything"), ("--ignore 'everything'",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_wrong_flag(shell, tripwire, refused, words, told):
    refused(shell("choose", tripwire.url, *words), 2, *told)
    assert not tripwire.is_touched()
    assert list(shell.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("threads = 2", ("'threads' is no table", "[threads]")),
        ("[a]\nthread = 2", ("unknown key 'thread'", "keys are url, command")),
        ("[a]\nurl = 'http://127.0.0.1:1'\ndevices = 0", ("devices is 0",)),
        ("[a]\nurl = 'http://127.0.0.1:1'\nease = 3", ("ease is 3",)),
        ("[a]\nurl = 'http://127.0.0.1:1'\nprice = '2/h'\n[b]\nurl = 'http://127.0.0.1:2'", ("some candidates have",)),
        ("[a\n", ("is not valid TOML",)),
        ('[a]\ncommand = "serve \'it"', ("cannot be split", "a list of texts")),
        ("[a]\ncommand = 3", ("command is not a list of texts",)),
        ("[a]\nrun = 'there'\nurl = 'http://127.0.0.1:1'", ("measured elsewhere and is to be measured here",)),
    ],
)
def test_a_wrong_table(shell, refused, toml, told):
    (shell.folder / "candidates.toml").write_text(toml)
    refused(shell("choose", "--configs", "candidates.toml", *SLO), 2, *told)


def test_a_dry_run_says_who_would_be_tried_and_who_is_left_out(shell, tripwire):
    (shell.folder / "candidates.toml").write_text(
        f"""
        [theirs]
        url = "{tripwire.url}"
        [a-gpu-engine]
        engine = "lmdeploy"
        [without-that-knob]
        engine = "llamacpp"
        set = ["tensor_parallel=2"]
        """
    )
    flags = ("--configs", "candidates.toml", "--model", "random", "--concurrency", "1,2", "--dry-run", *SLO)
    done = shell("choose", *flags)
    assert done.exit_code == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert f"would try theirs: {tripwire.url} (running)" in told
    assert "left out a-gpu-engine: it needs" in told
    assert "without-that-knob: llama.cpp has no knob tensor_parallel" in told
    assert "1, 2 in flight" in told
    assert not tripwire.is_touched()
    assert [path.name for path in shell.folder.iterdir()] == ["candidates.toml"]


def test_nobody_to_try(shell, refused):
    done = shell("choose", "--engines", "lmdeploy", "--model", "random", *SLO)
    refused(done, 4, "no candidate can be tried", "lmdeploy")
    assert list(shell.folder.iterdir()) == []


def test_credentials_in_a_url_are_not_repeated(shell, refused):
    done = shell("choose", "http://user:hunter2@127.0.0.1:1", *SLO)
    refused(done, 4, "no candidate can be tried", "--api-key-env")
    assert "hunter2" not in done.stderr


def test_weights_are_shares_of_one():
    assert weights_of(None) == {"throughput": 1.0}
    assert weights_of("throughput=3,ttft=1") == {"throughput": 0.75, "ttft": 0.25}
    with pytest.raises(UsageError):
        weights_of("ttft=0")


@pytest.mark.parametrize("text", ["2.5/h", "2.5", "$2.5 / h"])
def test_a_price(text):
    assert parse_price(text) == 2.5


def test_the_devices_of_a_run_are_those_that_its_engine_was_given():
    assert devices_of({"settings": {"tensor_parallel": "4"}}) == 4
    assert devices_of({"settings": {}}) == devices_of({}) == 1


def test_the_ease_of_every_engine_is_a_share_by_one_rule():
    for engine in engines():
        facts, points = facts_of(engine.name)
        ease = ease_of(points)
        assert (ease is None) == (not facts)
        assert ease is None or 0 < ease <= 1
    assert ease_of(facts_of("tgi")[1]) < ease_of(facts_of("vllm")[1])
    assert facts_of("nobody") == ((), {})
