# SPDX-License-Identifier: Apache-2.0
"""Names, words and numbers drawn fresh for one passage, no two the same.

Rule 1: names are syllables, so that a model meets names it has never seen in parts that it knows.
Rule 2: a name is written the same way wherever it stands: one capital, and a space in front of it. Tokenizers make other
tokens of a word at the beginning of a line.
"""

from __future__ import annotations

from functools import cache
from random import Random

from inferometer.tasks.draw import below, pick
from inferometer.tasks.split import Parts, Split, split_of

SYLLABLES = tuple(
    "ba bel bo da dal de den do dor du fa fe fin fo ga gar gel go hal hel ja jo ka kal ke kel ko kor la lan le len li "
    "lin lo lu ma mar me mel mi mir mo na nel no nor nu pa pel po ra ral re ren ri rin ro ros sa sal se sel si so ta tal "
    "te ti to tor tu va val ve vel vi vin vo wen wil za zel zo".split()
)
_SHARE_OF_THREE = 0.25  # of names have three syllables

_ONSETS = tuple(
    "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr qu r s sc sh sl sp st t th tr v w y z".split()
)
_VOWELS = tuple("a e i o u a e i o u ai ea ee ie oa oo ou".split())
_MIDDLES = tuple("b ck d g k l ll m mb n nd ng nt p r rr s st t tt v x z".split())
_CODAS = tuple("d er et in k l le ll m n nd ng nt on p r rd rt s sh st t th x y".split())


@cache
def _two_syllables(split: Split) -> tuple[str, ...]:
    names = ((a + b).capitalize() for a in SYLLABLES for b in SYLLABLES if a != b)
    return tuple(name for name in dict.fromkeys(names) if split_of(name) is split)


class Fresh:
    """What one passage is filled with; all of it of one split."""

    __slots__ = ("_names", "_rng", "_split", "_used")

    def __init__(self, split: Split, rng: Random) -> None:
        self._split, self._rng = split, rng
        self._names = _two_syllables(split)
        self._used: set[str] = set()

    def name(self) -> str:
        """Of a person, a town, a pet, a company."""
        while True:
            if self._rng.random() >= _SHARE_OF_THREE:
                name = pick(self._rng, self._names)
            else:
                name = (
                    pick(self._rng, SYLLABLES) + pick(self._rng, SYLLABLES) + pick(self._rng, SYLLABLES)
                ).capitalize()
                if split_of(name) is not self._split:
                    continue
            if self._is_new(name):
                return name

    def word(self) -> str:
        """Made up of English spelling, four to nine letters, small: "plaist", "shoumer"."""
        while True:
            word = pick(self._rng, _ONSETS) + pick(self._rng, _VOWELS)
            if self._rng.random() < 0.5:
                word += pick(self._rng, _MIDDLES) + pick(self._rng, _VOWELS)
            word += pick(self._rng, _CODAS)
            if 4 <= len(word) <= 9 and split_of(word) is self._split and self._is_new(word):
                return word

    def number(self, n_digits: int) -> str:
        """Without a zero in front."""
        low = 10 ** (n_digits - 1)
        while True:
            number = str(low + below(self._rng, 9 * low))
            if split_of(number) is self._split and self._is_new(number):
                return number

    def one_of(self, closed: Parts) -> str:
        """A member of a closed set; a second time only if the set is nearly used up."""
        members = closed.of(self._split)
        for _ in range(8):
            if self._is_new(member := pick(self._rng, members)):
                break
        return member

    def _is_new(self, text: str) -> bool:
        if text in self._used:
            return False
        self._used.add(text)
        return True
