# SPDX-License-Identifier: Apache-2.0
"""Tokenizers trained on the spot, and counters over them that stand where a server's would."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from inferometer.plan.words import common_words


class TemplateCounter:
    """Counts as a chat server does: three template tokens around the text. Keeps what it was asked."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        n_template: int = 3,
        cost_s: float = 0.0,
        shows_pieces: bool = True,
        sends_requests: bool = False,
    ):
        self._tokenizer = tokenizer
        self._n_template = n_template
        self._shows_pieces = shows_pieces
        self.cost_s = cost_s
        self.sends_requests = sends_requests
        self.source = "a tokenizer of the test"
        self.asked: list[str] = []

    def count(self, prompt: str | tuple[tuple[str, str], ...]) -> int | None:
        texts = [prompt] if isinstance(prompt, str) else [text for _, text in prompt]
        self.asked += texts
        return sum(len(self.ids(text)) + self._n_template for text in texts)

    def pieces(self, text: str) -> Sequence[tuple[int, str]]:
        encoded = self._tokenizer.encode(text)
        return list(zip(encoded.ids, encoded.tokens, strict=True)) if self._shows_pieces else []

    def ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text).ids


def train(texts: Sequence[str], n_tokens: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@pytest.fixture(scope="session")
def english() -> Tokenizer:
    """Knows most of the package's words, at the beginning of a line and within one."""
    words = common_words()
    return train([" ".join(words), "\n".join(words)] * 3, 6000)


@pytest.fixture(scope="session")
def foreign() -> Tokenizer:
    """Knows hardly any English word."""
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "au", "ei")]
    words = [a + b for a in syllables[::3] for b in syllables[::5]]
    return train([" ".join(words), "\n".join(words)], 1500)


@pytest.fixture(scope="session")
def bytewise() -> Tokenizer:
    """Every byte is a token."""
    return train(["a"], 257)
