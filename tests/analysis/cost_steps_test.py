# SPDX-License-Identifier: Apache-2.0
"""What of a step, and of the device's time, goes to prompts: traces and numbers small enough to work out by hand."""

from __future__ import annotations

import pytest
from traces import CONTENT, MS, make_trace, request

from inferometer.analysis.cost_steps import for_itself, prompt_tokens_in_a_step, share_of_prompts
from inferometer.stats import Estimate, Missing


def known(value, half=0.0, unit="s"):
    return Estimate(value, value - half, value + half, 0.95, 20, unit, "")


def answer(first_ms, n_tokens=1, **told):
    return request(chunks=[(int((first_ms + i) * MS), CONTENT, 1) for i in range(n_tokens)], **told)


def test_prompts_of_others_are_counted_by_the_steps_that_they_end_in():
    """Eight steps from 10 to 18 ms; 80 tokens end within them, 60 of them new. What ends in the step of my own first
    token is beside my prompt, what ends in that of my last one is beside my answer."""
    mine = answer(10, 9, n_prompt_tokens=100)
    beside = answer(14.5, n_prompt_tokens=80, n_cached_tokens=20)
    in_my_first, in_my_last, later = (answer(at, n_prompt_tokens=40) for at in (10.2, 18.3, 19))
    found = prompt_tokens_in_a_step(make_trace(mine, beside, in_my_first, in_my_last, later))
    assert found == pytest.approx((60 + 40) / 8)


def test_one_at_a_time_has_no_prompts_of_others():
    assert prompt_tokens_in_a_step(make_trace(answer(0, 5, n_prompt_tokens=9), answer(9, 5, n_prompt_tokens=9))) == 0


def test_answers_in_one_piece_have_no_steps():
    assert prompt_tokens_in_a_step(make_trace(answer(0, 1, n_prompt_tokens=9))) == 0


def test_prompts_that_nobody_counted():
    assert prompt_tokens_in_a_step(make_trace(answer(0, 5), answer(2, 5))) is None


def test_what_a_step_takes_for_itself():
    """2 ms, of which 16 tokens of prompts take 50 us each."""
    found = for_itself(known(2e-3, 1e-4), known(50e-6, 5e-6), 16)
    assert found.value == pytest.approx(1.2e-3)
    assert found.hi - found.value == pytest.approx((1e-4**2 + (16 * 5e-6) ** 2) ** 0.5, rel=0.1)
    assert for_itself(known(2e-3), Missing("nobody asked", 0, "s/token"), 0).value == 2e-3


def test_a_step_that_cannot_be_parted_is_not_told():
    assert "take all of it" in for_itself(known(1e-3), known(1e-4), 16).reason
    assert "nobody asked" in for_itself(known(1e-3), Missing("nobody asked", 0, "s/token"), 16).reason


def test_the_share_of_prompts_counts_them_once():
    """100 tokens of 1 ms, five times a second, are half of all time."""
    found = share_of_prompts(known(1e-3), known(5.0, 0.5, "1/s"), 100)
    assert (found.value, found.lo, found.hi) == pytest.approx((0.5, 0.45, 0.55))
    assert share_of_prompts(known(1e-3), known(9.0, 2.0, "1/s"), 100).hi == 1.0
    assert "more than all time" in share_of_prompts(known(1e-3), known(11.0), 100).reason
