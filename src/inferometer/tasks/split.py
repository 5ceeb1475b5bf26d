# SPDX-License-Identifier: Apache-2.0
"""What may be trained on, and what is kept for asking: decided by a digest of the text itself.

Rule 1: a name, a value, a wording or a sum belongs to one split, whatever the seed, the order or the role it plays.
Rule 2: it takes no list that could grow stale: adding a word to a set moves a few others at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

_ONE_IN = 8  # open sets (names, made-up words, numbers, sums): the share that is held out


class Split(StrEnum):
    TRAIN = "train"
    HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True)
class Parts:
    """A closed set, divided."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]

    def of(self, split: Split) -> tuple[str, ...]:
        return self.train if split is Split.TRAIN else self.held_out

    def map(self, change: Callable[[str], str]) -> Parts:
        return Parts(tuple(map(change, self.train)), tuple(map(change, self.held_out)))


def split_of(text: str) -> Split:
    """For a text out of a set without end. Upper and lower case are the same text."""
    digest = blake2b(text.casefold().encode(), digest_size=1).digest()
    return Split.TRAIN if digest[0] % _ONE_IN else Split.HELD_OUT


def divide(texts: Iterable[str], one_in: int) -> Parts:
    """For a closed set: exactly one in `one_in` (rounded down) is held out, those with the lowest digests."""
    unique = list(dict.fromkeys(texts))
    ranked = sorted(unique, key=lambda text: blake2b(text.encode(), digest_size=8).digest())
    held_out = set(ranked[: len(unique) // one_in])
    return Parts(tuple(t for t in unique if t not in held_out), tuple(t for t in unique if t in held_out))
