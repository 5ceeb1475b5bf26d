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

_MOST_WORDS = 12  # words; in a longer text "unknown" may be about anything
_ABSTENTION = re.compile(
    r"\bunknown\b|\bnot (?:stated|mentioned|given|told|specified|said|there|known|available)\b"
    r"|\bdo(?:es)?(?: not|n't|n\u2019t) (?:know|tell|say|mention|state)\b",
    re.IGNORECASE,
)


def is_right(expected: Item | Turn | str, text: str) -> bool:
    answer = expected if isinstance(expected, str) else expected.answer
    return plain(text) == plain(answer)


def is_abstention(text: str) -> bool:
    """Whether an answer says that it has none: the word that was asked for, or one of the short ways around it."""
    return len(text.split()) <= _MOST_WORDS and _ABSTENTION.search(text) is not None


def plain(text: str) -> str:
    """As answers are compared."""
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
