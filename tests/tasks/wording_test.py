# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import pytest

from inferometer.tasks import arithmetic, copying, grounded, retrieval
from inferometer.tasks.fresh import Fresh
from inferometer.tasks.relations import RELATIONS
from inferometer.tasks.retrieval import NOUNS
from inferometer.tasks.split import Parts, Split, divide, split_of
from inferometer.tasks.things import AGES, ALL_SETS, ALL_WORDS, ANIMALS, JOBS
from inferometer.tasks.wording import expand, wordings


def tables() -> dict[str, Parts]:
    """Every table of wordings there is, by a name."""
    found = {}
    for module in (arithmetic, copying, grounded, retrieval):
        for name, value in vars(module).items():
            many = value if isinstance(value, dict) else {"": value}
            found |= {f"{module.__name__}.{name}{key}": part for key, part in many.items() if isinstance(part, Parts)}
    for kind in ("marks", "sentences", "heads", "instructions", "questions"):
        found |= {f"retrieval.{noun.noun}.{kind}": getattr(noun, kind) for noun in NOUNS}
    for relation in RELATIONS:
        found |= {f"{relation.name}.facts": relation.facts, f"{relation.name}.questions": relation.questions}
    return {name: part for name, part in found.items() if name.rpartition(".")[2] not in SETS}


SETS = {"ALL_SETS", "AGES", "COLOURS", "FOODS", "ANIMALS", "JOBS", "INSTRUMENTS", "SPORTS"}
TABLES = tables()


def words_of(sentences) -> set[str]:
    return {word for sentence in sentences for word in re.findall(r"\{\w+\}|\w+|[^\w\s]+", sentence)}


def test_a_pattern_stands_for_all_combinations():
    assert expand("[a|b] c[|!]") == ["a c", "a c!", "b c", "b c!"]
    assert expand("plain") == ["plain"]


def test_one_in_six_sentences_of_a_pattern_is_held_out_and_none_is_in_both_parts():
    parts = wordings(("[a|b|c] x [d|e|f|g]", "[a|b] y"))
    assert (len(parts.train), len(parts.held_out)) == (10 + 2, 2)
    assert not set(parts.train) & set(parts.held_out)


def test_dividing_depends_on_the_texts_and_not_on_their_order():
    texts = ["one", "two", "three", "four", "five"]
    forth, back = divide(texts, 4), divide(reversed(texts), 4)
    assert set(forth.held_out) == set(back.held_out)
    assert len(forth.held_out) == 1


@pytest.mark.parametrize("name", TABLES)
def test_a_held_out_wording_is_new_but_none_of_its_words_is(name):
    parts = TABLES[name]
    assert parts.held_out
    assert not set(parts.train) & set(parts.held_out)
    assert words_of(parts.held_out) <= words_of(parts.train)


@pytest.mark.parametrize("name", [name for name in TABLES if "head" not in name.lower()])
def test_there_is_variety(name):
    assert len(TABLES[name].train) >= 10


def test_no_wording_is_of_two_relations():
    for kind in ("facts", "questions"):
        sentences = [sentence for relation in RELATIONS for part in _both(getattr(relation, kind)) for sentence in part]
        assert len(sentences) == len(set(sentences))


def test_a_key_or_name_never_stands_at_the_beginning_of_a_line():
    for name, parts in TABLES.items():
        if "questions" in name or "marks" in name or "ASKED" in name:
            for part in _both(parts):
                assert not any(sentence.startswith("{") for sentence in part)


def test_words_of_closed_sets_are_no_words_of_wordings():
    assert not {word.lower() for part in TABLES.values() for word in words_of(part.train)} & ALL_WORDS


def test_closed_sets_are_divided_and_go_with_an_article():
    for closed in (*ALL_SETS, AGES):
        assert 8 <= len(closed.held_out) <= len(closed.train) / 2.5
        assert not set(closed.train) & set(closed.held_out)
    assert len(ALL_WORDS) == sum(len(part) for closed in ALL_SETS for part in _both(closed))
    assert not any(word[0] in "aeiou" for closed in (ANIMALS, JOBS) for part in _both(closed) for word in part)


def test_a_text_is_of_one_split_however_it_is_written():
    assert all(split_of(text) is split_of(text.upper()) for text in ("torvel", "4711", "plimet"))
    n_held_out = sum(split_of(str(number)) is Split.HELD_OUT for number in range(10_000))
    assert 0.11 < n_held_out / 10_000 < 0.14


@pytest.mark.parametrize("split", Split)
def test_what_is_drawn_fresh_never_comes_twice_nor_from_a_closed_set(split, rng):
    fresh = Fresh(split, rng)
    drawn = [draw() for _ in range(500) for draw in (fresh.name, fresh.word, lambda: fresh.number(3))]
    assert len(set(drawn)) == len(drawn)
    assert not {text.lower() for text in drawn} & ALL_WORDS
    assert all(split_of(text) is split for text in drawn)


def test_numbers_grow_longer_when_short_ones_run_out(rng):
    fresh = Fresh(Split.HELD_OUT, rng)
    numbers = [fresh.number(2) for _ in range(50)]
    assert {len(number) for number in numbers} == {2, 3}


def _both(parts: Parts) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return parts.train, parts.held_out
