# SPDX-License-Identifier: Apache-2.0
"""Workloads by name, by file, and as two SPECs."""

from __future__ import annotations

import math

import pytest

from inferometer.errors import UsageError
from inferometer.plan.lengths import parse_lengths
from inferometer.plan.workloads import PRESETS, parse_workload

# Median and 99th percentile of prompts and answers, as their sources have them.
TRACES = {"chat": (1020, 4142, 129, 601), "code": (1469, 7436, 13, 251), "summarize": (2730, 3933, 167, 3271)}


@pytest.mark.parametrize("name", TRACES)
def test_a_preset_has_the_median_and_the_99th_percentile_of_its_source(name):
    preset = parse_workload(name)
    prompts, answers = TRACES[name][:2], TRACES[name][2:]
    for spec, (median, p99) in ((preset.input_tokens, prompts), (preset.output_tokens, answers)):
        lengths = parse_lengths(spec)
        assert lengths.a == median
        assert lengths.a * math.exp(2.326 * lengths.b) == pytest.approx(p99, rel=0.03)


def test_every_preset_can_be_read_and_names_its_source():
    for preset in PRESETS:
        assert parse_lengths(preset.input_tokens)
        assert parse_lengths(preset.output_tokens)
        assert preset.source


def test_two_specs_and_a_file(tmp_path):
    assert parse_workload("512/uniform:16-64").output_tokens == "uniform:16-64"
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "Why?"}\n')
    assert parse_workload(str(path)).input_tokens == f"file:{path}"


@pytest.mark.parametrize("text", ["chta", "512/many", "missing.jsonl", "1/2/3"])
def test_what_is_none(text):
    with pytest.raises(UsageError):
        parse_workload(text)
