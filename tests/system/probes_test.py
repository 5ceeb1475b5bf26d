# SPDX-License-Identifier: Apache-2.0
"""`sweep` and `limit` against the ground-truth server: points are runs, results are files, reports come again."""

from __future__ import annotations

import json
import signal

import pytest

from inferometer.run_folder import Run
from inferometer.truth.launch import TruthServer
from inferometer.truth.script import Prescription


def test_a_sweep_leaves_runs_and_a_result(shell, truth):
    server = truth(ttft_ms=20, gap_ms=2)
    flags = ("--concurrency", "1,2", "--for", "1s", "--warmup", "200ms", "--output-tokens", "8", "--out", "sweep")
    done = shell("sweep", server.url, *flags, timeout=110)
    assert done.exit_code in (0, 4), done.stderr
    result = json.loads((shell.folder / "sweep" / "sweep.json").read_text())
    assert [point["load"] for point in result["points"]] == [1, 2, 1]
    assert [point["is_repeat"] for point in result["points"]] == [False, False, True]
    assert result["no_law"].startswith("needs 6 loads")
    for point in result["points"]:
        run = Run.open(str(shell.folder / "sweep" / point["folder"]))
        assert run.manifest()["plan"]["concurrency"] == point["load"]
        assert len(run.trace().requests)
    seeds = [Run.open(str(shell.folder / "sweep" / p["folder"])).manifest()["plan"]["seed"] for p in result["points"]]
    assert len(set(seeds)) == 3
    assert shell("report", "sweep").stdout == done.stdout
    assert shell("report", "sweep", "--format", "json").json == result
    listed = shell("history", "sweep", "--metric", "ttft_p50", "--format", "json").json["runs"]
    told = [point["ttft_p50"]["value"] for point in result["points"]]
    assert [run["number"]["value"] for run in listed] == told, "points are runs, and have their numbers"


def test_ctrl_c_keeps_the_points_that_are_there(shell, truth):
    server = truth(ttft_ms=20, gap_ms=2)
    flags = ("--concurrency", "1,2,3", "--for", "2s", "--warmup", "200ms", "--output-tokens", "8", "--out", "sweep")
    process = shell.start("sweep", server.url, *flags)
    for line in process.stderr:
        if line.startswith("point"):
            process.send_signal(signal.SIGINT)
            break
    stdout, stderr = process.communicate(timeout=90)
    assert process.returncode == 130, stderr
    assert "stopped by the user" in stdout
    result = json.loads((shell.folder / "sweep" / "sweep.json").read_text())
    assert [point["load"] for point in result["points"]] == [1]


def test_a_server_that_is_gone_ends_a_sweep_with_what_is_there(shell):
    flags = ("--concurrency", "1,2,3", "--for", "1s", "--warmup", "200ms", "--output-tokens", "8", "--out", "sweep")
    with TruthServer(Prescription(ttft_ms=20, gap_ms=2)) as server:
        process = shell.start("sweep", server.url, *flags)
        for line in process.stderr:
            if line.startswith("point"):
                break
    stdout, stderr = process.communicate(timeout=90)
    assert process.returncode == 3, stderr
    result = json.loads((shell.folder / "sweep" / "sweep.json").read_text())
    assert [point["load"] for point in result["points"]][:1] == [1]
    assert result["stopped"]
    assert shell("report", "sweep").stdout == stdout


def test_a_limit_that_one_request_alone_misses_is_no_limit(shell, truth):
    server = truth(ttft_ms=20, gap_ms=2)
    flags = ("--slo", "ttft<5ms", "--budget", "1m", "--output-tokens", "8", "--out", "limit")
    done = shell("limit", server.url, *flags, timeout=110)
    assert done.exit_code == 5, done.stderr
    assert "requests one at a time miss ttft<5ms" in done.stdout
    result = json.loads((shell.folder / "limit" / "limit.json").read_text())
    assert (result["safe"], result["limit"]["value"]) == (None, None)
    assert shell("report", "limit").stdout == done.stdout


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_limit_of_an_emulated_engine_is_enclosed(shell):
    """Iterations of 5 ms and 1.25 ms for each that decodes: with 20 ms a token twelve may decode at a time."""
    engine = ("python", "-m", "inferometer", "emulate", "vllm", "--port", "{port}", "--slots", "32")
    law = ("--service-law", "a=5,b=0,c=1.25,d=0")
    flags = ("--slo", "tpot<20ms", "--budget", "1m", "--input-tokens", "32", "--output-tokens", "uniform:6-12")
    done = shell("limit", *flags, "--out", "limit", "--format", "json", "--", *engine, *law, timeout=380)
    assert done.exit_code in (0, 4), done.stderr
    assert done.json["binding"] in ("tpot<20ms", "")
    if done.json["holds"] is not None and done.json["fails"] is not None:
        assert done.json["holds"] < done.json["fails"]
