# SPDX-License-Identifier: Apache-2.0
"""`--no-content`: neither prompts nor answers on disk or screen, and the same numbers in kind."""

from __future__ import annotations

import json
import re

import pytest

from inferometer.truth.events import words

ANSWER_WORDS = words(0, 8).split()
FLAGS = ("--requests", "8", "--output-tokens", "8", "--input-tokens", "40", "--seed", "3", "--format", "json")


@pytest.fixture(scope="module")
def pair(module_shell, truth):
    """The same run with and without content: documents of both; folders are `with` and `without`."""
    url = truth(ttft_ms=80, gap_ms=2).url
    documents = []
    for name, flag in (("with", ()), ("without", ("--no-content",))):
        done = module_shell("run", url, *FLAGS, *flag, "--out", name)
        assert done.exit_code in (0, 4), done.stderr
        shown = module_shell("show", name)
        assert shown.exit_code == 0, shown.stderr
        documents.append((done.json, done.stdout + done.stderr + shown.stdout + shown.stderr))
    return documents


def test_no_word_of_a_prompt_or_an_answer_is_left(pair, module_shell, everything):
    lines = (module_shell.folder / "with" / "plan.jsonl").read_text().splitlines()[1:]
    prompts = [json.loads(line)["prompt"].split() for line in lines]
    phrases = {" ".join(prompt[i : i + 3]) for prompt in prompts for i in range(38)} | {" alpha", " bravo"}

    told = everything(module_shell.folder / "with").decode(errors="replace") + pair[0][1]
    assert all(phrase in told for phrase in phrases), "the search finds them where they are"
    kept = everything(module_shell.folder / "without").decode(errors="replace") + pair[1][1]
    assert not [phrase for phrase in phrases if phrase in kept]
    assert not set(ANSWER_WORDS) & set(re.findall(r"\w+", kept))


def test_prompts_are_kept_as_sizes(pair, module_shell):
    lines = [(module_shell.folder / name / "plan.jsonl").read_text().splitlines() for name in ("with", "without")]
    for full, bare in zip(lines[0][1:], lines[1][1:], strict=True):
        text = json.loads(full).pop("prompt")
        assert "prompt" not in json.loads(bare)
        assert json.loads(bare)["prompt_bytes"] == len(text.encode())
        assert json.loads(bare)["n_prompt_tokens"] == 40


def test_the_numbers_are_the_same_in_kind(pair, module_shell, rows):
    full, bare = pair[0][0], pair[1][0]
    assert {name: set(metric) for name, metric in full["metrics"].items()} == {
        name: set(metric) for name, metric in bare["metrics"].items()
    }
    for document, folder in ((full, "with"), (bare, "without")):
        # A client that was held up may read a whole answer at once: that one has no time per token.
        main = [row for row in rows(module_shell.folder / folder) if row["phase"] == "main"]
        n_spread = sum(row["t_last_content_ns"] > row["t_first_content_ns"] for row in main)
        n_of = {"ttft_s": 8, "tpot_s": n_spread, "gap_s": 56, "e2e_s": 8, "usage_tail_s": 8}
        assert {name: document["metrics"][name]["p50"]["n"] for name in n_of} == n_of
    assert full["counts"] == bare["counts"]
    assert full["plan"]["digest"] == bare["plan"]["digest"]


def test_the_rows_are_the_same_but_for_the_stamps(pair, module_shell, rows):
    def bare(row):
        return {
            name: value for name, value in row.items() if not name.startswith("t_") and name not in ("conn", "n_reads")
        }

    full, kept = (rows(module_shell.folder / name) for name in ("with", "without"))
    assert [bare(row) for row in full] == [bare(row) for row in kept]
    chunks = [
        [(row["request_id"], row["kind"], row["n_bytes"]) for row in rows(module_shell.folder / name, "chunks")]
        for name in ("with", "without")
    ]
    assert chunks[0] == chunks[1]


SLOW = [
    {"status": 500, "body": '{"error": {"message": "cannot answer: alpha bravo"}}'},
    *({"fault": name, "fault_at": 2} for name in ("error_event", "bad_chunk_size", "not_http", "truncate")),
]


@pytest.mark.parametrize(
    "fault",
    [{"fault": "bad_json", "fault_at": 2}, *(pytest.param(fault, marks=pytest.mark.slow) for fault in SLOW)],
    ids=lambda fault: fault.get("fault", "status"),
)
def test_what_goes_wrong_leaves_no_words_either(shell, truth, proxy, everything, fault):
    between = proxy(truth(ttft_ms=20, gap_ms=1).port, truth(ttft_ms=20, gap_ms=1, **fault).port)
    done = shell("run", between.url, *FLAGS, "--no-content", "--out", "run")
    assert done.exit_code in (3, 4), done.stderr
    assert done.json["counts"]["failed"] > 0
    kept = everything(shell.folder / "run").decode(errors="replace")
    for word in ("alpha", "bravo", "asked to fail", "OpenSSH", "choices"):
        assert word not in kept
