# SPDX-License-Identifier: Apache-2.0
"""The pages of a sweep, a limit search and a comparison, as text. How they look in a browser is in browser_test.py."""

from __future__ import annotations

import math
import re

import msgspec
import numpy as np
import probe_results
import pytest
from choice_test import choice, none_to_choose
from outline import Outline, saved

from inferometer.analysis.compare import HEADLINE, Comparison, rows_of
from inferometer.report import html
from inferometer.report.html.axis import axis
from inferometer.report.html.chart import Label, Panel, panel_element, whiskers
from inferometer.report.html.element import written

EVIL = "<script>alert(1)</script>\"'><img src=http://evil.test/x onerror=alert(2)>"


def text_of(outline: Outline) -> str:
    return " ".join(" ".join(outline.texts).split())


@pytest.fixture(scope="module")
def pages(compared):
    """Each page by its name."""
    return {
        "sweep": Outline(html.sweep(probe_results.sweep(), folder="sweep")),
        "rates": Outline(html.sweep(probe_results.sweep_over_rates(), folder="sweep")),
        "limit": Outline(html.limit(probe_results.limit(), folder="limit")),
        "no limit": Outline(html.limit(probe_results.no_limit(), folder="limit")),
        "comparison": Outline(html.comparison(compared)),
        "choice": Outline(html.choice(choice(), folder="choice")),
        "no choice": Outline(html.choice(none_to_choose(), folder="choice")),
    }


NAMES = ("sweep", "rates", "limit", "no limit", "comparison", "choice", "no choice")


@pytest.mark.parametrize("name", NAMES)
def test_it_asks_nobody_for_anything_and_every_section_is_reached(pages, name):
    outline = pages[name]
    assert {"script", "link", "img", "iframe", "form"} & set(outline.tags) == set()
    links = outline.all_of("href")
    assert all(link.startswith(("#", "data:text/csv")) for link in links)
    assert {link[1:] for link in links if link.startswith("#")} == set(outline.all_of("id"))
    assert len(saved(outline)) == outline.tags.count("figure") + (("limit" not in name and 1) or name == "limit")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sweep", ("KNEE", "3.80 [3.80, 3.80] in flight", "alpha 0.200", "knee 3.80", "suspect: ramp")),
        ("rates", ("SUSTAINED", "up to 3/s; 4/s is not", "ended because 4/s", "Red: invalid", "short of memory")),
        ("limit", ("SAFE", "11 requests/s: shown to hold", "ttft<500ms", "limit 12.3 [11.9, 12.7]", "late_sends")),
        ("no limit", ("NO LIMIT", "requests one at a time miss ttft<200ms", "preset chat")),
        ("comparison", ("MIXED", "better in 1, worse in 1", "+8.0 %", "[+7.4, +8.7]", "has 1.2", "p (Holm)", "0.032")),
        ("choice", ("SAME", "Nothing separates", "-30.0 % [-31.7, -28.3]", "flips", "vLLM is not installed", "MIT")),
        ("no choice", ("NONE", "None keeps ttft<50ms", "it did not start", "Nobody was left out")),
    ],
)
def test_the_answer_comes_first_and_the_numbers_are_those_of_the_result(pages, name, told):
    text = text_of(pages[name])
    assert re.search(r"report of a \w+.*?" + re.escape(told[0]), text)
    missing = [part for part in told if part not in text]
    assert missing == []


def test_the_points_of_a_sweep_can_be_saved_with_the_law(pages):
    head, *rows = saved(pages["sweep"])["load.csv"]
    assert [head[0], head[1], head[4]] == ["load", "request_throughput_per_s", "law_per_s"]
    law = [float(row[4]) for row in rows]
    assert law == pytest.approx([float(row[1]) for row in rows], rel=1e-3), "the points were made by the law"


def test_a_rate_that_is_not_sustained_is_drawn_apart(pages):
    """Its mark is in the colour of what is bad, and no line leads to it."""
    text = html.sweep(probe_results.sweep_over_rates(), folder="sweep")
    first = text[text.index("Latency against rate") :]
    lines = re.findall(r'd="([^"]*)" class="line s1"', first)
    assert [d.count("L") for d in lines] == [1, 1, 1], "two of three points"
    assert first.count('class="points bad"') == 3


def test_limits_are_drawn_where_some_points_have_no_number():
    found = probe_results.sweep()
    nothing = msgspec.structs.replace(found.points[0], ttft_p50=found.points[0].ttft_p99)
    text = html.sweep(msgspec.structs.replace(found, points=[nothing, *found.points[1:]]), folder="sweep")
    assert text.count('class="line dashed bad"') == 1


def test_loads_shown_to_hold_and_to_fail_have_their_colours():
    text = html.limit(probe_results.limit(), folder="limit")
    figure = text[text.index("Share of requests within all limits, by load") : text.index("From look to look")]
    assert [figure.count(f'class="points {colour}"') for colour in ("good", "bad", "muted")] == [1, 1, 1]
    assert "Further away, and in the table only: 4 requests/s" in figure


def test_a_comparison_shows_the_trials_behind_it(pages):
    files = saved(pages["comparison"])
    head, *rows = files["trials-ttft_p50.csv"]
    assert head == ["trial", "A_ttft_p50", "B_ttft_p50"]
    assert [float(row[1]) for row in rows] == [0.0310, 0.0311, 0.0309, 0.0312, 0.0310]
    head, *rows = files["comparison.csv"]
    assert [row[head.index("verdict")] for row in rows] == ["worse", "undecided", "same", "better", "undecided"]


def test_a_choice_shows_who_is_beaten_in_both(pages):
    head, *rows = saved(pages["choice"])["candidates-front.csv"]
    told = {row[0]: row[head.index("on_front_ttft_s")] for row in rows}
    assert told["llamacpp threads=2"] == "1"
    assert told["llamacpp a-rather-long-name-of-a-configuration"] == "0", "equal in latency, less goodput"


def test_a_ratio_among_failures_has_a_row_and_no_number(compared):
    values = [{HEADLINE[1]: np.ones(5)}, {HEADLINE[1]: np.full(5, math.inf)}]
    rows = rows_of(values, rng=np.random.default_rng(1), is_paired=False)
    text = html.comparison(Comparison(compared.sides, rows, 0.05, False, 1))
    assert "failures" in text
    assert not re.search(r"(?<![a-z])(inf|nan)(?![a-z])", re.sub(r"<style.*?</style>", "", text))


@pytest.mark.parametrize("place", ["model", "slo", "stopped", "note"])
def test_what_others_wrote_is_text(place):
    found = probe_results.limit()
    changes = {"model": {"engine": {"model": EVIL}}, "note": {"notes": [EVIL]}}.get(place, {place: EVIL})
    outline = Outline(html.limit(msgspec.structs.replace(found, **changes), folder=EVIL))
    assert not {"script", "img"} & set(outline.tags)
    assert "alert(1)" in text_of(outline)


def test_a_sweep_of_nothing_has_a_page():
    found = msgspec.structs.replace(probe_results.sweep(), points=[], law=None, no_law="needs points", drift=None)
    assert "NO POINT CAN BE USED" in text_of(Outline(html.sweep(found, folder="sweep")))


def test_an_interval_without_an_end_is_dashed_and_one_that_is_not_known_not_drawn():
    x, y = axis("x", 0, 4), axis("y", 0, 10)
    xs, ys = np.array([1.0, 2.0, 3.0, np.nan]), np.array([5.0, 5.0, np.nan, 5.0])
    lo, hi = np.array([4.0, 4.0, 4.0, 4.0]), np.array([6.0, np.inf, 6.0, 6.0])
    closed, open_ = re.findall(r'd="([^"]*)"', written(whiskers(x, y, xs, ys, lo, hi, "s1", is_flat=False)))
    assert closed == "M250.0 500.0V600.0M500.0 500.0V600.0M250.0 500.0V400.0"
    assert open_ == "M500.0 500.0V410.0"
    flat = written(whiskers(x, y, ys, xs, lo, hi, "s1", is_flat=True))
    assert "H" in flat
    assert "V" not in flat


def test_labels_that_would_lie_on_each_other_are_left_out():
    x, y = axis("x", 0, 100), axis("y", 0, 1)
    labels = tuple(Label(at, 0.5, word) for at, word in ((10, "a"), (12, "b"), (50, "c")))
    text = written(panel_element(Panel(x, y, (), "", labels=labels), y_ch=1, end_ch=1))
    assert re.findall(r'class="label ink"[^>]*>(\w)', text) == ["a", "c"]
