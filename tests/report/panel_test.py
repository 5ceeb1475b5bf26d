# SPDX-License-Identifier: Apache-2.0
"""The live panel: says what is going on, never wraps, and cleans up after itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inferometer.report.panel import PanelFacts, panel_lines, plain_line, redraw, start_line

FACTS = PanelFacts("measuring", 0, 1, 12.3, 47.7, 8, 491, 0, 40.12, 0.0214, 0.00612)


def test_two_lines_while_all_is_well():
    assert panel_lines(FACTS, 100) == [
        "measuring  12 s, 48 s left  [####....................]",
        "  in flight 8   done 491   failed 0   40.1/s   ttft 21.4 ms   tpot 6.12 ms",
    ]


def test_the_last_failure_and_the_trial_are_shown():
    facts = replace(FACTS, n_trials=3, trial=1, n_failed=2, last_error="stalled: silent for 30 s")
    lines = panel_lines(facts, 100)
    assert lines[0].startswith("measuring 2/3  ")
    assert "failed 2" in lines[1]
    assert lines[2] == "  last failure: stalled: silent for 30 s"


def test_what_is_not_known_yet_is_a_dash_and_has_no_bar():
    facts = PanelFacts("warm-up", 0, 1, 0.0, None, 1, 0, 0, 0.0)
    assert panel_lines(facts, 100) == ["warm-up  0 s", "  in flight 1   done 0   failed 0   0.00/s   ttft -   tpot -"]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_line_can_wrap(width):
    facts = replace(FACTS, last_error="x" * 300, n_done=10**9, rate_per_s=1e7, ttft_p50_s=1e5)
    assert all(len(line) < width for line in panel_lines(facts, width))


def test_a_hostile_error_cannot_move_the_cursor():
    facts = replace(FACTS, last_error="\x1b[2J\nboom")
    assert panel_lines(facts, 80)[2] == "  last failure: \\x1b[2J\\nboom"
    assert "\n" not in plain_line(facts)


def test_the_plain_line_says_the_same_without_latencies():
    assert plain_line(FACTS) == "measuring 12 s, 48 s left: 8 in flight, 491 done, 0 failed, 40.1/s"


def test_an_engine_that_loads_shows_its_own_last_words_on_one_line():
    assert start_line(12.3, "Loading weights took 3 s\n", 80) == "loading   12 s  Loading weights took 3 s"
    assert len(start_line(1, "x\x1b[2J" * 100, 40)) < 40


def test_the_first_drawing_moves_nothing():
    assert redraw(["a", "b"], 0) == "a\x1b[K\nb\x1b[K\n\x1b[J"


def test_a_redraw_goes_up_over_what_was_drawn_and_erases_the_rest():
    assert redraw(["c"], 2) == "\x1b[2Fc\x1b[K\n\x1b[J"


def test_without_lines_the_panel_is_wiped():
    assert redraw([], 3) == "\x1b[3F\x1b[J"
