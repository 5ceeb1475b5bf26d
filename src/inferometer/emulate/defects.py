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

from inferometer.emulate.batch import Batch
from inferometer.emulate.emulation import Setting, Wish
from inferometer.units import NS_PER_S

ChangeWish = Callable[[Wish, Setting, random.Random], Wish]
ChangeBatch = Callable[[Batch, Setting, random.Random], None]
CountThreads = Callable[[Setting, random.Random], int]


class Defect(NamedTuple):
    """Where it lies: `on_wish`: what becomes of a request before the model sees it; `on_batch`: in how the engine goes
    through its iterations; `threads`: in how many requests it hears at a time."""

    name: str
    says: str
    on_wish: ChangeWish | None = None
    on_batch: ChangeBatch | None = None
    threads: CountThreads | None = None


def change_wish(wish: Wish, setting: Setting) -> Wish:
    """What the engine makes of a request with the defects it has. The same draw for every request."""
    for defect, rng in _planted(setting):
        if defect.on_wish is not None:
            wish = defect.on_wish(wish, setting, rng)
    return wish


def change_batch(batch: Batch, setting: Setting) -> None:
    """Plant in it what lies in how an engine works."""
    for defect, rng in _planted(setting):
        if defect.on_batch is not None:
            defect.on_batch(batch, setting, rng)


def n_threads(setting: Setting, n_usual: int | None) -> int | None:
    """Requests that are heard at a time, waiting ones included; None: no limit."""
    for defect, rng in _planted(setting):
        if defect.threads is not None:
            n_usual = defect.threads(setting, rng)
    return n_usual


def _planted(setting: Setting) -> list[tuple[Defect, random.Random]]:
    chosen = [defect for defect in DEFECTS if defect.name in setting.defects]
    return [(defect, random.Random(f"{setting.seed}/{defect.name}")) for defect in chosen]


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


def _prefill_alone(batch: Batch, _: Setting, __: random.Random) -> None:
    """Whoever is at a prompt has the engine for himself until it is computed, however long it is."""
    batch.prefills_alone = True


def _throttle(batch: Batch, setting: Setting, rng: random.Random) -> None:
    """From an instant after the first iteration on, every one takes longer by the same factor."""
    factor, begun_ns = rng.uniform(1.5, 2.5), -1

    def slowdown(t_ns: int) -> float:
        nonlocal begun_ns
        begun_ns = t_ns if begun_ns < 0 else begun_ns
        return factor if t_ns - begun_ns >= setting.throttled_after_s * NS_PER_S else 1.0

    batch.slowdown = slowdown


def _few_threads(setting: Setting, rng: random.Random) -> int:
    """A part of the slots."""
    return max(1, round(setting.slots * rng.uniform(0.15, 0.5)))


DEFECTS: tuple[Defect, ...] = (
    Defect("drops-middle", "of a long prompt the middle is dropped; its tokens are counted all the same", _drop_middle),
    Defect(
        "caps-context", "of a prompt longer than a part of the context that it tells, the head is cut", _cap_context
    ),
    Defect(
        "shortens-answers", "no answer has more tokens than a part of the context, whatever is asked", _shorten_answers
    ),
    Defect("prefill-alone", "while a prompt is computed, whole, nobody else gets a token", on_batch=_prefill_alone),
    Defect(
        "few-threads",
        "fewer requests are heard at a time than there are slots; others wait uncounted",
        threads=_few_threads,
    ),
    Defect("throttles", "after a minute of work (--throttled-after) every iteration takes longer", on_batch=_throttle),
)
