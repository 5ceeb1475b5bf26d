# SPDX-License-Identifier: Apache-2.0
"""What the server's caches can know of a run's prompts when it begins, for the manifest; the verdict holds it against
the hits that the server told.

Rule: a server that somebody else runs is not told to forget anything. Prompts that no cache can know, or a server of
our own, do without.
"""

from __future__ import annotations

from inferometer.kinds import NEW_PROMPTS, NEW_SERVER, NOT_KNOWN


def state_of(*, has_new_words: bool, is_our_server: bool) -> str:
    """`has_new_words`: prompts are made of words that were drawn for this run."""
    if has_new_words:
        return NEW_PROMPTS
    return NEW_SERVER if is_our_server else NOT_KNOWN
