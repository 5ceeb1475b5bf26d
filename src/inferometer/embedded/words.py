# SPDX-License-Identifier: Apache-2.0
"""A made-up language and its tokenizer: byte-level BPE over pronounceable words, trained in a blink.

Rule 1: nothing is downloaded and nothing is anybody's text: words are syllables drawn from a seed.
Rule 2: the same seed gives the same tokenizer, byte for byte (with the same version of `tokenizers`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_TEXT = "<|end_of_text|>"
END_OF_TURN = "<|end|>"
PAD = "<|pad|>"
SPECIALS = (END_OF_TEXT, END_OF_TURN, PAD, "<|system|>", "<|user|>", "<|assistant|>")  # ids 0..5, in this order

# One special token in front of each message and one behind: the constant prefix of a chat prompt is a single token.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

# fmt: off
_ONSETS = ("b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "pl", "pr", "r",
           "s", "sh", "sk", "sl", "sp", "st", "t", "th", "tr", "v", "w", "z")
# fmt: on
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "io", "ou")
_CODAS = ("", "", "", "n", "r", "s", "l", "m", "t", "nd", "rt", "st")
_N_WORDS = 4_000
_WORD_TOKEN = re.compile(r"Ġ[a-z]{2,}")  # Ġ is how byte-level BPE writes a space


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`tokens` by id; `merges` in order of rank, as "left right"; `word_ids`: tokens that are a space and letters."""

    tokens: tuple[str, ...]
    merges: tuple[str, ...]
    word_ids: tuple[int, ...]


def train_tokenizer(seed: int, n_tokens: int) -> Tokenizer:
    """The tokenizer of the made-up language."""
    return train_on(_corpus(seed), n_tokens)


def train_on(texts: Iterable[str], n_tokens: int) -> Tokenizer:
    """A GPT-2 style tokenizer of exactly `n_tokens`, special tokens first, then single bytes, then merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n_tokens,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=list(SPECIALS),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    """What a model file has to carry of a tokenizer."""
    model = json.loads(tokenizer.to_str())["model"]
    tokens = tuple(sorted(model["vocab"], key=model["vocab"].__getitem__))
    merges = tuple(merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"])
    word_ids = tuple(i for i, token in enumerate(tokens) if _WORD_TOKEN.fullmatch(token))
    return Vocabulary(tokens, merges, word_ids)


def write_words(gguf: ModuleType, writer: Any, words: Vocabulary) -> None:
    """All that a GGUF file has of it, and the chat template. `writer`: gguf.GGUFWriter."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words.tokens)
    kinds = gguf.TokenType
    writer.add_token_types([kinds.CONTROL if token in SPECIALS else kinds.NORMAL for token in words.tokens])
    writer.add_token_merges(words.merges)
    writer.add_eos_token_id(words.tokens.index(END_OF_TEXT))
    writer.add_eot_token_id(words.tokens.index(END_OF_TURN))
    writer.add_pad_token_id(words.tokens.index(PAD))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def make_words(seed: int, n_words: int) -> list[str]:
    """Different words of one to three syllables, in the order drawn."""
    # Raw 64-bit output is the one thing numpy promises never to change; its distributions may.
    raws = iter(np.random.PCG64(seed).random_raw(n_words * 16).tolist())
    words: dict[str, None] = {}
    while len(words) < n_words:
        syllables = [_pick(_ONSETS, next(raws)) + _pick(_VOWELS, next(raws)) for _ in range(1 + next(raws) % 3)]
        words["".join(syllables) + _pick(_CODAS, next(raws))] = None
    return list(words)


def _pick(choices: tuple[str, ...], raw: int) -> str:
    return choices[raw % len(choices)]


def _corpus(seed: int) -> Iterator[str]:
    """Each word as often as Zipf's law has it, and at least twice, so that common words become single tokens."""
    for rank, word in enumerate(make_words(seed, _N_WORDS)):
        yield f" {word}" * max(2, _N_WORDS // (rank + 10))
