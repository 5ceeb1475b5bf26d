# SPDX-License-Identifier: Apache-2.0
"""The model's tokenizer: byte-level BPE of 1,024 tokens, trained on what the tasks write.

Rule 1: specials, their ids and the pre-tokenizer are those of the embedded engine (llama.cpp's "gpt-2").
Rule 2: numbers are cut down to one digit first, so no merge holds two: every digit is a token of its own, the first one
with the space before it, as words have it. (A space alone would be a token that says nothing, and the place where an
answer has to be found would be another one for numbers than for words: that was never learned.)
Rule 3: names are drawn fresh, so merges are syllables, and a name that was never seen is made of known tokens.
Rule 4: the text is of the training split. The same seed gives the same file (with the same version of `tokenizers`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from random import Random

from tokenizers import Tokenizer

from inferometer.embedded.words import END_OF_TURN, SPECIALS, train_on
from inferometer.tasks import Passage, Split, Task, make_passage, messages

N_TOKENS = 1024
SEED = 1

# With it the words of an answer are the same tokens as in the context, where a space stands before them.
ANSWER_PREFIX = " "

_N_PASSAGES = 6_000
_NUMBER = re.compile(r"\d+")
_USER, _ASSISTANT, END_ID = (SPECIALS.index(name) for name in ("<|user|>", "<|assistant|>", END_OF_TURN))


def train_tokenizer(seed: int = SEED, n_tokens: int = N_TOKENS) -> Tokenizer:
    """Special tokens first (ids 0..5), then single bytes, then merges. A few seconds."""
    return train_on(_corpus(seed), n_tokens)


def _corpus(seed: int) -> Iterator[str]:
    rng = Random(f"tokenizer/{seed}")
    tasks, digits = list(Task), cycle("0123456789")
    for i in range(_N_PASSAGES):
        passage = make_passage(tasks[i % len(tasks)], Split.TRAIN, rng, n_facts=1 + int(rng.random() * 20), n_turns=4)
        for message in messages(passage, ANSWER_PREFIX):
            yield _NUMBER.sub(lambda number: next(digits), message["content"])


@dataclass(frozen=True, slots=True)
class Chat:
    """A passage as tokens. `answers`: begin and end of each answer in `ids`, its end token included."""

    ids: list[int]
    answers: list[tuple[int, int]]


def encode_chat(tokenizer: Tokenizer, passage: Passage) -> Chat:
    """The same ids as the chat template gives, with every answer marked."""
    chat = messages(passage, ANSWER_PREFIX)
    ids: list[int] = []
    answers = []
    for message, encoded in zip(chat, tokenizer.encode_batch_fast([m["content"] for m in chat]), strict=True):
        is_answer = message["role"] == "assistant"
        ids.append(_ASSISTANT if is_answer else _USER)
        begin = len(ids)
        ids += encoded.ids
        ids.append(END_ID)
        if is_answer:
            answers.append((begin, len(ids)))
    return Chat(ids, answers)


def encode_prompt(tokenizer: Tokenizer, text: str) -> list[int]:
    """One user message, up to where the answer begins."""
    return [_USER, *tokenizer.encode(text).ids, END_ID, _ASSISTANT]
