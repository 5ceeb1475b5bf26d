# SPDX-License-Identifier: Apache-2.0
"""The screen of a choice."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import msgspec
from tests.analysis.turns import point, terms, turns

from inferometer.analysis.candidate import Course, Entry
from inferometer.analysis.choice import Fact, LeftOut, Workload
from inferometer.analysis.conclude import Asked, conclude
from inferometer.analysis.turn import Turn
from inferometer.report import choice as report
from inferometer.report import choice_markdown, choice_table

FACTS = (
    Fact("hugging face", "after conversion; many models lie on the hub as GGUF already", "documentation"),
    Fact("on NVIDIA GPU", "its own CUDA build", "documentation"),
    Fact("on CPU", "x86-64 and ARM", "seen"),
    Fact("licence", "MIT", "documentation"),
    Fact("upkeep", "very active, several builds a day", "documentation"),
)
POINTS = {"takes Hugging Face models as they are": 0.5, "kinds of devices": 5 / 7, "free licence": 1.0, "kept up": 1.0}
OUT = (
    LeftOut("vllm", "vLLM is not installed", "install it: pip install vllm"),
    LeftOut("sglang", "it needs an NVIDIA GPU or an AMD GPU, and there is none", "measure it where it runs"),
)
WORKLOADS = (Workload("default", "128", "uniform:32-64", 0, ""), Workload("1024/64", "1024", "64", 0, "as given"))


def choice(n_rounds=8, **changes):
    weights = changes.pop("weights", {"throughput": 1.0})
    entries = [
        Entry("llamacpp threads=2", "started", "llama.cpp,threads=2", 1, 2.5, "llama.cpp", "b6712", "reader"),
        Entry("llamacpp a-rather-long-name-of-a-configuration", "started", "llama.cpp", 1, 2.5, "llama.cpp", "b6712"),
        Entry("http://127.0.0.1:8000", "running", "http://127.0.0.1:8000", 1, 2.5, "vLLM", "0.32.0"),
    ]
    entries = [replace(entry, facts=FACTS, points=POINTS) for entry in entries]
    answers = ("Three oceans.", "A lighthouse stands there.")
    taken = [replace(turn, answers=answers) for turn in turns(0, {1.0: 2.0, 4.0: 10.0}, n_rounds)]
    taken += turns(1, {1.0: 2.6, 4.0: 7.0}, n_rounds)
    taken += [replace(turn, start_s=None, memory_bytes=None) for turn in turns(2, {1.0: 2.0, 4.0: 9.9}, n_rounds)]
    settled = terms(3, loads=(1.0, 4.0), weights=weights, ease=(0.8, 0.8, 0.9))
    asked = Asked(WORKLOADS, "concurrency", "ttft<500ms,tpot<50ms", "", "", 8.0, 2.0, 1800.0, "inferometer choose", "")
    course = Course(taken, {1: 4}, n_rounds, 10.0 * len(taken), 30.0, "everything is settled")
    return conclude(
        entries, OUT, settled, asked, course, host={}, versions={}, notes=["1 of 48 runs are invalid: late_sends"]
    )


def checked(golden, name, text, width):
    golden(name, text)
    assert text.isascii()
    assert all(len(line) <= width for line in text.splitlines() if not line.startswith(("folder", "next")))


def test_a_choice(golden):
    checked(golden, "choice-100.txt", report.render(choice(), folder="runs/choice", width=100), 100)
    checked(golden, "choice-80.txt", report.render(choice(), folder="runs/choice", width=80), 80)


def test_a_choice_that_is_weighed(golden):
    weighed = choice(weights={"throughput": 0.5, "ttft": 0.25, "ease": 0.25})
    checked(golden, "choice-weighed-100.txt", report.render(weighed, folder="runs/choice", width=100), 100)


def test_markdown(golden):
    golden("choice.md", choice_markdown.render(choice()))


def test_a_row_for_each_candidate_the_preferred_one_first():
    rows = list(csv.DictReader(io.StringIO(choice_table.to_csv(choice()))))
    assert [row["state"] for row in rows] == ["preferred", "same", "worse"]
    assert rows[0]["ratio_to_preferred"] == ""
    assert float(rows[2]["ratio_to_preferred"]) == choice().candidates[1].ratio.value


def none_to_choose():
    """Nobody keeps the limits; one did not even start."""
    asked = Asked(WORKLOADS[:1], "rate", "ttft<50ms", "chat", "an example", 8.0, 2.0, 600.0, "", "")
    taken = [Turn(0, 1, (point(1.0, load=4.0, share=0.5),)), Turn(1, 1, (), failed="it did not start")]
    course = Course(taken, {0: 1}, 1, 20.0, 0.0, "none is left that is within the limits")
    entries = [Entry("a", "started", "a"), Entry("b", "started", "b")]
    return conclude(entries, (), terms(2), asked, course, host={}, versions={})


def test_none_to_choose(golden):
    checked(golden, "choice-none-100.txt", report.render(none_to_choose(), folder="runs/choice", width=100), 100)


def test_a_plan(golden):
    text = report.render_plan(
        [("llamacpp", "started", "llama.cpp,model=m.gguf"), ("http://a:8000", "running", "http://a:8000")],
        OUT,
        WORKLOADS,
        loads=(1.0, 4.0, 16.0),
        kind="concurrency",
        slo="ttft<500ms",
        attainment=0.95,
        weights={"throughput": 0.75, "ttft": 0.25},
        window_s=12.5,
        round_s=150.0,
        budget_s=1800.0,
        width=100,
    )
    checked(golden, "choice-plan-100.txt", text, 100)


def test_how_sure_it_is_says_which_intervals_are_of_one_look():
    found = choice()
    assert report.sure_text(found).endswith("at every look together")
    there = [msgspec.structs.replace(one, kind="elsewhere") for one in found.candidates[-1:]]
    told = report.sure_text(msgspec.structs.replace(found, candidates=[*found.candidates[:-1], *there]))
    assert told.endswith("at every look together, of what was measured elsewhere at the last look only")
