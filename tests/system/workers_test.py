# SPDX-License-Identifier: Apache-2.0
"""`run --workers 2`, the whole way: what is printed, what a kill, Ctrl-C and a dead leader leave."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import psutil
import pytest
from tests.patience import until, until_larger

FLAGS = ("--warmup", "0", "--output-tokens", "40", "--input-tokens", "8", "--workers", "2", "--out", "run")
LONG = ("--output-tokens", "200")


def workers_of(process):
    """The processes of the two workers, once they are there."""
    leader = psutil.Process(process.pid)
    until(lambda: len(leader.children()) == 2, "two workers")
    return leader.children()


def manifest(shell):
    return json.loads((shell.folder / "run" / "manifest.json").read_text())


@pytest.fixture
def driving(shell, truth):
    """`driving()`: a run of two workers that have both written something, and their processes. Its answers take four
    seconds, so that there are some under way whenever a busy machine comes to it."""

    def start(*flags):
        server = truth(ttft_ms=30, gap_ms=20)
        process = shell.start("run", server.url, "--concurrency", "4", "--for", "60s", *FLAGS, *LONG, *flags)
        for number in (1, 2):
            until_larger(shell.folder / "run" / f"recorder-{number}.bin", 20_000)
        return process, workers_of(process)

    return start


def test_two_workers_are_one_run(shell, truth, rows):
    url = truth(ttft_ms=20, gap_ms=1).url
    done = shell("run", url, "--concurrency", "5", "--requests", "31", *FLAGS)
    assert done.exit_code in (0, 4), done.stderr
    assert "workers   2 processes" in done.stderr
    assert "31 requests: 31 ok" in done.stdout
    found = rows(shell.folder / "run")
    assert sorted(row["id"] for row in found) == list(range(31))
    assert {row["worker"] for row in found} == {1, 2}
    assert manifest(shell)["client"]["n_workers"] == 2
    assert not list((shell.folder / "run").glob("*.partial"))


def test_a_killed_worker_is_the_reason_and_the_rest_is_kept(shell, driving, rows):
    process, workers = driving()
    workers[1].kill()
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 4, stderr
    assert "Traceback" not in stderr
    assert "the run ended early: worker 2 of 2 was killed by SIGKILL" in stderr
    assert "censored" in stdout
    found = [(row["worker"], row["outcome"]) for row in rows(shell.folder / "run")]
    assert {outcome for worker, outcome in found if worker == 1} <= {"ok", "cancelled"}
    assert {outcome for worker, outcome in found if worker == 2} <= {"ok", "censored", "not_sent"}
    assert manifest(shell)["state"] == "stopped"
    assert shell("report", "run").exit_code == 4


def test_ctrl_c_reaches_all_of_a_terminal_and_only_the_leader_answers(shell, driving, rows):
    process, workers = driving()
    for worker in (process.pid, *(worker.pid for worker in workers)):
        os.kill(worker, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert re.search(r"\d cancelled", stdout)
    assert {row["outcome"] for row in rows(shell.folder / "run")} <= {"ok", "cancelled"}
    assert manifest(shell)["is_interrupted"] is True


def test_twice_ends_all_processes_at_once(shell, driving):
    process, workers = driving()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode in (130, -signal.SIGTERM)
    psutil.wait_procs(workers, timeout=10)
    assert not any(worker.is_running() for worker in workers)
    assert shell("report", "run").exit_code in (0, 4, 130)


def test_workers_do_not_outlive_a_killed_leader(shell, driving):
    process, workers = driving()
    process.kill()
    process.communicate(timeout=30)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    done = shell("report", "run")
    assert done.exit_code in (0, 4), done.stderr
    assert "cut off" in done.stdout


def test_a_full_disk_is_told_in_the_manifest(shell, truth):
    """Files may grow to 600 KB only: for the one that writes it, that is a disk that is full."""
    url = truth(ttft_ms=20, gap_ms=1).url
    command = (sys.executable, "-m", "inferometer", "run", url, "--concurrency", "4", "--requests", "400", *FLAGS)
    command += LONG
    limited = ("bash", "-c", 'ulimit -f 600; exec "$@"', "-", *command)
    done = subprocess.run(limited, cwd=shell.folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert manifest(shell)["state"] == "stopped"
    assert "cannot write run/recorder-" in manifest(shell)["stop_reason"]
    assert "cannot write run/recorder-" in shell("report", "run").stderr
