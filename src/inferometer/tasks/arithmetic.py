# SPDX-License-Identifier: Apache-2.0
"""Arithmetic: a plus b, and a minus b where that is not below zero, with a and b from 0 to 99.

Rule 1: what is held out is the sum itself: 47 + 38 and 38 + 47 are one sum, and no wording of it is trained on.
"""

from __future__ import annotations

from random import Random

from inferometer.tasks.draw import below, pick
from inferometer.tasks.passage import Passage, Task, Turn
from inferometer.tasks.split import Split, split_of
from inferometer.tasks.wording import wordings

_LIMIT = 100
PLUS = wordings(
    (
        "[What is|How much is|How many are] {a} [plus|+|and] {b}[?| in all?]",
        "[Work out|Calculate|Find|Say] {a} [plus|+] {b}[.| now.]",
        "[Add|Now add|Please add] {b} to {a}[.| and say it.]",
        "[Work out|Find|Say|Give] the sum of {a} and {b}[.| now.]",
        "[Sum|Question|Next]: {a} [plus|+|and] {b} [= ?|is what?]",
    )
)
MINUS = wordings(
    (
        "[What is|How much is] {a} [minus|-|less] {b}[?| now?]",
        "[Work out|Calculate|Find|Say] {a} [minus|-] {b}[.| now.]",
        "[Take|Subtract] {b} from {a}[.| now.| and say it.]",
        "[Work out|Find|Say|Give] the difference of {a} and {b}[.| now.]",
        "[Sum|Question|Next]: {a} [minus|-|less] {b} [= ?|is what?]",
    )
)
_INSTRUCTIONS = wordings(
    (
        "[Answer with|Give|Write] [only|just] the number[.|, nothing else.]",
        "[Answer with|Give|Write] the number [alone|by itself|and nothing else].",
    )
)
_WORKED = {
    "+": wordings(("{a} [plus|+|and] {b} [=|is|makes] {c}[.|;]",)),
    "-": wordings(("{a} [minus|-|less] {b} [=|is|makes] {c}[.|;]",)),
}


def make(split: Split, rng: Random, n_worked: int, n_turns: int) -> Passage:
    """`n_worked` sums stand worked out in the context: they change nothing but its length."""
    asked: set[str] = set()
    turns = []
    for _ in range(n_turns):
        sign, a, b, key = _draw(split, rng, asked)
        asked.add(key)
        question = pick(rng, (PLUS if sign == "+" else MINUS).of(split)).format(a=a, b=b)
        turns.append(Turn(question, str(_value(sign, a, b)), Task.ARITHMETIC, None, sign))
    worked = []
    for _ in range(n_worked):
        sign, a, b, _ = _draw(split, rng, asked)
        worked.append(pick(rng, _WORKED[sign].of(split)).format(a=a, b=b, c=_value(sign, a, b)))
    instruction = pick(rng, _INSTRUCTIONS.of(split))
    return Passage(instruction, " ".join(["Examples:", *worked]) if worked else "", tuple(turns), Task.ARITHMETIC)


def _value(sign: str, a: int, b: int) -> int:
    return a + b if sign == "+" else a - b


def _draw(split: Split, rng: Random, asked: set[str]) -> tuple[str, int, int, str]:
    """Sign and numbers of a sum that is not asked for, and its key, the same for a + b and b + a."""
    while True:
        sign = "+" if rng.random() < 0.5 else "-"
        a, b = below(rng, _LIMIT), below(rng, _LIMIT)
        low, high = min(a, b), max(a, b)
        key = f"{high}{sign}{low}"
        if key not in asked and split_of(key) is split:
            return (sign, a, b, key) if sign == "+" else (sign, high, low, key)
