# SPDX-License-Identifier: Apache-2.0
"""The state of the server's caches before a run, brought about and written down; after it, the report and the verdict
hold it against the hits that the server told.

Rule 1: one of our own is emptied if it has a way: what was asked to get to know it is then forgotten, too.
Rule 2: one that somebody else runs is told to empty its caches only where it may know these prompts, and nobody said
no (--keep-caches).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inferometer.host.reset import Emptied
from inferometer.kinds import EMPTIED, NEW_PROMPTS, NEW_SERVER, NOT_KNOWN

_KEPT = "--keep-caches asked for that"


def settled(
    empty: Callable[[], Emptied],
    *,
    has_new_words: bool,
    is_our_server: bool,
    is_new_server: bool,
    keeps_caches: bool,
) -> dict[str, Any]:
    """What the caches can know, for the plan in the manifest. `empty`: has them emptied; called at most once.
    `has_new_words`: prompts are made of words that were drawn for this run; `is_new_server`: no run came before."""
    is_wanted = not keeps_caches and (is_our_server or not has_new_words)
    done = empty() if is_wanted else Emptied(not_emptied=_KEPT if keeps_caches else "")
    if has_new_words:
        state = NEW_PROMPTS
    elif done.by:
        state = EMPTIED
    else:
        state = NEW_SERVER if is_new_server else NOT_KNOWN
    return {"caches": state, "caches_emptied_by": done.by, "caches_not_emptied": done.not_emptied}
