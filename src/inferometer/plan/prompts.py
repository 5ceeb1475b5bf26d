# SPDX-License-Identifier: Apache-2.0
"""Synthetic prompts: of the exact length that the server counts, and different from each other from the first token on.

Rule 1: prompt i begins with word i of a shuffled list; where that repeats, the second word differs, and where both
    repeat, the third. So no two of a vocabulary's worth share their first token, and no two at all their beginning.
Rule 2: a length is made by counting words, then checked by counting the prompt and corrected until it is exact; but a
    prompt is never sent to be counted, for then a prefix cache knows it.
Rule 3: everything is a function of the generator passed in and of the server's tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferometer.plan.words import TokenCounter, Vocabulary

Counts = npt.NDArray[np.int64]

CHECK_BUDGET_S = 3.0  # spent on counting prompts one by one; past it a sample is counted
_MAX_ROUNDS = 8
_FILLERS = (" a", ".", "!", " I", ",", ";", "1", "x")  # each one token, in nearly every tokenizer
_MAX_FILLERS = 16


@dataclass(frozen=True, slots=True)
class Prompts:
    """`prompts` in order; `lengths_from`: how their lengths were made exact; `n_inexact` of those counted are not."""

    prompts: tuple[str | tuple[int, ...], ...]
    lengths_from: str
    n_inexact: int = 0


def from_words(
    n_tokens: Counts, vocabulary: Vocabulary, counter: TokenCounter, rng: np.random.Generator, *, n_shared: int = 0
) -> Prompts:
    """Texts. `n_tokens[i]` is what the server shall count for request i, template included; the first `n_shared` tokens
    of the content are the same in all."""
    n_words = np.maximum(np.rint((n_tokens - vocabulary.n_fixed) / vocabulary.tokens_per_word), 1).astype(np.int64)
    first = vocabulary.words if n_shared else vocabulary.starters
    drawn = _draw(n_words, np.array(first, object), np.array(vocabulary.words, object), rng, n_shared)
    if n_shared:
        drawn = [[vocabulary.starters[0], *words[1:]] for words in drawn]
    if not vocabulary.is_counted:
        assumed = "one token per word assumed: the server tells no counts of prompts"
        return Prompts(tuple(map(" ".join, drawn)), assumed)
    if counter.sends_requests:
        return _tuned(drawn, n_tokens, vocabulary, counter)
    texts = list(map(" ".join, drawn))
    checked = _sample(n_words, counter.cost_s)
    n_corrected, n_inexact = _check(checked, drawn, texts, n_tokens, vocabulary, counter)
    if (n_corrected or n_inexact) and len(checked) < len(texts):
        seen = set(checked)
        rest = [i for i in range(len(texts)) if i not in seen]
        n_inexact += _check(rest, drawn, texts, n_tokens, vocabulary, counter)[1]
        checked = range(len(texts))
    amount = "every prompt" if len(checked) == len(texts) else f"{len(checked)} of {len(texts)} prompts"
    inexact = f", {n_inexact} of them inexact" if n_inexact else ""
    return Prompts(tuple(texts), f"{counter.source}, {amount} counted{inexact}", n_inexact)


def _tuned(drawn: Sequence[list[str]], n_tokens: Counts, vocabulary: Vocabulary, counter: TokenCounter) -> Prompts:
    """For a counter that sends a request for every count: a prompt of the plan must not be among them, or the server's
    prefix cache would know it. The shortest and the longest are tried with their words in reverse."""
    trials = sorted({int(np.argmin(n_tokens)), len(n_tokens) - 1 - int(np.argmax(n_tokens[::-1]))})
    errors = _errors(trials, drawn, n_tokens, counter)
    if errors and errors[0] and len(set(errors)) == 1:  # all by as much: something around the words was misjudged
        n_more = -round(errors[0] / vocabulary.tokens_per_word)
        drawn = [_lengthened(words, n_more, vocabulary) for words in drawn]
        errors = _errors(trials, drawn, n_tokens, counter)
    if not errors:
        return Prompts(tuple(map(" ".join, drawn)), f"{counter.source}, not checked")
    worst = max(map(abs, errors))
    result = f"off by up to {worst} tokens" if worst else "exact"
    amount = "1 trial" if len(errors) == 1 else f"{len(errors)} trials"
    return Prompts(tuple(map(" ".join, drawn)), f"{counter.source}, {result} in {amount}", len(errors) if worst else 0)


def _errors(indices: Sequence[int], drawn: Sequence[list[str]], n_tokens: Counts, counter: TokenCounter) -> list[int]:
    """Tokens counted beyond those asked for."""
    counts = [(i, counter.count(" ".join(reversed(drawn[i])))) for i in indices]
    return [n_counted - int(n_tokens[i]) for i, n_counted in counts if n_counted is not None]


def _lengthened(words: list[str], n_more: int, vocabulary: Vocabulary) -> list[str]:
    """With so many words more at the end, or (if negative) fewer."""
    if n_more <= 0:
        return words[: max(1, len(words) + n_more)]
    return words + [vocabulary.words[(len(words) + j) % len(vocabulary.words)] for j in range(n_more)]


def from_ids(n_tokens: Counts, vocabulary: Vocabulary, rng: np.random.Generator, *, n_shared: int = 0) -> Prompts:
    """Token ids of ordinary words, for routes that take them as the prompt: exact by construction."""
    ids = np.array(vocabulary.ids, np.int64)
    drawn = _draw(n_tokens, ids, ids, rng, n_shared)
    return Prompts(tuple(tuple(prompt) for prompt in drawn), "token ids")


def _draw(
    n_words: Counts, first: npt.NDArray[Any], words: npt.NDArray[Any], rng: np.random.Generator, n_shared: int
) -> list[list[Any]]:
    """Lists of `n_words[i]` words: the shared ones, then up to three that tell it from all others, then any."""
    firsts, others = rng.permutation(first).tolist(), rng.permutation(words).tolist()
    n_others = len(others)
    shared = words[rng.integers(len(words), size=n_shared)].tolist()
    drawn = []
    for i, n_own in enumerate((n_words - n_shared).tolist()):
        i_round, i_first = divmod(i, len(firsts))
        second = others[(i_round + i_first) % n_others]
        third = others[(i_round // n_others + i + n_others // 2) % n_others]
        own = words[rng.integers(len(words), size=max(n_own, 0))].tolist()
        own[:3] = [firsts[i_first], second, third][: len(own)]
        drawn.append(shared + own)
    return drawn


def _sample(n_words: Counts, cost_s: float) -> Sequence[int]:
    """Which prompts to count: all that the budget allows, spread over their lengths, the shortest and longest first."""
    n_checks = len(n_words) if cost_s <= 0 else int(CHECK_BUDGET_S / cost_s)
    if n_checks >= len(n_words):
        return range(len(n_words))
    by_length = np.argsort(n_words, kind="stable")
    picked: list[int] = by_length[np.linspace(0, len(n_words) - 1, n_checks).round().astype(int)].tolist()
    return picked


def _check(
    indices: Sequence[int],
    drawn: Sequence[list[str]],
    texts: list[str],
    n_tokens: Counts,
    vocabulary: Vocabulary,
    counter: TokenCounter,
) -> tuple[int, int]:
    """Count these prompts and put exact ones in their place in `texts`: how many were put right, how many are wrong."""
    n_corrected = n_inexact = 0
    for i in indices:
        n_asked = int(n_tokens[i])
        n_counted = counter.count(texts[i])
        if n_counted == n_asked or n_counted is None:
            n_inexact += n_counted is None
            continue
        texts[i], is_exact = _fit(drawn[i], n_asked, n_counted, vocabulary, counter)
        n_corrected += is_exact
        n_inexact += not is_exact
    return n_corrected, n_inexact


def _fit(
    words: list[str], n_asked: int, n_counted: int, vocabulary: Vocabulary, counter: TokenCounter
) -> tuple[str, bool]:
    """The text with words added or taken away until it counts `n_asked`, and whether it came out."""
    was_longer = False
    for _ in range(_MAX_ROUNDS):
        n_step = max(1, int(abs(n_asked - n_counted) / vocabulary.tokens_per_word))
        if n_counted > n_asked:
            was_longer = True
            words = _lengthened(words, -n_step, vocabulary)
        elif was_longer or n_asked - n_counted < vocabulary.tokens_per_word - 1e-9:
            break  # less than a word is missing
        else:
            words = _lengthened(words, n_step, vocabulary)
        counted = counter.count(" ".join(words))
        if counted is None or counted == n_asked:
            return " ".join(words), counted == n_asked
        n_counted = counted
    return _fill(" ".join(words), n_asked, n_counted, counter)


def _fill(text: str, n_asked: int, n_counted: int, counter: TokenCounter) -> tuple[str, bool]:
    """Reach the last few tokens with marks and letters."""
    for _ in range(_MAX_FILLERS):
        for filler in _FILLERS:
            counted = counter.count(text + filler)
            if counted is not None and n_counted < counted <= n_asked:
                text, n_counted = text + filler, counted
                break
        else:
            break
        if n_counted == n_asked:
            return text, True
    return text, False
