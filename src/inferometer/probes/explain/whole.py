# SPDX-License-Identifier: Apache-2.0
"""`explain TARGET`: one examination after the other on the same bench, each with its share of the time.

Rule 1: a challenge is one entry of the table of parts; nothing else here knows any of them.
Rule 2: what one examination leaves of its time goes to those after it; one that fails, or has less time than it needs
    for anything, is a row that says why, and the others go on.
Rule 3: the result is written after every row: what was found is not lost with the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from inferometer.analysis import explanation
from inferometer.analysis.explanation import Explanation, Verified
from inferometer.analysis.finding import CHALLENGES, Challenge, Row
from inferometer.clock import utc_now
from inferometer.errors import BY_USER, Cancelled, EngineError, InferometerError, RunError, UsageError
from inferometer.probes.bench import Bench
from inferometer.probes.points import Stopped, carried_out
from inferometer.probes.results import write_result

BUDGET_S = 600.0


class Examination(Protocol):
    """What every examination leaves."""

    @property
    def row(self) -> Row: ...


@dataclass(frozen=True, slots=True)
class Part:
    """One challenge: `examine(bench, seconds)`, the file of its result, the seconds below which it has nothing to say,
    and its share of what is left beyond those of all parts."""

    challenge: Challenge
    share: float
    least_s: float
    file: str
    examine: Callable[[Bench, float], Any]


@dataclass(slots=True)
class Explaining:
    """An explanation on its way. `results`: of the challenges that were examined."""

    bench: Bench
    parts: Sequence[Part]
    rows: dict[Challenge, Row] = field(default_factory=dict)
    results: dict[Challenge, Any] = field(default_factory=dict)
    verified: list[Verified] = field(default_factory=list)
    cause: InferometerError | None = None
    seconds: float = 0.0  # that the examinations took; what is verified afterwards takes its own

    def go(self) -> None:
        """Examine one after the other; the server's end, or the user, ends it with what is there: `cause`."""
        self.cause = carried_out(self._examine_all)
        self.seconds = self.bench.used_s()
        self.write()

    def _examine_all(self) -> None:
        for i, part in enumerate(self.parts):
            left_s = self.bench.left_s()
            if left_s < part.least_s:
                why = f"it needs {part.least_s:.0f} s, and {max(0.0, left_s):.0f} s of the budget were left"
                self.rows[part.challenge] = explanation.not_examined(part.challenge, why)
                continue
            to_come = self.parts[i:]
            spare_s = max(0.0, left_s - sum(each.least_s for each in to_come))
            share_s = part.least_s + spare_s * part.share / sum(each.share for each in to_come)
            try:
                self._examine(part, share_s)
            except (EngineError, RunError, UsageError) as error:  # of this examination alone: the others go on
                self.rows[part.challenge] = explanation.not_examined(part.challenge, str(error))
            except Stopped as ended:
                if isinstance(ended.cause, Cancelled) or self._is_server_gone():
                    raise
                self.rows[part.challenge] = explanation.not_examined(part.challenge, str(ended))
            self.seconds = self.bench.used_s()
            self.write()

    def _is_server_gone(self) -> bool:
        """Whether one that is ours has ended; of another's, every examination may find out for itself."""
        server = self.bench.points.subject.server
        return server is not None and not server.is_running

    def _examine(self, part: Part, seconds: float) -> None:
        self.bench.say(f"{part.challenge:9} for {seconds:.0f} s")
        t_start_s, n_before = self.bench.used_s(), self.bench.n_requests
        folder = self.bench.folder / part.challenge
        folder.mkdir(exist_ok=True)
        found = part.examine(self.bench, seconds)
        write_result(folder / part.file, found)
        self.results[part.challenge] = found
        n_requests, took_s = self.bench.n_requests - n_before, self.bench.used_s() - t_start_s
        self.rows[part.challenge] = _row_of(found, took_s, n_requests)
        # It kept what it had, and what was to follow is not wanted. One that keeps nothing of the kind raises instead.
        if getattr(found, "stopped", "") == BY_USER:
            raise Stopped(Cancelled(BY_USER))

    def result(self) -> Explanation:
        facts, stopped = self.bench.facts, str(self.cause or "")
        unasked = set(CHALLENGES) - {part.challenge for part in self.parts}
        rows = {each: explanation.not_examined(each, "it was not asked for") for each in unasked} | self.rows
        return Explanation(
            rows=explanation.rows_of(rows, reason=stopped or "it was not come to"),
            folders={challenge: challenge for challenge in self.results},
            budget_s=self.bench.budget_s,
            seconds=self.seconds,
            n_requests=self.bench.n_requests,
            created=utc_now().isoformat(timespec="seconds"),
            engine={"name": facts.engine, "title": facts.title, "version": facts.version, "model": facts.model},
            verified=self.verified,
            stopped=stopped,
        )

    def write(self) -> None:
        write_result(self.bench.folder / explanation.FILE, self.result())


def _row_of(found: Examination, seconds: float, n_requests: int) -> Row:
    """Time and requests as they were spent on this bench."""
    return msgspec.structs.replace(found.row, seconds=seconds, n_requests=n_requests)
