# SPDX-License-Identifier: Apache-2.0
"""The answer as one paragraph, verdict first: which, by how much, where it flips, what was not tried, how to get it
again.

Rule: it says nothing that is not in the `Choice` as a number or a reason.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from inferometer.analysis.choice import Candidate, Choice, Place
from inferometer.analysis.number import Number
from inferometer.stats import Estimate
from inferometer.units import format_span

MIN_ROUNDS = 3  # that an interval which holds at every look can come of
WIDEST = 100  # of an interval, its upper end over the lower one, that says anything
MAX_LEFT_OUT = 4  # named in the paragraph; all of them stand in the list below it


def answer_of(choice: Choice) -> str:
    """Sentences, one after the other."""
    sentences = [*_verdict(choice), *_edge(choice), *_flips(choice), *_left_out(choice)]
    if choice.again:
        sentences.append(f"To repeat: {choice.again}")
    return " ".join(sentences)


def _verdict(choice: Choice) -> list[str]:
    match choice.verdict:
        case "prefer":
            return _prefer(choice)
        case "same":
            return _same(choice)
        case "cannot tell":
            return _open(choice)
        case _:
            return _none(choice)


def _prefer(choice: Choice) -> list[str]:
    best = _preferred(choice)
    head = f"Prefer {best.name}: {_what(best, choice)}"
    others = _by_ratio(choice, "worse")
    if not others:
        why = "no other can be held against it" if len(choice.candidates) > 1 else "it was the only one to try"
        return [f"{head}; {why}.", *_misses(choice)]
    more = f", and more than that ahead of {_count(len(others) - 1, 'other')}" if len(others) > 1 else ""
    return [f"{head}, {_ahead(others[0].ratio)} {_as(choice)} {others[0].name}{more}.", *_misses(choice)]


def _same(choice: Choice) -> list[str]:
    best, same = _preferred(choice), _by_ratio(choice, "same")
    names = _names([best, *same])
    tolerance = f"{100 * choice.tolerance:g} %"
    told = [f"Nothing separates {names}: they are the same within {tolerance}, {_what(best, choice)}."]
    told.append(f"{best.name} was ahead by {_ahead(same[0].ratio)}; take the one that suits you better otherwise.")
    worse = _by_ratio(choice, "worse")
    if worse:
        told.append(f"{_names(worse)} {'is' if len(worse) == 1 else 'are'} worse ({_ahead(worse[0].ratio)}).")
    return told + _misses(choice)


def _open(choice: Choice) -> list[str]:
    best, others = _preferred(choice), _by_ratio(choice, "open")
    seen = f"{best.name} was ahead of {others[0].name} by {_ahead(others[0].ratio)} after {_rounds(others[0])}"
    if others[0].ratio.value is None:
        seen = f"{best.name} was ahead, and of {others[0].name} {others[0].why}"
    told = [f"Cannot tell between {_names([best, *others])}: {seen}, {_what(best, choice)}."]
    if min(one.n_rounds for one in [best, *others]) < MIN_ROUNDS:
        told.append(f"An interval needs {MIN_ROUNDS} rounds: give more --budget, or shorter runs by --for.")
    elif any(one.ratio.value is None for one in others):
        told.append("More rounds may settle it: give more --budget.")
    elif choice.more_s is not None and choice.more_s > 0:
        n_minutes = math.ceil((choice.seconds + choice.more_s) / 60)
        told.append(
            f"About {format_span(choice.more_s)} more (in all --budget {n_minutes}m --for {choice.window_s:g}s) would "
            "settle it in 9 of 10 cases."
        )
    elif "elsewhere" in (best.kind, *(one.kind for one in others)):
        told.append("More runs of what was measured elsewhere may settle it.")
    else:
        told.append("Rounds differ too much, or candidates too little, to say how many more would settle it.")
    worse = _by_ratio(choice, "worse")
    if worse:
        told.append(f"{_names(worse)} {'is' if len(worse) == 1 else 'are'} worse ({_ahead(worse[0].ratio)}).")
    return told + _misses(choice)


def _none(choice: Choice) -> list[str]:
    if not choice.candidates:
        return ["None: no candidate could be tried."]
    known = [one for one in choice.candidates if one.attainment.value is not None]
    asked = f"{choice.slo} for {100 * choice.attainment:g} % of the requests {_loads(choice)}"
    if not known:
        return [f"None: nothing was measured; {choice.candidates[0].name}: {choice.candidates[0].why}."]
    nearest = max(known, key=lambda one: one.attainment.value or 0.0)
    share = f"{100 * (nearest.attainment.value or 0.0):.3g} %"
    if nearest.state == "misses":
        return [f"None keeps {asked}; the nearest is {nearest.name} with {share}."]
    return [f"None: {nearest.name} keeps {asked}, but {nearest.why}."]


def _misses(choice: Choice) -> list[str]:
    told = []
    missing = [one for one in choice.candidates if one.state == "misses"]
    if missing:
        unsure = ", though that is not yet sure" if any("not yet sure" in one.why for one in missing) else ""
        told.append(
            f"{_names(missing)} {'misses' if len(missing) == 1 else 'miss'} the limits {_loads(choice)}{unsure}."
        )
    failed = [one for one in choice.candidates if one.state == "failed"]
    told += [f"{one.name} failed: {one.why}." for one in failed]
    return told


def _edge(choice: Choice) -> list[str]:
    """Whether the preferred one keeps the limits is decided by what was seen; so close to the edge that may be luck."""
    share = _preferred(choice).attainment if choice.preferred else None
    if share is None or share.value is None or share.lo is None or share.hi is None or share.lo >= choice.attainment:
        return []
    seen = f"{100 * share.value:.3g} % [{100 * share.lo:.3g}, {100 * share.hi:.3g}]"
    return [f"That {choice.preferred} keeps the limits is not yet sure: {seen} of its requests were within them."]


def _flips(choice: Choice) -> list[str]:
    """Where it is another, where it may be, and where it was looked for in vain."""
    if not any(one.state in ("worse", "same", "open") for one in choice.candidates):
        return []
    told = []
    flips = [place for place in choice.places if place.flips_to]
    if flips:
        told.append(f"The answer flips {'; '.join(_flip(place) for place in flips)}.")
    failed = [one.name for one in choice.candidates if one.state == "failed"]
    maybe = [part for place in choice.places if not place.flips_to for part in _maybe(place, choice.tolerance, failed)]
    if maybe:
        told.append(f"It may flip {'; '.join(maybe[:3])}.")
    if not flips and not maybe:
        told.append(f"No other was ahead {_looked(choice)}.")
    return told


def _flip(place: Place) -> str:
    cell = next(cell for cell in place.cells if cell.candidate == place.flips_to)
    if cell.ratio.value is None:
        return f"{place.title}, where {cell.candidate} keeps the limits and the preferred one does not"
    return f"{place.title}, where {cell.candidate} is {_times(cell.ratio)} as good"


def _maybe(place: Place, tolerance: float, failed: Collection[str]) -> list[str]:
    """At most one of each place."""
    open_ = [cell for cell in place.cells if cell.word == "open" and cell.candidate not in failed]
    ahead = [cell for cell in open_ if (cell.ratio.value or 0.0) > 1 + tolerance]
    best = max(ahead, key=lambda cell: cell.ratio.value or 0.0, default=None)
    return [] if best is None else [f"{place.title} ({best.candidate} {_times(best.ratio)} as good)"]


def _looked(choice: Choice) -> str:
    return ", ".join(place.title for place in choice.places) or "anywhere else, for nowhere else was looked at"


def _left_out(choice: Choice) -> list[str]:
    if not choice.left_out:
        return []
    shown = [f"{one.name} ({one.reason})" for one in choice.left_out[:MAX_LEFT_OUT]]
    n_more = len(choice.left_out) - len(shown)
    return [f"Not tried: {', '.join(shown)}{f' and {n_more} more' if n_more > 0 else ''}."]


# --- words ---------------------------------------------------------------------------------------------------------


def _preferred(choice: Choice) -> Candidate:
    return next(one for one in choice.candidates if one.name == choice.preferred)


def _by_ratio(choice: Choice, state: str) -> list[Candidate]:
    """The nearest to the preferred one first."""
    found = [one for one in choice.candidates if one.state == state]
    return sorted(found, key=lambda one: -(one.ratio.value or 0.0))


def _names(candidates: Sequence[Candidate]) -> str:
    names = [one.name for one in candidates]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _count(n: int, what: str) -> str:
    return f"{'one' if n == 1 else n} {what}{'' if n == 1 else 's'}"


def _rounds(candidate: Candidate) -> str:
    return _count(candidate.n_rounds, "round")


def _what(best: Candidate, choice: Choice) -> str:
    load = f" at {best.load:g} {'requests/s' if choice.kind == 'rate' else 'in flight'}" if best.load else ""
    share = f"{100 * choice.attainment:g} % of the requests within {choice.slo}"
    return f"{_plain(best.goodput)} requests/s{load} with {share}"


def _loads(choice: Choice) -> str:
    loads = ", ".join(f"{load:g}" for load in choice.loads)
    return f"at {loads} {'requests/s' if choice.kind == 'rate' else 'in flight'}"


def _as(choice: Choice) -> str:
    return "as much as" if choice.figure.startswith("goodput") else "as good, as weighed, as"


def _ahead(ratio: Number) -> str:
    """The preferred one over the other."""
    figure = ratio.figure
    if not isinstance(figure, Estimate):
        return "an unknown factor"
    ends = [1 / end if math.isfinite(end) and end > 0 else None for end in (figure.hi, figure.lo)]
    return _factor(1 / figure.value, *ends)


def _times(ratio: Number) -> str:
    return _factor(ratio.value or math.nan, ratio.lo, ratio.hi)


def _factor(value: float, lo: float | None, hi: float | None) -> str:
    if lo is None or hi is None:
        return f"{value:.3g} times [no interval yet]"
    if not lo or hi / lo > WIDEST:
        return f"{value:.3g} times [no useful interval yet]"
    digits = 3 if lo > 0.9 and hi < 1.1 else 2
    return f"{value:.{digits}f} times [{lo:.{digits}f}, {hi:.{digits}f}]"


def _plain(number: Number) -> str:
    if number.value is None:
        return "an unknown number of"
    if number.lo is None or number.hi is None:
        return f"{number.value:.3g}"
    return f"{number.value:.3g} [{number.lo:.3g}, {number.hi:.3g}]"
