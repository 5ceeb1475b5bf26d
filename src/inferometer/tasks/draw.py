# SPDX-License-Identifier: Apache-2.0
"""Random draws that give the same from the same seed in every version of Python.

Rule 1: everything is made of `Random.random()`, the one method whose stream is promised never to change.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def below(rng: Random, n: int) -> int:
    """One of 0..n-1."""
    return int(rng.random() * n)


def pick(rng: Random, choices: Sequence[T]) -> T:
    return choices[int(rng.random() * len(choices))]


def sample(rng: Random, n_choices: int, n: int) -> list[int]:
    """`n` different ones of 0..n_choices-1, in the order drawn."""
    pool = list(range(n_choices))
    for i in range(n):
        j = i + int(rng.random() * (n_choices - i))
        pool[i], pool[j] = pool[j], pool[i]
    return pool[:n]
