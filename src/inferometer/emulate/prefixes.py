# SPDX-License-Identifier: Apache-2.0
"""The prefix cache: which beginnings of prompts an emulated engine need not compute again.

Rule 1: whole blocks only, each known by all that comes before it; the last token of a prompt is always computed.
"""

from __future__ import annotations

from collections.abc import Sequence

BLOCK_TOKENS = 16


def chain(words: Sequence[object]) -> tuple[int, ...]:
    """Blocks of a prompt: the hash of each together with all before it."""
    hashes: list[int] = []
    last = 0
    for i in range(BLOCK_TOKENS, len(words) + 1, BLOCK_TOKENS):
        last = hash((last, tuple(words[i - BLOCK_TOKENS : i])))
        hashes.append(last)
    return tuple(hashes)


class PrefixCache:
    """Blocks, the least recently used leaving first. `capacity_tokens` 0: nothing is ever kept."""

    def __init__(self, capacity_tokens: int) -> None:
        self._n_blocks = capacity_tokens // BLOCK_TOKENS
        self._blocks: dict[int, None] = {}  # in the order of their last use

    def match(self, blocks: Sequence[int], n_prompt_tokens: int) -> int:
        """How many tokens of a prompt are there."""
        n_found = 0
        for block in blocks:
            if block not in self._blocks:
                break
            n_found += 1
        self.add(blocks[:n_found])
        return min(n_found * BLOCK_TOKENS, max(0, n_prompt_tokens - 1))

    def add(self, blocks: Sequence[int]) -> None:
        for block in blocks:
            self._blocks.pop(block, None)
            self._blocks[block] = None
        while len(self._blocks) > self._n_blocks:
            del self._blocks[next(iter(self._blocks))]

    def clear(self) -> None:
        self._blocks.clear()
