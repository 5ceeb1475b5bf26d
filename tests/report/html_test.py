# SPDX-License-Identifier: Apache-2.0
"""The page of a run, as text: what stands on it and where, that it asks for nothing, and that names do nothing.

How it looks in a browser is in browser_test.py.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from outline import Outline, saved

from inferometer.metrics.shapes import Scatter, Shapes, shapes_of
from inferometer.metrics.shapes.scatter import MAX_POINTS, scatter
from inferometer.metrics.slo import Limits
from inferometer.metrics.summary import summarize
from inferometer.records import Trace, empty_requests
from inferometer.report.html import render
from inferometer.report.html.axis import axis
from inferometer.report.html.chart import End, Panel, cells, dots, line, panel_element, steps
from inferometer.report.html.element import h, written
from inferometer.report.html.figure import Data

NOTHING = Shapes({}, None, None, None, None)
EVIL = "<script>alert(1)</script>\"'><img src=http://evil.test/x onerror=alert(2)>\x1b[31m\u202e]]>"


def page(summary, shapes=NOTHING, manifest=None) -> Outline:
    return Outline(render(summary, shapes, manifest or {}, run_name="run"))


def scattered(n: int) -> Scatter:
    rng = np.random.default_rng(n)
    found = scatter(rng.uniform(1, 500, n), rng.lognormal(-3, 0.2, n))
    assert found is not None
    return found


# --- the page ------------------------------------------------------------------------------------------------------


def test_the_verdict_and_the_numbers_come_first(suspect):
    text = " ".join(page(suspect).texts)
    places = [text.index(word) for word in ("SUSPECT", "494 requests: 491 ok", "Time to first token", "late_sends")]
    assert places == sorted(places)
    assert "18.6" not in text
    assert "[19.0, 20.0]" in text, "the interval of the ttft median"


def test_limits_stand_with_how_they_came_out(suspect):
    text = " ".join(page(suspect).texts)
    assert "met by 87.0 % [84.0, 89.0] of requests" in text
    assert re.search(r"ttft_p99<500ms\s+undecided\s+observed among the failed requests", text)


def test_each_section_is_reached_and_each_id_is_there_once(suspect):
    outline = page(suspect)
    ids = outline.all_of("id")
    assert len(ids) == len(set(ids))
    inside = [link[1:] for link in outline.all_of("href") if link.startswith("#")]
    assert set(inside) == set(ids)


def test_it_asks_nobody_for_anything(suspect, open_trace):
    outline = page(suspect, shapes_of(open_trace, Limits()))
    assert {"script", "link", "img", "iframe", "object", "base", "form", "style"} & set(outline.tags) == {"style"}
    assert outline.all_of("src") == outline.all_of("xlink:href") == []
    assert all(link.startswith(("#", "data:text/csv")) for link in outline.all_of("href"))
    assert not [name for name, _ in outline.attributes if name.startswith("on")]
    (policy,) = (value for value in outline.all_of("content") if "default-src" in value)
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    assert "url(" not in render(suspect, NOTHING, {})


@pytest.mark.parametrize("place", ["model", "version", "url", "notes", "reason", "manifest key", "manifest value"])
def test_what_others_wrote_is_text(make_summary, place):
    from inferometer.metrics.reason import Reason

    engine = {"title": "x", "version": "1", "model": "m", "url": "u", "notes": []}
    engine |= {place: [EVIL] if place == "notes" else EVIL} if place in engine else {}
    reasons = (Reason("errors", "suspect", EVIL, EVIL),) if place == "reason" else ()
    manifest = {"engine": {EVIL if place == "manifest key" else "model": EVIL if place == "manifest value" else "m"}}
    manifest["engine"] |= {"url": engine["url"]}
    summary = make_summary(engine=engine, reasons=reasons, level="suspect" if reasons else "valid")
    text = render(summary, NOTHING, manifest)
    outline = Outline(text)
    assert not {"script", "img"} & set(outline.tags)
    assert not [name for name, _ in outline.attributes if name.startswith("on")]
    assert "alert(1)" in text, "it is told"
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_lone_surrogates_and_line_ends_stay_writable(make_summary):
    text = render(make_summary(engine={"model": "a\udc80\n\0b"}), NOTHING, {})
    assert "a\\udc80\\n\\x00b" in text.encode("utf-8").decode()


def test_the_manifest_is_told_in_full(suspect):
    manifest = {
        "created": "2026-11-30",
        "is_interrupted": False,
        "engine": {"argv": ["llama-server", "--port", "1"], "limits": {"a": {"b": 2}}, "notes": []},
        "windows": [{"trial": 0, "t_start_ns": 5}],
    }
    text = "\n".join(page(suspect, manifest=manifest).texts)
    for told in (
        "created",
        "2026-11-30",
        "is_interrupted",
        "no",
        "llama-server",
        "--port",
        "limits.a.b",
        "t_start_ns: 5",
    ):
        assert told in text
    assert "none" in text.splitlines(), "an empty list is told as such"


def test_runs_of_nothing_have_a_page():
    for n_requests in (0, 3):
        trace = Trace(empty_requests(n_requests))
        text = "\n".join(page(summarize(trace), shapes_of(trace, Limits())).texts)
        assert text.index("INVALID") < text.index("No request was sent.")


def test_failures_have_rows_of_their_own(suspect):
    text = " ".join(page(suspect).texts)
    assert "ttft with failures" in text
    assert "failed requests are in none of the latencies" in text


def test_points_that_became_cells_are_told(suspect):
    few, many = (page(suspect, Shapes({}, None, None, scattered(n), None)) for n in (MAX_POINTS, MAX_POINTS + 1))
    assert f"A dot is one of {MAX_POINTS:,} answers." in " ".join(few.texts)
    assert f"All {MAX_POINTS + 1:,} answers, counted in cells" in " ".join(many.texts)


def test_limits_far_away_are_named_rather_than_drawn(suspect, open_trace):
    text = " ".join(page(suspect, shapes_of(open_trace, Limits())).texts)
    assert re.search(r"not drawn, too far away: [^.]*ttft_p99<500ms", text)
    assert "limit ttft<25ms" in text


# --- data ----------------------------------------------------------------------------------------------------------


def test_each_figure_can_be_saved(suspect, open_trace):
    shapes = shapes_of(open_trace, Limits())
    outline = page(suspect, shapes)
    files = saved(outline)
    assert outline.tags.count("figure") == len(files) - 1, "and all numbers"
    head, *rows = files["histogram-ttft.csv"]
    assert head == ["ttft_from_s", "ttft_to_s", "n"]
    assert [float(row[2]) for row in rows] == shapes.distributions["ttft_s"].counts.tolist()
    assert float(rows[0][0]) == pytest.approx(shapes.distributions["ttft_s"].edges[0])
    head, *rows = files["timeline.csv"]
    assert head[:3] == ["from_s", "in_flight_requests", "output_tokens_per_s"]
    assert len(rows) == len(shapes.timeline.edges_s) - 1
    head, *rows = files["scatter-ttft.csv"]
    assert len(rows) == 400
    head, *rows = files["numbers.csv"]
    assert head[:4] == ["group", "name", "statistic", "value"]
    assert ["metric", "ttft_s", "p50", "0.0194"] in [row[:4] for row in rows]


def test_columns_of_different_length_end_in_empty_cells():
    text = Data("x", (("a", np.array([1.0, np.nan, 3.5])), ("b", ["x,y"]))).to_csv()
    assert text == 'a,b\n1,"x,y"\n,\n3.5,\n'


# --- parts ---------------------------------------------------------------------------------------------------------


def test_text_is_escaped_and_markup_cannot_be_said():
    text = written(h("p", "a<b & c", h("b", "\n"), None, title='"<', hidden=True, id=None))
    assert text == '<p title="&quot;&lt;" hidden>a&lt;b &amp; c<b>\\n</b></p>'


@pytest.mark.parametrize(
    ("lo", "hi", "more", "ticks"),
    [
        (0.0, 0.047, {"unit": "s", "is_rounded": True}, ["0", "10", "20", "30", "40", "50"]),
        (0.0, 12.0, {"unit": "s", "is_rounded": True}, ["0.0", "2.5", "5.0", "7.5", "10.0", "12.5"]),
        (0.0, 1.0, {"unit": "ratio"}, ["0", "20", "40", "60", "80", "100"]),
        (0.0005, 2.0, {"unit": "s", "is_log": True}, ["1", "3", "10", "30", "100", "300", "1,000"]),
        (100.0, 256.0, {}, ["100", "150", "200", "250"]),
        (3.9, 4.1, {}, ["3.90", "3.95", "4.00", "4.05", "4.10"]),
        (5.5, 5.7, {"is_log": True}, ["5.50", "5.55", "5.60", "5.65", "5.70"]),
    ],
)
def test_ticks_are_round_and_told_apart(lo, hi, more, ticks):
    made = axis("x", lo, hi, **more)
    assert [text for _, text in made.ticks] == ticks
    places = made.at(np.array([value for value, _ in made.ticks]))
    assert (np.diff(places) > 0).all()
    assert made.lo <= lo < hi <= made.hi


def test_lines_and_steps_have_a_gap_where_nothing_is_known():
    x, y = axis("x", 0, 3), axis("y", 0, 1)
    known = np.array([0.0, np.nan, 1.0])
    assert written(line(x, y, np.array([0.0, 1.0, 3.0]), known, "s1")).count("M") == 2
    drawn = written(steps(x, y, np.arange(4.0), known, "s1", is_filled=True))
    assert 'd="M0.0 1000.0V1000.0H333.3V1000ZM666.7 1000.0V0.0H1000.0V1000Z"' in drawn


def test_there_is_a_dot_for_each_point_and_a_cell_for_each_count():
    x, y = axis("x", 0, 2), axis("y", 0, 2)
    assert written(dots(x, y, np.array([0.0, 2.0]), np.array([2.0, 0.0]), "s1")).count("h0") == 2
    edges = np.array([0.0, 1.0, 2.0])
    drawn = written(cells(x, y, edges, edges, np.array([[0.0, 1.0], [1_000.0, 0.0]]), "s1"))
    assert drawn.count("Z") == 2
    assert "fill-opacity:0.12" in drawn
    assert "fill-opacity:1.00" in drawn


def test_names_at_the_edge_are_pushed_apart_and_stay_beside_the_plot():
    x, y = axis("x", 0, 1), axis("y", 0, 1)
    ends = tuple(End(value, word, "s1") for value, word in ((1.0, "a"), (0.99, "b"), (0.98, "c"), (0.0, "d")))
    text = written(panel_element(Panel(x, y, (), "", ends=ends, height_rem=6.25), y_ch=3, end_ch=3))
    places = [(word, float(at)) for at, word in re.findall(r'class="s1" style="bottom:([\d.]+)%">(\w)', text)]
    assert places == [("d", 0.0), ("c", 60.0), ("b", 80.0), ("a", 100.0)]
