# SPDX-License-Identifier: Apache-2.0
"""A plan: requests times schedule, with a seed and a digest that does not depend on the engine."""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.plan.request import Request
from inferometer.plan.schedule import Schedule

PLAN_VERSION = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """`requests` are drawn in order, over all trials; request i of the tuple has id i.

    `digest`: sha256 over version, seed, lengths asked, sampling and schedule; not over prompt texts, which depend on
    the engine's tokenizer. `lengths_from`: how the prompt lengths were made exact ("token ids", "server tokenizer", ...).
    """

    requests: tuple[Request, ...]
    schedule: Schedule
    seed: int
    digest: str
    lengths_from: str = ""
