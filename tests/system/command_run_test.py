# SPDX-License-Identifier: Apache-2.0
"""`inferometer run -- CMD ... {port} ...`: the server is started, measured and stopped, with all that it started."""

from __future__ import annotations

import json
import os
import sys

import pytest

# The command is a word of its own for each test, so that its processes can be told from all others.
TRUTH = (sys.executable, "-m", "inferometer.truth.server", "--port", "{port}", "--ttft-ms", "40", "--gap-ms", "2")
SHORT = ("--requests", "6", "--output-tokens", "4")


def test_a_command_is_started_measured_and_stopped(shell, processes, rows):
    log = str(shell.folder / "truth.log")
    done = shell("run", *SHORT, "--out", "run", "--", *TRUTH, "--log", log)
    assert done.exit_code in (0, 4), done.stderr
    assert "6 ok" in done.stdout
    assert os.path.exists(log), "the server was asked to stop, not killed"
    assert processes(log) == []
    assert "listening on http://127.0.0.1:" in (shell.folder / "run" / "engine.log").read_text()
    engine = json.loads((shell.folder / "run" / "manifest.json").read_text())["engine"]
    assert engine["argv"][1:3] == ["-m", "inferometer.truth.server"]
    assert engine["url"].endswith(engine["argv"][4]), "its port stands where {port} stood"
    gauges = {(row["source"], row["gauge"]) for row in rows(shell.folder / "run", "samples")}
    assert ("engine", "cpu_s") in gauges, "its processes are ours to see"


def test_what_the_command_started_is_stopped_too(shell, processes):
    marker = str(shell.folder / "marker")
    sleeper = f"{sys.executable} -c 'import time; time.sleep(600)' {marker}"
    server = f"{sleeper} & setsid {sleeper} & exec {' '.join(TRUTH)}"
    done = shell("run", *SHORT, "--quiet", "--", "sh", "-c", server)
    assert done.exit_code in (0, 4), done.stderr
    assert processes(marker) == []


@pytest.mark.slow
def test_a_url_before_the_command_says_where_it_listens(shell):
    from inferometer.host.launch import free_port

    url = f"http://127.0.0.1:{free_port()}"
    done = shell(
        "run", url, *SHORT, "--quiet", "--", *[word.replace("{port}", url.rpartition(":")[2]) for word in TRUTH]
    )
    assert done.exit_code in (0, 4), done.stderr
    assert url in done.stdout


def test_a_command_that_fails_is_explained_in_its_own_last_words(shell):
    script = "import sys; print('loading weights'); sys.exit('ValueError: no such file: model.gguf')"
    done = shell("run", *SHORT, "--out", "run", "--", sys.executable, "-c", script, "{port}")
    assert (done.exit_code, done.stdout) == (3, "")
    assert "Traceback" not in done.stderr
    assert "ValueError: no such file: model.gguf" in done.stderr
    assert "    | loading weights" in done.stderr
    assert "run/engine.log" in done.stderr
    manifest = json.loads((shell.folder / "run" / "manifest.json").read_text())
    assert manifest["state"] == "failed"
    assert "no such file" in manifest["stop_reason"]
    again = shell("report", "run")
    assert again.exit_code == 4
    assert again.stderr.startswith("inferometer: run holds no measurement: the server ended before it answered")


@pytest.mark.slow
def test_a_command_that_is_not_there(shell):
    done = shell("run", "--out", "run", "--", "no-such-server", "--port", "{port}")
    assert done.exit_code == 3
    assert done.stderr.splitlines()[-2].startswith("inferometer: there is no command 'no-such-server'")


@pytest.mark.slow
def test_a_server_that_does_not_answer_as_it_should_is_stopped(shell, processes):
    log = str(shell.folder / "truth.log")
    done = shell("run", "--model", "llama", "--out", "run", "--", *TRUTH, "--log", log)
    assert done.exit_code == 2
    assert "no model 'llama'" in done.stderr
    assert processes(log) == []
    assert "no model 'llama'" in json.loads((shell.folder / "run" / "manifest.json").read_text())["stop_reason"]


@pytest.mark.slow
def test_a_server_that_dies_in_mid_run_ends_it_with_what_is_there(shell, rows):
    flags = ("--concurrency", "2", "--for", "30s", "--warmup", "0", "--output-tokens", "4", "--out", "run")
    done = shell("run", *flags, "--", "timeout", "-s", "KILL", "10", *TRUTH)
    assert done.exit_code == 3
    assert "ended early" in done.stderr
    assert "in a row failed" in done.stderr
    assert done.stdout.split()[0] in ("VALID", "SUSPECT", "INVALID")
    outcomes = [row["outcome"] for row in rows(shell.folder / "run")]
    assert outcomes.count("ok") > 10
    assert {"refused", "truncated", "reset"} & set(outcomes)


@pytest.mark.parametrize("flags", [(), ("--seed", "3"), ("--input-tokens", "file:prompts.jsonl")], ids=" ".join)
def test_the_manifest_says_what_caches_could_know_of_the_prompts(shell, truth, flags):
    """A server of our own knows none; one that ran before may, unless the prompts are new."""
    (shell.folder / "prompts.jsonl").write_text('{"prompt": "one two three"}\n')
    for server, caches in ((("--", *TRUTH), "new server"), ((truth(ttft_ms=20, gap_ms=2).url,), "not known")):
        out = f"run-{caches}"
        done = shell("run", *SHORT, "--quiet", *flags, "--out", out, *server)
        assert done.exit_code in (0, 4), done.stderr
        manifest = json.loads((shell.folder / out / "manifest.json").read_text())
        assert manifest["plan"]["caches"] == (caches if flags else "new prompts")
