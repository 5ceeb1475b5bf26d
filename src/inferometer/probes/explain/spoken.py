# SPDX-License-Identifier: Apache-2.0
"""Answers as they are compared: their text, and the log-probabilities of their tokens where the server tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.analysis.agreement import Said, Token, without_end
from inferometer.engines.likelihoods import ASKED
from inferometer.probes.bench import Answered, Bench, Question

NOTHING = Said("", is_cut=False)  # what is not answered


def likelihood_fields(bench: Bench) -> tuple[Mapping[str, Any], str]:
    """What asks for log-probabilities, and why nothing does; that the server answers at all then is seen first.

    Raises: EngineError if nothing came.
    """
    wanted = ASKED.get(bench.facts.api)
    if wanted is None:
        return {}, f"not known how to ask for them over {bench.facts.api}"
    seen = bench.probe("Say one word.", 4, body_fields=wanted)
    if seen.error:
        return {}, f"the server refuses to tell them: {seen.error}"
    return wanted, "the server tells no log-probabilities"


def spoken(
    bench: Bench, word: str, questions: Sequence[Question], fields: Mapping[str, Any], *, concurrency: int = 1
) -> list[Said]:
    """One for each question, in their order. Raises: as Bench.ask."""
    found = bench.ask(word, questions, concurrency=concurrency, body_fields=fields)
    told = found.run.likelihoods() if fields else {}
    ids = [int(number) for number in found.run.trace().requests["id"]]
    said = [_said(answer, told.get(number, ())) for answer, number in zip(found.answers, ids, strict=True)]
    return said + [NOTHING] * (len(questions) - len(said))


def _said(answer: Answered, told: Sequence[Any]) -> Said:
    tokens = tuple(Token(*each) for each in told)
    is_cut = answer.finish == "length"
    return Said(answer.text, is_cut, tokens if is_cut else without_end(tokens, answer.text))
