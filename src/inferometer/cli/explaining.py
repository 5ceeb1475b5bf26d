# SPDX-License-Identifier: Apache-2.0
"""What `explain TARGET` does: the table of its parts, all of them on one bench, and the remedy that is verified."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inferometer.analysis import accuracy, cost, explanation, latency, memory, scale, token_limits
from inferometer.analysis.finding import CHALLENGES, Challenge
from inferometer.cli import examining, footing, probing
from inferometer.cli.live import make_observer
from inferometer.cli.options import Format
from inferometer.cli.turns import Observers
from inferometer.config import Experiment
from inferometer.embedded import models
from inferometer.engines.knobs import written
from inferometer.engines.registry import engine_named
from inferometer.errors import Cancelled, UsageError
from inferometer.probes.bench import Bench, bench
from inferometer.probes.explain import accuracy as accuracies
from inferometer.probes.explain import cost as costs
from inferometer.probes.explain import latency as latencies
from inferometer.probes.explain import limits as limits_of
from inferometer.probes.explain import memory as memories
from inferometer.probes.explain import scale as scaling
from inferometer.probes.explain.verify import N_ROUNDS, Known, verify
from inferometer.probes.explain.whole import Explaining, Part
from inferometer.probes.points import MOST_STARTED
from inferometer.run_folder import write_atomically
from inferometer.units import format_span

N_SLOTS = 16  # of an engine that must be told how many it serves at a time, and was not


def parts_of(config: Experiment) -> tuple[Part, ...]:
    """One entry a challenge: share of the time, seconds at least, the file of its result, how it is examined. In order:
    what asks about a single request comes before what overloads the server."""
    return (
        Part("limits", 0.25, 15, token_limits.FILE, lambda at, s: limits_of.examine(at, s, seed=config.plan_seed)),
        Part("accuracy", 0.25, 15, accuracy.FILE, lambda at, s: accuracies.examine(at, _questions(config, s))),
        Part("latency", 0.17, 25, latency.FILE, latencies.examine),
        Part("cost", 0.08, 45, cost.FILE, lambda at, s: costs.examine(at, costs.CostWish(budget_s=s))),
        Part("memory", 0.08, 45, memory.FILE, lambda at, s: memories.examine(at, memories.MemoryWish(budget_s=s))),
        Part("scale", 0.17, 25, scale.FILE, scaling.examine),
    )


def _questions(config: Experiment, seconds: float) -> accuracies.Wish:
    return accuracies.Wish(seed=config.plan_seed, budget_s=seconds)


@dataclass(frozen=True, slots=True)
class Wish:
    """`only`: the challenges to examine; `verifies`: whether a remedy is tried in the end."""

    budget_s: float
    only: tuple[Challenge, ...]
    verifies: bool


def challenges_of(text: str | None) -> tuple[Challenge, ...]:
    """`latency,scale`; all if none are named. Raises: UsageError."""
    if text is None:
        return CHALLENGES
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = next((name for name in names if name not in CHALLENGES), None)
    if wrong is not None or not names:
        raise UsageError(f"--only {wrong or text!r} is no challenge", f"choose from {', '.join(CHALLENGES)}")
    return tuple(challenge for challenge in CHALLENGES if challenge in names)


def explain(config: Experiment, wish: Wish, format: Format, *, is_quiet: bool) -> int:
    """Returns the exit code. Raises: UsageError, EngineError, RunError; what ended it early, after its report."""
    if wish.verifies and (config.url is not None or (config.command and config.engine is None)):
        raise UsageError(
            "--verify starts the server anew with other settings, which is not ours to do with this one",
            "name the engine: --engine NAME --model MODEL, or leave --verify out",
        )
    parts = [part for part in parts_of(config) if part.challenge in wish.only]
    _refuse_too_short(wish.budget_s, parts)
    config = by_name(config)
    observer = make_observer(is_quiet=is_quiet)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with bench(config, observer, what="explain", greatest=greatest_of(config), budget_s=wish.budget_s) as at:
            going = Explaining(at, parts)
            going.go()
            known = known_of(at) if wish.verifies else None
    finally:
        observer.close()
    if known is not None and going.cause is None:
        try:
            _verify(going, known, config, is_quiet=is_quiet)
        except Cancelled as stopped:  # what was examined is printed all the same
            going.cause = stopped
    folder = going.bench.folder
    write_atomically(folder / explanation.PAGE, probing.explanation_page(going.result(), folder).encode())
    code = probing.report(probing.EXPLANATION, folder, format.value)
    if going.cause is not None:
        raise going.cause
    return code


def _refuse_too_short(budget_s: float, parts: Sequence[Part]) -> None:
    """Raises: UsageError if not every row can have the least that it needs."""
    needed_s = sum(part.least_s for part in parts)
    if budget_s < needed_s:
        rows = "1 row" if len(parts) == 1 else f"{len(parts)} rows"
        raise UsageError(
            f"--budget {format_span(budget_s)} is no time for {rows}, which need {format_span(needed_s)} at the least",
            f"give --budget {math.ceil(needed_s / 60)}m or more" + ("" if len(parts) == 1 else ", or fewer by --only"),
        )


def by_name(config: Experiment) -> Experiment:
    """The embedded engine by its name, so that it can be told its settings, and to print what it takes."""
    if config.is_embedded:
        model = models.choose(config.model).name
        config = replace(config, engine=footing.EMBEDDED_ENGINE, model=model)
    return footing.telling(config)


def greatest_of(config: Experiment) -> Experiment:
    """The load for which a server that we start is made: prompts as long as its model has room for, and connections
    for as many requests as are ever sent. An engine that sets a place aside for each is given fewer places."""
    longest = replace(examining.longest_of(config, limits_of.STARTED_CONTEXT), concurrency=MOST_STARTED)
    plan = engine_named(config.engine).launch if config.engine is not None else None
    is_told = any(setting.startswith("max_concurrency=") for setting in config.settings)
    if plan is None or is_told or "max_concurrency" not in plan.always:
        return longest
    return replace(longest, settings=(*config.settings, f"max_concurrency={N_SLOTS}"))


def known_of(at: Bench) -> Known:
    """How the server was started that was examined."""
    start = at.points.subject.start
    if start is None:
        raise AssertionError("a server that was not started by its name was to be verified")
    settings = tuple(f"{name}={written(value)}" for name, value in start.settings.items())
    return Known(start.engine.name, at.config.model, settings)


def _verify(going: Explaining, known: Known, config: Experiment, *, is_quiet: bool) -> None:
    """The worst finding that has settings; the result is written with it."""
    finding = explanation.to_verify(going.result().rows)
    if finding is None or finding.trial is None:
        if not is_quiet:
            print("verified  nothing: no finding has a setting that a run under load could try", file=sys.stderr)
        return
    folder: Path = going.bench.folder
    observers = Observers(is_quiet, 2 * N_ROUNDS)
    t_start_s = going.bench.used_s()
    try:
        going.verified.append(verify(finding, finding.trial, known, config, folder, observers))
    finally:
        observers.close()
    going.write()
    if not is_quiet:
        print(f"verified  in {format_span(going.bench.used_s() - t_start_s)}", file=sys.stderr)
