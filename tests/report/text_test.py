# SPDX-License-Identifier: Apache-2.0
"""The screen: the verdict first, no number without its interval, and one screen at any width."""

from __future__ import annotations

import math

import pytest

from inferometer.metrics.reason import Reason
from inferometer.metrics.summary import summarize
from inferometer.records import Trace, empty_requests
from inferometer.report.text import render
from inferometer.stats import LEVEL, Estimate, Missing

PATH = "inferometer-runs/20261122T175312Z-embedded-c4"
INF = math.inf


def check(golden, name, summary, *, n_lines=28):
    """Both widths against their golden files; nothing wraps, all is ASCII, one screen is enough."""
    for width in (80, 100):
        text = render(summary, run_path=PATH, width=width)
        golden(f"report-{name}-{width}.txt", text)
        lines = text.splitlines()
        assert all(len(line) <= width for line in lines if not line.startswith(("folder", "next")))
        assert text.isascii()
        assert "\x1b" not in text
        assert len(lines) <= n_lines + (100 - width) // 5
        assert lines[0].startswith(summary.verdict.level.upper())
        assert lines[-2:] == [f"folder    {PATH}", f"next      inferometer show {PATH} --slowest 5"]


def test_a_usual_run(golden, make_summary):
    check(golden, "valid", make_summary())


def test_doubts_failures_and_limits(golden, suspect):
    check(golden, "suspect", suspect, n_lines=46)


def test_too_few_requests_for_the_tail(golden, make_summary, usual):
    for name in ("ttft_s", "ttft_sent_s", "tpot_s", "e2e_s"):
        unit = usual[name]["p50"].unit
        for statistic, number in list(usual[name].items()):
            usual[name][statistic] = Estimate(number.value, number.lo, number.hi, LEVEL, 57, unit, number.method)
        usual[name]["p95"] = Estimate(number.value, number.lo, INF, LEVEL, 57, unit, number.method)
        usual[name]["p99"] = Missing("needs 100 requests, has 57", 57, unit)
    summary = make_summary(metrics=usual, counts={"planned": 57, "ok": 57})
    check(golden, "few", summary)
    text = render(summary)
    assert "p99 of ttft, ttft sent, tpot, e2e: needs 100 requests, has 57" in text
    assert "[>= 29.8]" in text


def test_repeats(golden, make_summary, usual):
    over_trials = {
        name: {
            statistic: Estimate(
                number.value,
                number.value * 0.98,
                number.value * 1.02,
                LEVEL,
                5,
                number.unit,
                f"mean of {statistic} over 5 trials; t interval over trials",
            )
            for statistic, number in statistics.items()
        }
        for name, statistics in usual.items()
    }
    plan = make_summary().plan | {"n_trials": 5, "warmup_s": 5.0}
    check(golden, "trials", make_summary(metrics=over_trials, counts={"trials": 5, "planned": 2_455}, plan=plan))


def test_nothing_was_sent(golden, make_summary):
    reasons = (Reason("no_success", "invalid", "no request became due", "look at the server's log"),)
    summary = make_summary(
        level="invalid", reasons=reasons, metrics={}, counts={"planned": 0, "ok": 0}, fidelity={}, plan={}, engine={}
    )
    check(golden, "nothing", summary)
    assert "ttft, ttft sent, tpot, gap, e2e: was not looked at" in render(summary)


def test_all_failed(golden, make_summary, usual):
    reasons = (
        Reason("no_success", "invalid", "none of 60 requests succeeded (60 refused)", "look at the server's log"),
    )
    failed = {"error_ratio": {"value": Estimate(1.0, 0.94, 1.0, LEVEL, 60, "ratio", "Wilson")}}
    summary = make_summary(
        level="invalid", reasons=reasons, metrics=failed, counts={"planned": 60, "ok": 0, "failed": 60, "refused": 60}
    )
    check(golden, "all-failed", summary)
    assert "60 requests: 0 ok, 60 failed (60 refused); error rate 100 [94, 100] %" in render(summary)


@pytest.mark.parametrize(("name", "factor"), [("slow", 3e4), ("fast", 1e-4)])
def test_magnitudes(golden, make_summary, usual, name, factor):
    changed = {
        metric: {
            statistic: Estimate(
                number.value * factor,
                number.lo * factor,
                number.hi * factor,
                LEVEL,
                number.n,
                number.unit,
                number.method,
            )
            for statistic, number in statistics.items()
        }
        for metric, statistics in usual.items()
    }
    check(golden, name, make_summary(metrics=changed))


def test_long_names_are_cut_and_paths_are_not(golden, make_summary):
    engine = {"title": "engine" * 20, "model": "org/" + "model-" * 40 + "v2-instruct", "url": "http://host:8000"}
    summary = make_summary(engine=engine)
    check(golden, "long-names", summary)
    path = "/very/long/path" * 20
    text = render(summary, run_path=path, width=80)
    assert "v2-instruct at http://host:8000" in text
    assert f"folder    {path}\n" in text
    assert text.endswith(f"inferometer show {path} --slowest 5\n")


def test_gaps_are_per_token_where_tokens_are_counted(make_summary, usual):
    usual["gap_token_s"] = usual["gap_s"]
    text = render(make_summary(metrics=usual))
    assert "gap: per token" in text
    assert "per chunk" not in text
    assert text.count("\ngap ") == 1


def test_doubtful_rows_are_marked(suspect):
    lines = render(suspect).splitlines()
    assert any(line.startswith("ttft?") for line in lines)
    assert any(line.startswith("gap?") for line in lines)
    assert any(line.startswith("tpot ") for line in lines)
    assert any("? suspect" in line for line in lines)


def test_a_valid_run_with_a_doubt_about_something_else_says_so(make_summary):
    reason = Reason("merged_reads", "suspect", "31 % of the gaps lie within one read", "lower the load", ("gap_s",))
    text = render(make_summary(reasons=(reason,)))
    assert text.startswith("VALID     ttft, tpot and e2e stand;")
    assert "suspect   31 % of the gaps lie within one read" in text
    assert "warning   merged_reads -> lower the load" in text


def test_more_reasons_than_a_screen_holds_are_counted(make_summary):
    reasons = tuple(Reason(f"code_{i}", "suspect", f"reason {i}", f"remedy {i}") for i in range(9))
    text = render(make_summary(level="suspect", reasons=reasons))
    assert "and 3 more" in text
    assert "reason 6" not in text


def test_colour_changes_no_word(suspect):
    coloured = render(suspect, is_colour=True)
    assert coloured != render(suspect)
    for code in ("\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == render(suspect)


def test_which_clock_stamped_is_said(make_summary):
    assert "kernel stamps on 100 % of reads" in render(make_summary())
    assert "no kernel stamps, its own clock instead" in render(make_summary(stamps="user"))


def test_the_command_given_replaces_the_usual_one(make_summary):
    text = render(make_summary(), run_path="a b", next_command="inferometer doctor")
    assert text.endswith("next      inferometer doctor\n")
    assert render(make_summary(), run_path="a b").endswith("inferometer show 'a b' --slowest 5\n")
    assert "folder" not in render(make_summary())


@pytest.mark.parametrize("width", [20, 40, 60, 200])
def test_any_width(suspect, width):
    assert render(suspect, width=width).startswith("SUSPECT")


def test_what_the_metrics_really_return_can_be_shown():
    assert render(summarize(Trace(empty_requests(0)))).startswith("INVALID")
    assert render(summarize(Trace(empty_requests(3)))).startswith("INVALID")
