# SPDX-License-Identifier: Apache-2.0
"""Markdown for pull requests: verdict first, tables that stay tables, names that cannot do anything."""

from __future__ import annotations

import re

from inferometer.metrics.summary import summarize
from inferometer.records import Trace, empty_requests
from inferometer.report.markdown import render


def test_golden(golden, suspect):
    golden("report-suspect.md", render(suspect))


def test_the_verdict_comes_first(suspect, make_summary):
    assert render(suspect).startswith("**SUSPECT**\n\n- suspect, `late_sends`: ")
    assert render(make_summary()).startswith("**VALID**\n")


def test_every_row_of_a_table_has_its_columns(suspect):
    blocks = [block.splitlines() for block in render(suspect).split("\n\n") if block.startswith("|")]
    assert len(blocks) == 3
    for rows in blocks:
        assert {row.count("|") for row in rows} == {rows[0].count("|")}


def test_a_hostile_name_stays_in_its_code_span(suspect):
    text = render(suspect)
    (span,) = re.findall(r"`[^`]*evil[^`]*`", text)
    assert span == "`org/evil\\x1b[31m'/<b>\\n@model`"
    assert "\x1b" not in text


def test_what_is_missing_is_said(make_summary):
    assert "- no number: `ttft_s`, " in render(make_summary(metrics={}))


def test_what_the_metrics_really_return_can_be_shown():
    assert render(summarize(Trace(empty_requests(0)))).startswith("**INVALID**")
    assert render(summarize(Trace(empty_requests(3)))).startswith("**INVALID**")
