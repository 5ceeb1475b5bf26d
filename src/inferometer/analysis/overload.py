# SPDX-License-Identifier: Apache-2.0
"""What more than it bears does to an engine: a gentle load, a surge beyond what it can do, the gentle load again.

Rule 1: what was like before the surge is the measure of what is like after it: back is who is as fast as then.
Rule 2: what an overloaded queue must cost is reckoned from what stood in it and what the engine can do; only what goes
beyond that is held against the engine.
"""

from __future__ import annotations

import math
import re
from typing import Literal

import msgspec
import numpy as np

from inferometer.analysis.number import Number, number_of
from inferometer.kinds import Outcome
from inferometer.metrics.rows import Mask, elapsed_s, in_due_order, is_counted, is_failed, is_ok
from inferometer.records import NEVER, Array, Trace
from inferometer.stats import LEVEL, Estimate, FloatArray, Missing, quantile_estimate, ratio_estimate
from inferometer.units import NS_PER_S

Word = Literal["bears", "queues", "sheds", "fails", "collapses"]

IN_A_ROW, OF_THEM = 5, 4  # requests after the surge of which so many must be as fast as before
MIN_QUIET = 8  # requests before the surge, to know how fast that was
MIN_SHARE = 0.01  # of the surge's requests, from which on what befalls them is its answer to overload
LEAST_KEPT = 0.8  # of its throughput; an engine that keeps less works against itself
QUEUED = 3.0  # times the longest wait before the surge
N_SLICES = 20
_SHED = (429, 503)
_SHED_WORDS = re.compile(r"overload|too many|queue|busy|rate.?limit|capacity", re.IGNORECASE)

NOT_AGAIN = number_of(Missing("was not measured again", 0, "ratio"))


class Overload(msgspec.Struct, frozen=True):
    """`rate`: of the gentle load; `surge_rate`, `surge_s`: of the surge, and how long. `counts`: of the requests due in
    it, by ok, shed, failed, unfinished. `kept`: throughput while overloaded over the plateau's. `before`: median time
    to first token before it, `worst`: 90th percentile of those in it. `refusal`: until one that is shed knows it.
    `recovery`: from the end of the surge until first tokens come as before; `least_recovery_s`: what working off the
    queue at full speed must take. `n_in_flight`: when the surge ends. `unfair`: longest wait over what the queue ahead
    of it explains. `n_preempted`: by the server's own count, None where it does not tell. `again`: throughput at
    the plateau's load after the surge over that before."""

    word: Word
    rate: float
    surge_rate: float
    surge_s: float
    counts: dict[str, int]
    kept: Number
    before: Number
    worst: Number
    refusal: Number
    recovery: Number
    least_recovery_s: float | None
    unfair: Number
    says: str = ""
    n_preempted: float | None = None
    n_in_flight: int = 0
    folder: str = ""
    again: Number = NOT_AGAIN

    @property
    def is_slower_after(self) -> bool:
        """The plateau was surely lower after the surge: first tokens cannot come as before then."""
        return self.again.hi is not None and self.again.hi < 1


def overload_of(
    trace: Trace,
    *,
    rate: float,
    surge_rate: float,
    from_s: float,
    until_s: float,
    plateau: Number,
    plateau_load: float,
    is_plateau: bool = True,
    again: Number = NOT_AGAIN,
    folder: str = "",
) -> Overload:
    """`from_s`, `until_s`: the surge, after the beginning of the window. `plateau`: requests per second at most, with
    `plateau_load` in flight; not `is_plateau`: the most that was tried, so that nothing can be held against it;
    `again`: see Overload."""
    if not is_plateau:
        plateau = number_of(Missing("the load from which on throughput stands still was not reached", 0, "1/s"))
    rows = trace.requests[in_due_order(trace.requests)]
    rows = rows[is_counted(rows)]
    t_from_ns, t_until_ns = (_opened_ns(trace, rows) + round(at * NS_PER_S) for at in (from_s, until_s))
    due = rows["t_due_ns"]
    # One that still waits when the surge begins belongs to neither: the surge may overtake it.
    quiet = rows[(due < t_from_ns) & (rows["t_first_content_ns"] < t_from_ns)]
    surge, after = rows[(due >= t_from_ns) & (due < t_until_ns)], rows[due >= t_until_ns]
    waits, band_s = _waits_s(surge), _band_s(quiet)
    shed = is_shed(surge)
    counts = {
        "ok": int(is_ok(surge).sum()),
        "shed": int(shed.sum()),
        "failed": int((is_failed(surge) & ~shed).sum()),
        "unfinished": int((~is_ok(surge) & ~is_failed(surge)).sum()),
    }
    kept = _kept(rows, plateau, plateau_load, t_from_ns, t_until_ns)
    worst = _quantile(waits, 0.9, "requests of the surge that were answered")
    refused_s = elapsed_s(surge[shed], "t_sent_ns", "t_end_ns")
    return Overload(
        word=_word(counts, kept, worst, band_s),
        rate=rate,
        surge_rate=surge_rate,
        surge_s=until_s - from_s,
        counts=counts,
        kept=number_of(kept),
        before=number_of(_quantile(_waits_s(quiet), 0.5, "requests before the surge")),
        worst=number_of(worst),
        refusal=number_of(_quantile(refused_s, 0.5, "requests that were shed")),
        recovery=number_of(recovery_of(after, t_until_ns, band_s, len(quiet))),
        least_recovery_s=_least_s(rows, t_until_ns, plateau, rate),
        unfair=number_of(_unfair(rows, surge, plateau, band_s)),
        says=_says(surge, shed),
        n_preempted=_preempted(trace),
        n_in_flight=int(_in_flight(rows, np.array([t_until_ns]))[0]),
        folder=folder,
        again=again,
    )


def is_slower_machine(again: Estimate | Missing, drift: Number | None) -> bool:
    """Whether it is the machine that is slower after the surge. `again`: the plateau's throughput then over that
    before; `drift`: the same of one request alone.

    An engine that is broken by its overload is slow with many, and not with one: one alone has to be slower by half as
    much or more.
    """
    if isinstance(again, Missing) or again.hi >= 1 or drift is None or drift.value is None:
        return False
    return drift.value <= (1 + again.value) / 2


def is_shed(rows: Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Turned away in words that a client understands: 429, 503, or an error that says so under another status."""
    by_status = (rows["outcome"] == Outcome.HTTP_STATUS) & np.isin(rows["status"], _SHED)
    told = np.isin(rows["outcome"], (Outcome.HTTP_STATUS, Outcome.ENGINE_ERROR))
    by_words = np.array([bool(_SHED_WORDS.search(str(error))) for error in rows["error"]], bool)
    return np.asarray(by_status | (told & by_words))


def sheds(trace: Trace) -> bool:
    """Whoever was not answered was turned away in such words."""
    rows = trace.requests[is_counted(trace.requests)]
    failed = rows[is_failed(rows)]
    return len(failed) > 0 and bool(is_shed(failed).all())


def recovery_of(after: Array, t_until_ns: int, band_s: float, n_quiet: int) -> Estimate | Missing:
    """Seconds from the end of the surge to the first request that is as fast as those before it, and stays so.

    It lies between the last that was slower and the first that was not: as finely as requests came.
    """
    n = len(after)
    if n_quiet < MIN_QUIET or not math.isfinite(band_s):
        return Missing(f"needs {MIN_QUIET} requests before the surge, has {n_quiet}", n_quiet, "s")
    if n < IN_A_ROW:
        return Missing(f"needs {IN_A_ROW} requests after the surge, has {n}", n, "s")
    is_back = _waits_s(after, is_all=True) <= band_s
    since_s = (after["t_due_ns"] - t_until_ns) / NS_PER_S
    for i in range(n - IN_A_ROW + 1):
        if is_back[i] and is_back[i : i + IN_A_ROW].sum() >= OF_THEM:
            lo, hi = float(since_s[i - 1]) if i else 0.0, float(since_s[i])
            method = "between the last request slower than all before the surge and the first that was not"
            return Estimate((lo + hi) / 2, lo, hi, LEVEL, n, "s", method)
    return Missing(f"not back within {float(since_s[-1]):.1f} s", n, "s")


# --- parts ---------------------------------------------------------------------------------------------------------


def _opened_ns(trace: Trace, rows: Array) -> int:
    windows = trace.meta.get("windows") or ()
    return int(windows[0]["t_start_ns"]) if windows else int(rows["t_due_ns"].min(initial=0))


def _waits_s(rows: Array, *, is_all: bool = False) -> FloatArray:
    """From due to the first token; of the successes, or of all, infinite where none came well."""
    waits = np.where(is_ok(rows), elapsed_s(rows, "t_due_ns", "t_first_content_ns"), np.inf)
    waits = np.where(np.isnan(waits), np.inf, waits)
    return waits if is_all else waits[np.isfinite(waits)]


def _band_s(quiet: Array) -> float:
    """What no request took longer than while the load was gentle; infinite if there were too few."""
    waits = _waits_s(quiet)
    return float(waits.max()) if len(waits) >= MIN_QUIET else math.inf


def _quantile(values: FloatArray, q: float, of: str) -> Estimate | Missing:
    return quantile_estimate(np.sort(values), q, unit="s", of=of)


def _in_flight(rows: Array, t_ns: Array) -> FloatArray:
    """Sent or due, and not ended, at each instant. Shapes: int64[n] -> float64[n]."""
    ends = np.sort(rows["t_end_ns"][rows["t_end_ns"] != NEVER])
    dues = np.sort(rows["t_due_ns"])
    return (np.searchsorted(dues, t_ns, "right") - np.searchsorted(ends, t_ns, "right")).astype(np.float64)


def _kept(rows: Array, plateau: Number, load: float, t_from_ns: int, t_until_ns: int) -> Estimate | Missing:
    """Answers per second while more are there than it needs to be busy, over what it does at most."""
    if not plateau.value:
        return Missing(plateau.missing or "no plateau to hold it against", 0, "ratio")
    ends = np.sort(rows["t_end_ns"][is_ok(rows)])
    settle_ns = round(load / plateau.value * NS_PER_S)  # Little: what one request takes at the plateau
    t_a_ns = t_from_ns + settle_ns
    if _in_flight(rows, np.array([t_until_ns]))[0] <= load:
        return Missing("it was no overload: no more were in flight than it needs to be busy", 0, "ratio")
    at = ends[ends > t_until_ns]
    idle = at[_in_flight(rows, at) <= load]
    t_b_ns = int(idle.min()) if len(idle) else int(rows["t_due_ns"].max())
    n = int(((ends > t_a_ns) & (ends <= t_b_ns)).sum())
    if t_b_ns - t_a_ns < 2 * settle_ns or n < N_SLICES:
        return Missing(f"the surge was too short: {n} answers in it", n, "ratio")
    n_slices = min(N_SLICES, n // 2)
    edges = np.linspace(t_a_ns, t_b_ns, n_slices + 1)
    counts = np.histogram(ends, edges)[0].astype(np.float64)
    lengths = np.diff(edges) / NS_PER_S
    found = ratio_estimate(counts, lengths, unit="1/s", n=n, of=f"answers in {lengths.sum():.1f} s of overload")
    if isinstance(found, Missing) or not found.is_bounded:
        return Missing("too few answers in the surge for an interval", n, "ratio")
    return ratio_to(found, plateau)


def ratio_to(part: Estimate, whole: Number) -> Estimate | Missing:
    """A quotient of two independent figures, its interval by the delta method of the logarithm."""
    of = whole.figure
    if not isinstance(of, Estimate) or not of.is_bounded or of.value <= 0 or part.value <= 0:
        return Missing("one of the two figures has no interval", part.n, "ratio")
    halves = [(each.hi - each.lo) / 2 / each.value for each in (part, of)]
    factor = math.exp(math.hypot(*halves))
    value = part.value / of.value
    method = "quotient of two figures; interval from both of theirs, by the logarithm"
    return Estimate(value, value / factor, value * factor, LEVEL, part.n, "ratio", method)


def _word(counts: dict[str, int], kept: Estimate | Missing, worst: Estimate | Missing, band_s: float) -> Word:
    least = max(2.0, MIN_SHARE * sum(counts.values()))
    if isinstance(kept, Estimate) and kept.hi < LEAST_KEPT and counts["shed"] < least:
        return "collapses"
    if counts["failed"] >= least:
        return "fails"
    if counts["shed"] >= least:
        return "sheds"
    return "queues" if isinstance(worst, Estimate) and worst.value > QUEUED * band_s else "bears"


def _least_s(rows: Array, t_until_ns: int, plateau: Number, rate: float) -> float | None:
    """What stands in the queue when the surge ends, worked off by what the gentle load leaves free."""
    if not plateau.value or plateau.value <= rate:
        return None
    answered = rows[is_ok(rows)]
    n_waiting = float(_in_flight(answered, np.array([t_until_ns]))[0])
    return n_waiting / (plateau.value - rate)


def _unfair(rows: Array, surge: Array, plateau: Number, band_s: float) -> Estimate | Missing:
    """The 95th percentile, over those that had to wait, of the wait over what those ahead of it explain."""
    if not plateau.value or not math.isfinite(band_s):
        return Missing("what a wait should be is not known", 0, "ratio")
    answered = surge[is_ok(surge)]
    ahead = _in_flight(rows[is_ok(rows)], answered["t_due_ns"])
    fair_s = ahead / plateau.value
    waits = elapsed_s(answered, "t_due_ns", "t_first_content_ns")
    had_to = (fair_s > band_s) & np.isfinite(waits)
    ratios = np.sort(waits[had_to] / fair_s[had_to])
    return quantile_estimate(ratios, 0.95, unit="ratio", of="requests that had to wait")


def _says(surge: Array, shed: Mask) -> str:
    """What those that failed were told most often; where none did, those that were turned away."""
    failed = is_failed(surge) & ~shed
    errors = [str(error) for error in surge["error"][failed if failed.any() else shed] if error]
    return max(set(errors), key=errors.count)[:200] if errors else ""


def _preempted(trace: Trace) -> float | None:
    samples = trace.samples[(trace.samples["source"] == "server") & (trace.samples["gauge"] == "n_preemptions")]
    return float(samples["value"][-1] - samples["value"][0]) if len(samples) > 1 else None
