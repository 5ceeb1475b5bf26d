# SPDX-License-Identifier: Apache-2.0
"""Prompts: exact in length, different from the first token on, the same again from the same generator."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from inferometer.plan.prompts import from_ids, from_words
from inferometer.plan.words import learn

from .conftest import TemplateCounter


def rng(seed=1):
    return np.random.default_rng(seed)


def lengths(*counts):
    return np.array(counts, np.int64)


@pytest.mark.parametrize("name", ["english", "foreign"])
def test_every_prompt_has_exactly_the_length_asked_for(name, request):
    tokenizer = request.getfixturevalue(name)
    counter = TemplateCounter(tokenizer)
    asked = rng().integers(5, 300, 300)
    made = from_words(asked, learn(counter), counter, rng())
    assert [len(tokenizer.encode(text).ids) + 3 for text in made.prompts] == asked.tolist()
    assert made.lengths_from == "a tokenizer of the test, every prompt counted"
    assert made.n_inexact == 0


def test_prompts_differ_from_the_first_token_on(english):
    counter = TemplateCounter(english)
    vocabulary = learn(counter)
    n_starters = len(vocabulary.starters)
    made = from_words(np.full(3 * n_starters, 13), vocabulary, counter, rng())
    ids = [english.encode(text).ids for text in made.prompts]
    for begin in range(0, len(ids), n_starters):
        assert len({prompt[0] for prompt in ids[begin : begin + n_starters]}) == n_starters
    assert len({tuple(prompt[:2]) for prompt in ids}) == len(ids)


def test_a_small_vocabulary_still_gives_different_beginnings(foreign):
    counter = TemplateCounter(foreign)
    vocabulary = learn(counter)
    made = from_words(np.full(2000, 13), vocabulary, counter, rng())
    beginnings = Counter(tuple(foreign.encode(text).ids[:3]) for text in made.prompts)
    assert max(beginnings.values()) == 1


def test_a_shared_prefix_is_equal_in_all_and_nothing_more_is(english):
    counter = TemplateCounter(english)
    vocabulary = learn(counter)
    made = from_words(np.full(500, 60), vocabulary, counter, rng(), n_shared=20)
    ids = [english.encode(text).ids for text in made.prompts]
    assert {len(prompt) for prompt in ids} == {57}
    assert len({tuple(prompt[:20]) for prompt in ids}) == 1
    assert len({prompt[20] for prompt in ids}) == 500


def test_the_same_generator_gives_the_same_prompts(english):
    counter = TemplateCounter(english)
    vocabulary = learn(counter)
    one, two, other = (from_words(np.full(50, 40), vocabulary, counter, rng(seed)) for seed in (1, 1, 2))
    assert one == two
    assert not set(one.prompts) & set(other.prompts)


def test_the_first_prompts_do_not_depend_on_how_many_are_made(english):
    counter = TemplateCounter(english)
    vocabulary = learn(counter)
    few, many = (from_words(np.full(n, 40), vocabulary, counter, rng()) for n in (10, 200))
    assert few.prompts == many.prompts[:10]


def test_what_cannot_all_be_counted_in_time_is_sampled(english):
    vocabulary = learn(TemplateCounter(english))
    counter = TemplateCounter(english, cost_s=0.01)
    made = from_words(np.arange(10, 1010), vocabulary, counter, rng())
    assert made.lengths_from == "a tokenizer of the test, 300 of 1000 prompts counted"
    assert {len(text.split()) for text in counter.asked} >= {7, 1006}  # the shortest and the longest


def test_one_wrong_prompt_of_a_sample_has_all_counted(english):
    vocabulary = learn(TemplateCounter(english))
    counter = TemplateCounter(english, n_template=5, cost_s=0.01)  # every prompt is two tokens too long
    made = from_words(np.full(1000, 30), vocabulary, counter, rng())
    assert {len(english.encode(text).ids) for text in made.prompts} == {25}
    assert made.lengths_from == "a tokenizer of the test, every prompt counted"


def test_a_prompt_is_never_sent_to_be_counted(english):
    """The server's prefix cache would know it when the measurement comes."""
    counter = TemplateCounter(english, shows_pieces=False, sends_requests=True)
    made = from_words(np.arange(10, 110), learn(counter), counter, rng())
    assert not set(counter.asked) & set(made.prompts)
    assert len(counter.asked) <= 5
    assert made.lengths_from == "a tokenizer of the test, exact in 2 trials"
    assert [len(english.encode(text).ids) + 3 for text in made.prompts] == list(range(10, 110))


def test_a_misjudged_template_is_put_right_by_two_trials(english):
    vocabulary = learn(TemplateCounter(english))
    counter = TemplateCounter(english, n_template=5, sends_requests=True)
    made = from_words(np.arange(10, 110), vocabulary, counter, rng())
    assert made.lengths_from == "a tokenizer of the test, exact in 2 trials"
    assert [len(english.encode(text).ids) + 5 for text in made.prompts] == list(range(10, 110))


def test_lengths_that_stay_inexact_are_said(bytewise):
    counter = TemplateCounter(bytewise, shows_pieces=False, sends_requests=True)
    made = from_words(np.array([30, 300]), learn(counter), counter, rng())
    assert made.n_inexact == 2
    assert "off by up to" in made.lengths_from


def test_marks_that_cost_too_much_leave_a_length_inexact(bytewise):
    class Coarse(TemplateCounter):
        def count(self, prompt):
            return 3 * len(prompt.split()) + 3 * sum(c in ".,!;1x" for c in prompt)

    counter = Coarse(bytewise, shows_pieces=False)
    made = from_words(np.full(10, 50), learn(counter), counter, rng())
    assert made.n_inexact == 10
    assert made.lengths_from.endswith("every prompt counted, 10 of them inexact")


def test_a_tokenizer_of_bytes_is_reached_to_the_token(bytewise):
    counter = TemplateCounter(bytewise, shows_pieces=False)
    asked = rng().integers(10, 200, 50)
    made = from_words(asked, learn(counter), counter, rng())
    assert [len(bytewise.encode(text).ids) + 3 for text in made.prompts] == asked.tolist()


def test_without_counts_one_word_stands_for_a_token():
    class Deaf:
        source, cost_s, sends_requests = "nothing", 0.0, False

        def count(self, prompt):
            return None

        def pieces(self, text):
            return []

    made = from_words(lengths(5, 9), learn(Deaf()), Deaf(), rng())
    assert [len(text.split()) for text in made.prompts] == [5, 9]
    assert made.lengths_from == "one token per word assumed: the server tells no counts of prompts"


def test_token_ids_are_exact_ordinary_and_different(english):
    vocabulary = learn(TemplateCounter(english))
    made = from_ids(np.arange(1, 2001), vocabulary, rng(), n_shared=0)
    assert [len(ids) for ids in made.prompts] == list(range(1, 2001))
    assert {token for ids in made.prompts for token in ids} <= set(vocabulary.ids)
    assert all(type(token) is int for token in made.prompts[50])
    assert len({ids[:2] for ids in made.prompts[1:]}) == 1999
    assert made.lengths_from == "token ids"


def test_thousands_of_prompts_need_one_count_each(english):
    counter = TemplateCounter(english)
    vocabulary = learn(counter)
    counter.asked.clear()
    from_words(np.full(3000, 64), vocabulary, counter, rng())
    assert len(counter.asked) == 3000
