# SPDX-License-Identifier: Apache-2.0
"""When requests are due: stages of open or closed loop, decided before the first request is sent.

Rule 1: instant k is an absolute function of the drawn gaps, never a sum of rounded intervals, so that nothing drifts.
Rule 2: a schedule knows neither sockets nor clocks; the driving loop turns offsets into instants.
Rule 3: every trial has a child of the seed of its own, so that repeats are independent and each can be made again.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferometer.errors import UsageError
from inferometer.plan.surge import Surge, parse_surge
from inferometer.units import NS_PER_S

Instants = npt.NDArray[np.int64]

MAX_REQUESTS = 10_000_000  # of one run; the instants alone are 80 MB
WARMUP_CONCURRENCY = 8  # slots that warm up an engine before a burst
_SEED_KEY = (0,)  # which child of the run's seed draws arrivals; plan.py has the others


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of a trial under one rule of arrival.

    Open loop (`due_ns` given): request k of the stage is due `due_ns[k]` after the stage's start, whatever happens.
    Closed loop (`concurrency` given): that many slots; a request is due when a slot frees. It ends after `n_requests`
    or, when that is None, at `duration_ns` after the stage's start (warm-up included in both).
    Warm-up: the first `n_warmup` requests, and all those due before `warmup_ns`.
    An open stage with `duration_ns` is a window of that length, however few requests fall into it.
    """

    due_ns: Instants | None = None
    concurrency: int | None = None
    n_requests: int | None = None
    duration_ns: int | None = None
    n_warmup: int = 0
    warmup_ns: int = 0

    @property
    def n_planned(self) -> int | None:
        """Requests of this stage; None where the engine's speed decides."""
        return self.n_requests if self.due_ns is None else len(self.due_ns)


@dataclass(frozen=True, slots=True)
class Schedule:
    """`mode`: "closed", "open" or "burst"; `law`: for people ("poisson, 4 requests/s"); `trials`: stages of each."""

    mode: str
    law: str
    trials: tuple[tuple[Stage, ...], ...]
    concurrency: int | None = None
    rate_per_s: float | None = None

    @property
    def n_planned(self) -> int | None:
        """Requests of all trials, warm-up included; None where the engine's speed decides."""
        counts = [stage.n_planned for stages in self.trials for stage in stages]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def facts(self) -> dict[str, Any]:
        """What there is to say about it, JSON-like. `n_requests` and `duration_s` are per trial, warm-up left out."""
        stages = self.trials[0]
        main = stages[-1]
        n_planned, duration_ns = main.n_planned, main.duration_ns
        n_warm = sum(stage.n_warmup for stage in stages)
        is_counted = duration_ns is None and n_planned is not None
        warm_ns = max(stage.warmup_ns for stage in stages)
        return {
            "mode": self.mode,
            "law": self.law,
            "concurrency": self.concurrency,
            "rate_per_s": self.rate_per_s,
            "n_trials": len(self.trials),
            "n_requests": _n_main(main) if is_counted else None,
            "duration_s": None if duration_ns is None else (duration_ns - main.warmup_ns) / NS_PER_S,
            "n_warmup": n_warm if not warm_ns else None,
            "warmup_s": warm_ns / NS_PER_S if warm_ns else None,
            "n_planned": self.n_planned,
        }


def _n_main(stage: Stage) -> int:
    """Requests of a counted stage that are not warm-up."""
    if stage.due_ns is None:
        return (stage.n_requests or 0) - stage.n_warmup
    return int(np.count_nonzero(stage.due_ns[stage.n_warmup :] >= stage.warmup_ns))


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The law of the gaps. `cv`: their coefficient of variation (1 for a Poisson process, 0 for a constant rate)."""

    text: str
    cv: float
    surge: Surge | None = None

    def draw_gaps(self, rng: np.random.Generator, n_gaps: int) -> npt.NDArray[np.float64]:
        """Gaps of mean 1, float64[n_gaps]. Gamma: shape 1/cv^2, scale cv^2."""
        if self.cv == 1.0:
            return rng.standard_exponential(n_gaps)
        return rng.standard_gamma(1.0 / self.cv**2, n_gaps) * self.cv**2


def parse_arrivals(text: str) -> Arrivals:
    """`poisson`, `constant`, `gamma:CV` or `surge:X,FROM,UNTIL`.

    Raises: UsageError with what may have been meant.
    """
    kind, _, rest = text.strip().lower().partition(":")
    if kind == "poisson" and not rest:
        return Arrivals("poisson", 1.0)
    if kind == "constant" and not rest:
        return Arrivals("constant", 0.0)
    if kind == "gamma" and re.fullmatch(r"\d+(\.\d+)?|\.\d+", rest) and 0 < (cv := float(rest)) <= 10:
        return Arrivals(f"gamma with CV {cv:g}", cv)
    if kind == "surge":
        surge = parse_surge(rest)
        told = f"poisson with {surge.factor:g} times the rate from {surge.from_s:g} to {surge.until_s:g} s"
        return Arrivals(told, 1.0, surge)
    if kind == "gamma":
        remedy = "give the coefficient of variation of the gaps, above 0 and up to 10: --arrivals gamma:2"
        raise UsageError(f"--arrivals {text!r} is not a law of arrivals", remedy)
    close = difflib.get_close_matches(kind, ("poisson", "constant", "gamma", "surge"), n=1)
    whole = {"gamma": "gamma:2", "surge": "surge:4,5s,10s"}
    remedy = f"did you mean {whole.get(close[0], close[0])}?" if close else ""
    raise UsageError(
        f"--arrivals {text!r} is not a law of arrivals",
        remedy or "choose poisson, constant, gamma:CV (e.g. gamma:2) or surge:X,FROM,UNTIL (e.g. surge:4,5s,10s)",
    )


def closed(
    concurrency: int,
    *,
    n_requests: int | None = None,
    for_s: float | None = None,
    n_warmup: int = 0,
    warmup_s: float = 0.0,
    n_trials: int = 1,
) -> Schedule:
    """`concurrency` requests in flight; ends after `n_requests`, or with the window of `for_s`, both after the warm-up.

    A warm-up by time before a counted number of requests is a stage of its own; the next then opens with one warm-up
    request per slot, so that the burst of its beginning is not measured.
    Raises: UsageError if that is more than MAX_REQUESTS; ValueError unless exactly one end (and one kind of warm-up)
    is given.
    """
    _check_ends(n_requests, for_s, n_warmup, warmup_s)
    warmup_ns = round(warmup_s * NS_PER_S)
    if n_requests is None:
        stages: tuple[Stage, ...] = (
            Stage(
                concurrency=concurrency,
                duration_ns=warmup_ns + round((for_s or 0.0) * NS_PER_S),
                n_warmup=n_warmup,
                warmup_ns=warmup_ns,
            ),
        )
    elif warmup_ns:
        stages = (
            Stage(concurrency=concurrency, duration_ns=warmup_ns, warmup_ns=warmup_ns),
            Stage(concurrency=concurrency, n_requests=n_requests + concurrency, n_warmup=concurrency),
        )
    else:
        stages = (Stage(concurrency=concurrency, n_requests=n_requests + n_warmup, n_warmup=n_warmup),)
    _check_count(n_trials * ((n_requests or 0) + n_warmup))
    return Schedule("closed", f"closed loop, {concurrency} in flight", (stages,) * n_trials, concurrency=concurrency)


def open_loop(
    rate_per_s: float,
    arrivals: Arrivals,
    *,
    seed: int,
    n_requests: int | None = None,
    for_s: float | None = None,
    n_warmup: int = 0,
    warmup_s: float = 0.0,
    n_trials: int = 1,
) -> Schedule:
    """`rate_per_s` requests a second on average, whatever the answers do.

    With `n_requests` there are exactly that many after the warm-up; with `for_s` the window is fixed (from the first
    request after a counted warm-up, or from the end of a timed one) and the count varies as the law says.
    Raises: UsageError if that is more than MAX_REQUESTS; ValueError unless exactly one end (and one kind of warm-up)
    is given.
    """
    _check_ends(n_requests, for_s, n_warmup, warmup_s)
    n_extra = arrivals.surge.extra_s * rate_per_s if arrivals.surge is not None and for_s is not None else 0.0
    _check_count(n_trials * ((n_requests or 0) + n_warmup + ((for_s or 0.0) + warmup_s) * rate_per_s + n_extra))
    warmup_ns = round(warmup_s * NS_PER_S)
    trials = []
    for child in np.random.SeedSequence(seed, spawn_key=_SEED_KEY).spawn(n_trials):
        instants = _Instants(rate_per_s, arrivals, np.random.default_rng(child))
        if n_requests is not None:
            n_warm = n_warmup if not warmup_ns else instants.n_before(warmup_ns)
            stage = Stage(due_ns=instants.first(n_warm + n_requests), n_warmup=n_warmup, warmup_ns=warmup_ns)
        else:
            t_open_ns = int(instants.first(n_warmup + 1)[-1]) if n_warmup else warmup_ns
            t_close_ns = t_open_ns + round((for_s or 0.0) * NS_PER_S)
            due_ns = instants.first(instants.n_before(t_close_ns))
            stage = Stage(due_ns=due_ns, duration_ns=t_close_ns, n_warmup=n_warmup, warmup_ns=warmup_ns)
        trials.append((stage,))
    law = f"{arrivals.text}, {rate_per_s:g} requests/s"
    return Schedule("open", law, tuple(trials), rate_per_s=rate_per_s)


def burst(n_requests: int, *, n_warmup: int = 0, warmup_s: float = 0.0, n_trials: int = 1) -> Schedule:
    """`n_requests` all due at once; the warm-up before is a closed loop of up to WARMUP_CONCURRENCY slots.

    Raises: UsageError if that is more than MAX_REQUESTS.
    """
    _check_count(n_trials * (n_requests + n_warmup))
    stages: tuple[Stage, ...] = (Stage(due_ns=np.zeros(n_requests, np.int64)),)
    if warmup_s:
        warmup_ns = round(warmup_s * NS_PER_S)
        stages = (Stage(concurrency=WARMUP_CONCURRENCY, duration_ns=warmup_ns, warmup_ns=warmup_ns), *stages)
    elif n_warmup:
        n_slots = min(WARMUP_CONCURRENCY, n_warmup)
        stages = (Stage(concurrency=n_slots, n_requests=n_warmup, n_warmup=n_warmup), *stages)
    return Schedule("burst", f"burst of {n_requests:,} at once", (stages,) * n_trials)


class _Instants:
    """The instants of one trial, drawn as far as somebody asks: a longer look never changes an earlier instant."""

    def __init__(self, rate_per_s: float, arrivals: Arrivals, rng: np.random.Generator) -> None:
        self._period_ns = NS_PER_S / rate_per_s
        self._draw: Callable[[int], npt.NDArray[np.float64]] | None = (
            None if arrivals.cv == 0.0 else lambda n_gaps: arrivals.draw_gaps(rng, n_gaps)
        )
        self._surge = arrivals.surge
        self._at = np.zeros(0)  # in periods since the start, as if there were no surge

    def first(self, n_instants: int) -> Instants:
        """int64[n_instants], ns since the stage's start, ascending."""
        while len(self._at) < n_instants:
            self._extend(n_instants - len(self._at))
        return np.rint(self._due_ns(self._at[:n_instants])).astype(np.int64)

    def _due_ns(self, at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        plain_ns = at * self._period_ns
        return plain_ns if self._surge is None else self._surge.pressed(plain_ns / NS_PER_S) * NS_PER_S

    def n_before(self, t_ns: int) -> int:
        """How many instants come before `t_ns`."""
        n_extra = self._surge.extra_s * NS_PER_S / self._period_ns if self._surge is not None else 0.0
        while not len(self._at) or self._due_ns(self._at[-1:])[0] <= t_ns:
            n_missing = max(0.0, t_ns / self._period_ns + n_extra - (self._at[-1] if len(self._at) else 0.0))
            self._extend(math.ceil(n_missing + 4 * math.sqrt(n_missing + 1)) + 1)
        return int(np.searchsorted(self.first(len(self._at)), t_ns))

    def _extend(self, n_more: int) -> None:
        n_had = len(self._at)
        if self._draw is None:
            more = np.arange(n_had, n_had + n_more, dtype=np.float64)
        else:
            # Gaps have mean 1 and are summed in float64: after 1e7 of them the sum is still exact to 1e-8 of a gap.
            more = np.cumsum(self._draw(n_more)) + (self._at[-1] if n_had else 0.0)
        self._at = np.concatenate([self._at, more])


def _check_ends(n_requests: int | None, for_s: float | None, n_warmup: int, warmup_s: float) -> None:
    if (n_requests is None) == (for_s is None):
        raise ValueError("give either n_requests or for_s")
    if n_warmup and warmup_s:
        raise ValueError("give either n_warmup or warmup_s")


def _check_count(n_expected: float) -> None:
    if n_expected > MAX_REQUESTS:
        raise UsageError(
            f"this asks for {n_expected:,.0f} requests, more than the {MAX_REQUESTS:,} of one run",
            "lower --rate, --for, --requests or --repeats",
        )
