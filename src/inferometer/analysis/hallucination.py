# SPDX-License-Identifier: Apache-2.0
"""Short answers to questions that a text answers or does not: right, wrong, or "unknown"; and what a wrong one costs.

Rule 1: all three are told. Who never says "unknown" is right more often, and wrong more often too.
Rule 2: an answer that is not in the text is either another thing of the text (mistaken) or in no text (made up).
Source: SimpleQA's scores; penalties t/(1-t) for "answer only if you are more than t sure"; Farquhar et al. 2024 for the
entropy of repeated answers, here over equal texts, which takes no judge.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from inferometer.analysis.number import Number, number_of
from inferometer.stats import Estimate, FloatArray, Missing, bootstrap, mean_estimate, wilson

Verdict = Literal["right", "wrong", "abstained"]
SURENESS = (0.5, 0.75, 0.9)  # an answer that is wrong costs t/(1-t): 1, 3, 9
MIN_OF_EACH = 5  # right and wrong ones, to say whether one gives the other away
_SEED = 5


@dataclass(frozen=True, slots=True)
class Judged:
    """One question. `is_told`: the text has the answer; then the right one, else "abstained" is as it should be.
    `is_in_text`: what was said stands in the text. `n_chars`: of what was said."""

    is_told: bool
    verdict: Verdict
    is_in_text: bool
    n_chars: int


class Score(msgspec.Struct, frozen=True):
    """`mean`: of 1 for right, 0 for "unknown", -t/(1-t) for wrong. Saying "unknown" to everything scores 0."""

    sureness: float
    penalty: float
    mean: Number


class Hallucination(msgspec.Struct, frozen=True):
    """`n_told`, `n_untold`: questions with and without an answer in the text.

    `invented`: share of those without that got one; `right`: of those with, that were answered right; `refused`: of
    those with, that got "unknown". `rate`: wrong answers over all that were not right, how often it was wrong when it
    did not know. `right_when_answering`: of all answers given. `f`: harmonic mean of `right` and that, over questions
    with an answer. `mistaken`: share of the wrong answers that are another thing of the text.
    """

    source: str
    n_told: int
    n_untold: int
    invented: Number
    right: Number
    refused: Number
    rate: Number
    right_when_answering: Number
    f: Number
    mistaken: Number
    scores: list[Score]


def hallucination(source: str, judged: Sequence[Judged]) -> Hallucination:
    told = [one for one in judged if one.is_told]
    untold = [one for one in judged if not one.is_told]
    n_right, n_wrong, n_abstained = (_count(judged, word) for word in ("right", "wrong", "abstained"))
    wrong = [one for one in judged if one.verdict == "wrong"]
    return Hallucination(
        source=source,
        n_told=len(told),
        n_untold=len(untold),
        invented=number_of(wilson(_count(untold, "wrong"), len(untold), of="questions without an answer")),
        right=number_of(wilson(_count(told, "right"), len(told), of="questions with an answer")),
        refused=number_of(wilson(_count(told, "abstained"), len(told), of="questions with an answer")),
        rate=number_of(wilson(n_wrong, n_wrong + n_abstained, of="answers that are not right")),
        right_when_answering=number_of(wilson(n_right, n_right + n_wrong, of="answers given")),
        f=number_of(_f([one.verdict for one in told])),
        mistaken=number_of(wilson(sum(one.is_in_text for one in wrong), len(wrong), of="wrong answers")),
        scores=[_score(judged, t) for t in SURENESS],
    )


def _count(judged: Sequence[Judged], verdict: Verdict) -> int:
    return sum(one.verdict == verdict for one in judged)


def _f(verdicts: Sequence[Verdict]) -> Estimate | Missing:
    """2 * right / (all + answered), the harmonic mean of right/all and right/answered."""
    values = np.array([{"right": 1.0, "wrong": 0.0, "abstained": -1.0}[verdict] for verdict in verdicts])

    def statistic(x: FloatArray) -> Any:
        return 2 * (x == 1).sum(axis=-1) / (x.shape[-1] + (x >= 0).sum(axis=-1))

    return bootstrap(values, statistic, unit="ratio", rng=np.random.default_rng(_SEED))


def _score(judged: Sequence[Judged], sureness: float) -> Score:
    penalty = sureness / (1 - sureness)
    worth = {"right": 1.0, "wrong": -penalty, "abstained": 0.0}
    points = np.array([worth[one.verdict] for one in judged])
    mean = (
        mean_estimate(points, unit="points", of="questions", n_eff=float(len(points)))
        if len(points) > 1
        else Missing("needs 2 questions", len(points), "points")
    )
    return Score(sureness, penalty, number_of(mean))


# --- repeated answers ----------------------------------------------------------------------------------------------


class Consistency(msgspec.Struct, frozen=True):
    """`n_samples` answers to each of `n_questions` at a temperature. `unanimous`: share of questions with one answer
    only; `entropy`: mean over questions, in nats, 0 to ln(n_samples). `gives_away`: how well the entropy tells wrong
    first answers from right ones (0.5: not at all, 1: always); `length_gives_away`: how well the mere length does."""

    n_questions: int
    n_samples: int
    temperature: float
    unanimous: Number
    entropy: Number
    gives_away: Number
    length_gives_away: Number


def entropy(answers: Sequence[str]) -> float:
    """Of equal answers, in nats."""
    shares = np.array(list(Counter(answers).values())) / len(answers)
    return float(-(shares * np.log(shares)).sum()) + 0.0


def consistency(
    samples: Sequence[Sequence[str]], judged: Sequence[Judged], *, temperature: float
) -> Consistency | None:
    """Shapes: samples, answers in plain writing, per question; judged, the greedy answer to each. None: no samples."""
    if not samples:
        return None
    entropies = np.array([entropy(answers) for answers in samples])
    is_wrong = np.array([one.verdict == "wrong" for one in judged])
    lengths = np.array([float(one.n_chars) for one in judged])
    spread: Estimate | Missing = Missing("needs 2 questions", len(samples), "nats")
    if len(samples) > 1:
        spread = mean_estimate(entropies, unit="nats", of="questions", n_eff=float(len(samples)))
    return Consistency(
        n_questions=len(samples),
        n_samples=len(samples[0]),
        temperature=temperature,
        unanimous=number_of(wilson(int((entropies == 0).sum()), len(samples), of="questions")),
        entropy=number_of(spread),
        gives_away=number_of(area(entropies, is_wrong)),
        length_gives_away=number_of(area(lengths, is_wrong)),
    )


def area(values: FloatArray, is_wrong: npt.NDArray[np.bool_]) -> Estimate | Missing:
    """Chance that a wrong one has a larger value than a right one (area under the ROC curve), with the standard error
    of Hanley & McNeil 1982."""
    wrong, right = values[is_wrong], values[~is_wrong]
    n_wrong, n_right = len(wrong), len(right)
    if min(n_wrong, n_right) < MIN_OF_EACH:
        return Missing(f"needs {MIN_OF_EACH} right and wrong, has {n_right} and {n_wrong}", n_right + n_wrong, "ratio")
    a = float((wrong[:, None] > right).mean() + (wrong[:, None] == right).mean() / 2)
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    variance = (a * (1 - a) + (n_wrong - 1) * (q1 - a * a) + (n_right - 1) * (q2 - a * a)) / (n_wrong * n_right)
    half = 1.96 * math.sqrt(max(variance, 0.0))
    method = f"chance that a wrong answer has more of it than a right one; Hanley-McNeil, {n_wrong} wrong"
    return Estimate(a, max(0.0, a - half), min(1.0, a + half), 0.95, n_wrong + n_right, "ratio", method)
