# SPDX-License-Identifier: Apache-2.0
"""The plan file: there and back, without content, and refused when it is damaged or from the future."""

from __future__ import annotations

import dataclasses
import json

import pytest

from inferometer.errors import FormatError, RunError
from inferometer.plan.plan import PLAN_VERSION, Plan, load, save
from inferometer.plan.request import Request, Sampling
from inferometer.plan.schedule import burst, closed, open_loop, parse_arrivals

REQUESTS = (
    Request(0, "water river", 5, 7, Sampling(0.7, 3), True, None, 0, 0),
    Request(1, (3, 1, 2), 3, 8, Sampling(), False, None, 1, 0),
    Request(2, "", -1, 9, Sampling(), True, (("system", "short"), ("user", "Grüße 🙂")), 2, 4),
)


def plan_with(schedule):
    return Plan(REQUESTS, schedule, 42, "d" * 64, "token ids", ("a note",))


@pytest.fixture
def plan():
    return plan_with(open_loop(100, parse_arrivals("poisson"), seed=1, n_requests=3, n_trials=2))


def plain(plan: Plan):
    """The plan with lists for arrays, which have no truth value of their own."""
    facts = dataclasses.asdict(plan)
    for stages in facts["schedule"]["trials"]:
        for stage in stages:
            stage["due_ns"] = None if stage["due_ns"] is None else stage["due_ns"].tolist()
    return facts


@pytest.mark.parametrize(
    "schedule",
    [
        open_loop(100, parse_arrivals("poisson"), seed=1, n_requests=3, n_trials=2),
        burst(5, n_warmup=2),
        closed(2, for_s=10.5, warmup_s=1),
    ],
    ids=lambda schedule: schedule.mode,
)
def test_a_plan_survives_its_file(schedule, tmp_path):
    plan = plan_with(schedule)
    save(plan, tmp_path / "plan.jsonl")
    assert plain(load(tmp_path / "plan.jsonl")) == plain(plan)
    assert [path.name for path in tmp_path.iterdir()] == ["plan.jsonl"]


def test_without_content_only_sizes_are_kept(plan, tmp_path):
    path = tmp_path / "plan.jsonl"
    save(plan, path, with_content=False)
    text = path.read_text()
    assert "water" not in text
    assert "Grü" not in text
    assert [json.loads(line).get("prompt_bytes") for line in text.splitlines()[1:]] == [11, None, 17]
    loaded = load(path)
    assert [r.prompt for r in loaded.requests] == ["", "", ""]
    assert [(r.n_prompt_tokens, r.max_output_tokens) for r in loaded.requests] == [(5, 7), (3, 8), (-1, 9)]


def damaged(path, change):
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join(change(lines)) + b"\n")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: [], "is not a plan file"),
        (lambda lines: [b"hello"], "is not a plan file"),
        (lambda lines: [b'{"schema": 1}'], "is not a plan file"),
        (lambda lines: [b"\xff\xfe", *lines], "is not a plan file"),
        (lambda lines: lines[:-1], "2 requests of 3"),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], "line 2, is damaged: request 1 where 0 was expected"),
        (lambda lines: [*lines[:2], lines[2][:-5], lines[3]], "line 3, is damaged"),
        (lambda lines: [lines[0].replace(b'"seed":42', b'"seed":"x"'), *lines[1:]], "line 1, is damaged"),
    ],
)
def test_a_damaged_file_is_refused(plan, tmp_path, change, says):
    path = tmp_path / "plan.jsonl"
    save(plan, path)
    damaged(path, change)
    with pytest.raises(FormatError, match=says):
        load(path)


def test_a_file_of_a_newer_version_is_refused(plan, tmp_path):
    path = tmp_path / "plan.jsonl"
    save(plan, path)
    newer = f'"inferometer_plan":{PLAN_VERSION + 1}'.encode()
    damaged(path, lambda lines: [lines[0].replace(f'"inferometer_plan":{PLAN_VERSION}'.encode(), newer), *lines[1:]])
    with pytest.raises(FormatError, match="newer than") as caught:
        load(path)
    assert caught.value.remedy == "update inferometer"


def test_a_missing_or_unwritable_file_is_an_error_with_its_reason(plan, tmp_path):
    with pytest.raises(FormatError, match="No such file"):
        load(tmp_path / "no.jsonl")
    with pytest.raises(RunError, match="No such file"):
        save(plan, tmp_path / "no" / "plan.jsonl")
