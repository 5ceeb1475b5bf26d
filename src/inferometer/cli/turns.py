# SPDX-License-Identifier: Apache-2.0
"""What `inferometer ab` does: rounds until enough of them are valid, then the comparison of their runs.

Rule: a round with an invalid run is measured again, both sides of it, and told; it is the client's trouble as a rule,
and one spoiled run must not spoil sixteen. What is left out is kept beside.
"""

from __future__ import annotations

import secrets
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np

from inferometer import archive
from inferometer.analysis.compare import Comparison
from inferometer.analysis.side import Member, Quantity, Side, parse_quantity
from inferometer.cli import comparing
from inferometer.cli.live import Live, Silent, make_observer
from inferometer.cli.output import keep_report
from inferometer.clock import utc_now
from inferometer.config import Experiment
from inferometer.errors import RunError, UsageError
from inferometer.experiment.conduct import check
from inferometer.experiment.rounds import SIDES, Round, rounds
from inferometer.probes.results import read_result, write_result
from inferometer.run_folder import DEFAULT_PARENT, MANIFEST, STATE_FINISHED, Run
from inferometer.units import format_span

FILE, SCHEMA = "ab.json", "inferometer/ab/1"
LEFT_OUT = "left-out"
_MAX_MORE = 0.5  # of the rounds asked for, that may be measured again


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be compared, and how."""

    titles: tuple[str, str]
    configs: tuple[Experiment, Experiment]
    n_rounds: int
    ignored: tuple[str, ...]
    quantities: tuple[Quantity, ...]
    tolerance: float


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison was asked, in its folder: enough to make it again out of the runs."""

    schema: str = SCHEMA
    titles: tuple[str, str]
    ignored: tuple[str, ...]
    metrics: tuple[str, ...]
    tolerance: float


@dataclass
class Found:
    """What was measured so far: members of A and of B by round, and the rounds left out in words."""

    members: tuple[list[Member], list[Member]] = field(default_factory=lambda: ([], []))
    left_out: list[str] = field(default_factory=list)

    def add(self, members: Sequence[Member], why_out: str) -> None:
        """A round: its runs, of A and of B, or why it does not count."""
        if why_out:
            self.left_out.append(why_out)
            return
        for kept, member in zip(self.members, members, strict=True):
            kept.append(member)

    def sides(self, titles: Sequence[str]) -> tuple[Side, Side]:
        return (Side(titles[0], tuple(self.members[0])), Side(titles[1], tuple(self.members[1])))


def measure(order: Order, out: str | None, *, is_quiet: bool) -> tuple[Comparison, Path]:
    """Raises: what a run raises; RunError if too few rounds came out valid, UsageError for what cannot be compared."""
    for config in order.configs:
        check(config)
    folder = _make_folder(out)
    metrics = tuple(quantity.name for quantity in order.quantities)
    asked = Asked(titles=order.titles, ignored=order.ignored, metrics=metrics, tolerance=order.tolerance)
    write_result(folder / FILE, asked)
    _say(is_quiet, f"folder    {folder}\nplan      {_plan_text(order)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C
    observer, found = Observers(is_quiet, 2 * order.n_rounds), Found()
    turns = rounds(
        order.configs,
        folder,
        order.n_rounds,
        n_spare=int(_MAX_MORE * order.n_rounds),
        rng=np.random.default_rng(secrets.randbits(64)),
        name=folder.name,
        observer_of=observer,
    )
    try:
        for each in turns:
            _take(each, found, order, folder)
            if len(found.members[0]) == order.n_rounds:
                break
    finally:
        observer.close()
    return _compared(found, order), folder


def report(folder: Path, format: str, out: str | None) -> None:
    """The comparison once more, out of the runs in its folder: of the rounds that both sides finished, with the others
    told.

    Raises: FormatError, UsageError if they are too few, RunError.
    """
    asked = read_result(folder / FILE, Asked, SCHEMA)
    found = rounds_in(folder, asked.ignored)
    compared = comparing.compared(
        found.sides(asked.titles),
        ignored=asked.ignored,
        quantities=tuple(parse_quantity(name) for name in asked.metrics),
        tolerance=asked.tolerance,
    )
    comparing.print_comparison(_noted(compared, found), format, out=out)


def rounds_in(folder: Path, ignored: Sequence[str]) -> Found:
    """Of every round what was kept and what was not, as it was decided while it was measured; and the one in the middle
    of which it ended, of which a turn has no note that it belongs to a round."""
    sides = [{run.path.name: run for run in archive.runs_of(str(folder / side))} for side in SIDES]
    for side, runs in zip(SIDES, sides, strict=True):
        out = (folder / LEFT_OUT).glob(f"{side}-*/{MANIFEST}")
        runs |= {path.parent.name.removeprefix(f"{side}-"): Run.open(str(path.parent)) for path in out}
    found = Found()
    for name in sorted(sides[0].keys() | sides[1].keys()):
        number, done = (
            name.lstrip("0"),
            [runs[name] for runs in sides if name in runs and "ab" in runs[name].manifest()],
        )
        if len(done) < len(sides):
            found.add((), f"round {number}, it was not finished")
            continue
        members = [Member.of(str(run.path), run.trace()) for run in done]
        found.add(members, _why_out(number, members, ignored))
    return found


def _compared(found: Found, order: Order) -> Comparison:
    """What was kept, compared; what was left out is told with it."""
    n_kept, n_out = len(found.members[0]), len(found.left_out)
    if n_kept < order.n_rounds:
        raise RunError(
            f"only {n_kept} of {n_kept + n_out} rounds were valid: {'; '.join(found.left_out)}",
            "see `inferometer report` of those runs, or compare them all the same with --ignore validity",
        )
    compared = comparing.compared(
        found.sides(order.titles), ignored=order.ignored, quantities=order.quantities, tolerance=order.tolerance
    )
    return _noted(compared, found)


def _noted(compared: Comparison, found: Found) -> Comparison:
    n_kept, n_out = len(found.members[0]), len(found.left_out)
    if not n_out:
        return compared
    note = f"{n_out} of {n_kept + n_out} rounds left out: {'; '.join(found.left_out)}"
    return replace(compared, notes=(*compared.notes, note))


def _take(each: Round, found: Found, order: Order, folder: Path) -> None:
    """Keep a round if both of its runs are valid; after the first, refuse what cannot be compared anyway."""
    members = [_member_of(run) for run in each.runs]
    why = _why_out(str(each.number), members, order.ignored)
    found.add(members, why)
    if why:
        (folder / LEFT_OUT).mkdir(exist_ok=True)
        for side, run in zip(SIDES, each.runs, strict=True):
            run.path.rename(folder / LEFT_OUT / f"{side}-{each.number:02d}")
    elif len(found.members[0]) == 1:
        comparing.refuse_incomparable(found.sides(order.titles), order.ignored)


def _why_out(number: str, members: Sequence[Member], ignored: Sequence[str]) -> str:
    """Why a round is left out, "" if it is kept."""
    bad = [
        (side, member)
        for side, member in zip(SIDES, members, strict=True)
        if member.summary.verdict.level == "invalid" or member.facts.get("state") != STATE_FINISHED
    ]
    if not bad or "validity" in ignored:
        return ""
    codes = ", ".join(dict.fromkeys(r.code for _, m in bad for r in m.summary.verdict.reasons if r.level == "invalid"))
    sides = " and ".join(side for side, _ in bad)
    return f"round {number}, {sides} invalid ({codes or 'it ended early'})"


def _member_of(run: Run) -> Member:
    """The run summarised; its report is kept in its folder, as `run` does."""
    member = Member.of(str(run.path), run.trace())
    keep_report(run, member.summary)
    return member


def _make_folder(out: str | None) -> Path:
    """Raises: UsageError if it is there already, or cannot be made."""
    stamp = utc_now().strftime("%Y%m%dT%H%M%SZ")
    path = Path(out) if out else Path(DEFAULT_PARENT) / f"{stamp}-ab"
    Run.refuse_existing(str(path))
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {path}: {error.strerror}", "choose another with --out") from error
    return path


def _plan_text(order: Order) -> str:
    config = order.configs[0]
    length = (config.for_s or 0) + (config.warmup.duration_s if config.warmup else 0)
    lasts = f", {format_span(2 * order.n_rounds * length)} and the starts" if config.for_s else ""
    return f"{order.n_rounds} rounds of A and B in turns{lasts}"


def next_command(found: Comparison, order: Order, folder: Path) -> str:
    """As many rounds as it takes to settle what is open, as far as so many can be told; or the command that shows
    this again."""
    undecided = [row for row in found.rows if row.verdict == "undecided"]
    needed = {row.quantity.name: row.n_to_settle for row in undecided if row.n_to_settle is not None}
    if max(needed.values(), default=0) > order.n_rounds:
        what = "what is open" if len(needed) == len(undecided) else ", ".join(needed)
        return f"the same with --repeats {max(needed.values())} settles {what}"
    return shlex.join(["inferometer", "report", str(folder)])


class Observers:
    """A live view per turn, quiet about what is the same in each: `observer_of` of the rounds."""

    def __init__(self, is_quiet: bool, n_turns: int) -> None:
        self._is_quiet = is_quiet
        self._n_turns = n_turns
        self._n_begun = 0
        self._view: Live | Silent = Silent()

    def __call__(self, turn: str) -> Live | Silent:
        self.close()
        self._n_begun += 1
        more = f" of {self._n_turns}" if self._n_begun <= self._n_turns else ", again"
        _say(self._is_quiet, f"turn      {self._n_begun}{more}: {turn}")
        self._view = make_observer(is_quiet=self._is_quiet)
        return self._view

    def close(self) -> None:
        self._view.close()


def _say(is_quiet: bool, text: str) -> None:
    if not is_quiet:
        print(text, file=sys.stderr, flush=True)
