# SPDX-License-Identifier: Apache-2.0
"""The search for the highest load within limits, with runs of a real server.

Rule 1: which load is next, and when it is enough, is `search.py`'s; here looks are taken, noted and written down.
Rule 2: requests one at a time come first: what they take sets the scale, and if they miss the limits no load can meet
them.
Rule 3: the result is written after every look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

from inferometer.analysis.limit import FILE, LimitSearch, LoadRow, LookRow
from inferometer.analysis.look import Look, look_at
from inferometer.analysis.number import Number, number_of
from inferometer.analysis.turn import SPOILED_BY
from inferometer.clock import utc_now
from inferometer.config import Experiment
from inferometer.drive.progress import Observer
from inferometer.errors import EngineError, InferometerError
from inferometer.metrics.slo import Limits
from inferometer.metrics.slo_presets import Objective
from inferometer.metrics.summary import Summary
from inferometer.probes.points import MOST_ELSEWHERE, MOST_STARTED, Keep, Points, Stopped, carried_out, points
from inferometer.probes.results import write_result
from inferometer.probes.search import (
    SAFE_SHARE,
    Aim,
    Ask,
    Found,
    Search,
    Taken,
    budget_needed_s,
    conclude,
    evidence_of,
    verdict_of,
)
from inferometer.stats import LEVEL, Estimate, Missing
from inferometer.units import format_span

BUDGET_S = 900.0
FOLDER = "limit"  # of a search that is part of an examination
ALONE_S, ALONE_WARMUP_S = 5.0, 1.0
_SINCE_DUE = ("ttft_s", "ttfat_s", "e2e_s")  # limits on these bound how long a request may wait
_WORDS = {"above": "holds", "below": "fails", "undecided": "undecided"}


def run(
    config: Experiment, objective: Objective, observer: Observer, keep: Keep, *, is_closed: bool, budget_s: float
) -> tuple[Path, LimitSearch, InferometerError | None]:
    """Search; the folder, what was found, and what ended it early, if anything did. `is_closed`: for the highest
    concurrency instead of the highest rate. `keep`: is given each run with its summary.

    Raises: UsageError, EngineError, RunError before the first look.
    """
    most = MOST_ELSEWHERE if config.url is not None else MOST_STARTED
    greatest = (
        replace(config, rate=None, concurrency=most) if is_closed else replace(config, rate=1.0, concurrency=None)
    )
    with points(config, observer, what="limit", greatest=greatest, keep=keep) as taker:
        going = _Going(objective, taker, observer, is_closed, budget_s, most)
        stopped = going.go()
        return taker.folder, going.result(), stopped


def on_points(taker: Points, objective: Objective, *, budget_s: float) -> LimitSearch:
    """The highest rate, of a server that is there; what ended the search early stands in it."""
    folder = taker.folder / FOLDER
    folder.mkdir()
    inner = replace(taker, folder=folder)
    going = _Going(objective, inner, taker.observer, False, budget_s, MOST_ELSEWHERE)
    going.go()
    taker.n_taken = inner.n_taken
    return going.result()


@dataclass(slots=True)
class _Going:
    """A search on its way."""

    objective: Objective
    taker: Points
    observer: Observer
    is_closed: bool
    budget_s: float
    most: int
    rows: list[LookRow] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    aim: Aim | None = None
    alone: Summary | None = None
    alone_share: Number = field(default_factory=lambda: number_of(Missing("was not looked at", 0, "ratio")))
    stopped: str = ""
    found: Found | None = None
    spent_s: float = 0.0
    created: str = field(default_factory=lambda: utc_now().isoformat(timespec="seconds"))

    def go(self) -> InferometerError | None:
        cause = carried_out(self._search)
        if cause is not None:
            self.stopped = str(cause)
        self._write()
        return cause

    def _search(self) -> None:
        self.aim = self._look_alone()
        if not self.stopped:
            self.found = Search(self.aim, self._take, self.taken).run()
            self.stopped = self.found.stopped

    def _look_alone(self) -> Aim:
        """One request at a time. Raises: Stopped if nothing comes of it."""
        taken = self.taker.take(concurrency=1, window_s=ALONE_S, warmup_s=ALONE_WARMUP_S)
        self.spent_s += taken.seconds
        trace, alone = taken.summarized(self.objective.limits)
        self.alone = alone
        self.alone_share = number_of(alone.metrics["attainment_ratio"]["value"])
        e2e = alone.metrics["e2e_s"]["mean"]
        if isinstance(e2e, Missing):
            cause = EngineError(f"one request at a time: {e2e.reason}", f"see inferometer report {taken.run.path}")
            raise Stopped(cause)
        look = look_at(trace, self.objective.limits, 1.0)
        target = self.objective.attainment
        if evidence_of(target, [look], look.time).verdict((1 - LEVEL) / 2) == "below":
            missed = max(look.misses, key=lambda text: look.misses[text])
            self.stopped = f"requests one at a time miss {missed}: no load can meet it"
        self.observer.say(f"alone     {e2e.value:.3g} s a request, {_percent(look.share)} within the limits")
        most_s = 0.0 if self.is_closed else wait_s(self.objective.limits)
        return Aim(
            target,
            1.0 if self.is_closed else float(f"{1 / e2e.value:.3g}"),
            e2e.value,
            most_s,
            "requests" if self.is_closed else "1/s",
            self.budget_s - taken.seconds,
            is_whole=self.is_closed,
            most=float(self.most) if self.is_closed else math.inf,
        )

    def _take(self, ask: Ask) -> tuple[Look, float]:
        load = {"concurrency": int(ask.load)} if self.is_closed else {"rate": ask.load}
        taken = self.taker.take(**load, window_s=ask.window_s, warmup_s=ask.warmup_s)
        self.spent_s += taken.seconds
        trace, summary = taken.summarized(self.objective.limits)
        reasons = summary.verdict.reasons
        spoilt = any(reason.level == "invalid" and reason.code in SPOILED_BY for reason in reasons)
        look = replace(look_at(trace, self.objective.limits, ask.load), is_spoiled=spoilt)
        self.rows.append(
            LookRow(
                ask.load,
                str(taken.run.path.relative_to(self.taker.folder)),
                ask.stage,
                look.n,
                look.n_worth,
                look.share if look.n else None,
                dict(look.misses),
                look.growth,
                taken.seconds,
                list(dict.fromkeys(reason.code for reason in reasons if reason.level == "invalid")),
            )
        )
        of = "in flight" if self.is_closed else "requests/s"
        self.observer.say(
            f"{ask.stage:10}{ask.load:.4g} {of}: {_percent(look.share)} of {look.n:,} within the limits"
            + (f"; {look.growth}" if look.growth else "")
        )
        self._write()
        return look, taken.seconds

    def result(self) -> LimitSearch:
        objective, aim, alone = self.objective, self.aim, self.alone
        found = self.found
        if found is None and aim is not None and self.taken:
            found = conclude(aim, self.taken, self.stopped)
        unit = "requests" if self.is_closed else "1/s"
        limit = found.limit if found else Missing(self.stopped or "nothing was looked at yet", 0, unit)
        return LimitSearch(
            kind="concurrency" if self.is_closed else "rate",
            slo=objective.limits.text,
            preset=objective.preset,
            source=objective.source,
            attainment=objective.attainment,
            confidence=LEVEL,
            safe_share=SAFE_SHARE,
            limit=number_of(limit),
            safe=found.safe if found else None,
            holds=found.holds if found else None,
            fails=found.fails if found else None,
            binding=found.binding if found else "",
            alone_share=self.alone_share,
            stopped=self.stopped,
            budget_s=self.budget_s,
            seconds=self.spent_s,
            loads=self._loads(),
            looks=self.rows,
            notes=self._notes(limit),
            created=self.created,
            engine=dict(alone.engine) if alone else {},
            plan=dict(alone.plan) if alone else {},
            host=dict(alone.host) if alone else {},
            versions=dict(alone.versions) if alone else {},
            slope=found.slope if found else None,
        )

    def _loads(self) -> list[LoadRow]:
        rows = []
        for load in sorted({each.ask.load for each in self.taken}):
            looks = [each.look for each in self.taken if each.ask.load == load]
            sound = [look for look in looks if not look.is_spoiled]
            n, n_met = sum(look.n for look in sound), sum(int(look.is_met.sum()) for look in sound)
            verdict = verdict_of(self.aim, self.taken, load) if self.aim else "undecided"
            rows.append(LoadRow(load, len(looks), n, n_met / n if n else None, _WORDS[verdict]))
        return rows

    def _notes(self, limit: Estimate | Missing) -> list[str]:
        notes = []
        if self.aim is not None and (needed_s := budget_needed_s(self.aim)) > 1.05 * self.aim.budget_s:
            notes.append(
                "looks were shorter than these limits ask for, so a slight overload may have stayed unseen: "
                f"give --budget {math.ceil(needed_s / 60)}m"
            )
        if isinstance(limit, Estimate) and self.aim is not None:
            half = 0.5 * math.log(limit.hi / limit.lo)
            if half > self.aim.resolution:
                notes.append(
                    f"after {format_span(self.spent_s)} the limit is known to +-{100 * half:.2g} %, not to "
                    f"+-{100 * self.aim.resolution:.3g} %: give a larger --budget"
                )
        spoiled = [row for row in self.rows if row.reasons]
        if spoiled:
            codes = ", ".join(dict.fromkeys(code for row in spoiled for code in row.reasons))
            told = f"{len(spoiled)} of {len(self.rows)} runs are invalid: {codes}"
            notes.append(f"{told}; those in which the client was late count for nothing: search on a quieter machine")
        return notes

    def _write(self) -> None:
        write_result(self.taker.folder / FILE, self.result())


def wait_s(limits: Limits) -> float:
    """The longest time that a request may wait."""
    return max((limit.value for limit in limits.per_request if limit.metric in _SINCE_DUE), default=0.0)


def _percent(share: float) -> str:
    return "none" if math.isnan(share) else f"{100 * share:.1f} %"
