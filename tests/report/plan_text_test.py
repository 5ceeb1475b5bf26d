# SPDX-License-Identifier: Apache-2.0
"""What `--dry-run` prints: that nothing was sent, and then what would have been."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from inferometer.report import probe_plan
from inferometer.report.plan_text import DryRun, render, to_json
from inferometer.report.probe_plan import ProbeDryRun
from inferometer.units import format_span

PLAN = DryRun(
    target="http://127.0.0.1:8000",
    model="Qwen/Qwen3-8B",
    api="chat",
    law="closed loop, 8 in flight",
    n_trials=1,
    n_requests=None,
    duration_s=40.0,
    warmup="5s",
    expected_s=47.0,
    longest_s=105.0,
    input_tokens="128",
    output_tokens="uniform:32-64",
    shared_prefix=0,
    is_streamed=True,
    timeout_s=60.0,
    stall_timeout_s=30.0,
    seed=0,
    memory_bytes=210e6,
    disk_bytes=35.4e6,
    out="runs/2026-11-22-1753",
)
BURST = replace(
    PLAN,
    law="burst, all at once",
    n_requests=1_000,
    duration_s=None,
    n_trials=5,
    warmup="10",
    expected_s=None,
    longest_s=7_500.0,
    shared_prefix=100,
    memory_bytes=None,
    disk_bytes=None,
    is_streamed=False,
    notes=("the server's context of 2,048 tokens is enough",),
)


@pytest.mark.parametrize(("name", "plan"), [("closed", PLAN), ("burst", BURST)])
@pytest.mark.parametrize("width", [80, 100])
def test_dry_run(golden, name, plan, width):
    text = render(plan, width=width)
    golden(f"dry-run-{name}-{width}.txt", text)
    assert text.startswith("DRY RUN  nothing was sent\n")
    assert all(len(line) <= width for line in text.splitlines())


def test_json_has_every_field():
    document = json.loads(to_json(BURST))
    assert document["schema"] == "inferometer/dry-run/1"
    assert document["duration_s"] is None
    assert document["notes"] == list(BURST.notes)
    assert set(document) == {"schema", *DryRun.__slots__}


def test_every_field_is_documented():
    page = Path(__file__).parents[2] / "docs" / "reference" / "json.md"
    text = page.read_text(encoding="utf-8")
    assert sorted(name for name in DryRun.__slots__ if f"`{name}`" not in text) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "0.5 s"),
        (9.99, "9.99 s"),
        (45, "45 s"),
        (105, "105 s"),
        (180, "3 min"),
        (195, "3 min 15 s"),
        (7_500, "2 h 5 min"),
    ],
)
def test_spans_are_said_as_people_say_them(seconds, text):
    assert format_span(seconds) == text


PROBE = ProbeDryRun(
    probe="sweep",
    target="http://127.0.0.1:8000",
    model="",
    api="chat",
    loads=(1.0, 2.0, 4.0),
    law="requests in flight",
    n_runs=4,
    least_s=252.0,
    longest_s=5_400.0,
    n_requests=70,
    slo="",
    input_tokens="128",
    output_tokens="uniform:32-64",
    shared_prefix=0,
    timeout_s=60.0,
    out="runs/sweep",
    notes=("it ends earlier where more load brings nothing",),
)
SEARCH = replace(
    PROBE, probe="limit", loads=(), law="one request at a time", n_runs=None, n_requests=None, slo="ttft<1s"
)


@pytest.mark.parametrize(("name", "plan"), [("sweep", PROBE), ("limit", SEARCH)])
def test_dry_run_of_a_probe(golden, name, plan):
    text = probe_plan.render(plan, width=80)
    golden(f"dry-run-{name}-80.txt", text)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert json.loads(probe_plan.to_json(plan))["loads"] == list(plan.loads)
