# SPDX-License-Identifier: Apache-2.0
"""Words that are no words, in the place of everyday ones, so that every token is met as an answer.

The everyday words of the training split are few, and a held-out one ("mushrooms") is made of tokens that none of them
has: a model that never said such a token says another in its place. So some rows have their words replaced by pieces of
the vocabulary at random.

Rule 1: what comes out is no everyday word, of neither split, and falls to the training split by its digest.
"""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

from tokenizers import Tokenizer

from inferometer.tasks import UNKNOWN_ANSWER, Passage, Split
from inferometer.tasks.split import split_of
from inferometer.tasks.things import ALL_WORDS

_SHARE = 0.6  # of the words of a row that is garbled
_MOST_PIECES = 4
_MOST_LETTERS = 12
_SPACE = "\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}"  # how byte-level tokenizers write it


class Garbler:
    """Made once for a tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokens = [token.removeprefix(_SPACE) for token in tokenizer.get_vocab()]
        self._pieces = sorted({token for token in tokens if token.isascii() and token.isalpha() and token.islower()})

    def garble(self, rng: Random, passage: Passage) -> Passage:
        """The same passage about other things. Names and numbers stay what they are."""
        words = {word for turn in passage.turns for word in turn.answer.split() if word.isalpha() and word.islower()}
        others = {word: self._word(rng) for word in sorted(words - {UNKNOWN_ANSWER}) if rng.random() < _SHARE}
        if not others:
            return passage
        pattern = re.compile(rf"\b(?:{'|'.join(others)})\b")

        def changed(text: str) -> str:
            return pattern.sub(lambda found: others[found[0]], text)

        turns = [replace(turn, question=changed(turn.question), answer=changed(turn.answer)) for turn in passage.turns]
        return replace(passage, context=changed(passage.context), turns=tuple(turns))

    def _word(self, rng: Random) -> str:
        while True:
            word = "".join(rng.choice(self._pieces) for _ in range(rng.randint(1, _MOST_PIECES)))
            if 2 < len(word) <= _MOST_LETTERS and word not in ALL_WORDS and split_of(word) is Split.TRAIN:
                return word
