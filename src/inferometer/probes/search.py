# SPDX-License-Identifier: Apache-2.0
"""The search for the highest load within limits: which load to look at next, for how long, and when enough is known.

    scout    short looks, doubling, until one is plainly too much
    narrow   long looks beside where the limit is thought to be, until its interval is as narrow as was asked
    prove    long looks at most at 0.9 of it, until one load is shown to hold what was asked: that is the safe one

Rule 1: pure. `take` takes a look at a load; what takes looks of a simulation has the same search.
Rule 2: a run begins with an empty server, which favours it: a short look can condemn a load, only long ones acquit it.
Rule 3: the estimate of the limit is never called safe, and neither is a load beyond 0.9 of it: close to its knee a
server swings from run to run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from inferometer.analysis.limit import NEAR
from inferometer.analysis.look import Look
from inferometer.stats import LEVEL, Estimate, Missing
from inferometer.stats.sequential import Evidence, evidence
from inferometer.stats.threshold import Threshold, find_threshold

MAX_LOADS = 16  # not to be proven, whose verdicts share half of the error that is allowed; later ones have none
SAFE_SHARE = 0.9  # of the limit
ALIKE = 1.13  # looks within this factor of a load tell how much its requests depend on each other
MIN_LONG = 12  # long looks before an estimate is believed: fewer may agree by luck, and most do not meet a busy time
MAX_PROOFS = 12  # looks at one load to show that it is safe, or that the highest one holds
_SCOUT_REQUESTS, _LONG_REQUESTS = 30, 200
_SCOUT_ALPHA = 0.2  # a wrong turn costs a look, no more
_MAX_HALVINGS, _MAX_DOUBLINGS = 8, 16
_MAX_SPOILED = 3  # short looks at one load that the client spoils, until it is what limits the load
_MIN_WARMUP_S = 3.0
_OVERLOAD = 0.05  # that a long look is to bring to light
LOOKS_IN_BUDGET = 10  # long looks are made shorter rather than fewer
_STEP = math.log1p(0.04)  # between the rungs of the ladder of loads, in the logarithm: looks at one load add up
_MAX_BESIDE = 0.06  # how far beside the estimate a look may be taken, in the logarithm
# One look in so many is taken further above it: looks close together do not tell how steep the curve is, and an
# interval that allows for any steepness is wide. Still further above the curve is no longer logistic.
_FAR_EVERY, _FAR = 5, 0.08


Stage = Literal["scout", "narrow", "prove"]


@dataclass(frozen=True, slots=True)
class Aim:
    """What is searched for.

    `target`: share of requests within all limits; `first_load`: to begin with; `alone_s`: what a request takes on an
    idle server; `wait_s`: the longest limit that counts from due, 0 if there is none; `resolution`: half-width of the
    limit's interval that is enough, as a share; `is_whole`: loads are whole numbers; `most`: no load beyond it.
    """

    target: float
    first_load: float
    alone_s: float
    wait_s: float
    unit: str
    budget_s: float
    resolution: float = 0.045
    is_whole: bool = False
    most: float = math.inf

    def requests_per_s(self, load: float) -> float:
        return load / self.alone_s if self.is_whole else load


@dataclass(frozen=True, slots=True)
class Ask:
    """A look to be taken. `draw`: which lengths and arrivals, each look has its own."""

    load: float
    window_s: float
    warmup_s: float
    draw: int
    stage: Stage

    @property
    def is_long(self) -> bool:
        """It may acquit."""
        return self.stage != "scout"


@dataclass(frozen=True, slots=True)
class Taken:
    """A look that was taken, and what it took, all in all."""

    ask: Ask
    look: Look
    seconds: float


Take = Callable[[Ask], tuple[Look, float]]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to.

    `limit`: the load at which the share falls to the target; `holds`: the highest load that was shown to hold it,
    `fails`: the lowest that was shown not to; `safe`: the highest that holds and is at most 0.9 of the limit. None:
    there is none. `stopped`: why it ended there.
    """

    limit: Estimate | Missing
    safe: float | None
    holds: float | None
    fails: float | None
    binding: str
    stopped: str
    taken: tuple[Taken, ...]
    slope: float | None = None  # of the curve at the limit, per e-fold of load

    @property
    def seconds(self) -> float:
        return sum(each.seconds for each in self.taken)


@dataclass(slots=True)
class Search:
    """One search; `run()` once. `take` may raise: what was found until then stays in `taken`."""

    aim: Aim
    take: Take
    taken: list[Taken] = field(default_factory=list)

    def run(self) -> Found:
        stopped = self._scout() or self._narrow() or self._prove()
        return conclude(self.aim, self.taken, stopped)

    # -- the three stages ---------------------------------------------------------------------------------------------

    def _scout(self) -> str:
        """Double until a look is plainly too much, halve while the first one is. Why there is no limit, or ""."""
        aim, load, is_first = self.aim, self.aim.first_load, True
        for _ in range(_MAX_DOUBLINGS):
            if self._is_spent():
                return _OUT_OF_TIME
            look = self._scouted(load)
            if look.is_spoiled:
                return self._client_at(load)
            if is_too_much(look, aim.target):
                return self._halve(load) if is_first else ""
            if load >= aim.most:
                verdict = self._settle(load, "narrow")
                return _no_limit(aim) if verdict == "above" else verdict if verdict == _OUT_OF_TIME else ""
            load, is_first = min(2 * load, aim.most), False
        return "no load was too much"

    def _halve(self, load: float) -> str:
        for _ in range(_MAX_HALVINGS):
            smaller = self._rounded(load / 2)
            if self._is_spent():
                return _OUT_OF_TIME
            if smaller >= load:
                break
            load = smaller
            look = self._scouted(load)
            if look.is_spoiled:
                return self._client_at(load)
            if not is_too_much(look, self.aim.target):
                return ""
        return "no load was small enough"

    def _narrow(self) -> str:
        """Looks beside the estimate, on both sides in turn, and some above it, until it is narrow enough."""
        aim = self.aim
        while not self._is_spent(0.6):
            fit = fitted(aim, self.taken)
            n_long = sum(each.ask.is_long for each in _sound(self.taken))  # none proves yet
            if fit.half_width <= aim.resolution and n_long >= MIN_LONG:
                return ""
            away = _away(n_long, fit.half_width)
            load = self._rounded(_on_ladder(fit.value.value * math.exp(away), aim.first_load))
            if self._is_settled(load) and aim.is_whole:
                return ""
            self._look(load, "narrow")
        return ""

    def _prove(self) -> str:
        """Have a load at most at SAFE_SHARE of the limit shown to hold; the next lower one where that fails."""
        aim = self.aim
        share = SAFE_SHARE
        while share > 0.5:
            fit = fitted(aim, self.taken)
            most = share * fit.value.value
            proven = holding(aim, self.taken, most=most)
            if proven is not None and proven >= 0.85 * most:
                return ""
            load = self._below(most)
            if load <= 0:
                break
            verdict = self._settle(load, "prove")
            if verdict in ("above", _OUT_OF_TIME):
                return "" if verdict == "above" else verdict
            share -= 0.1
        return "no load could be shown to be safe"

    # -- steps --------------------------------------------------------------------------------------------------------

    def _settle(self, load: float, stage: Stage) -> str:
        """Look until one load is shown to hold or not; the verdict, or that time ran out."""
        for _ in range(MAX_PROOFS):
            verdict = verdict_of(self.aim, self.taken, load)
            if verdict != "undecided":
                return verdict
            if self._is_spent():
                return _OUT_OF_TIME
            self._look(load, stage)
        return verdict_of(self.aim, self.taken, load)

    def _scouted(self, load: float) -> Look:
        """A short look; another one where the client was in the way, which may have been for a moment."""
        look = self._look(load, "scout")
        for _ in range(_MAX_SPOILED - 1):
            if not look.is_spoiled or self._is_spent():
                break
            look = self._look(load, "scout")
        return look

    def _client_at(self, load: float) -> str:
        """Why the search ends at a load at which nothing can be seen of the server."""
        below = max((each.ask.load for each in _sound(self.taken) if each.ask.load < load), default=None)
        unit = "in flight" if self.aim.is_whole else "requests/s"
        where = f"above {below:.4g} {unit}" if below is not None else f"at {load:.4g} {unit} already"
        return f"the client, not the server, is the limit {where}"

    def _look(self, load: float, stage: Stage) -> Look:
        ask = ask_for(self.aim, load, stage, draw=len(self.taken))
        look, seconds = self.take(ask)
        self.taken.append(Taken(ask, look, seconds))
        return look

    def _is_spent(self, share: float = 1.0) -> bool:
        return sum(each.seconds for each in self.taken) >= share * self.aim.budget_s

    def _rounded(self, load: float) -> float:
        return min(self.aim.most, max(1.0, round(load)) if self.aim.is_whole else load)

    def _below(self, most: float) -> float:
        """The highest load to look at that is not above this one."""
        whole = float(math.floor(most + 1e-9))
        return whole if self.aim.is_whole else _on_ladder(most, self.aim.first_load, is_below=True)

    def _is_settled(self, load: float) -> bool:
        return verdict_of(self.aim, self.taken, load) != "undecided"


_OUT_OF_TIME = "the time was spent"


# -- what looks say: pure functions of them ---------------------------------------------------------------------------


def ask_for(aim: Aim, load: float, stage: Stage, *, draw: int) -> Ask:
    """How long a look is. A server that is overloaded falls behind by the overload's share of every second: until
    requests wait for as long as a limit allows, wait_s over that share has passed; nothing is acquitted before."""
    n_per_s = aim.requests_per_s(load)
    if stage == "scout":
        window_s = max(_SCOUT_REQUESTS / n_per_s, 3 * aim.wait_s, 3 * aim.alone_s)
        return Ask(load, window_s, max(1.0, aim.alone_s), draw, stage)
    until_late_s = aim.wait_s / _OVERLOAD
    window_s = max(_LONG_REQUESTS / n_per_s, 8 * until_late_s, 20 * aim.alone_s)
    warmup_s = max(_MIN_WARMUP_S, 2 * until_late_s, 3 * aim.alone_s)
    share = min(1.0, aim.budget_s / LOOKS_IN_BUDGET / (window_s + warmup_s))
    return Ask(load, share * window_s, share * warmup_s, draw, stage)


def budget_needed_s(aim: Aim) -> float:
    """For long looks as long as they ought to be, where the limits alone decide that."""
    return budget_for_wait_s(aim.wait_s)


def budget_for_wait_s(wait_s: float) -> float:
    """The same, by the longest limit that counts from due alone."""
    return LOOKS_IN_BUDGET * 10 * wait_s / _OVERLOAD


def _away(n_long: int, half_width: float) -> float:
    """How far from the estimate the next long look is to be, in the logarithm, after `n_long`."""
    if not n_long:
        return 0.0
    if n_long % _FAR_EVERY == 1:
        return _FAR
    beside = min(max(0.5 * half_width, 0.5 * _STEP), _MAX_BESIDE)
    return -beside if n_long % 2 else beside


def _on_ladder(load: float, origin: float, *, is_below: bool = False) -> float:
    rung = math.log(load / origin) / _STEP
    return origin * math.exp(_STEP * (math.floor(rung + 1e-9) if is_below else round(rung)))


def evidence_of(target: float, looks: Sequence[Look], time: float) -> Evidence:
    """Of looks at one load, whose requests are worth one independent one each `time`."""
    n = sum(look.n for look in looks)
    return evidence(sum(int(look.is_met.sum()) for look in looks) / time, n / time, target)


def time_of(looks: Sequence[Look]) -> float:
    """How many requests are worth one, on average over looks: a look without a miss cannot know how they cluster."""
    n = sum(look.n for look in looks)
    return sum(look.n * look.time for look in looks) / n if n else 1.0


def is_too_much(look: Look, target: float) -> bool:
    """Of one short look: more misses than the target allows, by more than chance; or nothing to look at."""
    return not look.n or evidence_of(target, [look], look.time).verdict(_SCOUT_ALPHA) == "below"


def alpha_of(taken: Sequence[Taken], load: float) -> float:
    """How often the verdict on a load may be wrong, on either side: together as often as the ends of an interval may.
    Settled by how a load came to be looked at: one half is for those to be proven, halved from each to the next; all
    others share the other half."""
    stages: dict[float, Stage] = {}
    for each in taken:
        stages.setdefault(each.ask.load, each.ask.stage)
    is_proven = stages.get(load) == "prove"
    mine = [other for other, stage in stages.items() if (stage == "prove") == is_proven]
    half, i = (1 - LEVEL) / 4, mine.index(load) if load in mine else len(mine)
    if is_proven:
        return half * 0.5 ** (i + 1)
    return half / MAX_LOADS if i < MAX_LOADS else 0.0


def verdict_of(aim: Aim, taken: Sequence[Taken], load: float) -> str:
    """Whether a load was shown to be "above" the target, or "below" it, or its queue grew in most of its long looks."""
    alpha = alpha_of(taken, load)
    taken = _sound(taken)
    mine = [each for each in taken if each.ask.load == load]
    time = time_of([each.look for each in taken if 1 / ALIKE <= each.ask.load / load <= ALIKE])
    if evidence_of(aim.target, [each.look for each in mine], time).verdict(alpha) == "below":
        return "below"
    long = [each.look for each in mine if each.ask.is_long]
    n_growing = sum(bool(look.growth) for look in long)
    if n_growing >= 2 and 2 * n_growing > len(long):
        return "below"
    acquitted = evidence_of(aim.target, long, time).verdict(alpha) == "above"
    return "above" if acquitted and not n_growing else "undecided"


def _sound(taken: Sequence[Taken]) -> list[Taken]:
    return [each for each in taken if not each.look.is_spoiled]


def holding(aim: Aim, taken: Sequence[Taken], *, most: float = math.inf) -> float | None:
    """The highest load up to `most` that was shown to hold the target."""
    loads = {each.ask.load for each in taken if each.ask.load <= most}
    return max((load for load in loads if verdict_of(aim, taken, load) == "above"), default=None)


def failing(aim: Aim, taken: Sequence[Taken]) -> float | None:
    """The lowest load that was shown not to hold it."""
    loads = {each.ask.load for each in taken}
    return min((load for load in loads if verdict_of(aim, taken, load) == "below"), default=None)


def fitted(aim: Aim, taken: Sequence[Taken]) -> Threshold:
    """The limit as the long looks near it tell; as long as they do not enclose it, the short ones too. Not those that
    prove: they lie far below, and many of them would bend the curve to themselves."""
    long = [each.look for each in _sound(taken) if each.ask.stage == "narrow"]
    looks = long if _encloses(aim, long) else [each.look for each in _sound(taken) if each.ask.stage != "prove"]
    fit = _fit(aim, looks)
    near = [look for look in looks if 1 / NEAR <= look.load / fit.value.value <= NEAR]
    return _fit(aim, near) if len(near) < len(looks) and _encloses(aim, near) else fit


def _encloses(aim: Aim, looks: Sequence[Look]) -> bool:
    return any(look.share >= aim.target for look in looks) and any(look.share < aim.target for look in looks)


def _fit(aim: Aim, looks: Sequence[Look]) -> Threshold:
    counts = np.array([look.n for look in looks]) / time_of(looks)
    hits = counts * np.array([look.share if look.n else 0.0 for look in looks])
    loads = np.array([look.load for look in looks])
    return find_threshold(loads, hits, counts, aim.target, unit=aim.unit, n=sum(look.n for look in looks))


def binding_of(aim: Aim, taken: Sequence[Taken], limit: float) -> str:
    """The limit that most requests near it missed; "" if none did."""
    misses: dict[str, int] = {}
    for each in _sound(taken):
        if 1 / NEAR <= each.ask.load / limit <= NEAR and each.ask.is_long:
            for text, n in each.look.misses.items():
                misses[text] = misses.get(text, 0) + n
    most = max(misses.values(), default=0)
    return next(text for text, n in misses.items() if n == most) if most else ""


def _no_limit(aim: Aim) -> str:
    return f"even {aim.most:g} is within the limits, and more was not to be tried"


def conclude(aim: Aim, taken: Sequence[Taken], stopped: str) -> Found:
    """What all looks say together."""
    holds, fails = holding(aim, taken), failing(aim, taken)
    if holds is not None and holds >= aim.most:
        safe = holding(aim, taken, most=SAFE_SHARE * aim.most)
        return Found(Missing(_no_limit(aim), 0, aim.unit), safe, holds, fails, "", stopped, tuple(taken))
    if not any(each.ask.stage == "narrow" for each in _sound(taken)):
        of = " in which the client was on time" if any(each.ask.is_long for each in taken) else ""
        reason = f"needs long looks{of}, has none: {stopped or _OUT_OF_TIME}"
        return Found(Missing(reason, 0, aim.unit), None, holds, fails, "", stopped, tuple(taken))
    fit = fitted(aim, taken)
    limit = fit.value
    return Found(
        limit,
        holding(aim, taken, most=SAFE_SHARE * limit.value * (1 + 1e-9)),
        holds,
        fails,
        binding_of(aim, taken, limit.value),
        stopped,
        tuple(taken),
        fit.slope,
    )
