# SPDX-License-Identifier: Apache-2.0
"""Defects that any emulated engine can be given: faults that a measurement has to find by what they do.

Rule 1: a defect never refuses and tells nobody: status and reason are those of a healthy answer.
Rule 2: how large it is, is drawn from the seed of the setting, so that no detection can be tuned to one size.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from inferometer.emulate.emulation import Live, Setting, Wish
from inferometer.tasks import UNKNOWN_ANSWER

ChangeWish = Callable[[Wish, Setting, random.Random], Wish]
ChangeAnswer = Callable[[str, Wish, random.Random], str]
_MADE_UP = ("Aldervane", "4711", "blacksmith", "Quimber", "turquoise", "Hollowmere")  # of nobody's prompts


class Defect(NamedTuple):
    """`on_wish`: what becomes of a request before the model sees it; `on_wish_beside`: when that many others are there;
    `on_answer`: what becomes of the answer that its mind has. None: the defect lies elsewhere."""

    name: str
    says: str
    on_wish: ChangeWish | None = None
    on_wish_beside: Callable[[Wish, int, random.Random, random.Random], Wish] | None = None
    on_answer: ChangeAnswer | None = None


def change_wish(wish: Wish, setting: Setting) -> Wish:
    """What the engine makes of a request with the defects it has. The same draw for every request."""
    for defect in DEFECTS:
        if defect.name in setting.defects and defect.on_wish is not None:
            wish = defect.on_wish(wish, setting, random.Random(f"{setting.seed}/{defect.name}"))
    return wish


def change_wish_beside(wish: Wish, live: Live) -> Wish:
    """What becomes of a request because of those beside it: by chance, so another time it may be spared."""
    setting = live.setting
    for defect in DEFECTS:
        if defect.name in setting.defects and defect.on_wish_beside is not None:
            of_all = random.Random(f"{setting.seed}/{defect.name}")
            of_this = random.Random(f"{setting.seed}/{defect.name}/{live.n_asked}")
            wish = defect.on_wish_beside(wish, live.n_in_flight, of_all, of_this)
    return wish


def change_answer(known: str | None, wish: Wish, setting: Setting) -> str | None:
    """What the engine makes of an answer: always the same of the same request."""
    for defect in DEFECTS:
        if defect.name in setting.defects and defect.on_answer is not None and known is not None:
            known = defect.on_answer(known, wish, random.Random(f"{setting.seed}/{defect.name}"))
    return known


def _drop_middle(wish: Wish, setting: Setting, rng: random.Random) -> Wish:
    """Prompts beyond a length keep their two ends; the count of tokens is that of all that came."""
    n_kept = round(setting.context * rng.uniform(0.2, 0.6))
    if wish.n_prompt_tokens <= n_kept:
        return wish
    n_ends = n_kept // 2
    return replace(wish, words=wish.words[:n_ends] + wish.words[-n_ends:])


def _cap_context(wish: Wish, setting: Setting, rng: random.Random) -> Wish:
    """Beyond a length the head of a prompt goes, and is not counted either."""
    n_kept = round(setting.context * rng.uniform(0.2, 0.8))
    if wish.n_prompt_tokens <= n_kept:
        return wish
    return replace(wish, n_prompt_tokens=n_kept, words=wish.words[-n_kept:])


def _shorten_answers(wish: Wish, setting: Setting, rng: random.Random) -> Wish:
    """No answer is longer than this, whatever is asked for."""
    return replace(wish, n_most=min(wish.n_most, round(setting.context * rng.uniform(0.02, 0.3))))


def _lose_blocks(wish: Wish, n_beside: int, of_all: random.Random, of_this: random.Random) -> Wish:
    """With a few others in flight, some requests lose a part of what the engine holds of their prompt."""
    n_least, share, lost = of_all.randint(1, 4), of_all.uniform(0.15, 0.6), of_all.uniform(0.25, 0.6)
    if n_beside < n_least or of_this.random() > share:
        return wish
    n_lost = round(len(wish.words) * lost)
    start = of_this.randrange(len(wish.words) - n_lost + 1)
    return replace(wish, words=wish.words[:start] + wish.words[start + n_lost :])


def _invent(known: str, wish: Wish, rng: random.Random) -> str:
    """What is not known is answered all the same: with a name out of the prompt, or with a word of its own."""
    share, is_of_text = rng.uniform(0.25, 1.0), rng.random() < 0.5
    of_this = random.Random(zlib.crc32(" ".join(map(str, wish.words)).encode()))
    if known != UNKNOWN_ANSWER or of_this.random() > share:
        return known
    names = [word.strip(".,:;?") for word in map(str, wish.words) if word[:1].isupper()]
    return of_this.choice(names) if is_of_text and names else of_this.choice(_MADE_UP)


DEFECTS: tuple[Defect, ...] = (
    Defect("drops-middle", "of a long prompt the middle is dropped; its tokens are counted all the same", _drop_middle),
    Defect(
        "caps-context", "of a prompt longer than a part of the context that it tells, the head is cut", _cap_context
    ),
    Defect(
        "shortens-answers", "no answer has more tokens than a part of the context, whatever is asked", _shorten_answers
    ),
    Defect(
        "differs-under-load",
        "with others in flight some requests lose a part of their prompt, by chance",
        on_wish_beside=_lose_blocks,
    ),
    Defect("invents-answers", "what it does not know it answers all the same", on_answer=_invent),
)
