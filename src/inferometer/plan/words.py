# SPDX-License-Identifier: Apache-2.0
"""Words of which prompts are made: which of them are one token each for a tokenizer that can only be asked to count.

Rule 1: nothing is taken for granted of a tokenizer; a word is used because a count has shown it to be one token.
Rule 2: counting may cost a request, so groups are proven whole and halved only where they do not add up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Protocol

_PROOFS_BUDGET_S = 5.0  # spent on finding out which words are one token
_MAX_PROOFS = 600
_MIN_PROOFS = 12  # and as many as a counter may make that sends a request for each
_N_COSTLY_WORDS = 128  # the commonest; a prompt of that many tokens is still quick to read for any engine
_MIN_WORDS = 16  # fewer proven words make no prompts that differ
_MIN_STARTERS = 64
_MIN_WHOLE_WORDS = 256  # of the list that a tokenizer must know for the list to be used
_WORD = re.compile(r" [a-z]+")  # a piece that is a word, or could be one
_PLAIN = str.maketrans({"Ġ": " ", "▁": " ", "Ċ": "\n"})  # how BPE and SentencePiece write a space, and a line end


class TokenCounter(Protocol):
    """Something that knows how a server counts.

    `source`: for people, e.g. "the server's tokenizer". `cost_s`: what one count takes. `sends_requests`: each count is
    a request to the engine, so few are made, and a prefix cache will know what was counted.
    """

    @property
    def source(self) -> str: ...

    @property
    def cost_s(self) -> float: ...

    @property
    def sends_requests(self) -> bool: ...

    def count(self, prompt: str | tuple[tuple[str, str], ...]) -> int | None:
        """Tokens of a request with this prompt (or these messages), as the server will report them: chat template and
        special tokens included. None: cannot tell."""

    def pieces(self, text: str) -> Sequence[tuple[int, str]]:
        """(id, piece) of every token of the bare text, without special tokens; empty where that cannot be had."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words of one server.

    `words`: one token each after a space (if `is_proven`). `starters`: their first tokens at the beginning of a text
    all differ. `ids`: token id of each of `words`; empty where not known. `n_fixed`: what a request counts beyond its
    words. `tokens_per_word`: 1 if proven, else a mean.
    """

    words: tuple[str, ...]
    starters: tuple[str, ...]
    ids: tuple[int, ...] = ()
    n_fixed: int = 0
    tokens_per_word: float = 1.0
    is_proven: bool = True
    is_counted: bool = True  # False: nobody tells counts, one token per word is a guess


@lru_cache(maxsize=1)
def common_words() -> tuple[str, ...]:
    """The list that ships with the package, commonest first."""
    text = (resources.files("inferometer.plan") / "words.txt").read_text(encoding="utf-8")
    return tuple(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


def learn(counter: TokenCounter, words: Sequence[str] | None = None) -> Vocabulary:
    """What of `words` (by default those of the package) this counter's server takes as one token each.

    A tokenizer that knows few of them (a small one, or of another language) lends its own pieces as words.
    """
    words = common_words() if words is None else words
    ids = {piece[1:]: token_id for token_id, piece in _plain(counter.pieces(" ".join(words))) if _WORD.fullmatch(piece)}
    likely = [word for word in words if word in ids] if ids else list(words)
    if ids and len(likely) < _MIN_WHOLE_WORDS:
        likely = list(ids)
    if counter.sends_requests:
        likely = likely[:_N_COSTLY_WORDS]
    starters = _starters(_plain(counter.pieces("\n".join(likely))), likely)
    lead = (starters or likely)[0]
    n_lead = counter.count(lead)
    if n_lead is None:
        return Vocabulary(tuple(words), tuple(words), is_proven=False, is_counted=False)
    n_affordable = _MIN_PROOFS if counter.sends_requests else int(_PROOFS_BUDGET_S / max(counter.cost_s, 1e-6))
    proven = _prove(counter, lead, n_lead, likely, max(_MIN_PROOFS, min(_MAX_PROOFS, n_affordable)))
    if len(proven) < _MIN_WORDS:
        return _estimate(counter, words[:_N_COSTLY_WORDS])
    return Vocabulary(
        words=tuple(proven),
        starters=tuple(starters or proven),
        ids=tuple(ids[word] for word in proven) if ids else (),
        n_fixed=n_lead - 1,
    )


def _plain(pieces: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    return [(token_id, piece.translate(_PLAIN)) for token_id, piece in pieces]


def _prove(counter: TokenCounter, lead: str, n_lead: int, words: Sequence[str], max_proofs: int) -> list[str]:
    """Those of `words` that add one token each to a text beginning with `lead`, in their order.

    A group whose count is as long as the group holds no longer word, since none adds less than one.
    """
    proven: set[str] = set()
    groups = [list(words)] if words else []
    for _ in range(max_proofs):
        if not groups:
            break
        group = groups.pop(0)
        if counter.count(" ".join([lead, *group])) == n_lead + len(group):
            proven.update(group)
        elif len(group) > 1:
            middle = len(group) // 2
            groups += [group[:middle], group[middle:]]
    return [word for word in words if word in proven]


def _estimate(counter: TokenCounter, words: Sequence[str]) -> Vocabulary:
    """For tokenizers that cut all words to pieces (bytes, other languages), and servers with counts of their own."""
    n_first, n_all = counter.count(words[0]), counter.count(" ".join(words))
    if n_first is None or n_all is None or n_all <= n_first:
        return Vocabulary(tuple(words), tuple(words), is_proven=False, is_counted=False)
    per_word = (n_all - n_first) / (len(words) - 1)
    n_fixed = max(0, round(n_first - per_word))
    return Vocabulary(tuple(words), tuple(words), n_fixed=n_fixed, tokens_per_word=per_word, is_proven=False)


def _starters(pieces: Sequence[tuple[int, str]], words: Sequence[str]) -> list[str]:
    """Words whose first token at the beginning of a line is no other's; those of one token alone if there are enough.

    `pieces`: of the words, one on each line. Returns nothing if the lines cannot be told apart.
    """
    lines: list[list[int]] = [[]]
    for token_id, piece in pieces:
        if "\n" in piece:
            lines.append([])
        else:
            lines[-1].append(token_id)
    if len(lines) != len(words) or not all(lines):
        return []
    whole = [word for word, line in zip(words, lines, strict=True) if len(line) == 1]
    if len(whole) >= _MIN_STARTERS:
        return whole
    by_first: dict[int, str] = {}
    for word, line in sorted(zip(words, lines, strict=True), key=lambda pair: len(pair[1])):
        by_first.setdefault(line[0], word)
    return list(by_first.values())
