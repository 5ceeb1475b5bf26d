# SPDX-License-Identifier: Apache-2.0
"""What the model says: lengths, who ends an answer, and which tokens come together."""

from __future__ import annotations

import pytest

from inferometer.emulate import tokens
from inferometer.emulate.spoken import Style, speak

SHORT = ("Answer", "only", "yes", "or", "no")
PLAIN = Style()


def say(words=SHORT, *, n_prompt=None, n_most=100, n_least=0, ends=True, style=PLAIN, seed=0):
    n_prompt_tokens = len(words) if n_prompt is None else n_prompt
    return speak(
        seed=seed,
        words=words,
        n_prompt_tokens=n_prompt_tokens,
        n_most=n_most,
        n_least=n_least,
        ends=ends,
        style=style,
    )


def test_a_short_question_gets_a_short_answer_unless_the_length_is_forced():
    assert say().n_output_tokens < 8
    assert not say().is_cut
    assert say(ends=False).n_output_tokens == 100
    assert say(n_least=100).n_output_tokens == 100


def test_a_least_length_delays_the_end_and_no_more():
    said = say(n_least=40)
    assert (said.n_output_tokens, said.is_cut) == (40, False)


def test_natural_lengths_follow_the_prompt_and_differ():
    lengths = [say(("word", i), n_prompt=400, n_most=10_000).n_output_tokens for i in range(200)]
    assert 80 < sorted(lengths)[100] < 125
    assert len(set(lengths)) > 50


def test_the_same_request_gets_the_same_answer_and_another_seed_another():
    style = Style("empty", True)
    assert say(style=style, ends=False) == say(style=style, ends=False)
    assert say(style=style, ends=False) != say(style=style, ends=False, seed=1)


def test_the_end_is_a_token_where_it_is_one():
    style = Style(ends_with_mark=True)
    assert say(style=style).tokens[-1] == (tokens.END_ID, tokens.END)
    assert say(style=style, ends=False).tokens[-1][0] != tokens.END_ID


@pytest.mark.parametrize("style", [Style(), Style(merges=True), Style("empty"), Style("silent"), Style("empty", True)])
def test_events_hold_every_token_once_in_order(style):
    said = say(style=style, ends=False, n_most=400)
    n_done = 0
    for event in said.events:
        n_done += event.n_tokens
        assert event.n_done == n_done, "an event leaves when its last token is there"
    assert n_done == 400
    assert said.events[0].n_tokens == 1, "the first token does not wait for another"
    sizes = {event.n_tokens for event in said.events}
    assert sizes == ({1} if style in (Style(), Style("empty")) else {1, 2})
    has_empty = any(not event.text for event in said.events)
    assert has_empty == (style.halves == "empty")
