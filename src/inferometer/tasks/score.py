# SPDX-License-Identifier: Apache-2.0
"""Right or wrong, without a judge; and the answers of those who understand nothing, to compare with.

Rule 1: an answer is right if it is the expected text, nothing else: blanks around it, one full stop behind it and
capital letters are all that is forgiven. An answer in a whole sentence is wrong; every prompt says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from inferometer.tasks.passage import Item, Task, Turn


def is_right(expected: Item | Turn | str, text: str) -> bool:
    answer = expected if isinstance(expected, str) else expected.answer
    return _plain(text) == _plain(answer)


def _plain(text: str) -> str:
    return text.strip().removesuffix(".").rstrip().casefold()


def majority_answer(answers: Iterable[str]) -> str:
    """The commonest answer, the first of them if there are several: what somebody says who has seen only answers.

    Raises: ValueError if there are none.
    """
    counted = Counter(answers).most_common(1)
    if not counted:
        raise ValueError("no answers to take the commonest of")
    return counted[0][0]


def copy_answer(item: Item) -> str:
    """What lies nearest: in copying all that follows the prompt's last colon, in arithmetic the last number, else the
    last word of the context."""
    match item.task:
        case Task.COPYING:
            return item.prompt.rpartition(":")[2].partition("\n")[0].strip()
        case Task.ARITHMETIC:
            return _last(r"\d+", item.turn.question)
        case Task.RETRIEVAL | Task.GROUNDED | Task.UNKNOWN:
            return _last(r"\w+", item.passage.context)


def _last(pattern: str, text: str) -> str:
    *_, found = re.finditer(pattern, text)
    return found[0]
