# SPDX-License-Identifier: Apache-2.0
"""Every kind of page in a real browser: phone and wide screen, light and dark, printed, by keyboard.

Needs Chromium (`apt-get install chromium`); without it these tests fail rather than pass unseen. With
INFEROMETER_SHOTS=folder each page is also left there as a picture, to be looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import probe_results
import pytest
from choice_test import choice, none_to_choose
from chromium import Chromium
from traces import closed_loop, open_loop

from inferometer.clock import Clock
from inferometer.kinds import Outcome
from inferometer.metrics.shapes import shapes_of
from inferometer.metrics.slo import parse_limits
from inferometer.metrics.summary import summarize
from inferometer.records import SAMPLE, Trace, empty_requests
from inferometer.report import html
from inferometer.units import NS_PER_S

pytestmark = pytest.mark.slow

EVIL = "<script>document.title='run over'</script><img src=x onerror=\"document.title='run over'\">"
LIMITS = "ttft<60ms,tpot<5ms,ttft_p99<500ms,error<1%"
ENGINE = {"title": "llama.cpp", "version": "1", "model": "org/a-model-with-a-long-name-Q4_K_M", "url": "http://h"}
SIZES = [(380, False), (380, True), (1600, False), (1600, True)]


def usual() -> Trace:
    trace = open_loop(600)
    trace.requests["n_prompt_tokens"] = np.random.default_rng(2).integers(16, 512, 600)
    return trace


def troubled() -> Trace:
    """Failures of several kinds, gauges that were read, a limit that most miss."""
    trace = usual()
    trace.requests["outcome"][::17] = Outcome.STALLED
    trace.requests["outcome"][5::40] = Outcome.HTTP_STATUS
    end_s = int(trace.requests["t_end_ns"].max() // NS_PER_S)
    names = ("requests_running", "requests_waiting", "kv_used_ratio")
    rows = [
        (t * NS_PER_S, "server", name, t % 5 / (8 if "ratio" in name else 1)) for t in range(end_s) for name in names
    ]
    return Trace(trace.requests, trace.chunks, np.array(rows, SAMPLE), trace.meta)


def many() -> Trace:
    """More requests than there are dots."""
    return closed_loop(3_000, n_prompt_tokens=np.random.default_rng(3).integers(16, 2_000, 3_000))


def trials() -> Trace:
    trace = usual()
    trace.requests["trial"] = np.arange(600) // 200
    return trace


TRACES = {
    "usual": usual,
    "troubled": troubled,
    "many": many,
    "trials": trials,
    "nothing": lambda: Trace(empty_requests(3)),
}


def of_a_run(name: str) -> str:
    trace = TRACES[name]()
    meta = dict(trace.meta) | {"engine": ENGINE | {"notes": [EVIL], "argv": ["serve", "x" * 200]}, "host": {EVIL: EVIL}}
    trace = Trace(trace.requests, trace.chunks, trace.samples, meta)
    limits = parse_limits(LIMITS)
    return html.render(summarize(trace, limits), shapes_of(trace, limits), meta, run_name=EVIL)


PROBES = {
    "sweep": lambda: html.sweep(probe_results.sweep(), folder=EVIL),
    "sweep-rates": lambda: html.sweep(probe_results.sweep_over_rates(), folder=EVIL),
    "limit": lambda: html.limit(probe_results.limit(), folder=EVIL),
    "choice": lambda: html.choice(choice(weights={"throughput": 0.75, "ttft": 0.25}), folder=EVIL),
    "choice-none": lambda: html.choice(none_to_choose(), folder=EVIL),
    "limit-none": lambda: html.limit(probe_results.no_limit(), folder=EVIL),
}


@pytest.fixture(scope="module", params=[*TRACES, *PROBES, "comparison"])
def page(request, tmp_path_factory) -> Path:
    """The file of one page after the other; names in it do what they can."""
    if request.param == "comparison":
        document = html.comparison(request.getfixturevalue("compared"))
    else:
        document = PROBES[request.param]() if request.param in PROBES else of_a_run(request.param)
    path = tmp_path_factory.mktemp("page") / f"{request.param}.html"
    path.write_text(document, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    chromium = Chromium()
    yield chromium
    chromium.close()


@pytest.mark.parametrize(("width", "is_dark"), SIZES)
def test_it_opens_without_a_complaint_or_a_request_and_fits(browser, page, width, is_dark):
    clock = Clock()
    browser.open(page, width=width, is_dark=is_dark)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert clock.now_ns() < 20 * NS_PER_S
    if "INFEROMETER_SHOTS" in os.environ:
        name = f"{page.stem}-{width}-{'dark' if is_dark else 'light'}.png"
        browser.screenshot(Path(os.environ["INFEROMETER_SHOTS"]) / name)
    assert browser.complaints == []
    assert browser.requests == []
    assert "run over" not in browser.evaluate("document.title")
    assert browser.evaluate("document.querySelectorAll('script, img').length") == 0


# Pairs of words that lie on each other, and words that are cut off by the edge of the screen.
COLLISIONS = """
(() => {
  const found = [];
  for (const box of document.querySelectorAll('.x-words, .y-words, .end-words, .plot')) {
    const words = [...box.querySelectorAll(':scope > span:not(.reach)')]
      .map(span => span.querySelector('b') ?? span).filter(word => word.getClientRects().length);
    const rects = words.map(word => word.getBoundingClientRect());
    rects.forEach((a, i) => {
      if (a.left < -1 || a.right > innerWidth + 1) found.push('outside: ' + words[i].textContent);
      rects.slice(i + 1).forEach((b, j) => {
        const isBeside = a.right <= b.left + 1 || b.right <= a.left + 1;
        const isApart = isBeside || a.bottom <= b.top + 2 || b.bottom <= a.top + 2;
        if (!isApart) found.push(words[i].textContent + ' on ' + words[i + 1 + j].textContent);
      });
    });
  }
  return found;
})()
"""


@pytest.mark.parametrize("width", [380, 768, 1600])
def test_no_word_of_a_chart_lies_on_another_or_outside(browser, page, width):
    browser.open(page, width=width)
    assert browser.evaluate(COLLISIONS) == []


# Contrast of each text with what is behind it, by WCAG 2; below 4.5 small letters are hard to read.
CONTRAST = """
(() => {
  const rgba = text => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = node => {
    for (let at = node; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !node.getClientRects().length || node.closest('svg')) continue;
    const [a, b] = [light(rgba(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.add(`${node.tagName}.${node.className}: ${ratio.toFixed(2)}`);
  }
  return [...found];
})()
"""


@pytest.mark.parametrize("is_dark", [False, True])
def test_every_text_stands_out_from_what_is_behind_it(browser, page, is_dark):
    browser.open(page, is_dark=is_dark)
    assert browser.evaluate(CONTRAST) == []


def test_the_keyboard_reaches_every_section_and_table(browser, page):
    browser.open(page)
    browser.press("Tab", 9)
    assert browser.evaluate("document.activeElement.className") == "skip"
    browser.press("Enter", 13)
    assert browser.evaluate("location.hash") == "#answer"
    reached = "[...document.querySelectorAll('.scroll')].every(box => box.tabIndex === 0)"
    assert browser.evaluate(reached)
    unnamed = "[...document.querySelectorAll('svg, .scroll, a.save')].filter(node => !node.ariaLabel).length"
    assert browser.evaluate(unnamed) == 0


def test_paper_is_white_even_for_who_reads_in_the_dark(browser, page, tmp_path):
    browser.open(page, is_dark=True)
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    browser.print_to(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    browser.on_paper()
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
