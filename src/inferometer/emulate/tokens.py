# SPDX-License-Identifier: Apache-2.0
"""The tokenizer of the emulated engines: a token is a word with the space before it, so that counts can be checked.

Rule 1: two things are no words: a mark such as `<|user|>` is one token wherever it stands, a wave is two, neither of
    which is a character by itself, as emojis are in most real vocabularies.
Rule 2: a text made of tokens counts as just these again.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from functools import lru_cache

N_VOCABULARY = 50_000
WAVE = "\N{WATER WAVE}"
WAVE_IDS = (11, 12)  # the half that is no character yet, and the half that completes it
END_ID, END = 2, "</s>"
_N_RESERVED = 100
_MARKS = {"<|begin|>": 0, "<|end|>": 1, "<|user|>": 3, "<|assistant|>": 4, "<|system|>": 5}
_TOKEN = re.compile(r"<\|\w+\|>|🌊|\s*(?:(?!<\|\w+\|>|🌊)\S)+")
# fmt: off
_WORDS = (
    "harbour", "window", "copper", "meadow", "lantern", "river", "velvet", "orchard", "granite", "feather",
    "timber", "marble", "canyon", "ribbon", "saffron", "pebble", "willow", "ember", "thicket", "cobalt", "glacier",
    "walnut", "prairie", "anchor", "thistle", "sandal", "quarry", "lagoon",
)
# fmt: on

Tokens = list[tuple[int, str]]  # (id, text); the text of half a wave is empty


def count(text: str) -> int:
    if "<|" in text or WAVE in text:
        return sum(2 if piece.endswith(WAVE) else 1 for piece in _TOKEN.findall(text))
    return len(text.split())


def pieces(text: str) -> Tokens:
    """Ids and pieces of a text."""
    found: Tokens = []
    for piece in _TOKEN.findall(text):
        if piece == WAVE:
            found += [(WAVE_IDS[0], ""), (WAVE_IDS[1], WAVE)]
        else:
            found.append((token_id(piece), piece))
    return found


@lru_cache(maxsize=65_536)
def token_id(piece: str) -> int:
    """Of a word or a mark; different words may share one, as nothing is ever made out of ids."""
    mark = _MARKS.get(piece)
    return _N_RESERVED + zlib.crc32(piece.encode()) % (N_VOCABULARY - _N_RESERVED) if mark is None else mark


def chat_text(messages: Iterable[tuple[str, str]]) -> str:
    """The chat template: messages as the text that the model gets."""
    turns = "".join(f"<|{role}|>{content}<|end|>" for role, content in messages)
    return f"<|begin|>{turns}<|assistant|>"


def answer(
    n_tokens: int, i_first_word: int, waves: Iterable[int] = (), known: Iterable[tuple[int, str]] = (), *, has_end: bool
) -> Tokens:
    """Tokens of an answer. `waves`: where a wave begins; `known`: the first ones; `has_end`: the last is the end."""
    tokens = [*known]
    tokens += [_word(i_first_word + i) for i in range(len(tokens), n_tokens)]
    for i in waves:
        tokens[i : i + 2] = [(WAVE_IDS[0], ""), (WAVE_IDS[1], WAVE)]
    if has_end:
        tokens[-1] = (END_ID, END)
    return tokens


def _word(i: int) -> tuple[int, str]:
    word = f" {_WORDS[i % len(_WORDS)]}"
    return token_id(word), word


def ids_of(tokens: Tokens) -> list[int]:
    return [token for token, _ in tokens]


def text_of(tokens: Tokens) -> str:
    return "".join(text for _, text in tokens)
