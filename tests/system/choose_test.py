# SPDX-License-Identifier: Apache-2.0
"""`choose` against ground-truth servers, emulated engines and the embedded one."""

from __future__ import annotations

import json
import signal

import pytest

from inferometer.run_folder import Run

# A machine that runs tests may be late; whether it was is not what is tested here.
QUICK = ("--slo", "ttft<9s", "--for", "1s", "--warmup", "200ms", "--output-tokens", "8", "--ignore", "validity")


def test_the_faster_of_two_servers_is_preferred(shell, truth):
    quick, slow = truth(ttft_ms=20, gap_ms=2), truth(ttft_ms=60, gap_ms=12)
    flags = (*QUICK, "--concurrency", "2", "--budget", "12s", "--out", "c")
    done = shell("choose", slow.url, quick.url, *flags, timeout=110)
    assert done.exit_code == 0, done.stderr
    result = json.loads((shell.folder / "c" / "choice.json").read_text())
    assert result["preferred"] == quick.url
    assert result["verdict"] in ("prefer", "cannot tell")
    assert result["answer"].endswith("--out c")
    by_name = {one["name"]: one for one in result["candidates"]}
    assert by_name[slow.url]["ratio"]["value"] < 0.7
    assert by_name[quick.url]["kind"] == "running"
    assert by_name[quick.url]["answers"]["n"] == 8
    orders = [[turn["candidate"] for turn in result["turns"] if turn["round"] == i] for i in (1, 2)]
    assert sorted(orders[0]) == sorted([quick.url, slow.url])
    assert orders[1] in (orders[0][::-1], [])
    for turn in result["turns"]:
        (point,) = turn["points"]
        run = Run.open(str(shell.folder / "c" / point["folder"]))
        assert run.manifest()["plan"]["concurrency"] == 2
        assert (run.path / "report.json").is_file()  # where `history` finds its numbers
    firsts = [turn["points"][0]["folder"] for turn in result["turns"] if turn["round"] == 1]
    seeds = [Run.open(str(shell.folder / "c" / folder)).manifest()["plan"]["seed"] for folder in firsts]
    assert len(set(seeds)) == 1
    assert shell("report", "c").stdout == done.stdout
    assert shell("report", "c", "--format", "json").json == result


def test_runs_measured_elsewhere_join_if_they_are_comparable(shell, truth):
    server = truth(ttft_ms=20, gap_ms=2)
    load = ("--for", "1s", "--warmup", "200ms", "--output-tokens", "8", "--concurrency")
    assert shell("run", server.url, *load, "2", "--repeats", "3", "--out", "there").exit_code in (0, 4)
    assert shell("run", server.url, *load, "3", "--out", "other").exit_code in (0, 4)
    flags = ("--run", "there", "--run", "other", "--concurrency", "2", "--budget", "4s")
    done = shell("choose", server.url, *QUICK, *flags, "--out", "c", "--format", "json", timeout=110)
    assert done.exit_code == 0, done.stderr
    assert [one["kind"] for one in done.json["candidates"]] == ["running", "elsewhere"]
    there = done.json["candidates"][1]
    assert there["n_rounds"] == 3
    assert there["goodput"]["n"] == 3
    assert [(left["name"], left["reason"]) for left in done.json["left_out"]] == [
        ("other", "no run in it has lengths and load of this choice")
    ]


def test_ctrl_c_keeps_the_turns_that_are_there(shell, truth):
    urls = truth(ttft_ms=20, gap_ms=2).url, truth(ttft_ms=30, gap_ms=2).url
    process = shell.start("choose", *urls, *QUICK, "--concurrency", "2", "--budget", "5m", "--out", "c")
    for line in process.stderr:
        if line.startswith("round 1"):
            process.send_signal(signal.SIGINT)
            break
    stdout, stderr = process.communicate(timeout=90)
    assert process.returncode == 130, stderr
    assert "stopped by the user" in stdout
    result = json.loads((shell.folder / "c" / "choice.json").read_text())
    assert len(result["turns"]) == 1
    assert shell("report", "c").stdout == stdout


def test_a_server_that_is_not_there_fails_and_the_other_is_measured(shell, truth):
    server = truth(ttft_ms=20, gap_ms=2)
    flags = (*QUICK, "--concurrency", "2", "--budget", "5s", "--out", "c", "--format", "json")
    done = shell("choose", server.url, "http://127.0.0.1:1", *flags, timeout=110)
    assert done.exit_code == 0, done.stderr
    assert [one["state"] for one in done.json["candidates"]] == ["preferred", "failed"]
    assert "nothing listens at 127.0.0.1:1" in done.json["candidates"][1]["why"]


@pytest.mark.engine
def test_two_configurations_of_the_embedded_engine(shell):
    """One round: everything is measured, and that one round tells nothing is said."""
    tables = ("[one-slot]", "set = ['max_concurrency=1']", "[two-slots]", "set = ['max_concurrency=2']")
    (shell.folder / "two.toml").write_text("\n".join(tables))
    flags = ("--engines", "llamacpp", "--model", "random", "--configs", "two.toml", "--concurrency", "2")
    done = shell("choose", *flags, *QUICK, "--budget", "3s", "--out", "c", "--format", "json", timeout=110)
    assert done.exit_code == 0, done.stderr
    assert done.json["verdict"] == "cannot tell"
    assert "An interval needs 3 rounds" in done.json["answer"]
    one, two = done.json["candidates"]
    assert (one["name"], one["settings"]["max_concurrency"]) == ("llamacpp one-slot", "1")
    assert (two["name"], two["settings"]["max_concurrency"]) == ("llamacpp two-slots", "2")
    for candidate in (one, two):
        assert candidate["memory"]["value"] > 1e7
        assert candidate["start"]["value"] > 0
        assert candidate["answers"]["same"] == 1.0
        assert {fact["topic"] for fact in candidate["facts"]} >= {"hugging face", "licence", "upkeep"}
    assert (shell.folder / "c" / "turns" / "01-1-llamacpp-one-slot" / "engine.log").exists()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_flip_planted_in_emulated_engines_is_found(shell):
    """`wide` serves eight at a time, `swift` is twice as fast alone and serves one."""
    law = "inferometer emulate vllm --port {port} --slots"
    (shell.folder / "two.toml").write_text(
        f"[wide]\ncommand = 'python -m {law} 8 --service-law a=40,b=0,c=0.5,d=0'\n"
        f"[swift]\ncommand = 'python -m {law} 1 --service-law a=20,b=0,c=0.5,d=0'\n"
    )
    flags = (
        "--slo",
        "ttft<5s",
        "--for",
        "3s",
        "--warmup",
        "1s",
        "--output-tokens",
        "uniform:8-12",
        "--input-tokens",
        "32",
    )
    more = ("--concurrency", "1,8", "--budget", "90s", "--ignore", "validity", "--out", "c", "--format", "json")
    done = shell("choose", "--configs", "two.toml", *flags, *more, timeout=380)
    assert done.exit_code == 0, done.stderr
    assert done.json["preferred"] == "wide"
    assert done.json["verdict"] in ("prefer", "cannot tell")  # as sure as the machine was quiet
    (alone,) = (place for place in done.json["places"] if place["title"] == "at 1 in flight")
    (swift,) = (cell for cell in alone["cells"] if cell["candidate"] == "swift")
    assert swift["ratio"]["value"] > 1.3
