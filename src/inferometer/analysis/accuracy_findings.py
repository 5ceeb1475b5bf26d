# SPDX-License-Identifier: Apache-2.0
"""What is wrong with answers, and why, as far as the questions show it.

Rule: a cause is named by what was measured, never by who the server is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inferometer.analysis.accuracy import Against, Change
from inferometer.analysis.agreement import Agreement
from inferometer.analysis.finding import Bound, Finding, Level, Remedy
from inferometer.analysis.hallucination import Hallucination
from inferometer.analysis.number import Number
from inferometer.stats.paired import mcnemar

SURE, SURER = 0.05, 0.01  # p below which a loss against another counts, and whatever load is blamed for
LEAST_CHANGED, LEAST_CHANGED_RATIO = 5, 0.02  # answers that change when asked twice alone; fewer are let pass
LEAST_UNDERSTOOD = 0.5  # of the answers that have to be read, right; below, the rest cannot be judged
INVENTED = Bound(
    0.10,
    "ratio",
    "of questions without an answer in the text, answered all the same",
    "ours; the best models of Vectara's list are at 2 to 5 % in summaries",
)
REFUSED = Bound(0.10, "ratio", "of questions with an answer in the text, refused", "ours")
_MOSTLY = 0.5
_TIES = "where answers part, the two best tokens were as good as equal"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the rules look at. `understood`: share right of the questions whose answer has to be read, alone;
    `n_load_only`, `n_again_only`: questions whose answer changed under load only, alone only."""

    concurrency: int
    understood: Number
    right: Number
    again: Change | None
    load: Change | None
    n_load_only: int
    n_again_only: int
    floor: Agreement | None
    under_load: Agreement | None
    hallucination: Hallucination | None
    against: Against | None


def findings_of(seen: Evidence) -> list[Finding]:
    found = [_changed_by_load(seen), _not_repeated(seen), *_compared(seen)]
    if seen.understood.hi is not None and seen.understood.hi < LEAST_UNDERSTOOD:
        found.append(_not_understood(seen))
    elif seen.hallucination is not None:
        found += [_invents(seen.hallucination), _refuses(seen.hallucination)]
    return [finding for finding in found if finding is not None]


# the same question with others beside it


def _changed_by_load(seen: Evidence) -> Finding | None:
    load, again = seen.load, seen.again
    if load is None or again is None:
        return None
    is_beyond = seen.n_load_only > seen.n_again_only and mcnemar(seen.n_load_only, seen.n_again_only) < SURER
    is_less_right = load.n_lost > load.n_won and load.p < SURER
    if not is_beyond and not (is_less_right and load.n_lost - load.n_won > again.n_lost):
        return None
    level: Level = "wrong" if is_less_right else "bad" if _are_others(load) else _level_of(seen.under_load)
    lost = f"; right {_points(load.difference)} points ({load.n_lost} lost, {load.n_won} won)"
    return Finding(
        code="answers_change_under_load",
        challenge="accuracy",
        level=level,
        claim=f"{load.n_changed} of {load.n} answers are others with {seen.concurrency} in flight, {again.n_changed} "
        f"when asked twice alone{lost if load.n_lost + load.n_won else ''}",
        cause=_why_changed(load, seen.under_load),
        shown_by="the same questions, greedy, asked alone, again alone, and with others in flight",
        figure=load.difference,
        remedy=Remedy(
            "serve fewer at a time until it is mended; of vLLM ask for kernels that do not depend on the batch "
            "(VLLM_BATCH_INVARIANT=1)",
            expected="answers as alone",
            source="Thinking Machines Lab 2025: with such kernels all of 1,000 answers agreed, at 1.6 times the time",
        ),
    )


def _why_changed(load: Change, under_load: Agreement | None) -> str:
    n = max(1, load.n_changed)
    if load.n_failed > _MOSTLY * n:
        return f"answers are lost: {load.n_failed} of the {load.n_changed} did not come, or not whole"
    if load.n_of_another > _MOSTLY * n:
        return f"answers are mixed up: {load.n_of_another} of the {load.n_changed} answer another question in flight"
    if _rounding(under_load) == "explains":
        return f"numbers depend on the batch: {_TIES}"
    return f"what is computed for a request depends on the requests beside it{_BEYOND[_rounding(under_load)]}"


def _are_others(load: Change) -> bool:
    """What changed is lost, or another question's: that is no rounding."""
    return max(load.n_failed, load.n_of_another) > _MOSTLY * max(1, load.n_changed)


_Rounding = Literal["explains", "does not explain", "not measured"]
_BEYOND: dict[_Rounding, str] = {
    "explains": "",
    "does not explain": ", by more than rounding does",
    "not measured": "; whether by more than rounding does was not measured",
}


def _rounding(agreement: Agreement | None) -> _Rounding:
    """It explains partings if hardly any was of a choice that had been clear; that takes margins."""
    if agreement is None or not agreement.n_margins:
        return "not measured"
    are_ties = agreement.n_ties > _MOSTLY * agreement.n_parted and not agreement.n_real
    return "explains" if are_ties else "does not explain"


def _level_of(agreement: Agreement | None) -> Level:
    """Of answers that are others and no worse: a fault only if rounding is known not to explain them."""
    return "bad" if _rounding(agreement) == "does not explain" else "fair"


def _not_repeated(seen: Evidence) -> Finding | None:
    again = seen.again
    if again is None:
        return None
    if again.n_changed < LEAST_CHANGED or again.n_changed / again.n < LEAST_CHANGED_RATIO:
        return None
    return Finding(
        code="answers_not_repeated",
        challenge="accuracy",
        level=_level_of(seen.floor),
        claim=f"{again.n_changed} of {again.n} answers are others when the same is asked twice, alone and greedy",
        cause=_why_not_repeated(seen.floor),
        shown_by="the same questions asked twice, one request at a time",
        figure=again.difference,
        remedy=Remedy("look for sampling defaults of the server that a request does not override (top_p, repetition)"),
    )


def _why_not_repeated(floor: Agreement | None) -> str:
    if _rounding(floor) == "explains":
        return f"numbers are others the second time, as of a prompt that is in the cache already: {_TIES}"
    known = "temperature 0 is not greedy here, or a prompt that is known already is computed otherwise"
    return f"{known}{_BEYOND[_rounding(floor)]}"


# another target


def _compared(seen: Evidence) -> list[Finding | None]:
    against = seen.against
    if against is None:
        return []
    return [_less_right(against), _differs(against, seen.floor)]


def _less_right(against: Against) -> Finding | None:
    """The first way is the target, the second the other."""
    change = against.change
    if change.p >= SURE or change.n_lost == change.n_won:
        return None
    is_worse = change.n_won > change.n_lost
    better, worse = ("the other", "this one") if is_worse else ("this one", "the other")
    return Finding(
        code="less_right_than_other" if is_worse else "more_right_than_other",
        challenge="accuracy",
        level="bad" if is_worse else "fair",
        claim=f"{worse} is right less often than {better}: {abs(change.n_won - change.n_lost)} of {change.n} answers, "
        f"{_points(change.difference)} points (other less this), p {change.p:.2g}",
        cause=_what_differs(against),
        shown_by=f"the same questions to both, alone: {change.n_lost} right here only, {change.n_won} there only",
        figure=change.difference,
        remedy=Remedy(
            f"serve what {against.target} serves" if is_worse else "stay with this one",
            expected=f"{_points(change.difference)} points more right" if is_worse else "",
        ),
    )


def _differs(against: Against, floor: Agreement | None) -> Finding | None:
    """More than this one differs from itself."""
    told = against.agreement
    n_floor, n_places = (floor.n_parted, floor.n_compared) if floor is not None else (0, 0)
    is_beyond = told.over_floor.lo is not None and told.over_floor.lo > 1
    is_beyond |= not n_floor and n_places > 0 and told.n_parted >= LEAST_CHANGED
    if not is_beyond:
        return None
    distance = "" if told.divergence.value is None else f", {told.divergence.value:.2g} nats apart"
    return Finding(
        code="differs_from_other",
        challenge="accuracy",
        level="fair",
        claim=f"{told.n_parted} of {told.n_prompts} answers part from those of {against.target}, {n_floor} from "
        f"themselves{distance}",
        cause=_what_differs(against),
        shown_by=f"greedy answers compared {told.unit} by {told.unit}; {told.n_real} part where the choice had been "
        f"clear, {told.n_ties} at a tie",
        figure=told.partings,
        remedy=None,
    )


def _what_differs(against: Against) -> str:
    if against.n_same_prompts < against.n_prompts:
        n = against.n_prompts - against.n_same_prompts
        return f"the prompts differ: {n} of {against.n_prompts} have another number of tokens, so another chat template"
    known = " and ".join(against.differs) or "nothing that either tells"
    same = "the prompts have equally many tokens; " if against.n_prompts else ""
    return f"{same}what differs: {known}"


# the text and what is not in it


def _not_understood(seen: Evidence) -> Finding:
    return Finding(
        code="mostly_wrong",
        challenge="accuracy",
        level="bad",
        claim=f"{_percent(seen.understood)} of the questions that have an answer are answered right",
        cause="the model does not follow questions in this form: not made for it, a wrong chat template, or damaged",
        shown_by="questions of the built-in tasks, asked one at a time",
        figure=seen.understood,
        bound=Bound(
            LEAST_UNDERSTOOD, "ratio", "right, or what is invented cannot be told from what is not read", "ours"
        ),
        remedy=Remedy("compare the same weights on another engine: --against"),
    )


def _invents(seen: Hallucination) -> Finding | None:
    if seen.invented.lo is None or seen.invented.lo <= INVENTED.value:
        return None
    mistaken = seen.mistaken.value or 0.0
    cause = (
        "it reads the text, and takes something else from it instead of saying that the answer is not there"
        if mistaken > _MOSTLY
        else "it says what stands nowhere in the text instead of saying that the answer is not there"
    )
    return Finding(
        code="invents_answers",
        challenge="accuracy",
        level="wrong",
        claim=f"{_percent(seen.invented)} of the questions that the text does not answer get an answer",
        cause=cause,
        shown_by=f"{seen.n_untold} questions without an answer in the text, while of {seen.n_told} with one "
        f"{_percent(seen.right)} are answered right; {_percent(seen.mistaken)} of the wrong answers stand in the text",
        figure=seen.invented,
        bound=INVENTED,
        remedy=Remedy(
            'say in the prompt that "unknown" is a good answer; see whether the engine cuts prompts (explain limits); '
            "the same weights on another engine (--against) tell the engine's part from the model's"
        ),
    )


def _refuses(seen: Hallucination) -> Finding | None:
    if seen.refused.lo is None or seen.refused.lo <= REFUSED.value:
        return None
    return Finding(
        code="refuses_what_is_told",
        challenge="accuracy",
        level="bad",
        claim=f'{_percent(seen.refused)} of the questions that the text answers get "unknown"',
        cause="it does not find what is there: the text does not reach it whole, or the model gives up too early",
        shown_by=f"{seen.n_told} questions with an answer in the text",
        figure=seen.refused,
        bound=REFUSED,
        remedy=Remedy("see what of a prompt reaches the model: explain limits"),
    )


def _percent(number: Number) -> str:
    return "-" if number.value is None else f"{100 * number.value:.1f} %"


def _points(number: Number) -> str:
    return "-" if number.value is None else f"{100 * number.value:+.1f}"
