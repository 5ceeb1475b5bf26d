# SPDX-License-Identifier: Apache-2.0
"""The tokenizer: counts agree with pieces, and a text made of tokens counts as these again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.emulate import tokens
from inferometer.emulate.spoken import Style, speak

WORDS = st.lists(st.sampled_from(["river", "Stone,", "a<b", "<|user|>", tokens.WAVE, "x\n", " "]), max_size=30)


@settings(deadline=None)
@given(WORDS, st.sampled_from([" ", "", "\n\n"]))
def test_a_count_is_the_number_of_pieces(words, between):
    text = between.join(words)
    assert tokens.count(text) == len(tokens.pieces(text))


@settings(deadline=None)
@given(WORDS)
def test_pieces_put_together_are_the_text_but_for_space(words):
    text = " ".join(words)
    assert "".join(tokens.text_of(tokens.pieces(text)).split()) == "".join(text.split())


def test_a_mark_is_one_token_and_a_wave_two():
    assert tokens.count("hello<|end|><|assistant|>") == 3
    assert tokens.count(f"hello{tokens.WAVE} you") == 4
    assert [piece for _, piece in tokens.pieces(f"a{tokens.WAVE}")] == ["a", "", tokens.WAVE]


def test_the_template_costs_a_few_tokens_for_every_message():
    one = tokens.count(tokens.chat_text([("user", "hello world")]))
    two = tokens.count(tokens.chat_text([("system", "be brief"), ("user", "hello world")]))
    assert (one, two) == (6, 10)


@pytest.mark.parametrize("halves", ["none", "empty", "silent"])
@pytest.mark.parametrize("seed", range(5))
def test_an_answer_counts_as_the_tokens_it_has(halves, seed):
    said = speak(
        seed=seed, words=("a", "b"), n_prompt_tokens=2, n_most=200, n_least=0, ends=False, style=Style(halves, True)
    )
    assert (said.n_output_tokens, said.is_cut) == (200, True)
    assert tokens.count(said.text) == 200
    assert (tokens.WAVE in said.text) == (halves != "none")


def test_words_have_ids_of_their_own_below_the_vocabulary():
    rng = random.Random(0)
    words = {f" w{rng.randrange(10**9)}" for _ in range(1000)}
    ids = {tokens.token_id(word) for word in words}
    assert len(ids) > 950
    assert max(ids) < tokens.N_VOCABULARY
    assert min(ids) > max(tokens.WAVE_IDS)
