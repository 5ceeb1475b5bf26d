# SPDX-License-Identifier: Apache-2.0
"""What `choose` does: from what the command line names to a contest of so many rounds, and what it came to."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inferometer.analysis.answer import MIN_ROUNDS
from inferometer.analysis.cells import Cell, all_of, cell_of, mixed
from inferometer.analysis.choice import LeftOut, Workload
from inferometer.analysis.contest import CRITERIA, THROUGHPUT, Terms
from inferometer.analysis.side import Member
from inferometer.cli import candidates, probing
from inferometer.cli.candidates import Gathered
from inferometer.cli.live import make_observer
from inferometer.cli.options import width
from inferometer.cli.output import keep_report
from inferometer.config import Experiment
from inferometer.errors import RunError, UsageError
from inferometer.metrics.slo_presets import Objective
from inferometer.plan.workloads import parse_workload
from inferometer.probes import choose as choosing
from inferometer.probes.choose import Contender, Order
from inferometer.probes.elimination import NEARLY
from inferometer.probes.sweep import Ladder
from inferometer.report.choice import render_plan
from inferometer.units import format_span

DEFAULT_LOADS = (1.0, 4.0, 16.0)
PLANNED_ROUNDS = 6  # that fit into the budget with everybody in all of them; dropping makes room for more
MIN_WINDOW_S, MAX_WINDOW_S = 3.0, 60.0
WARMUP_S = 2.0
_START_S = 3.0  # of an engine that was never started: a guess
_BESIDE_S = 1.5  # of each run: asking the server, planning, decoding


@dataclass(frozen=True, slots=True)
class Asked:
    """What the flags say, read."""

    objective: Objective
    workloads: tuple[Workload, ...]
    ladder: Ladder
    weights: Mapping[str, float]
    tolerance: float
    budget_s: float
    window_s: float | None
    warmup_s: float
    ignored: tuple[str, ...]
    again: str
    out: str | None


def workloads_of(words: Sequence[str], common: Experiment) -> tuple[Workload, ...]:
    """The first one decides; without any, the lengths of --input-tokens and --output-tokens. Raises: UsageError."""
    if not words:
        lengths = (common.input_tokens, common.output_tokens)
        name = "default" if lengths == (Experiment().input_tokens, Experiment().output_tokens) else "/".join(lengths)
        return (Workload(name, *lengths, common.shared_prefix, "as given"),)
    found = [parse_workload(word) for word in words]
    if len({one.name for one in found}) < len(found):
        raise UsageError("a workload is there twice", "give each once; the first one decides")
    return tuple(
        Workload(one.name, one.input_tokens, one.output_tokens, common.shared_prefix, one.source) for one in found
    )


def weights_of(text: str | None) -> dict[str, float]:
    """Shares of 1 out of `throughput=3,ttft=2,ease=1`. Raises: UsageError."""
    weights: dict[str, float] = {}
    for word in filter(None, (word.strip() for word in (text or THROUGHPUT).split(","))):
        name, _, number = word.partition("=")
        if name not in CRITERIA:
            raise UsageError(f"--weigh {name!r} is not known", f"choose from {', '.join(CRITERIA)}")
        try:
            weight = float(number or 1)
        except ValueError as error:
            raise UsageError(f"--weigh {word!r} is no weight", "write throughput=3,ttft=2") from error
        if not 0 < weight < 1e6 or name in weights:
            raise UsageError(f"--weigh {word!r} is no weight", "give each once, with a number above 0")
        weights[name] = weight
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def order_of(asked: Asked, gathered: Gathered) -> Order:
    """Everything decided. Raises: UsageError if the budget is no time for it."""
    entries = [contender.entry for contender in gathered.contenders]
    terms = Terms(
        asked.objective.attainment,
        asked.tolerance,
        asked.weights,
        asked.ladder.loads,
        len(asked.workloads),
        tuple(entry.n_devices * (entry.price_per_h or 1.0) for entry in entries),
        tuple(candidates.ease_of(entry.points) for entry in entries),
    )
    n_live = sum(contender.config is not None for contender in gathered.contenders)
    return Order(
        asked.objective,
        asked.workloads,
        asked.ladder.kind,
        asked.ladder.loads,
        window_s(asked, n_live) if asked.window_s is None else _given_window_s(asked, asked.window_s, n_live),
        asked.warmup_s,
        asked.budget_s,
        terms,
        asked.again,
        asked.out,
        candidates.facts_of,
        asked.ignored,
    )


def window_s(asked: Asked, n_live: int) -> float:
    """As long as PLANNED_ROUNDS allow. Raises: UsageError if not even the fewest rounds fit."""
    n_cells = len(asked.workloads) * len(asked.ladder.loads)

    def longest(n_rounds: int) -> float:
        turn_s = asked.budget_s / max(n_live, 1) / n_rounds
        return (turn_s - _START_S) / n_cells - asked.warmup_s - _BESIDE_S

    if longest(MIN_ROUNDS) < MIN_WINDOW_S:
        cell_s = MIN_WINDOW_S + asked.warmup_s + _BESIDE_S
        needed_s = MIN_ROUNDS * n_live * (_START_S + n_cells * cell_s)
        raise UsageError(
            f"--budget {format_span(asked.budget_s)} is no time: {MIN_ROUNDS} rounds of turns, {n_live} x {n_cells} "
            f"runs each, take {format_span(needed_s)}",
            f"give --budget {int(needed_s // 60) + 1}m, fewer candidates, or fewer loads",
        )
    return round(min(MAX_WINDOW_S, max(MIN_WINDOW_S, longest(PLANNED_ROUNDS))), 1)


def _given_window_s(asked: Asked, given_s: float, n_live: int) -> float:
    """Raises: UsageError if not even the runs of one round fit, which would be measured whatever it takes."""
    n_runs = n_live * len(asked.workloads) * len(asked.ladder.loads)
    needed_s = n_runs * (given_s + asked.warmup_s)
    if needed_s > NEARLY * asked.budget_s:
        raise UsageError(
            f"--budget {format_span(asked.budget_s)} is no time: one round of {n_runs} runs, {format_span(given_s)} "
            f"each after {format_span(asked.warmup_s)} of warm-up, takes {format_span(needed_s)}",
            f"give --budget {math.ceil(MIN_ROUNDS * needed_s / 60)}m for {MIN_ROUNDS} rounds, or shorter runs by --for",
        )
    return given_s


def comparable(gathered: Gathered, asked: Asked) -> Gathered:
    """Of runs measured elsewhere, those that were valid and under a load of this choice; candidates without any, and
    those whose runs are of more than one engine, are left out."""
    probe = order_of(replace(asked, window_s=0.0, warmup_s=0.0), gathered)
    kept: list[Contender] = []
    out: list[LeftOut] = list(gathered.left_out)
    for contender in gathered.contenders:
        found = contender if contender.config is not None else _fitting(contender, probe)
        if isinstance(found, LeftOut):
            out.append(found)
        else:
            kept.append(found)
    return Gathered(tuple(kept), tuple(out))


def _fitting(contender: Contender, order: Order) -> Contender | LeftOut:
    """One that was measured elsewhere, with the runs that can be used here."""
    name, cells = contender.entry.name, dict[Cell, list[Member]]()
    valid = [member for member in contender.members if candidates.usable(member) or "validity" in order.ignored]
    for member in valid:
        cell = cell_of(member, order.kind, order.loads, order.workloads)
        if cell is not None:
            cells.setdefault(cell, []).append(member)
    if not cells:
        loads = ", ".join(f"{load:g}" for load in order.loads)
        kind = "--rate" if order.kind == "rate" else "--concurrency"
        reason = "no run in it has lengths and load of this choice" if valid else "no run in it is valid"
        return LeftOut(name, reason, f"measure it with {kind} {loads} and the same lengths")
    several = mixed(name, cells, order.ignored)
    if several:
        told = "; ".join(f"{each.kind}: {each.text}" for each in several)
        kinds = ",".join(dict.fromkeys(each.kind for each in several))
        return LeftOut(
            name, f"its runs are not of one candidate: {told}", f"give each one by itself, or --ignore {kinds}"
        )
    return replace(contender, members=tuple(all_of(cells)))


def plan(asked: Asked, gathered: Gathered) -> None:
    """What would be done, on stdout; nothing is started."""
    gathered = comparable(gathered, asked)
    order = order_of(asked, gathered)
    n_live = sum(contender.config is not None for contender in gathered.contenders)
    n_cells = len(order.workloads) * len(order.loads)
    round_s = n_live * (_START_S + n_cells * (order.window_s + order.warmup_s + _BESIDE_S))
    sys.stdout.write(
        render_plan(
            [(c.entry.name, c.entry.kind, c.entry.target) for c in gathered.contenders],
            gathered.left_out,
            order.workloads,
            loads=order.loads,
            kind=order.kind,
            slo=order.objective.limits.text,
            attainment=order.objective.attainment,
            weights=order.terms.weights,
            window_s=order.window_s,
            round_s=round_s,
            budget_s=order.budget_s,
            width=width(),
        )
    )


def choose(asked: Asked, gathered: Gathered, format: str, *, is_quiet: bool) -> int:
    """Returns the exit code. Raises: UsageError, RunError; what ended it early, after its report."""
    gathered = comparable(gathered, asked)
    order = order_of(asked, gathered)
    if not gathered.contenders:
        reasons = "; ".join(f"{left.name}: {left.reason}" for left in gathered.left_out)
        remedy = next(
            (left.remedy for left in gathered.left_out if left.remedy), "give some: a URL, or --engines NAMES"
        )
        raise RunError(f"no candidate can be tried: {reasons}", remedy)
    observer = make_observer(is_quiet=is_quiet)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        folder, _, stopped = choosing.run(gathered.contenders, gathered.left_out, order, observer, keep_report)
    finally:
        observer.close()
    code = probing.report(probing.CHOICE, Path(folder), format)
    if stopped is not None:
        raise stopped
    return code


def load_of(given: Mapping[str, Any], ladder: Ladder) -> dict[str, Any]:
    """The flags of one experiment, with the first load of the ladder."""
    first = ladder.loads[0]
    is_rate = ladder.kind == "rate"
    return dict(given) | {"rate": first if is_rate else None, "concurrency": None if is_rate else int(first)}
