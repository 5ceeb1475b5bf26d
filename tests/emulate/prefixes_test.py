# SPDX-License-Identifier: Apache-2.0
"""The prefix cache: whole blocks that agree from the first word on, the oldest leaving first."""

from __future__ import annotations

from inferometer.emulate.prefixes import BLOCK_TOKENS, PrefixCache, chain

WORDS = tuple(f"w{i}" for i in range(100))


def test_only_whole_blocks_count_and_never_the_last_token():
    cache = PrefixCache(10_000)
    cache.add(chain(WORDS))
    assert cache.match(chain(WORDS), 100) == 96
    assert cache.match(chain(WORDS[:50]), 50) == 48
    assert cache.match(chain(WORDS[:48]), 48) == 47


def test_a_block_is_known_by_all_before_it():
    cache = PrefixCache(10_000)
    cache.add(chain(WORDS))
    other = ("x", *WORDS[1:])
    assert cache.match(chain(other), 100) == 0
    late = (*WORDS[:40], "x", *WORDS[41:])
    assert cache.match(chain(late), 100) == 32


def test_what_was_not_used_for_longest_leaves_first():
    cache = PrefixCache(4 * BLOCK_TOKENS)
    first, second, third = (chain([f"{name}{i}" for i in range(32)]) for name in "abc")
    cache.add(first)
    cache.add(second)
    assert cache.match(first, 32) == 31
    cache.add(third)
    assert (cache.match(first, 32), cache.match(second, 32), cache.match(third, 32)) == (31, 0, 31)


def test_no_room_keeps_nothing_and_clearing_forgets():
    cache = PrefixCache(0)
    cache.add(chain(WORDS))
    assert cache.match(chain(WORDS), 100) == 0
    cache = PrefixCache(1000)
    cache.add(chain(WORDS))
    cache.clear()
    assert cache.match(chain(WORDS), 100) == 0
