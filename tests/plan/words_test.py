# SPDX-License-Identifier: Apache-2.0
"""Vocabularies: only words proven to be one token are used, at the price of few counts."""

from __future__ import annotations

import pytest

from inferometer.plan.words import common_words, learn

from .conftest import TemplateCounter


def test_the_list_is_plain_and_long_enough():
    words = common_words()
    assert 1400 < len(words) == len(set(words))
    assert all(word.isalpha() and word.islower() and word.isascii() for word in words)
    assert words[0] == "the"


def test_words_are_single_tokens_and_their_ids_are_theirs(english):
    counter = TemplateCounter(english)
    vocabulary = learn(counter)
    assert len(vocabulary.words) > 1000
    for word, token_id in zip(vocabulary.words, vocabulary.ids, strict=True):
        assert english.encode(f" {word}").ids == [token_id]
    assert vocabulary.n_fixed == 3
    assert vocabulary.is_proven


def test_starters_have_first_tokens_of_their_own(english, foreign):
    for tokenizer in (english, foreign):
        starters = learn(TemplateCounter(tokenizer)).starters
        firsts = [tokenizer.encode(word).ids[0] for word in starters]
        assert len(set(firsts)) == len(firsts) >= 30


def test_a_tokenizer_of_another_language_lends_its_own_pieces(foreign):
    counter = TemplateCounter(foreign)
    vocabulary = learn(counter)
    assert len(vocabulary.words) >= 30
    assert not set(vocabulary.words) <= set(common_words())
    for word, token_id in zip(vocabulary.words, vocabulary.ids, strict=True):
        assert foreign.encode(f" {word}").ids == [token_id]


def test_counts_alone_are_enough(english):
    counter = TemplateCounter(english, shows_pieces=False)
    vocabulary = learn(counter)
    assert vocabulary.ids == ()
    assert vocabulary.starters == vocabulary.words
    assert vocabulary.n_fixed == 3
    assert len(vocabulary.words) > 1000
    assert all(len(english.encode(f" {word}").ids) == 1 for word in vocabulary.words)


def test_a_costly_counter_is_asked_a_few_short_questions(english):
    counter = TemplateCounter(english, shows_pieces=False, sends_requests=True)
    vocabulary = learn(counter)
    assert vocabulary.words == common_words()[:128]
    assert len(counter.asked) <= 3
    assert max(len(text.split()) for text in counter.asked) <= 129


def test_words_that_are_not_one_token_are_left_out(english):
    odd = "zqxjkvbw"
    assert len(english.encode(f" {odd}").ids) > 1
    words = [*common_words()[:40], odd, *common_words()[40:80]]
    for shows_pieces in (True, False):
        vocabulary = learn(TemplateCounter(english, shows_pieces=shows_pieces), words)
        assert odd not in vocabulary.words
        assert len(vocabulary.words) >= 70


def test_a_tokenizer_of_bytes_is_estimated(bytewise):
    vocabulary = learn(TemplateCounter(bytewise, shows_pieces=False))
    assert not vocabulary.is_proven
    assert vocabulary.is_counted
    assert 3 < vocabulary.tokens_per_word < 7


@pytest.mark.parametrize("count", [None, 7])
def test_a_server_that_tells_nothing_useful_is_not_believed(count):
    class Deaf:
        source, cost_s, sends_requests = "nothing", 0.0, False

        def count(self, prompt):
            return count

        def pieces(self, text):
            return []

    vocabulary = learn(Deaf())
    assert not vocabulary.is_counted
    assert vocabulary.words == common_words()[: len(vocabulary.words)]
