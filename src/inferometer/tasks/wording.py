# SPDX-License-Identifier: Apache-2.0
"""Wordings written as patterns: "{name} [now|still] lives in [|the town of ]{value}." stands for four sentences.

Rule 1: what is held out is whole sentences. Every word of them stands in sentences of the same pattern that are trained
on, so that a held-out wording is a new combination, never a new word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product

from inferometer.tasks.split import Parts, divide

_ONE_IN = 6
_CHOICE = re.compile(r"\[([^\]]*)\]")


def expand(pattern: str) -> list[str]:
    """Every sentence a pattern stands for."""
    pieces = _CHOICE.split(pattern)  # fixed text at even places, alternatives at odd ones
    return ["".join(spelt) for spelt in product(*([p] if i % 2 == 0 else p.split("|") for i, p in enumerate(pieces)))]


def wordings(patterns: Iterable[str]) -> Parts:
    """All sentences of all patterns; one in six of each pattern's is held out."""
    parts = [divide(expand(pattern), _ONE_IN) for pattern in patterns]
    train = dict.fromkeys(sentence for part in parts for sentence in part.train)
    held_out = dict.fromkeys(sentence for part in parts for sentence in part.held_out)
    return Parts(tuple(train), tuple(sentence for sentence in held_out if sentence not in train))


def questions(bodies: Iterable[str], source: str) -> Parts:
    """Questions without their mark, each with and without something in front of it and behind it."""
    return wordings(
        f"[|Question: |Tell me: |Next: ]{body}[| according to the {source}| going by the {source}]?" for body in bodies
    )
