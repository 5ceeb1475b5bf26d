# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C once ends a run with what is there; twice ends it at once. The engine is stopped either way."""

from __future__ import annotations

import json
import signal
import sys

import pytest
from tests.patience import until, until_larger

from inferometer.clock import sleep_s

# Streams of 10 s: whatever is in flight at Ctrl-C is cancelled.
COMMAND = (sys.executable, "-m", "inferometer.truth.server", "--port", "{port}", "--ttft-ms", "30", "--gap-ms", "10")
FLAGS = ("--concurrency", "3", "--for", "60s", "--warmup", "0", "--output-tokens", "30", "--out", "run")


@pytest.fixture
def running(shell):
    """`running()`: a run whose engine has begun to answer, and the word its engine can be found by."""
    marker = str(shell.folder / "truth.log")

    def start(is_measuring=True):
        process = shell.start("run", *FLAGS, "--", *COMMAND, "--log", marker)
        name, n_bytes = ("recorder.bin", 60_000) if is_measuring else ("engine.log", 0)
        until_larger(shell.folder / "run" / name, n_bytes)
        return process, marker

    return start


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_once_ends_the_run_with_what_is_there(shell, running, processes, rows, number):
    process, marker = running()
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert stdout.split()[0] in ("SUSPECT", "INVALID")
    assert "3 cancelled" in stdout
    assert "stopped" in stdout
    assert processes(marker) == []
    found = rows(shell.folder / "run")
    assert [row["outcome"] for row in found].count("cancelled") == 3
    assert {row["outcome"] for row in found} == {"ok", "cancelled"}
    assert all(row["t_end_ns"] > 0 for row in found)
    manifest = json.loads((shell.folder / "run" / "manifest.json").read_text())
    assert (manifest["state"], manifest["is_interrupted"]) == ("stopped", True)
    assert shell("report", "run").exit_code == 130


SLOW = [pytest.param(after_s, marks=pytest.mark.slow) for after_s in (0.0, 0.2, 0.7)]


@pytest.mark.parametrize("after_s", [0.02, *SLOW])
def test_twice_ends_it_at_once_and_the_folder_can_be_read(shell, running, processes, after_s):
    process, marker = running()
    process.send_signal(signal.SIGINT)
    sleep_s(after_s)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    # The second may come when all is said and the interpreter is going: then the signal itself ends it.
    assert process.returncode == 130 or (process.returncode == -signal.SIGINT and "folder    run" in stdout), stderr
    assert "Traceback" not in stderr
    until(lambda: not processes(marker), "the engine's end")
    done = shell("report", "run")
    assert done.exit_code in (0, 4, 130), done.stderr
    assert " ok" in done.stdout


def test_before_anything_is_measured(shell, running, processes):
    process, marker = running(is_measuring=False)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (130, ""), stderr
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1] == "inferometer: stopped"
    until(lambda: not processes(marker), "the engine's end")
    done = shell("report", "run")
    assert done.exit_code == 4
    assert "holds no measurement" in done.stderr
