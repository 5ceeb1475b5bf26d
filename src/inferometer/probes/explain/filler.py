# SPDX-License-Identifier: Apache-2.0
"""Prompts of an exact number of tokens, as the server counts them, template included: one word, over and over.

Rule 1: the first words are the same in all, so that a prefix cache spares the server most of the work.
Rule 2: a word is taken only if so many of them are shown to cost just as many tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.errors import EngineError
from inferometer.host.counting import ServerCounter
from inferometer.probes.bench import Bench

_WORDS = ("a", "1", "the", "x", "water")
_FEW, _MANY = 16, 80  # words of the two prompts that are counted for each


@dataclass(slots=True)
class Counting:
    """Counts prompts by the server's own tokenizer, or, where it offers none, by the usage of an answer.

    `n_asked`: how often its tokenizer was asked; requests for usage are counted by the bench."""

    bench: Bench
    counter: ServerCounter | None
    n_asked: int = 0

    @property
    def source(self) -> str:
        return "the server's tokenizer" if self.counter is not None else "the usage of answers"

    def count(self, text: str) -> int | None:
        if self.counter is not None:
            self.n_asked += 1
            return self.counter.count(text)
        return self.bench.probe(text, 1).n_prompt_tokens


def counting(bench: Bench) -> Counting:
    facts = bench.facts
    if facts.counts_by != "server":
        return Counting(bench, None)
    counter = ServerCounter(bench.control, bench.engine, facts.model, is_chat=bench.dialect.is_chat)
    return Counting(bench, counter if counter.find_way() else None)


@dataclass(frozen=True, slots=True)
class Filler:
    """`n_fixed`: tokens beside the words; `grain`: tokens of a word, by which lengths can be chosen."""

    word: str
    n_fixed: int
    grain: int

    def prompt(self, n_tokens: int) -> tuple[str, int]:
        """The longest prompt of at most so many tokens, and how many it has."""
        n_words = max(1, (n_tokens - self.n_fixed) // self.grain)
        return " ".join([self.word] * n_words), self.n_fixed + n_words * self.grain


def filler(count: Counting) -> Filler:
    """Raises: EngineError if the server counts no prompt, or no word costs the same every time."""
    found: list[Filler] = []
    for word in _WORDS:
        few, many = (count.count(" ".join([word] * n)) for n in (_FEW, _MANY))
        if few is None or many is None:
            raise EngineError(
                "the server tells neither how many tokens a prompt has nor the usage of an answer: its limit cannot be "
                "found in tokens",
                "measure an engine, or an API of it (--api), that tells usage",
            )
        grain, rest = divmod(many - few, _MANY - _FEW)
        if grain >= 1 and not rest:
            found.append(Filler(word, few - _FEW * grain, grain))
        if grain == 1 and not rest:
            break
    if not found:
        raise EngineError("no word costs the same number of tokens every time: the limit cannot be found in tokens")
    return min(found, key=lambda one: one.grain)
