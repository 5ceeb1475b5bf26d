# SPDX-License-Identifier: Apache-2.0
"""Passages and items of any task, and how large they have to be to have so many tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import Random

from inferometer.tasks import arithmetic, copying, grounded, retrieval
from inferometer.tasks.passage import Item, Passage, Task, prompt
from inferometer.tasks.split import Split

CountTokens = Callable[[str], int]

_N_PROBES = 8  # prompts that are counted to learn how many tokens a fact takes


def make_passage(
    task: Task, split: Split, rng: Random, *, n_facts: int, n_turns: int = 1, depth: float | None = None
) -> Passage:
    """`n_facts` is the size: pairs of a list (retrieval), words (copying), facts of the paragraph (grounded, unknown),
    worked examples in front (arithmetic; the others need at least one).

    Where no further question is left the turns are fewer than asked for. `depth` is that of the first question's fact;
    tasks whose answer lies nowhere ignore it.
    """
    if n_facts < smallest_size(task) or n_turns < 1:
        raise ValueError(f"{task} with {n_facts} facts and {n_turns} turns")
    match task:
        case Task.RETRIEVAL:
            return retrieval.make(split, rng, n_facts, n_turns, depth)
        case Task.COPYING:
            return copying.make(split, rng, n_facts, n_turns, depth)
        case Task.ARITHMETIC:
            return arithmetic.make(split, rng, n_facts, n_turns)
        case Task.GROUNDED | Task.UNKNOWN:
            return grounded.make(task, split, rng, n_facts, n_turns, depth)


def make_item(task: Task, split: Split, seed: int, index: int, *, n_facts: int, depth: float | None = None) -> Item:
    """One question; the same from the same arguments, everywhere. Items of the same index are of the same kind,
    whatever their size and depth."""
    rng = Random(f"{task}/{split}/{seed}/{index}")
    return Item(task, split, seed, index, n_facts, make_passage(task, split, rng, n_facts=n_facts, depth=depth))


def n_facts_for(task: Task, split: Split, n_tokens: int, count: CountTokens) -> int:
    """The size whose prompts have about `n_tokens` tokens, as `count` counts them; not below the smallest."""
    smallest = smallest_size(task)
    n_near, n_far = 16, 48
    near, far = (_mean_tokens(task, split, n, count) for n in (n_near, n_far))
    per_fact = (far - near) / (n_far - n_near)
    n_facts = max(smallest, n_near + round((n_tokens - near) / per_fact))
    # Once more from there: the first facts bring the wording around them, long lists have longer names.
    n_facts += round((n_tokens - _mean_tokens(task, split, n_facts, count)) / per_fact)
    return max(smallest, n_facts)


def items_of_tokens(
    task: Task,
    split: Split,
    seed: int,
    n_items: int,
    *,
    n_tokens: int,
    count: CountTokens,
    depths: Sequence[float | None] = (None,),
) -> Iterator[Item]:
    """Items whose prompts have at most `n_tokens` tokens and as many as whole facts allow, their depths taken in turn.

    An item of the smallest size may have more.
    """
    n_facts = n_facts_for(task, split, n_tokens, count)
    for index in range(n_items):
        make = partial(make_item, task, split, seed, index, depth=depths[index % len(depths)])
        yield _fitted(make, n_facts, smallest_size(task), n_tokens, count)


def _fitted(make: Callable[..., Item], n_facts: int, smallest: int, n_tokens: int, count: CountTokens) -> Item:
    """The longest of some sizes around `n_facts` that fits; length grows with size, but not evenly."""
    lengths: dict[int, int] = {}
    while n_facts not in lengths:
        length = lengths[n_facts] = count(make(n_facts=n_facts).prompt)
        n_more = math.floor((n_tokens - length) * max(n_facts, 1) / length)
        n_facts = max(smallest, n_facts + n_more)
    fitting = [n for n, length in lengths.items() if length <= n_tokens]
    n_facts = max(fitting, key=lengths.__getitem__) if fitting else min(lengths)
    while not fitting and n_facts > smallest:
        n_facts -= 1
        fitting = [n_facts] if count(make(n_facts=n_facts).prompt) <= n_tokens else []
    return make(n_facts=n_facts)


def smallest_size(task: Task) -> int:
    return 0 if task is Task.ARITHMETIC else 1


def _mean_tokens(task: Task, split: Split, n_facts: int, count: CountTokens) -> float:
    rng = Random(0)
    prompts = (prompt(make_passage(task, split, rng, n_facts=n_facts)) for _ in range(_N_PROBES))
    return sum(map(count, prompts)) / _N_PROBES
