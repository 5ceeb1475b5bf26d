# SPDX-License-Identifier: Apache-2.0
"""Tokens in the cache over time, worked out by hand."""

from __future__ import annotations

import pytest
from traces import CONTENT, S, make_trace, request

from inferometer.analysis.held import held
from inferometer.stats import Missing

WINDOW = [{"trial": 0, "t_start_ns": 0, "t_end_ns": 10 * S}]


def one(sent, first, last, *, prompt=100, output=10, prefill=None):
    told = {} if prefill is None else {"server_prefill_ns": prefill}
    chunks = [(first, CONTENT), (last, CONTENT)]
    return request(due=sent, sent=sent, chunks=chunks, end=last, tokens=output, n_prompt_tokens=prompt, **told)


def test_a_prompt_comes_in_over_its_prefill_and_goes_with_the_last_token():
    found = held(make_trace(one(0, 2 * S, 6 * S, prefill=1 * S), windows=WINDOW))
    # half of 100 for one second of prefill, then 100 to 110 for four: (50 + 420) / 10 s
    assert found.mean.value == pytest.approx(47.0)
    assert found.most.value == pytest.approx(110, abs=0.2)


def test_without_a_prefill_time_a_prompt_is_there_with_its_first_token():
    found = held(make_trace(one(0, 2 * S, 6 * S), windows=WINDOW))
    assert found.mean.value == pytest.approx(42.0)


def test_what_waits_holds_nothing_and_what_is_not_told_is_as_asked():
    rows = [one(0, 8 * S, 9 * S, prefill=1 * S, prompt=-1), one(0, 2 * S, 3 * S, prefill=1 * S)]
    rows[0].columns["n_prompt_tokens_asked"] = 100
    found = held(make_trace(*rows, windows=WINDOW))
    assert found.mean.value == pytest.approx(2 * (50 + 105) / 10)
    assert found.most.value == pytest.approx(110, abs=0.3)


def test_without_token_counts_nothing_is_told():
    found = held(make_trace(one(0, 2 * S, 6 * S, output=-1), windows=WINDOW))
    assert isinstance(found.mean, Missing)
    assert isinstance(found.most, Missing)
