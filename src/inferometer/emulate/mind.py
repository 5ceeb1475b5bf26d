# SPDX-License-Identifier: Apache-2.0
"""A mind for emulated engines: it reads the prompts of our own tasks and answers them right, as far as it got to see.

Rule 1: it knows the words of the prompt alone, without its lines, and after the engine cut it: what was cut away it
    does not know, and says so.
Rule 2: it shares the tables of wordings with the generators and nothing else; what it cannot read it has no answer to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from inferometer.tasks import UNKNOWN_ANSWER
from inferometer.tasks.arithmetic import MINUS, PLUS
from inferometer.tasks.copying import ALONE, ASKED, NOTE_NAMES
from inferometer.tasks.relations import RELATIONS
from inferometer.tasks.retrieval import NOUNS
from inferometer.tasks.split import Parts

MINDS = {
    "words": "random words, whatever is asked",
    "reader": "reads and answers the questions of our own tasks, says random words to all else",
}
_MOST_WORDS = 24  # of a question
_MARK = re.compile(r"<\|\w+\|>")
_NAME = re.compile(r"[A-Z][a-z]+")
_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"\w+")

Mind = Callable[[Sequence[object]], str | None]  # words of a prompt -> its answer, None if it has none
_Answer = Callable[[str, str], str]  # (what stands before the question, the name in it)


def mind_of(name: str) -> Mind:
    """One of MINDS, ready: the first question takes no longer than the next."""
    if name == "reader":
        _questions()
        return answer
    return lambda _: None


def answer(words: Sequence[object]) -> str | None:
    """The right answer to the question that a prompt ends with; None if it is none of ours."""
    text = " ".join(_MARK.sub(" ", " ".join(map(str, words))).split())
    for before, question in _ends(text):
        found = _sum(question)
        if found is None:
            found = _about(before, question)
        if found is not None:
            return found
    return _words_alone(text)


def _ends(text: str) -> Iterator[tuple[str, str]]:
    """The text divided before each of its last words, the longest end first."""
    starts = [0, *(found.end() for found in re.finditer(" ", text))][-_MOST_WORDS:]
    for start in starts:
        yield text[:start], text[start:]


def _about(before: str, question: str) -> str | None:
    """The answer to a question about something that has a name."""
    for name in _NAME.finditer(question):
        wording = f"{question[: name.start()]}{{}}{question[name.end() :]}"
        if wording in _questions():
            return _questions()[wording](before, name[0])
    return None


@cache
def _questions() -> dict[str, _Answer]:
    """Wording, with {} for the name -> how it is answered."""
    found: dict[str, _Answer] = {}
    for relation in RELATIONS:
        for wording in _all(relation.questions):
            found[wording.replace("{name}", "{}")] = _told(_all(relation.facts), "{name}")
    for noun in NOUNS:
        for wording in _all(noun.questions):
            found[wording.replace("{key}", "{}")] = _told((*_all(noun.marks), *_all(noun.sentences)), "{key}")
    for note in NOTE_NAMES:
        for wording in _all(ASKED):
            found[wording.replace("NOTE", note).replace("{name}", "{}")] = _noted(note.capitalize())
    return found


def _told(wordings: Sequence[str], slot: str) -> _Answer:
    """The value that a text tells of a name in one of the wordings."""
    halves = [wording.partition("{value}")[::2] for wording in wordings]

    def read(text: str, name: str) -> str:
        for head, tail in halves:
            head, tail = head.replace(slot, name), tail.replace(slot, name)
            at = text.find(head)
            while at >= 0:
                value = _WORD.match(text, at + len(head))
                if value and text.startswith(tail, value.end()) and not text[at - 1 : at].isalnum():
                    return value[0]
                at = text.find(head, at + 1)
        return UNKNOWN_ANSWER

    return read


def _noted(note: str) -> _Answer:
    """The words that stand on a note."""

    def read(text: str, name: str) -> str:
        _, is_there, rest = text.partition(f"{note} {name}: ")
        return re.split(rf"{note} [A-Z][a-z]+:", rest)[0].strip() if is_there else UNKNOWN_ANSWER

    return read


def _sum(question: str) -> str | None:
    numbers = list(_NUMBER.finditer(question))
    if len(numbers) != 2:
        return None
    first, second = numbers
    between = question[first.end() : second.start()]
    for a, b in ((first, second), (second, first)):
        names = ("{a}", "{b}") if a is first else ("{b}", "{a}")
        wording = f"{question[: first.start()]}{names[0]}{between}{names[1]}{question[second.end() :]}"
        if wording in PLUS.train or wording in PLUS.held_out:
            return str(int(a[0]) + int(b[0]))
        if wording in MINUS.train or wording in MINUS.held_out:
            return str(int(a[0]) - int(b[0]))
    return None


def _words_alone(text: str) -> str | None:
    """Words to be said again stand last, behind a colon."""
    head, _, words = text.rpartition(": ")
    is_asked = any(head.endswith(wording.removesuffix(": {words}")) for wording in _all(ALONE))
    return words if is_asked and words else None


def _all(parts: Parts) -> tuple[str, ...]:
    return (*parts.train, *parts.held_out)
