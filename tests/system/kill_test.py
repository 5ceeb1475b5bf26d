# SPDX-License-Identifier: Apache-2.0
"""kill -9 at any moment: `report` gives everything up to the last completed pass, and says that the run was cut off."""

from __future__ import annotations

import os
import random
import signal
import sys

import pytest
from tests.patience import until, until_larger

from inferometer.clock import sleep_s
from inferometer.kinds import Outcome
from inferometer.recorder import Due, End, Read, Sent, Tail, read_frames
from inferometer.run_folder import Run

FLAGS = ("--concurrency", "4", "--for", "60s", "--warmup", "0.1s", "--output-tokens", "20", "--input-tokens", "8")


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL


def assert_nothing_is_lost(shell, folder):
    """The report against the recorder's frames, one by one."""
    tail = Tail()
    frames = list(read_frames(folder / "recorder.bin", tail))
    n_due, n_sent, n_read, n_ended = (sum(isinstance(f, kind) for f in frames) for kind in (Due, Sent, Read, End))
    whole = (folder / "recorder.bin").stat().st_size - tail.n_torn_bytes
    assert whole > 0

    done = shell("report", "run")
    assert "Traceback" not in done.stderr
    assert done.exit_code in (0, 4), done.stderr
    assert "cut off" in done.stdout

    rows = Run.open(str(folder)).trace().requests
    assert sorted(rows["id"].tolist()) == sorted(f.request_id for f in frames if isinstance(f, Due)), "one row each"
    assert len(rows) == n_due
    assert (rows["t_sent_ns"] >= 0).sum() == n_sent
    assert rows["n_reads"].sum() == n_read
    assert rows["n_bytes"].sum() == sum(f.n_bytes for f in frames if isinstance(f, Read))
    assert (rows["t_end_ns"] >= 0).sum() == n_ended
    open_ones = rows[rows["t_end_ns"] < 0]
    assert set(open_ones["outcome"].tolist()) <= {Outcome.CENSORED, Outcome.NOT_SENT}
    assert set(rows["outcome"].tolist()) <= {Outcome.OK, Outcome.CENSORED, Outcome.NOT_SENT}, "no stream has a hole"
    assert len(open_ones) <= 4
    return rows


@pytest.mark.parametrize("n_bytes", [pytest.param(8, marks=pytest.mark.slow), 200_000])
def test_a_run_killed_after_so_many_bytes(shell, truth, n_bytes):
    """Of its recorder's file: 8 are its first block, 200,000 some thirty answers."""
    process = shell.start("run", truth(ttft_ms=20, gap_ms=1).url, *FLAGS, "--out", "run")
    until_larger(shell.folder / "run" / "recorder.bin", n_bytes)
    kill(process)
    rows = assert_nothing_is_lost(shell, shell.folder / "run")
    assert n_bytes == 8 or (rows["outcome"] == Outcome.OK).sum() > 4
    shown = shell("show", "run", "--slowest", "3")
    assert shown.exit_code == 0, shown.stderr


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_a_run_killed_at_any_moment(shell, truth, seed):
    """From its first import on. Before the folder says what it is there is nothing to report, and that is said."""
    process = shell.start("run", truth(ttft_ms=20, gap_ms=1).url, *FLAGS, "--out", "run")
    sleep_s(random.Random(seed).uniform(0.3, 3.0))
    kill(process)
    folder = shell.folder / "run"
    if (folder / "recorder.bin").exists() and (folder / "recorder.bin").stat().st_size > 8:
        assert_nothing_is_lost(shell, folder)
    elif (folder / "manifest.json").exists():
        done = shell("report", "run")
        assert done.exit_code == 4
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_no_content_and_killed(shell, truth):
    process = shell.start("run", truth(ttft_ms=20, gap_ms=1).url, *FLAGS, "--no-content", "--out", "run")
    until_larger(shell.folder / "run" / "recorder.bin", 100_000)
    kill(process)
    done = shell("report", "run", "--format", "json")
    assert done.exit_code in (0, 4), done.stderr
    assert done.json["is_cut_off"] is True
    assert done.json["counts"]["ok"] > 0


def test_the_server_that_was_started_is_gone_too(shell, processes):
    log = str(shell.folder / "truth.log")
    command = (sys.executable, "-m", "inferometer.truth.server", "--port", "{port}", "--log", log)
    process = shell.start("run", *FLAGS, "--out", "run", "--", *command)
    until_larger(shell.folder / "run" / "recorder.bin", 8)
    assert processes(log)
    kill(process)
    until(lambda: not processes(log), "the server's end")
    assert os.path.exists(log), "it was asked to stop, not killed"
