# SPDX-License-Identifier: Apache-2.0
"""`engines`, `serve` and `run --engine` as far as they come without an engine: tables, refusals, containers."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sys

import psutil
import pytest

from inferometer.engines import ENGINES
from inferometer.run_folder import Run

NAMES = [engine.name for engine in ENGINES if engine.name != "openai"]

# Stands where docker would: says what it was asked, and for `run` listens at the port that is published.
DOCKER = f"""#!/bin/sh
echo "$@" >> {{log}}
case "$1" in
run) port=$(echo "$*" | sed -E 's/.*--publish 127.0.0.1:([0-9]+):.*/\\1/')
     exec {sys.executable} -m inferometer.truth.server --port $port;;
esac
"""


@pytest.fixture
def folder(shell):
    """A model in the Hugging Face layout, without anything in it."""
    path = shell.folder / "tiny"
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").write_bytes(b"12345")
    return path


@pytest.fixture
def docker(shell):
    """(variables with it on PATH, the file in which it notes its calls)."""
    bin_, log = shell.folder / "bin", shell.folder / "docker.log"
    bin_.mkdir()
    (bin_ / "docker").write_text(DOCKER.format(log=log))
    (bin_ / "docker").chmod(0o755)
    return {"PATH": f"{bin_}:{os.environ['PATH']}"}, log


def test_the_table_has_every_engine(shell):
    done = shell("engines")
    assert done.exit_code == 0, done.stderr
    assert all(re.search(rf"^{re.escape(name)} +\S", done.stdout, re.MULTILINE) for name in NAMES)
    assert max(map(len, done.stdout.splitlines())) <= 100
    document = shell("engines", "--format", "json").json
    assert document["schema"] == "inferometer/engines/1"
    assert [row["name"] for row in document["engines"]] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_all_that_is_known_of_each(shell, name):
    done = shell("engines", name)
    assert done.exit_code == 0, done.stderr
    heads = ["here", "runs on", "models", "strengths", "licence", "upkeep", "proven", "traps"]
    assert all(re.search(rf"^{head} +\S", done.stdout, re.MULTILINE) for head in heads)
    facts = shell("engines", name, "--format", "json").json["facts"]
    assert facts["licence"][0]["known"] in ("seen", "source", "documentation")


def test_which_of_them_could_serve_a_model(shell, folder):
    rows = {row["name"]: row for row in shell("engines", "--model", str(folder), "--format", "json").json["engines"]}
    assert rows["vllm"]["model"] == ""
    assert "a GGUF file is needed" in rows["llama.cpp"]["model"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["serve", "vlm", "--model", "x"], ["there is no engine 'vlm'", "did you mean vllm?"]),
        (["serve", "triton", "--model", "x"], ["cannot be started from here"]),
        (["serve", "llamacpp"], ["must be told which model", "--model"]),
        (["serve", "vllm", "--model", "trained-q4_0"], ["in a format that vLLM takes", "take --model trained"]),
        (["serve", "llamacpp", "--model", "/no.gguf"], ["there is no file or folder /no.gguf"]),
        (["serve", "llamacpp", "--model", "random", "--set", "kontext=1"], ["did you mean context?"]),
        (["serve", "llamacpp", "--model", "random", "--set", "dtype=auto"], ["the GGUF file decides"]),
        (["serve", "llamacpp", "--model", "random", "--log", "no/such/log"], ["no folder no/such for the log"]),
        (["serve", "llamacpp", "--model", "random", "--ready-timeout", "soon"], ["'soon' is not a duration"]),
        (["engines", "vlm"], ["did you mean vllm?"]),
        (["run", "--engine", "vlm", "--model", "x"], ["did you mean vllm?"]),
        (["run", "--engine", "llamacpp"], ["must be told which model"]),
        (["run", "--engine", "llamacpp", "--model", "random", "--set", "x=1"], ["there is no knob 'x'"]),
        (["run", "http://127.0.0.1:1", "--engine", "llamacpp"], ["--engine", "leave one of them out"]),
        (["run", "--set", "context=1"], ["--set is about an engine", "--engine NAME"]),
        (["run", "--revision", "main"], ["--revision is about an engine"]),
        (["report", "--", "x"], ["`serve ENGINE`"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_refused_before_anything_is_made(shell, words, says):
    done = shell(*words)
    assert (done.exit_code, done.stdout) == (2, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    for text in says:
        assert text in done.stderr
    assert list(shell.folder.iterdir()) == []


def test_the_model_that_comes_along_is_there_for_each_of_them_by_name(shell):
    """Nothing is written for a question, nor for a dry run."""
    cache = {"XDG_CACHE_HOME": str(shell.folder)}
    document = shell("engines", "--model", "trained", "--format", "json", env=cache).json
    rows = {row["name"]: row["model"] for row in document["engines"]}
    assert {name for name, against in rows.items() if against == ""} >= {"llama.cpp", "vllm", "sglang", "tgi"}
    done = shell("serve", "vllm", "--model", "trained", "--dry-run", env=cache | {"PATH": "/nowhere"})
    assert "--served-model-name inferometer-reader-v1-f16" in done.stdout, done.stderr
    assert list(shell.folder.iterdir()) == []


def test_a_file_that_is_no_model(shell, refused):
    (shell.folder / "m.gguf").write_text("hello")
    refused(shell("serve", "llamacpp", "--model", "m.gguf"), 2, "m.gguf is not a GGUF file", "does not begin with GGUF")


def test_a_model_of_the_wrong_format(shell, refused, folder):
    refused(shell("serve", "llamacpp", "--model", "tiny"), 2, "a GGUF file is needed", "convert_hf_to_gguf.py")


def test_an_engine_that_cannot_run_here_or_is_not_installed(shell, refused, folder):
    """Without a driver, docker or the engine: whatever this machine has of them is not on PATH."""
    bare = {"PATH": "/nowhere"}
    refused(shell("run", "--engine", "lmdeploy", "--model", "tiny", env=bare), 3, "LMDeploy cannot run on this machine")
    refused(shell("serve", "vllm", "--model", "tiny", env=bare), 3, "vLLM is not installed", "pip install vllm")
    assert [path.name for path in shell.folder.iterdir()] == ["tiny"], "no run folder was made"


def test_a_dry_run_prints_the_command_of_an_engine_that_is_not_here(shell, folder):
    words = (
        "serve",
        "vllm",
        "--model",
        "tiny",
        "--set",
        "seed=3",
        "--port",
        "8123",
        "--dry-run",
        "--",
        "--enforce-eager",
    )
    done = shell(*words, env={"PATH": "/nowhere"})
    assert done.exit_code == 0
    told = shlex.split(done.stdout)
    assert told[0] == "env"
    assert f"vllm serve {folder} --served-model-name tiny" in done.stdout
    assert told[-3:] == ["--seed", "3", "--enforce-eager"]
    assert "not now: vLLM is not installed" in done.stderr
    plan = shell("run", "--engine", "vllm", "--model", "tiny", "--dry-run", env={"PATH": "/nowhere"})
    assert plan.exit_code == 0, plan.stderr
    assert "vLLM, started by: vllm serve" in plan.stdout


def test_keys_do_not_show_in_a_dry_run(shell, folder):
    done = shell("serve", "vllm", "--model", "tiny", "--dry-run", "--", "--api-key", "sk-live-0123456789")
    assert "--api-key" in done.stdout
    assert "sk-live-0123456789" not in done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_container_is_taken_away_whatever_ends_us(shell, folder, docker, number):
    env, log = docker
    process = shell.start("serve", "tgi", "--model", "tiny", "--set", "context=2048", env=env)
    ready = process.stdout.readline()
    assert ready.startswith("ready     http://127.0.0.1:"), process.stderr.read()
    pids = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(number)
    process.communicate(timeout=60)
    psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=60)
    info, run, remove = [shlex.split(line) for line in log.read_text().splitlines()]
    assert info == ["info"]
    assert f"{folder}:/models/tiny:ro" in run
    assert run[run.index("--max-total-tokens") + 1] == "2048"
    assert run[run.index("--hostname") + 1] == "0.0.0.0"
    name = run[run.index("--name") + 1]
    assert remove == ["rm", "--force", name]


def test_what_is_measured_in_a_container_is_not_the_tool_that_started_it(shell, folder, docker):
    env, _ = docker
    flags = ("--requests", "6", "--warmup", "0", "--output-tokens", "4", "--input-tokens", "8", "--out", "run")
    done = shell("run", "--engine", "tgi", "--model", "tiny", *flags, env=env)
    assert done.exit_code in (0, 4), done.stderr
    engine = json.loads((shell.folder / "run" / "manifest.json").read_text())["engine"]
    assert engine["image"].startswith("ghcr.io/huggingface/text-generation-inference:")
    assert engine["peak_memory_bytes"] is None
    assert "engine" not in Run.open(str(shell.folder / "run")).trace().samples["source"].tolist()
