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

import msgspec

from inferometer.emulate.batch import Batch, Pauses
from inferometer.emulate.emulation import Live, Setting, Wish
from inferometer.tasks import UNKNOWN_ANSWER
from inferometer.units import NS_PER_S

ChangeWish = Callable[[Wish, Setting, random.Random], Wish]
ChangeWishBeside = Callable[[Wish, int, random.Random, random.Random], Wish]
ChangeAnswer = Callable[[str, Wish, random.Random], str]
ChangeBatch = Callable[[Batch, Setting, random.Random], None]
ChangeSetting = Callable[[Setting, random.Random], Setting]
CountThreads = Callable[[Setting, random.Random], int]
BytesLeft = Callable[[random.Random], int]


class Defect(NamedTuple):
    """Where it lies; None: elsewhere.

    `on_wish`: what becomes of a request before the model sees it; `on_wish_beside`: when that many others are there;
    `on_answer`: of the answer that its mind has; `on_batch`: in how the engine goes through its iterations; `threads`:
    in how many requests it hears at a time; `on_setting`: in how it is started; `left`: bytes that each finished
    request leaves in its memory.
    """

    name: str
    says: str
    on_wish: ChangeWish | None = None
    on_wish_beside: ChangeWishBeside | None = None
    on_answer: ChangeAnswer | None = None
    on_batch: ChangeBatch | None = None
    threads: CountThreads | None = None
    on_setting: ChangeSetting | None = None
    left: BytesLeft | None = None


def change_wish(wish: Wish, setting: Setting) -> Wish:
    """What the engine makes of a request with the defects it has. The same draw for every request."""
    for defect, rng in _planted(setting):
        if defect.on_wish is not None:
            wish = defect.on_wish(wish, setting, rng)
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


def change_setting(setting: Setting) -> Setting:
    """How an engine with these defects is started."""
    for defect in DEFECTS:
        if defect.name in setting.defects and defect.on_setting is not None:
            setting = defect.on_setting(setting, random.Random(f"{setting.seed}/{defect.name}"))
    return setting


def bytes_left(setting: Setting) -> int:
    """What every finished request leaves behind in the engine's memory."""
    planted = [defect for defect in DEFECTS if defect.name in setting.defects]
    return sum(one.left(random.Random(f"{setting.seed}/{one.name}")) for one in planted if one.left is not None)


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


def _pause(batch: Batch, _: Setting, rng: random.Random) -> None:
    """The whole engine stands still for a fifth to half a second, every three to five seconds."""
    batch.pauses = Pauses(round(rng.uniform(3.0, 5.0) * NS_PER_S), round(rng.uniform(0.2, 0.5) * NS_PER_S))


def _serve_last_first(batch: Batch, _: Setting, __: random.Random) -> None:
    batch.serves_last_first = True


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


_MADE_UP = ("Aldervane", "4711", "blacksmith", "Quimber", "turquoise", "Hollowmere")


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


def _shrink_cache(setting: Setting, rng: random.Random) -> Setting:
    """Room for little more than one request of full length, as a real engine insists on."""
    return msgspec.structs.replace(setting, kv_tokens=round(setting.context * rng.uniform(1.0, 1.3)))


def _leave_behind(rng: random.Random) -> int:
    return round(2 ** rng.uniform(16, 18))  # 64 to 256 KiB


DEFECTS: tuple[Defect, ...] = (
    Defect("drops-middle", "of a long prompt the middle is dropped; its tokens are counted all the same", _drop_middle),
    Defect(
        "caps-context", "of a prompt longer than a part of the context that it tells, the head is cut", _cap_context
    ),
    Defect(
        "shortens-answers", "no answer has more tokens than a part of the context, whatever is asked", _shorten_answers
    ),
    Defect("pauses", "every few seconds the whole engine stands still for a moment", on_batch=_pause),
    Defect("last-come-first", "of those that wait, whoever came last is served first", on_batch=_serve_last_first),
    Defect(
        "differs-under-load",
        "with others in flight some requests lose a part of their prompt, by chance",
        on_wish_beside=_lose_blocks,
    ),
    Defect("invents-answers", "what it does not know it answers all the same", on_answer=_invent),
    Defect("prefill-alone", "while a prompt is computed, whole, nobody else gets a token", on_batch=_prefill_alone),
    Defect(
        "few-threads",
        "fewer requests are heard at a time than there are slots; others wait uncounted",
        threads=_few_threads,
    ),
    Defect("throttles", "after a minute of work (--throttled-after) every iteration takes longer", on_batch=_throttle),
    Defect(
        "small-cache",
        "the cache has room for little more than one request of full length",
        on_setting=_shrink_cache,
    ),
    Defect("leaks-memory", "every finished request leaves some of its memory behind", left=_leave_behind),
)
