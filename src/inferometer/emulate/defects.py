# SPDX-License-Identifier: Apache-2.0
"""Defects that any emulated engine can be given: faults that a measurement has to find by what they do.

Rule 1: a defect never refuses and tells nobody: status and reason are those of a healthy answer.
Rule 2: how large it is, is drawn from the seed of the setting, so that no detection can be tuned to one size.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from inferometer.emulate.emulation import Setting, Wish

ChangeWish = Callable[[Wish, Setting, random.Random], Wish]


class Defect(NamedTuple):
    """`on_wish`: what becomes of a request before the model sees it; None: the defect lies elsewhere."""

    name: str
    says: str
    on_wish: ChangeWish | None = None


def change_wish(wish: Wish, setting: Setting) -> Wish:
    """What the engine makes of a request with the defects it has. The same draw for every request."""
    for defect in DEFECTS:
        if defect.name in setting.defects and defect.on_wish is not None:
            wish = defect.on_wish(wish, setting, random.Random(f"{setting.seed}/{defect.name}"))
    return wish


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


DEFECTS: tuple[Defect, ...] = (
    Defect("drops-middle", "of a long prompt the middle is dropped; its tokens are counted all the same", _drop_middle),
    Defect("caps-context", "of a prompt longer than a part of the context that it tells, the head is cut", _cap_context),
    Defect("shortens-answers", "no answer has more tokens than a part of the context, whatever is asked", _shorten_answers),
)
