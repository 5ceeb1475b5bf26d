# SPDX-License-Identifier: Apache-2.0
"""Log-probabilities in answers of the OpenAI routes: what to ask for, and how they are told.

Chat tells a list of tokens with their likeliest rivals, completions tell parallel lists; llama.cpp tells the first on
both routes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

N_TOP = 20  # the most that vLLM and the OpenAI API give; what is beyond is one lump
ASKED: dict[str, Mapping[str, Any]] = {
    "chat": {"logprobs": True, "top_logprobs": N_TOP},
    "completions": {"logprobs": N_TOP},
}  # by the name of the dialect; others have no fields that we know


class Likelihood(NamedTuple):
    """A token that was said, and the likeliest in its place, best first. Tokens in natural logarithms, and as text in
    which a part of a character is written in hexadecimal."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...]


class _Rival(msgspec.Struct):
    token: str = ""
    logprob: float | None = None
    bytes: list[int] | None = None


class _Told(_Rival):
    top_logprobs: list[_Rival] | None = None


class _Logprobs(msgspec.Struct):
    content: list[_Told] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float | None] | None] | None = None


class _Choice(msgspec.Struct):
    logprobs: _Logprobs | None = None


class _Event(msgspec.Struct):
    choices: list[_Choice] | None = None


_DECODER = msgspec.json.Decoder(_Event)


def likelihoods(data: bytes) -> list[Likelihood]:
    """Those that an event, or an answer in one piece, tells; none where it has none or is of another shape."""
    if b'"logprobs"' not in data:
        return []
    try:
        event = _DECODER.decode(data)
    except msgspec.DecodeError:
        return []  # whether it is an answer at all is the dialect's to say
    told = [choice.logprobs for choice in event.choices or () if choice.logprobs is not None]
    return [found for each in told for found in (_listed(each.content) if each.content else _parallel(each))]


def _listed(content: list[_Told]) -> list[Likelihood]:
    return [
        Likelihood(
            _name(told), told.logprob or 0.0, _best([(_name(one), one.logprob) for one in told.top_logprobs or ()])
        )
        for told in content
    ]


def _parallel(told: _Logprobs) -> list[Likelihood]:
    tokens, logprobs = told.tokens or [], told.token_logprobs or []
    tops = told.top_logprobs or [None] * len(tokens)
    return [
        Likelihood(token, logprob or 0.0, _best(list((top or {}).items())))
        for token, logprob, top in zip(tokens, logprobs, tops, strict=False)
    ]


def _best(rivals: list[tuple[str, float | None]]) -> tuple[tuple[str, float], ...]:
    known = [(name, logprob) for name, logprob in rivals if logprob is not None]
    return tuple(sorted(known, key=lambda rival: -rival[1]))


def _name(told: _Rival) -> str:
    """By its bytes where they are told: two engines may write the same part of a character differently."""
    if told.bytes is None:
        return told.token
    data = bytes(byte & 0xFF for byte in told.bytes)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"0x{data.hex()}"
