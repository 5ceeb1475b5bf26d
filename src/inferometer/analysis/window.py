# SPDX-License-Identifier: Apache-2.0
"""The longest prompt that a server takes whole: which length is tried next, and what all that were tried come to.

    advertised, numbers in refusals, counts of cut prompts -> lengths worth a try -> else x4 upward, then halving

Rule 1: pure. A trial is what was sent and what was counted; whoever sends it is elsewhere.
Rule 2: a refusal is read by its numbers, never by its words: every engine has others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

FIRST = 1_024  # tokens of the first prompt where nothing is known
GROWTH = 4
MOST_TOKENS = 1 << 22  # a server that takes four million is not asked for more
MOST = 30  # requests of a search; a number that is told and true ends it within 12
_MOST_HINTS = 3  # numbers of one refusal that are believed
_LEAST, _MOST_DIGITS = 64, 9  # of a number that could be a limit
_NUMBER = re.compile(r"\d+")

What = Literal["whole", "cut", "refused", "lost"]


class Trial(msgspec.Struct, frozen=True):
    """A prompt of `n_sent` tokens, template included, that asked for one token of answer.

    `n_counted`: what the answer says that the prompt had, None if it does not say. `what`: taken whole; fewer tokens
    counted than sent; refused; or no answer came at all. `said`: the server's own words.
    """

    n_sent: int
    what: What
    n_counted: int | None = None
    status: int = 200
    said: str = ""


class Window(msgspec.Struct, frozen=True):
    """`longest`: tokens of the longest prompt seen to be taken whole; `beyond`: the shortest that was not.

    `is_exact`: one token lies between them. `why`: the search ended before, "" if it did not.
    """

    advertised: int | None
    longest: int | None
    beyond: Trial | None
    is_exact: bool
    n_requests: int
    trials: list[Trial]
    why: str = ""

    @property
    def cuts(self) -> bool:
        """What is too long is shortened without a word."""
        return self.beyond is not None and self.beyond.what == "cut"


def next_size(advertised: int | None, trials: Sequence[Trial], *, grain: int = 1) -> int | None:
    """Tokens of the prompt to try now; None when the search is over. `grain`: tokens by which prompts can grow."""
    low, high = bounds(trials)
    tried = {trial.n_sent for trial in trials}
    if len(trials) >= MOST or (high is not None and high.n_sent - low <= grain):
        return None
    if high is not None and high.what == "lost":
        return None  # what brought it down once is not sent again
    ceiling = high.n_sent if high is not None else None
    for hint in _hints(advertised, trials):
        for size in (hint, hint - 1, hint + 1):
            if low < size and (ceiling is None or size < ceiling) and size not in tried:
                return size
    if ceiling is None:
        size = low * GROWTH if low else FIRST
        return size if size <= MOST_TOKENS else None
    return (low + ceiling) // 2


def bounds(trials: Sequence[Trial]) -> tuple[int, Trial | None]:
    """The longest that was taken whole (0: none), and the shortest beyond it that was not."""
    failing = [trial for trial in trials if trial.what != "whole"]
    high = min(failing, key=lambda trial: trial.n_sent, default=None)
    whole = [trial.n_sent for trial in trials if trial.what == "whole"]
    low = max((n for n in whole if high is None or n < high.n_sent), default=0)
    return low, high


def conclude(advertised: int | None, trials: Sequence[Trial], *, grain: int = 1, why: str = "") -> Window:
    low, high = bounds(trials)
    is_exact = high is not None and low > 0 and high.n_sent - low <= grain
    if not is_exact and not why:
        why = f"{len(trials)} requests did not decide it" if high is not None else f"none was seen up to {low:,} tokens"
    return Window(advertised, low or None, high, is_exact, len(trials), list(trials), "" if is_exact else why)


def _hints(advertised: int | None, trials: Sequence[Trial]) -> list[int]:
    """Lengths that the server itself speaks of, the latest first."""
    told = [hint for trial in reversed(trials) for hint in _numbers(trial)]
    # The very length that was sent may be the limit, or no more than what was sent: it is believed once, and last.
    refused = [trial for trial in trials if trial.what == "refused"]
    own = [one.n_sent for one in refused[:1] if one.n_sent in numbers_in(one.said, below=one.n_sent + 1)]
    return [*told, *([advertised] if advertised is not None else []), *own]


def _numbers(trial: Trial) -> list[int]:
    """Of a prompt that was not taken: numbers smaller than it that could be the limit, the largest first."""
    if trial.what == "cut":
        return [trial.n_counted] if trial.n_counted is not None else []
    if trial.what != "refused":
        return []
    return [n for n in numbers_in(trial.said, below=trial.n_sent) if n != trial.status][:_MOST_HINTS]


def numbers_in(said: str, *, below: int) -> list[int]:
    """Of a refusal: those that could be a limit, the largest first."""
    digits = re.sub(r"(?<=\d),(?=\d{3}\b)", "", said)
    found = {int(word) for word in _NUMBER.findall(digits) if len(word) <= _MOST_DIGITS}
    return sorted((n for n in found if _LEAST <= n < below), reverse=True)
