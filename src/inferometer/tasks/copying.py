# SPDX-License-Identifier: Apache-2.0
"""Copying: some words, to be said again exactly. Few words are shown alone; many are notes, and one note is asked for.

Rule 1: an answer has at most ten words, however long the context, so that what grows with length is the context and not
the number of chances to slip.
"""

from __future__ import annotations

from random import Random

from inferometer.tasks.depth import asked, depth_of
from inferometer.tasks.draw import below, pick
from inferometer.tasks.fresh import Fresh
from inferometer.tasks.passage import Passage, Task, Turn
from inferometer.tasks.split import Split
from inferometer.tasks.things import ALL_SETS
from inferometer.tasks.wording import wordings

MAX_WORDS = 10  # of one answer; more words than these are shown as notes
_MIN_NOTE = 3

ALONE = wordings(
    (
        "[Repeat|Say|Write|Copy] [these|the following] words[| exactly| one by one]: {words}",
        "[Repeat|Say|Write|Copy] [after me|just this|what follows][| exactly| once]: {words}",
        "[Repeat|Say|Write|Copy][| exactly| once][| and add nothing| without a change]: {words}",
    )
)
_HEADS = wordings(
    (
        "[Here|Below] [are|come] [|all |the ]NOTEs:",
        "[These|The following] are [the|all] NOTEs[:| to copy:]",
    )
)
NOTE_NAMES = ("note", "line", "card", "sign")
ASKED = wordings(
    (
        "[Repeat|Say|Write|Copy] the [words|text] of NOTE {name}[| exactly| word by word].",
        "[Repeat|Say|Write|Copy] what [is on|stands on] NOTE {name}[| exactly| word by word].",
        "[Repeat|Say|Write|Copy] NOTE {name}[| exactly| word by word][| and add nothing].",
        "[What is|What stands] on NOTE {name}[?| exactly?| word by word?]",
    )
)
_INSTRUCTIONS = wordings(
    (
        "[Answer with|Give|Write] [only|just] the words[.|, nothing else.|, in the same order.]",
        "[Answer with|Give|Write] the words [alone|by themselves|and nothing else][.|, in the same order.]",
    )
)


def make(split: Split, rng: Random, n_words: int, n_turns: int, depth: float | None) -> Passage:
    fresh = Fresh(split, rng)
    instruction = pick(rng, _INSTRUCTIONS.of(split))
    if n_words <= MAX_WORDS:
        turns = [_alone(split, rng, fresh, n_words) for _ in range(n_turns)]
        return Passage(instruction, "", tuple(turns), Task.COPYING)
    note = pick(rng, NOTE_NAMES)
    notes = _notes(rng, fresh, n_words)
    head = pick(rng, _HEADS.of(split)).replace("NOTE", note)
    context = "\n".join([head, *(f"{note.capitalize()} {name}: {words}" for name, words in notes)])
    turns = []
    for i in asked(rng, len(notes), n_turns, depth):
        name, words = notes[i]
        question = pick(rng, ASKED.of(split)).replace("NOTE", note).format(name=name)
        turns.append(Turn(question, words, Task.COPYING, depth_of(i, len(notes)), "note"))
    return Passage(instruction, context, tuple(turns), Task.COPYING)


def _alone(split: Split, rng: Random, fresh: Fresh, n_words: int) -> Turn:
    words = _words(rng, fresh, n_words)
    return Turn(pick(rng, ALONE.of(split)).format(words=words), words, Task.COPYING, None, "alone")


def _notes(rng: Random, fresh: Fresh, n_words: int) -> list[tuple[str, str]]:
    """Names and words of notes of three to ten words that have `n_words` together, or one or two more."""
    notes = []
    while n_words > 0:
        n = min(_MIN_NOTE + below(rng, MAX_WORDS - _MIN_NOTE + 1), max(n_words, _MIN_NOTE))
        notes.append((fresh.name(), _words(rng, fresh, n)))
        n_words -= n
    return notes


def _words(rng: Random, fresh: Fresh, n: int) -> str:
    """Of one kind, or of all kinds mixed; no word stands twice in a passage while the sets last."""
    kind = below(rng, 5)
    return " ".join(_word(rng, fresh, kind if kind < 4 else below(rng, 4)) for _ in range(n))


def _word(rng: Random, fresh: Fresh, kind: int) -> str:
    match kind:
        case 0:
            return fresh.name()
        case 1:
            return fresh.word()
        case 2:
            return fresh.number(3 + below(rng, 3))
        case _:
            return fresh.one_of(pick(rng, ALL_SETS))
