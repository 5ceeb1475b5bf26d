# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from random import Random
from string import digits

import pytest
from training.tokenizer import ANSWER_PREFIX, N_TOKENS, encode_chat, encode_prompt, train_tokenizer

from inferometer.embedded.words import SPECIALS, vocabulary
from inferometer.tasks import Split, Task, make_passage, messages


def passages(split):
    rng = Random(5)
    return [make_passage(task, split, rng, n_facts=12, n_turns=3) for task in Task for _ in range(20)]


def templated(chat):
    """What the chat template of embedded/words.py writes, without jinja."""
    return "".join(f"<|{message['role']}|>{message['content']}<|end|>" for message in chat)


def test_the_vocabulary_begins_with_the_special_tokens(tokenizer):
    words = vocabulary(tokenizer)
    assert words.tokens[: len(SPECIALS)] == SPECIALS
    assert len(set(words.tokens)) == N_TOKENS
    assert [tokenizer.encode(special).ids for special in SPECIALS] == [[i] for i in range(len(SPECIALS))]


def test_the_same_seed_gives_the_same_tokenizer(tokenizer):
    assert train_tokenizer().to_str() == tokenizer.to_str()


def test_every_digit_is_a_token_of_its_own(tokenizer):
    with_digit = [token for token in vocabulary(tokenizer).tokens if set(token) & set(digits)]
    assert sorted(with_digit) == sorted([*digits, *(f"Ġ{digit}" for digit in digits)])
    assert [tokenizer.decode([i]) for i in tokenizer.encode(" 4821").ids] == [" 4", "8", "2", "1"]


def test_every_merged_token_is_text_by_itself(tokenizer):
    for i, token in enumerate(vocabulary(tokenizer).tokens):
        if len(token) > 1 and token not in SPECIALS:
            assert "\N{REPLACEMENT CHARACTER}" not in tokenizer.decode([i])
            assert tokenizer.decode([i]).isprintable()


@pytest.mark.parametrize("split", list(Split))
def test_names_are_pieces_of_the_size_of_syllables(tokenizer, split):
    rng = Random(3)
    names = [
        line.split()[1].rstrip(":")
        for _ in range(40)
        for line in make_passage(Task.COPYING, split, rng, n_facts=40).context.splitlines()[1:]
    ]
    n_tokens = [len(tokenizer.encode(" " + name).ids) for name in names]
    assert sum(n_tokens) / len(names) < 3.5
    assert max(n_tokens) <= 9


def test_all_that_the_tasks_write_survives(tokenizer):
    for passage in passages(Split.HELD_OUT):
        for message in messages(passage):
            assert tokenizer.decode(tokenizer.encode(message["content"]).ids) == message["content"]


def test_a_chat_has_the_ids_of_the_template_and_its_answers_are_marked(tokenizer):
    for passage in passages(Split.TRAIN):
        chat = encode_chat(tokenizer, passage)
        assert chat.ids == tokenizer.encode(templated(messages(passage, ANSWER_PREFIX))).ids
        answers = [tokenizer.decode(chat.ids[begin:end], skip_special_tokens=False) for begin, end in chat.answers]
        assert answers == [f" {turn.answer}<|end|>" for turn in passage.turns]


def test_a_prompt_is_the_beginning_of_the_chat(tokenizer):
    passage = passages(Split.TRAIN)[0]
    ids = encode_prompt(tokenizer, messages(passage)[0]["content"])
    chat = encode_chat(tokenizer, passage)
    assert chat.ids[: len(ids)] == ids
    assert chat.answers[0][0] == len(ids)


def test_any_text_survives(tokenizer):
    text = " What is it? Größe, 你好\n\t🙂 "
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
