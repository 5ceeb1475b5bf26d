# SPDX-License-Identifier: Apache-2.0
"""`compare`, `gate`, `history` and `ab` as processes: sides, refusals, exit codes. Timing is not judged here."""

from __future__ import annotations

import csv
import io
import json
import shutil

import pytest
from tests.analysis.points import point

from inferometer.analysis.curve import Sweep, law_of
from inferometer.cli.turns import rounds_in
from inferometer.probes.results import write_result
from inferometer.stats.usl import usl

ANYHOW = ("--ignore", "validity")  # a busy machine spoils short runs; what is compared is known all the same
LOAD = ("--concurrency", "2", "--requests", "6", "--warmup", "0", "--output-tokens", "4")


@pytest.fixture(scope="module")
def folder(module_shell, truth):
    """Five trials each of a server, `fast`, of one that takes 60 ms longer, `slow`, and a single run, `other`."""
    for label, ttft_ms in (("fast", 60), ("slow", 120)):
        url = truth(ttft_ms=ttft_ms, gap_ms=2).url
        done = module_shell("run", url, *LOAD, "--repeats", "5", "--label", label, "--quiet")
        assert done.exit_code in (0, 4), done.stderr
    url = truth(ttft_ms=60, gap_ms=2).url
    module_shell("run", url, "--concurrency", "3", *LOAD[2:], "--label", "other", "--quiet")
    return module_shell.folder


def test_the_verdict_comes_first(module_shell, folder):
    done = module_shell("compare", "fast", "slow", "--metrics", "ttft_p50,e2e_p50", *ANYHOW)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("WORSE")
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert len(done.stdout.splitlines()) <= 24


def test_json_holds_every_row(module_shell, folder):
    done = module_shell("compare", "slow", "fast", "--metrics", "ttft_p50", *ANYHOW, "--format", "json")
    document = done.json
    assert document["verdicts"] == {"B": "better"}
    (row,) = document["rows"]
    assert (row["metric"], row["statistic"], row["ratio"]["n"]) == ("ttft_s", "p50", 10)
    assert row["ratio"]["lo"] < row["ratio"]["value"] < row["ratio"]["hi"] < 0.8


def test_the_same_runs_give_the_same_answer(module_shell, folder):
    first, second = (module_shell("compare", "fast", "slow", "--metrics", "ttft_p50", *ANYHOW) for _ in range(2))
    assert first.stdout == second.stdout


def test_a_screening_hints_and_decides_nothing(module_shell, folder):
    asked = ("compare", "fast", "slow", "--metrics", "tpot_p50", *ANYHOW)
    plain, screened = module_shell(*asked), module_shell(*asked, "--screen")
    assert screened.stdout.startswith(plain.stdout)
    more = screened.stdout.removeprefix(plain.stdout)
    assert "Hints, not verdicts" in more
    assert "ttft_p50" in more
    document = module_shell(*asked, "--screen", "--format", "json").json
    assert [row["metric"] for row in document["rows"]] == ["tpot_s"]
    (hint,) = [h for h in document["screening"]["hints"] if (h["metric"], h["statistic"]) == ("ttft_s", "p50")]
    assert hint["q"] <= 0.05
    assert hint["ratio"]["lo"] > 1.2
    assert "| `ttft_p50` | B: +" in module_shell(*asked, "--screen", "--format", "markdown").stdout


def test_markdown_is_a_table(module_shell, folder):
    done = module_shell("compare", "fast", "slow", "--metrics", "ttft_p50", *ANYHOW, "--format", "markdown")
    assert done.stdout.startswith("**WORSE** ")
    assert "| `ttft_p50` | " in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["fast"], 2, ("nothing to compare with",)),
        (["fast", "nobody"], 2, ("'nobody' is neither a folder nor a label",)),
        (["fast", "fast"], 2, ("is there twice",)),
        (
            ["fast", "other"],
            2,
            ("cannot be compared", "closed loop, 2 in flight and closed loop, 3 in flight", "--ignore"),
        ),
        (["fast", "other", "--ignore", "validity,plan"], 2, ("5 and 1 trials cannot resolve", "5 trials a side can")),
        (["fast", "slow", "--ignore", "plans"], 2, ("'plans' is not known", "validity, plan, model")),
        (["fast", "slow", "--metrics", "ttft"], 2, ("which statistic",)),
        (["fast", "slow", "--tolerance", "5 pigs"], 2, ("'5 pigs' is not a share",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_compared(module_shell, folder, refused, words, code, told):
    refused(module_shell("compare", *words), code, *told)


def test_a_run_that_never_finished_is_refused_as_invalid(module_shell, folder, refused, tmp_path):
    broken = folder / "broken"
    broken.mkdir()
    slow = next(path for path in (folder / "inferometer-runs").iterdir() if path.name.endswith("c2"))
    for each in slow.iterdir():
        (broken / each.name).write_bytes(each.read_bytes())
    manifest = json.loads((broken / "manifest.json").read_text())
    (broken / "manifest.json").write_text(json.dumps(manifest | {"state": "stopped", "label": ""}))
    done = module_shell("compare", "broken", "slow", "--metrics", "ttft_p50")
    assert done.exit_code == 4
    assert "broken never finished" in done.stderr


def test_a_gate_fails_with_five_and_passes_with_zero(module_shell, folder):
    failed = module_shell("gate", "slow", "--baseline", "fast", "--fail", "ttft_p50>+10%", *ANYHOW)
    assert (failed.exit_code, failed.stderr) == (5, "")
    assert failed.stdout.startswith("FAILED    1 of 1 conditions: ttft_p50>+10%")
    passed = module_shell("gate", "fast", "--baseline", "slow", "--fail", "ttft_p50>+10%", *ANYHOW)
    assert passed.exit_code == 0
    assert passed.stdout.startswith("PASSED")


def test_a_gate_warns_of_the_knee(module_shell, folder):
    words = (
        "gate",
        "fast",
        "--baseline",
        "slow",
        "--fail",
        "ttft_p50>+10%",
        *ANYHOW,
        "--knee",
        "2",
        "--format",
        "json",
    )
    assert "sits on the knee" in module_shell(*words).json["warnings"][0]


def test_a_gate_reads_the_knee_from_a_sweep(module_shell, folder, refused):
    facts = {"engine": {}, "plan": {}, "host": {}, "versions": {}, "created": ""}
    points = [point(load, usl(load, 10, 0.4, 0.001)) for load in (1, 2, 4, 8, 16, 32)]
    sweep = Sweep("concurrency", False, [], points, "", 60.0, law=law_of(points), **facts)
    (folder / "swept").mkdir()
    write_result(folder / "swept" / "sweep.json", sweep)
    words = ("gate", "fast", "--baseline", "slow", "--fail", "ttft_p50>+10%", *ANYHOW)
    warnings = module_shell(*words, "--sweep", "swept", "--format", "json").json["warnings"]
    assert "sits on the knee: 2 requests in flight" in warnings[0]
    assert "the sweep and the run differ" in warnings[1]
    refused(module_shell(*words, "--sweep", "inferometer-runs"), 2, "no folder of a sweep", "inferometer sweep")
    refused(module_shell(*words, "--sweep", "swept", "--knee", "2"), 2, "--knee and --sweep both say")


def test_a_comparison_as_a_page_and_as_a_table(module_shell, folder):
    words = ("compare", "fast", "slow", "--metrics", "ttft_p50", *ANYHOW)
    done = module_shell(*words, "--format", "html", "--out", "page.html")
    assert (done.exit_code, done.stdout) == (0, ""), done.stderr
    assert "WORSE" in (folder / "page.html").read_text()
    (row,) = csv.DictReader(io.StringIO(module_shell(*words, "--format", "csv").stdout))
    assert (row["candidate"], row["metric"], row["statistic"], row["verdict"]) == ("B", "ttft_s", "p50", "worse")


def test_a_gate_that_makes_no_sense_is_no_failure(module_shell, folder, refused):
    refused(module_shell("gate", "slow", "--baseline", "fast", "--fail", "ttft_p50>5%"), 2, "not a condition")
    refused(module_shell("gate", "other", "--baseline", "fast", "--fail", "ttft_p50>+5%"), 2, "cannot be compared")


def test_history_lists_labelled_runs_and_draws_them(module_shell, folder):
    lines = module_shell("history", "inferometer-runs", "--metric", "ttft_p50").stdout.splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["fast", "slow", "other"]


def test_history_as_csv_and_json(module_shell, folder):
    rows = list(csv.DictReader(io.StringIO(module_shell("history", "--metric", "ttft_p50", "--format", "csv").stdout)))
    document = module_shell("history", "--metric", "ttft_p50", "--format", "json").json
    assert [row["label"] for row in rows] == [run["label"] for run in document["runs"]] == ["fast", "slow", "other"]
    assert float(rows[1]["ttft_p50"]) == document["runs"][1]["number"]["value"] > 0.1


def test_history_is_filtered(module_shell, folder, refused):
    assert len(module_shell("history", "--label", "s*", "--format", "json").json["runs"]) == 1
    assert module_shell("history", "--since", "2999-01-01").stdout == "no run matches\n"
    assert module_shell("history", "--engine", "vllm").stdout == "no run matches\n"
    refused(module_shell("history", "--since", "yesterday"), 2, "no date")
    refused(module_shell("history", "nowhere"), 2, "no folder nowhere")


def test_a_label_brings_the_revision(module_shell, folder):
    (path,) = (path for path in (folder / "inferometer-runs").glob("*/manifest.json") if '"slow"' in path.read_text())
    assert json.loads(path.read_text())["revision"] == ""  # this folder is in no repository


@pytest.fixture(scope="module")
def turns(module_shell, truth):
    """Five rounds of two servers."""
    urls = [truth(ttft_ms=ttft_ms, gap_ms=2).url for ttft_ms in (60, 120)]
    words = ("ab", *urls, "--repeats", "5", *LOAD, "--metrics", "ttft_p50", *ANYHOW, "--out", "turns")
    return module_shell(*words, "--format", "json", timeout=110)


def test_ab_measures_in_turns_and_compares(turns):
    assert turns.exit_code == 0, turns.stderr
    assert turns.json["verdicts"] == {"B": "worse"}
    assert [turns.json["sides"][side]["n_trials"] for side in "AB"] == [5, 5]


def test_each_side_comes_first_in_about_half_of_the_rounds(turns, module_shell):
    facts = [json.loads(path.read_text())["ab"] for path in (module_shell.folder / "turns").glob("*/*/manifest.json")]
    assert sorted((each["round"], each["position"]) for each in facts) == [(i, j) for i in range(1, 6) for j in (0, 1)]
    assert sum(each["side"] == "A" and each["position"] == 0 for each in facts) in (2, 3)


def test_what_ab_measured_can_be_compared_again(turns, module_shell):
    again = module_shell("compare", "turns/A", "turns/B", "--metrics", "ttft_p50", *ANYHOW, "--format", "json")
    assert again.json["rows"][0]["ratio"] == turns.json["rows"][0]["ratio"]


def test_the_folder_of_ab_is_reported_as_the_comparison_it_was(turns, module_shell, refused):
    again = module_shell("report", "turns", "--format", "json")
    assert again.exit_code == 0, again.stderr
    assert again.json | {"notes": []} == turns.json | {"notes": []}
    module_shell("report", "turns", "--format", "html", "--out", "turns.html")
    assert turns.json["sides"]["A"]["title"] in (module_shell.folder / "turns.html").read_text()
    refused(module_shell("report", "turns", "--as", "vllm"), 2, "--as is for the report of a run")


def change_manifest(run, change):
    path = run / "manifest.json"
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))


def test_rounds_that_do_not_count_are_told_once_more(turns, module_shell):
    """The last ended in its second turn, the fourth was left out while it was measured."""
    assert turns.exit_code == 0
    folder = module_shell.folder / "ended"
    shutil.copytree(module_shell.folder / "turns", folder)
    change_manifest(folder / "B" / "05", lambda facts: facts.pop("ab"))
    found = rounds_in(folder, ("validity",))
    assert [len(side) for side in found.members] == [4, 4]
    assert found.left_out == ["round 5, it was not finished"]
    (folder / "left-out").mkdir()
    for side in "AB":
        (folder / side / "04").rename(folder / "left-out" / f"{side}-04")
    change_manifest(folder / "left-out" / "A-04", lambda facts: facts.update(state="stopped"))
    assert [told for told in rounds_in(folder, ()).left_out if told.startswith("round 4, A")]
