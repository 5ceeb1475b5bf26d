# SPDX-License-Identifier: Apache-2.0
"""Comparisons, gates, histories and other tools' reports on the page: golden text, and what must never happen to it."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest

from inferometer.analysis.compare import HEADLINE, Comparison, rows_of
from inferometer.analysis.gate import judge, parse_conditions
from inferometer.report import comparison, comparison_json, comparison_markdown, gate, history
from inferometer.report.history import Line, plot
from inferometer.stats import LEVEL, Estimate, Missing


def test_text(golden, compared):
    golden("comparison.txt", comparison.render(compared, next_command="inferometer compare a b"))


def test_markdown(golden, compared):
    golden("comparison.md", comparison_markdown.render(compared))


def test_json(golden, compared):
    golden("comparison.json", comparison_json.to_json(compared).decode())


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_it_fits_the_screen(compared, width):
    lines = comparison.render(compared, width=width).splitlines()
    assert max(map(len, lines)) <= max(width, 84)  # the table without the intervals of the sides needs as much


def test_what_others_wrote_can_do_nothing(compared):
    for text in (comparison.render(compared), comparison_markdown.render(compared)):
        assert "\x1b" not in text
    assert "<b>" not in comparison_markdown.render(compared).replace("`", "\0").split("\0")[::2][0]


def test_colour_only_repeats_the_words(compared):
    plain, painted = (comparison.render(compared, is_colour=is_colour) for is_colour in (False, True))
    assert "\x1b[33mMIXED\x1b[0m" in painted
    assert painted.replace("\x1b[33m", "").replace("\x1b[0m", "") == plain


def test_a_ratio_among_failures_is_no_number(compared):
    (row,) = rows_of(
        [{HEADLINE[1]: np.ones(5)}, {HEADLINE[1]: np.full(5, math.inf)}], rng=np.random.default_rng(1), is_paired=False
    )
    assert comparison.change(row) == ("failures", "")
    assert "inf" not in comparison.render(Comparison(compared.sides, (row,), 0.05, False, 1))
    assert (
        json.loads(comparison_json.to_json(Comparison(compared.sides, (row,), 0.05, False, 1)))["rows"][0]["ratio"][
            "value"
        ]
        is None
    )


@pytest.fixture
def gated(compared):
    conditions = parse_conditions("ttft_p50>+5%,ttft_p99>+5%,e2e_p50>+5%,output_throughput<-5%")
    return judge(compared, conditions, ["the gate sits on the knee"])


def test_gate(golden, gated):
    assert [each.result for each in gated.judged] == ["fail", "warn", "pass", "undecided"]
    golden("gate.txt", gate.render(gated))
    golden("gate.md", gate.to_markdown(gated))
    assert json.loads(gate.to_json(gated))["is_failed"] is True


def line(day, value, lo, hi, **more):
    number = Estimate(value, lo, hi, LEVEL, 400, "s", "")
    facts = {"label": "main", "revision": "1f2e3d4c5b6a", "engine": "llama.cpp", "version": f"b{day}", "model": "m"}
    fixed = {"load": "closed loop, 4 in flight", "state": "finished", "verdict": "valid", "path": f"runs/{day}"}
    return Line(**{"created": f"2026-11-{day:02d}T10:00:00+00:00", "number": number, **facts, **fixed, **more})


LINES = [
    line(1, 0.0310, 0.0300, 0.0320),
    line(2, 0.0330, 0.0320, math.inf, verdict="suspect"),
    line(3, 0.9, 0.8, 1.0, verdict="invalid"),
    line(4, 0.0350, 0.0340, 0.0360, label="", revision=""),
    line(5, 0.03, 0.03, 0.03, number=Missing("needs 100 requests, has 60", 60, "s")),
]


def test_history(golden):
    golden("history.txt", history.render(LINES, what="ttft_p99", width=120))


def test_history_on_a_narrow_screen_keeps_its_numbers():
    for width in (60, 80, 100):
        text = history.render(LINES, what="ttft_p99", width=width)
        assert "33.0" in text


def test_the_plot_is_on_one_axis():
    _, _, invalid, _, missing = plot([line.number for line in LINES], 21)
    assert (invalid[-1], missing) == ("|", "")
    low, high = plot([LINES[0].number, LINES[3].number], 21)
    assert (low.index("|"), low.index("o"), high.rindex("|")) == (0, 3, 20)
    assert plot([LINES[1].number, LINES[3].number], 21)[0].endswith(">")


def test_csv_leaves_open_what_is_not_known():
    rows = list(csv.DictReader(io.StringIO(history.to_csv(LINES, what="ttft_p99"))))
    assert [row["ttft_p99_hi"] for row in rows] == ["0.032", "", "1.0", "0.036", ""]
    assert rows[4]["ttft_p99"] == ""
    assert json.loads(history.to_json(LINES, metric="ttft_s", statistic="p99"))["runs"][1]["number"]["hi"] is None
