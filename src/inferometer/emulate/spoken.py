# SPDX-License-Identifier: Apache-2.0
"""What an emulated model says: how many tokens, which, and which of them come in one event.

Rule 1: decided when the request comes, by the seed and the prompt alone: the same request gets the same answer. One
    that the mind has is said as it is, and random words after it if it has to be longer.
Rule 2: a model left to itself answers short questions shortly, so that a length that was only luck is seen as that.
"""

from __future__ import annotations

import math
import random
import zlib
from dataclasses import dataclass
from typing import Literal, NamedTuple

from inferometer.emulate import tokens
from inferometer.emulate.tokens import Tokens

_WAVE_RATIO = 0.05  # share of tokens at which a wave begins
_MERGED_RATIO = 0.15  # share of events that hold two tokens
_NATURAL_SIGMA = 0.5


@dataclass(frozen=True, slots=True)
class Style:
    """How tokens become events.

    `halves`: what becomes of a token that is no whole character: there are none, its event is empty, or there is no
    event at all. `merges`: some events hold two tokens. `ends_with_mark`: the end of the text is a token of the answer.
    """

    halves: Literal["none", "empty", "silent"] = "none"
    merges: bool = False
    ends_with_mark: bool = False


class Event(NamedTuple):
    """Tokens that leave together, due when `n_done` tokens are there."""

    n_done: int
    tokens: Tokens

    @property
    def text(self) -> str:
        return tokens.text_of(self.tokens)

    @property
    def ids(self) -> list[int]:
        return tokens.ids_of(self.tokens)

    @property
    def n_tokens(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answer. `is_cut`: it ends by its length, not by itself."""

    events: tuple[Event, ...]
    n_prompt_tokens: int
    n_output_tokens: int
    is_cut: bool

    @property
    def tokens(self) -> Tokens:
        return [token for event in self.events for token in event.tokens]

    @property
    def text(self) -> str:
        return tokens.text_of(self.tokens)


def natural_length(n_prompt_tokens: int, rng: random.Random) -> int:
    """How long an answer is if nobody says how long: about a quarter of the prompt."""
    return max(1, round(n_prompt_tokens / 4 * math.exp(rng.gauss(0, _NATURAL_SIGMA))))


def speak(
    *,
    seed: int,
    words: tuple[object, ...],
    n_prompt_tokens: int,
    n_most: int,
    n_least: int,
    ends: bool,
    style: Style,
    known: str | None = None,
) -> Spoken:
    """`ends`: the model may end before `n_most` tokens, but not before `n_least`. `known`: the answer of its mind."""
    rng = random.Random(f"{seed}/{zlib.crc32(' '.join(map(str, words)).encode())}")
    known_tokens = tokens.pieces(known or "")
    n_own = len(known_tokens) + style.ends_with_mark if known_tokens else natural_length(n_prompt_tokens, rng)
    n_natural = max(n_least, n_own)
    is_cut = not ends or n_natural >= n_most
    n_tokens = n_most if is_cut else n_natural
    waves = _waves(n_tokens, rng) if style.halves != "none" and not known_tokens else []
    has_end = style.ends_with_mark and not is_cut
    said = tokens.answer(n_tokens, rng.randrange(1000), waves, known_tokens[:n_tokens], has_end=has_end)
    return Spoken(tuple(_events(said, waves, style, rng)), n_prompt_tokens, n_tokens, is_cut)


def _waves(n_tokens: int, rng: random.Random) -> list[int]:
    """Where waves begin: not at the first token, nor at the last two, so that the ends of an answer are plain."""
    waves: list[int] = []
    for i in range(1, n_tokens - 3):
        if rng.random() < _WAVE_RATIO and (not waves or i > waves[-1] + 2):
            waves.append(i)
    return waves


def _events(said: Tokens, waves: list[int], style: Style, rng: random.Random) -> list[Event]:
    events: list[Event] = []
    begins = set(waves)
    group: Tokens = []
    for i, token in enumerate(said):
        group.append(token)
        is_half = i in begins and style.halves == "silent"
        is_held = style.merges and 0 < i < len(said) - 1 and len(group) == 1 and rng.random() < _MERGED_RATIO
        if not is_half and not is_held:
            events.append(Event(i + 1, group))
            group = []
    return events
