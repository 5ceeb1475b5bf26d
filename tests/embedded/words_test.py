# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from inferometer.embedded.words import SPECIALS, make_words, train_tokenizer, vocabulary

TEXT = " What is it? Größe, 你好\n\t🙂 "


def test_the_same_seed_gives_the_same_tokenizer_and_another_seed_another():
    first, again, other = (train_tokenizer(seed, 1000).to_str() for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_words_are_different_and_pronounceable():
    words = make_words(3, 500)
    assert len(set(words)) == 500
    assert all(word.isalpha() and word.islower() and set(word) & set("aeiou") for word in words)


def test_the_vocabulary_begins_with_the_special_tokens_and_holds_merges():
    words = vocabulary(train_tokenizer(1, 2000))
    assert words.tokens[: len(SPECIALS)] == SPECIALS
    assert len(set(words.tokens)) == 2000
    assert len(words.merges) == 2000 - 256 - len(SPECIALS)
    assert len(words.word_ids) > 500


def test_every_word_token_reads_back_as_itself_alone_and_among_others():
    tokenizer = train_tokenizer(1, 4096)
    ids = list(vocabulary(tokenizer).word_ids)
    assert tokenizer.encode(tokenizer.decode(ids)).ids == ids
    assert [tokenizer.encode(tokenizer.decode([i])).ids for i in ids] == [[i] for i in ids]


def test_any_text_survives():
    tokenizer = train_tokenizer(1, 600)
    assert tokenizer.decode(tokenizer.encode(TEXT).ids) == TEXT


def test_special_tokens_are_single_tokens():
    tokenizer = train_tokenizer(1, 600)
    assert tokenizer.encode("<|user|>").ids == [SPECIALS.index("<|user|>")]
