# SPDX-License-Identifier: Apache-2.0
"""The screen and the page of an explanation: six rows, worst first, and nothing that others wrote can break either."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from browser_test import COLLISIONS, CONTRAST, SIZES
from chromium import Chromium
from tests.analysis.points import number, point
from tests.analysis.scale_test import WAITS, findings, overload

from inferometer.analysis import scale as scaling
from inferometer.analysis.curve import law_of
from inferometer.analysis.explanation import Explanation, Verified, not_examined, rows_of
from inferometer.analysis.finding import Bound, Finding, Remedy, Row
from inferometer.analysis.number import Number
from inferometer.analysis.scale import ScaleExamination
from inferometer.report import explain as explain_text
from inferometer.report.html import explanation as explain_page

LOADS = (1, 2, 4, 8, 16, 32)
EVIL = "<script>document.title='run over'</script>\x1b[31m"


def examined_scale() -> ScaleExamination:
    throughputs = (10, 19, 35, 60, 61, 61)
    points = [point(n, x, resource=WAITS if n > 8 else "") for n, x in zip(LOADS, throughputs, strict=True)]
    plateau, load = scaling.plateau_of(points)
    surge = overload(word="queues", worst=number(4.0))
    found = findings(points, running=8.0, overload=surge)
    return ScaleExamination(
        row=scaling.row_of(
            plateau, load, surge, found, ["long prompts: no time was left"], seconds=150, n_requests=900
        ),
        points=points,
        ended="",
        plateau=plateau,
        plateau_load=load,
        speedup=scaling.speedup_of(points, plateau),
        running=8.0,
        law=law_of(points),
        no_law="",
        overload=surge,
        prefix=None,
        context=None,
        seconds=150.0,
        created="",
        engine={},
        plan={},
        host={},
        versions={},
    )


def explanation(**changes) -> Explanation:
    limits = Row(
        "limits",
        "takes 4,096 tokens; of more than 2,050 the head is cut and nobody is told",
        number(2_050, "tokens", half=0.0),
        Bound(4_096, "tokens", "what it says that it takes", "its own route"),
        [
            Finding(
                "prompt_cut",
                "limits",
                "wrong",
                "of a prompt of 4,000 tokens it reads the last 2,050",
                "the beginning is cut before the model sees it",
                "canaries at both ends of the prompt",
                number(2_050, "tokens", half=0.0),
                Bound(4_096, "tokens", "what it says that it takes"),
                Remedy("give it room for the whole", ("context=4096",), "all of the prompt is read"),
            )
        ],
        seconds=61,
        n_requests=42,
    )
    scale = examined_scale()
    memory = Row("memory", "2.1 GB held, 2.0 GB foreseen", number(1.05, "ratio", half=0.03), seconds=20, n_requests=20)
    verified = Verified(
        code="slots",
        challenge="scale",
        settings=("max_concurrency=16",),
        quantity="output_throughput",
        load="32 in flight",
        before=number(2_928, "tokens/s"),
        after=number(4_800, "tokens/s"),
        ratio=number(1.64, "ratio"),
        verdict="helped",
        n_rounds=5,
        folder="verify",
    )
    rows = {"limits": limits, "scale": scale.row, "memory": memory}
    rows["accuracy"] = not_examined("accuracy", "no content may be kept")
    fields = {
        "rows": rows_of(rows, reason="it was not come to"),
        "folders": {"limits": "limits", "scale": "scale", "memory": "memory"},
        "budget_s": 600.0,
        "seconds": 480.0,
        "n_requests": 962,
        "created": "2026-11-30T10:00:00+00:00",
        "engine": {"title": "llama.cpp", "version": "b6712", "model": "reader"},
        "verified": [verified],
    }
    return Explanation(**(fields | changes))


def test_the_screen(golden):
    text = explain_text.render(explanation(), folder="runs/explain", width=100)
    golden("explain-100.txt", text)
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100


def test_rows_come_worst_first_and_none_is_left_out():
    rows = explanation().rows
    assert [row.challenge for row in rows][:2] == ["limits", "scale"]
    assert {row.challenge for row in rows} == {"latency", "cost", "memory", "limits", "accuracy", "scale"}


def test_what_is_not_ours_can_neither_open_a_tag_nor_move_a_cursor():
    engine = {"title": EVIL, "model": EVIL}
    evil = explanation(engine=engine, stopped=EVIL)
    page = explain_page.render(evil, examined_scale(), folder=EVIL)
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\x1b" not in explain_text.render(evil, folder=EVIL)


def test_the_page_has_every_row_every_finding_and_every_gap():
    found = explanation()
    page = explain_page.render(found, examined_scale(), folder="explain")
    for row in found.rows:
        assert (f'id="{row.challenge}"' in page) == (row.challenge in found.folders)
        for finding in row.findings:
            assert finding.code in page
    assert "no content may be kept" in page
    assert "helped" in page
    assert page.count("<figure") == 2
    assert "None. With --verify" in explain_page.render(explanation(verified=[]), None)


@pytest.fixture(scope="module")
def browser():
    chromium = Chromium()
    yield chromium
    chromium.close()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "is_dark"), SIZES)
def test_in_a_browser(browser, tmp_path, width, is_dark):
    path = tmp_path / "explain.html"
    path.write_text(explain_page.render(explanation(), examined_scale(), folder="explain"), encoding="utf-8")
    browser.open(path, width=width, is_dark=is_dark)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.complaints == []
    assert browser.requests == []
    assert browser.evaluate(COLLISIONS) == []
    assert browser.evaluate(CONTRAST) == []
    if folder := os.environ.get("INFEROMETER_SHOTS"):
        browser.screenshot(Path(folder) / f"explain-{width}-{'dark' if is_dark else 'light'}.png")


def test_a_number_without_an_interval_is_no_row_without_one():
    row = Row("cost", "3 FLOP a byte", Number(3.0, None, None, 1, "1/s"))
    assert explain_text.level_of(row) == "ok"
