# SPDX-License-Identifier: Apache-2.0
"""Where facts lie in a context, and which of them are asked for."""

from __future__ import annotations

from random import Random

from inferometer.tasks.draw import sample


def depth_of(i: int, n_facts: int) -> float:
    """Of fact `i` of `n_facts`, counted in facts: 0 the first, 1 the last."""
    return i / (n_facts - 1) if n_facts > 1 else 0.0


def asked(rng: Random, n_facts: int, n_turns: int, depth: float | None) -> list[int]:
    """Different facts, as many as there are turns if there are so many, the first of them at the depth given."""
    order = sample(rng, n_facts, min(n_turns, n_facts))
    if depth is None:
        return order
    first = round(depth * (n_facts - 1))
    return [first, *(i for i in order if i != first)][: len(order)]
