# SPDX-License-Identifier: Apache-2.0
"""`inferometer run URL` against the ground-truth server: every mode, what stands in the folder, what is printed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from inferometer.kinds import ChunkKind
from inferometer.truth.launch import TruthServer
from inferometer.truth.script import PRESETS

# A time to first token that a busy machine's lateness does not spoil; answers that are short.
SERVER = {"ttft_ms": 80, "gap_ms": 2}
NUMBER = {"value", "lo", "hi", "level", "n", "unit", "method"}


def code_of(document, otherwise=0):
    """The exit code that goes with a document: an invalid run weighs more than a missed limit."""
    return 4 if document["verdict"]["level"] == "invalid" else otherwise


# -- closed loop, in trials -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def closed(module_shell, truth):
    flags = ("--concurrency", "3", "--requests", "6", "--warmup", "2", "--repeats", "3", "--output-tokens", "5")
    limits = ("--slo", "ttft<1h,e2e<1ms,tpot_p50<1h")
    return module_shell("run", truth(**SERVER).url, *flags, *limits, "--format", "json", "--out", "closed")


def test_stdout_is_one_json_document_and_progress_is_on_stderr(closed):
    document = json.loads(closed.stdout)
    assert set(document) >= {"schema", "verdict", "counts", "metrics", "fidelity", "plan", "engine", "host"}
    assert document["schema"] == "inferometer/report/1"
    assert set(document["verdict"]) == {"level", "reasons"}
    for statistics in document["metrics"].values():
        for number in statistics.values():
            assert set(number) == NUMBER or set(number) == {"value", "missing", "n", "unit"}
    assert closed.exit_code == code_of(document)
    assert "closed loop, 3 in flight" in closed.stderr
    assert "folder    closed" in closed.stderr


def test_every_planned_request_is_a_row(closed, module_shell, rows):
    counts = closed.json["counts"]
    assert (counts["planned"], counts["ok"], counts["warmup"], counts["trials"]) == (18, 18, 6, 3)
    found = rows(module_shell.folder / "closed")
    assert [row["id"] for row in found] == list(range(24))
    assert [row["phase"] for row in found] == (["warmup"] * 2 + ["main"] * 6) * 3
    assert {(row["outcome"], row["status"], row["finish"]) for row in found} == {("ok", 200, "length")}
    assert {(row["n_output_tokens"], row["n_output_tokens_asked"]) for row in found} == {(5, 5)}
    assert {(row["n_prompt_tokens"], row["n_prompt_tokens_asked"]) for row in found} == {(128, 128)}


def test_no_more_are_in_flight_than_asked(closed, module_shell, rows):
    found = rows(module_shell.folder / "closed")
    for row in found:
        n_others = sum(row["t_sent_ns"] < other["t_end_ns"] and other["id"] < row["id"] for other in found)
        assert n_others < 3


def test_intervals_are_over_trials(closed):
    ttft = closed.json["metrics"]["ttft_s"]
    assert ttft["mean"]["n"] == 3
    assert ttft["p50"]["n"] == 3
    assert "trial" in ttft["mean"]["method"]
    assert ttft["mean"]["lo"] <= ttft["mean"]["value"] <= ttft["mean"]["hi"]
    assert ttft["mean"]["value"] >= 0.08


def test_the_collector_rests_while_a_trial_lasts(closed, module_shell, rows):
    samples = [row for row in rows(module_shell.folder / "closed", "samples") if row["gauge"] == "gc_pause_s"]
    for trial in range(3):
        due_ns = [row["t_due_ns"] for row in rows(module_shell.folder / "closed") if row["trial"] == trial]
        before = [row["value"] for row in samples if row["t_ns"] <= min(due_ns)]
        after = [row["value"] for row in samples if row["t_ns"] > max(due_ns)]
        assert before[-1] == after[0]


def test_limits_on_requests_do_not_fail_a_run(closed):
    limits = closed.json["limits"]
    assert [limit["attained"]["value"] for limit in limits["per_request"]] == [1, 0]
    assert [limit["is_met"] for limit in limits["per_run"]] == [True]
    assert limits["is_failed"] is False


def test_the_folder_says_what_was_asked(closed, module_shell):
    manifest = json.loads((module_shell.folder / "closed" / "manifest.json").read_text())
    assert manifest["state"] == "finished"
    asked = manifest["config"]
    assert (asked["concurrency"], asked["requests"], asked["warmup"], asked["repeats"]) == (3, 6, 2, 3)
    assert asked["output_tokens"] == "5"
    assert manifest["engine"]["model"] == "truth"
    assert len(manifest["windows"]) == 3
    assert len(manifest["plan"]["digest"]) == 64


def test_prompts_differ_from_the_first_word_on(closed, module_shell):
    lines = (module_shell.folder / "closed" / "plan.jsonl").read_text().splitlines()[1:]
    prompts = [json.loads(line)["prompt"].split() for line in lines]
    assert [len(prompt) for prompt in prompts] == [128] * 24
    assert len({prompt[0] for prompt in prompts}) == 24


# -- open loop, answers in one piece ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_loop(module_shell, truth):
    flags = ("--rate", "40", "--arrivals", "constant", "--requests", "20", "--warmup", "0.1s", "--no-stream")
    limits = ("--slo", "e2e_p50<1ms", "--output-tokens", "4", "--quiet")
    return module_shell("run", truth(**SERVER).url, *flags, *limits, "--out", "open")


def test_a_missed_limit_has_its_own_exit_code(open_loop):
    level = open_loop.stdout.split()[0]
    assert open_loop.exit_code == (4 if level == "INVALID" else 5)
    assert "e2e_p50<1ms" in open_loop.stdout


def test_quiet_is_quiet(open_loop):
    assert open_loop.stderr == ""


def test_requests_are_due_at_the_planned_instants(open_loop, module_shell, rows):
    found = rows(module_shell.folder / "open")
    assert sum(row["phase"] == "main" for row in found) == 20
    assert set(np.diff([row["t_due_ns"] for row in found])) == {25_000_000}
    assert all(row["t_sent_ns"] >= row["t_due_ns"] for row in found)


def test_an_answer_in_one_piece_has_an_end_and_no_first_token(open_loop, module_shell, rows):
    for row in rows(module_shell.folder / "open"):
        assert (row["outcome"], row["t_first_content_ns"]) == ("ok", -1)
        assert row["t_sent_ns"] < row["t_last_content_ns"] <= row["t_end_ns"]
    document = module_shell("report", "open", "--format", "json").json
    assert document["metrics"]["ttft_s"]["p50"]["value"] is None
    assert document["metrics"]["e2e_s"]["p50"]["value"] >= 0.08


# -- burst, described in a file ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def burst(module_shell, truth):
    (module_shell.folder / "burst.toml").write_text(
        "burst = true\nrequests = 99\napi = 'completions'\nwarmup = 1\nseed = 5\n"
        "input-tokens = 'uniform:20-30'\noutput-tokens = '4'\nshared-prefix = 6\n"
    )
    flags = ("--config", "burst.toml", "--requests", "16", "--out", "burst")
    return module_shell("run", truth(**SERVER).url, *flags)


def test_a_flag_goes_before_the_file(burst, module_shell, rows):
    assert burst.exit_code in (0, 4), burst.stderr
    found = rows(module_shell.folder / "burst")
    assert [row["phase"] for row in found] == ["warmup"] + ["main"] * 16


def test_all_are_due_at_once(burst, module_shell, rows):
    main = [row for row in rows(module_shell.folder / "burst") if row["phase"] == "main"]
    assert len({row["t_due_ns"] for row in main}) == 1
    n_together = [sum(row["t_sent_ns"] <= at["t_sent_ns"] < row["t_end_ns"] for row in main) for at in main]
    assert max(n_together) >= 12, "all, but for a client that was held up"


def test_lengths_are_drawn_from_the_law_and_counted_alike_by_the_server(burst, module_shell, rows):
    found = rows(module_shell.folder / "burst")
    asked = [row["n_prompt_tokens_asked"] for row in found]
    assert asked == [row["n_prompt_tokens"] for row in found]
    assert len(set(asked)) > 3
    assert min(asked) >= 20
    assert max(asked) <= 30


def test_the_prefix_is_shared_and_nothing_after_it(burst, module_shell):
    lines = (module_shell.folder / "burst" / "plan.jsonl").read_text().splitlines()[1:]
    prompts = [json.loads(line)["prompt"].split() for line in lines]
    assert len({tuple(prompt[:6]) for prompt in prompts}) == 1
    assert len({prompt[6] for prompt in prompts}) == 17


def test_the_other_api_was_used(burst, module_shell):
    assert b"text_completion" in (module_shell.folder / "burst" / "recorder.bin").read_bytes()


def test_the_screen_begins_with_the_verdict_and_ends_with_the_folder(burst):
    lines = burst.stdout.splitlines()
    assert lines[0].split()[0] in ("VALID", "SUSPECT", "INVALID")
    assert [line.split()[0] for line in lines[-2:]] == ["folder", "next"]
    assert lines[-1].endswith("inferometer show burst --slowest 5")


def test_a_window_of_time_and_headers_on_every_request(shell, truth, proxy, rows):
    between = proxy(truth(ttft_ms=20, gap_ms=1).port)
    flags = ("--concurrency", "2", "--for", "0.4s", "--warmup", "0.1s", "--output-tokens", "3", "--input-tokens", "9")
    own = ("--header", "X-Team: search", "--header", "Host: engine.example")
    done = shell("run", between.url, *flags, *own, "--out", "run", "--format", "json")
    assert done.exit_code == code_of(done.json), done.stderr
    heads = [part for said in between.said for part in said.split(b"\r\n\r\n") if b"HTTP/1.1" in part]
    assert len(heads) > len(rows(shell.folder / "run"))
    for head in heads:
        assert b"x-team: search" in head.lower()
        assert head.lower().count(b"host: ") == 1
        assert b"host: engine.example" in head.lower()
    found = rows(shell.folder / "run")
    window = done.json["windows"][0]
    assert window["t_end_s"] - window["t_start_s"] == pytest.approx(0.4, abs=1e-6)
    due_s = [row["t_due_ns"] / 1e9 for row in found if row["phase"] == "main"]
    assert window["t_start_s"] - 1e-6 <= min(due_s)
    assert max(due_s) <= window["t_end_s"]
    assert {row["outcome"] for row in found} == {"ok"}, "what was due inside the window is followed to its end"


@pytest.mark.slow
def test_a_run_without_a_single_due_request_is_invalid_and_says_so(shell, truth):
    flags = ("--rate", "0.1", "--arrivals", "constant", "--for", "0.2s", "--warmup", "0.1s")
    done = shell("run", truth(ttft_ms=20, gap_ms=1).url, *flags)
    assert done.exit_code == 4
    assert done.stdout.startswith("INVALID")
    assert "no request became due" in done.stdout


@pytest.mark.slow
def test_the_awkward_stream_is_measured_as_the_server_logged_it(shell, rows):
    """Role chunk at once, first content at 300 ms, 20 chunks of 2 tokens every 40 ms, usage 250 ms after the last."""
    flags = ("--concurrency", "2", "--requests", "4", "--warmup", "0", "--output-tokens", "40", "--input-tokens", "8")
    with TruthServer(PRESETS["awkward"]) as server:
        done = shell("run", server.url, *flags, "--format", "json", "--out", "run")
        log = server.stop()
    assert done.exit_code == code_of(done.json), done.stderr

    manifest = json.loads((shell.folder / "run" / "manifest.json").read_text())
    log = log.of_run(manifest["nonce"])
    sent_s = {row["id"]: row["t_sent_ns"] / 1e9 for row in rows(shell.folder / "run")}
    true = []
    for i, request_id in enumerate(log.requests["id"].tolist()):
        steps = log.steps_of(i)
        at_s = (steps["t_before_ns"] - manifest["clock"]["origin_ns"]) / 1e9 - sent_s[request_id]
        content_s, usage_s = at_s[steps["kind"] == ChunkKind.CONTENT], at_s[steps["kind"] == ChunkKind.USAGE]
        assert (len(content_s), len(usage_s)) == (20, 1)
        true.append((content_s[0], content_s[-1], (content_s[-1] - content_s[0]) / 39, usage_s[0] - content_s[-1]))
    assert len(true) == 4

    names = ("ttft_sent_s", "e2e_sent_s", "tpot_s", "usage_tail_s")
    measured = [done.json["metrics"][name]["mean"]["value"] for name in names]
    for name, value, truth, prescribed in zip(
        names, measured, np.mean(true, axis=0), (0.3, 1.06, 0.76 / 39, 0.25), strict=True
    ):
        n = 39 if name == "tpot_s" else 1
        assert value == pytest.approx(truth, abs=0.015 / n), name
        assert value == pytest.approx(prescribed, abs=0.06 / n), name
