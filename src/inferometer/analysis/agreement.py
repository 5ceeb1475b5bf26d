# SPDX-License-Identifier: Apache-2.0
"""Whether two ways of serving say the same: where greedy answers part, how far probabilities are apart until then.

Rule 1: answers are compared token by token where both sides tell their tokens, else character by character; the end of
an answer counts as a token.
Rule 2: probabilities are compared only while both sides have the same text behind them: up to where they part, and the
position where they do.
Rule 3: an engine does not always repeat itself. What it does to itself, alone, is the floor, and a difference is a
difference only beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import msgspec
import numpy as np

from inferometer.analysis.number import Number, number_of
from inferometer.stats import Estimate, Missing, clopper_pearson, mean_estimate, wilson
from inferometer.stats.paired import rate, rate_ratio

TIE, REAL = 0.1, 1.0  # nats between the two best tokens: below the first a tie, above the second a change
_LEAST_P = 1e-6  # probabilities below are rounding
PER_TOKENS = 1_000
_END = "\0end"


@dataclass(frozen=True, slots=True)
class Token:
    """As the engine tells it. `top`: the likeliest tokens here, with their log-probabilities, best first."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """An answer. `is_cut`: it ended by its length. `tokens`: none where the engine does not tell them."""

    text: str
    is_cut: bool
    tokens: tuple[Token, ...] = ()

    def units(self, *, by_token: bool) -> list[str]:
        units = [token.text for token in self.tokens] if by_token else list(self.text)
        return units if self.is_cut else [*units, _END]


def without_end(tokens: Sequence[Token], text: str) -> tuple[Token, ...]:
    """The tokens of an answer that ended by itself. Some engines tell the end as one more, whose text is in no answer;
    against one that does not, every answer would part at its end."""
    spoken = "".join(token.text for token in tokens[:-1])
    return tuple(tokens[:-1]) if len(tokens) > 1 and spoken.strip() == text.strip() else tuple(tokens)


@dataclass(frozen=True, slots=True)
class Parting:
    """Two answers to one prompt. `index`: where they part, None if they do not; `n_compared`: places looked at.

    `margin`: nats between the two best tokens of the first where they part. `divergences`, `shifts`: at each place with
    the same text before it, the divergence of the second's distribution from the first's (at least, as only the
    likeliest are told), and by how much the log-probability of the first's token differs.
    """

    index: int | None
    n_compared: int
    margin: float | None
    divergences: tuple[float, ...]
    shifts: tuple[float, ...]


def part(a: Said, b: Said, *, by_token: bool) -> Parting:
    ours, theirs = a.units(by_token=by_token), b.units(by_token=by_token)
    n = min(len(ours), len(theirs))
    index = next((i for i in range(n) if ours[i] != theirs[i]), None)
    n_compared = n if index is None else index + 1
    if not by_token:
        return Parting(index, n_compared, None, (), ())
    n_same_before = min(n_compared, len(a.tokens), len(b.tokens))
    pairs = list(zip(a.tokens[:n_same_before], b.tokens[:n_same_before], strict=True))
    return Parting(
        index,
        n_compared,
        _margin(a.tokens[index]) if index is not None and index < len(a.tokens) else None,
        tuple(found for one, other in pairs if (found := _divergence(one, other)) is not None),
        tuple(found for one, other in pairs if (found := _shift(one, other)) is not None),
    )


def _margin(token: Token) -> float | None:
    return token.top[0][1] - token.top[1][1] if len(token.top) > 1 else None


def _divergence(a: Token, b: Token) -> float | None:
    """Kullback-Leibler divergence of b from a, in nats, over the tokens that both tell and all others as one.

    At most the true one, by the data-processing inequality.
    """
    ours, theirs = dict(a.top), dict(b.top)
    both = ours.keys() & theirs.keys()
    if not both:
        return None
    p, q = (np.exp([top[name] for name in both]) for top in (ours, theirs))
    p, q = (np.append(x, max(0.0, 1.0 - float(x.sum()))) for x in (p, q))
    p, q = np.maximum(p, _LEAST_P), np.maximum(q, _LEAST_P)
    return max(0.0, float(np.sum(p * np.log(p / q))))


def _shift(a: Token, b: Token) -> float | None:
    """By how much b's log-probability of a's token differs, as a size."""
    theirs = dict(b.top).get(a.text, b.logprob if b.text == a.text else None)
    return None if theirs is None or not math.isfinite(theirs) else abs(theirs - a.logprob)


class Agreement(msgspec.Struct, frozen=True):
    """All prompts of one comparison. `what`: against what, in words; `unit`: what was compared, "token" or "character".

    `same`: share of prompts answered the same to the end; `partings`: per 1,000 units compared; `over_floor`: that over
    the floor's. `first_index`: median place where those that part do so. `survival`: (place, share of prompts that are
    the same up to it), after Kaplan and Meier. `top1`: share of places with the same likeliest token; `divergence`,
    `shift`: means over prompts, in nats. `n_margins`: partings whose margin is known; `n_ties`,
    `n_real`: with one below 0.1, above 1 nat.
    """

    what: str
    unit: Literal["token", "character"]
    n_prompts: int
    n_parted: int
    n_compared: int
    same: Number
    partings: Number
    over_floor: Number
    first_index: float | None
    survival: list[tuple[int, float]]
    top1: Number
    divergence: Number
    shift: Number
    n_ties: int
    n_real: int
    n_margins: int = 0


def agreement(
    what: str, pairs: Sequence[tuple[Said, Said]], floor: Agreement | None = None, *, source: str = ""
) -> Agreement:
    """`floor`: what the first of the two is to itself. `source`: why there are no probabilities, if there are none."""
    by_token = bool(pairs) and all(one.tokens and other.tokens for one, other in pairs)
    partings = [part(one, other, by_token=by_token) for one, other in pairs]
    n_parted = sum(parting.index is not None for parting in partings)
    n_compared = sum(parting.n_compared for parting in partings)
    unit: Literal["token", "character"] = "token" if by_token else "character"
    missing = source or "the engine tells no log-probabilities"
    margins = [parting.margin for parting in partings if parting.margin is not None]
    parted = [parting.index for parting in partings if parting.index is not None]
    top1 = clopper_pearson(n_compared - n_parted, n_compared, of="places") if by_token else None
    return Agreement(
        what=what,
        unit=unit,
        n_prompts=len(pairs),
        n_parted=n_parted,
        n_compared=n_compared,
        same=number_of(wilson(len(pairs) - n_parted, len(pairs), of="prompts")),
        partings=number_of(rate(n_parted, n_compared / PER_TOKENS, unit=f"per 1,000 {unit}s", of=f"1,000 {unit}s")),
        over_floor=number_of(_over(floor, unit, n_parted, n_compared)),
        first_index=float(median(parted)) if parted else None,
        survival=survival(partings),
        top1=number_of(top1 or Missing(missing, 0, "ratio")),
        divergence=number_of(_mean([parting.divergences for parting in partings], missing)),
        shift=number_of(_mean([parting.shifts for parting in partings], missing)),
        n_ties=sum(margin < TIE for margin in margins),
        n_real=sum(margin > REAL for margin in margins),
        n_margins=len(margins),
    )


def _over(floor: Agreement | None, unit: str, n_parted: int, n_compared: int) -> Estimate | Missing:
    if floor is None:
        return Missing("this is the floor", 0, "times")
    if floor.unit != unit:
        return Missing(f"the floor is in {floor.unit}s", 0, "times")
    return rate_ratio(floor.n_parted, floor.n_compared, n_parted, n_compared)


def _mean(values: Iterable[tuple[float, ...]], missing: str) -> Estimate | Missing:
    """Per prompt first, as places of one answer depend on each other; then over prompts."""
    means = np.array([np.mean(each) for each in values if each])
    if len(means) < 2:
        return Missing(missing, len(means), "nats")
    return mean_estimate(means, unit="nats", of="prompts", n_eff=float(len(means)))


def survival(partings: Sequence[Parting]) -> list[tuple[int, float]]:
    """After Kaplan and Meier: an answer that ended without parting says nothing of the places after its end."""
    share, curve = 1.0, []
    for place in sorted({parting.index for parting in partings if parting.index is not None}):
        n_at_risk = sum(parting.n_compared > place for parting in partings)
        n_parted = sum(parting.index == place for parting in partings)
        share *= 1 - n_parted / n_at_risk
        curve.append((place, share))
    return curve
