# SPDX-License-Identifier: Apache-2.0
"""One request as planned: engine-neutral, before any dialect has encoded it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy."""

    temperature: float = 0.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """`prompt`: text, or token ids where the API takes them. Token counts are those asked for.

    `messages` (a list of role/content dicts) replaces the single user turn of a chat when given.
    """

    id: int
    prompt: str | tuple[int, ...]
    n_prompt_tokens: int
    max_output_tokens: int
    sampling: Sampling = Sampling()
    is_streamed: bool = True
    messages: tuple[tuple[str, str], ...] | None = None
    session: int = 0
    turn: int = 0
