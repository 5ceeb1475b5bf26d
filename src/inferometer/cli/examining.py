# SPDX-License-Identifier: Apache-2.0
"""What the commands of `explain` that ask a server have in common: the bench set up, the result written and printed."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from inferometer import config as configuration
from inferometer import experiment
from inferometer.cli import probing
from inferometer.cli.live import make_observer
from inferometer.cli.options import Format
from inferometer.config import Experiment
from inferometer.embedded import models
from inferometer.errors import UsageError
from inferometer.probes.bench import Bench, bench
from inferometer.probes.explain import accuracy as accuracy_of
from inferometer.probes.explain import latency as latency_of
from inferometer.probes.explain import limits as limits_of
from inferometer.probes.explain import scale as scaling
from inferometer.probes.points import MOST_STARTED, Stopped
from inferometer.probes.results import write_result
from inferometer.units import parse_duration_s

MIN_BUDGET_S = 20.0
LONGER = 4  # times the usual prompt: what a server that we start has room for


def budget_of(text: str | None, default_s: float) -> float:
    """Raises: UsageError."""
    budget_s = default_s if text is None else parse_duration_s(text)
    if not MIN_BUDGET_S <= budget_s <= configuration.MAX_FOR_S:
        raise UsageError(f"--budget {budget_s:g}s is no time for an examination", f"give {MIN_BUDGET_S:g}s to 168h")
    return budget_s


def examine(
    kind: probing.Kind,
    config: Experiment,
    greatest: Experiment,
    budget_s: float,
    format: Format,
    work: Callable[[Bench], msgspec.Struct],
    *,
    what: str,
    is_quiet: bool,
) -> int:
    """Set up the bench, do the work, write and print what came of it. Returns the exit code.

    `greatest`: the load that a server which is ours to start is made for.
    Raises: UsageError, EngineError, RunError.
    """
    observer = make_observer(is_quiet=is_quiet)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with bench(config, observer, what=what, greatest=greatest, budget_s=budget_s) as at:
            folder = at.folder
            write_result(folder / kind.file, work(at))
    except Stopped as stopped:  # before there was anything to say
        raise stopped.cause from stopped
    finally:
        observer.close()
    return probing.report(kind, folder, format.value)


def greatest_of(config: Experiment) -> Experiment:
    """The load for which a server that we start is made: many at a time, and longer prompts than usual, if they fit."""
    shape = experiment.shape_of(config)
    longest = LONGER * shape.inputs.mean
    if config.is_embedded:
        longest = min(longest, models.choose(config.model).context_tokens - shape.outputs.mean)
    is_longer = shape.inputs.kind != "file" and longest > shape.inputs.mean
    fields: dict[str, Any] = {"input_tokens": str(int(longest))} if is_longer else {}
    return replace(config, rate=None, concurrency=MOST_STARTED, **fields)


def scale(config: Experiment, budget_s: float, format: Format, *, is_quiet: bool) -> int:
    """Returns the exit code. Raises: as `examine`."""

    def work(at: Bench) -> msgspec.Struct:
        return scaling.examine(at, budget_s)

    return examine(probing.SCALE, config, greatest_of(config), budget_s, format, work, what="scale", is_quiet=is_quiet)


def longest_of(config: Experiment, context: int) -> Experiment:
    """The load for which a server that we start is made where its limits are asked for: prompts as long as its model
    has room for, and not more than `context` where that is not known."""
    most = models.choose(config.model).context_tokens if config.is_embedded else context
    n_output, n_spare = 64, 64  # the server is given as much to spare for the template
    return replace(
        config,
        rate=None,
        concurrency=limits_of.CONCURRENCY,
        input_tokens=str(most - n_output - n_spare),
        output_tokens=str(n_output),
    )


def accuracy(
    config: Experiment, wish: accuracy_of.Wish, other: Experiment | None, format: Format, *, is_quiet: bool
) -> int:
    """`other`: the target of --against. Returns the exit code. Raises: as `examine`."""

    def greatest_of(config: Experiment) -> Experiment:
        return replace(
            config,
            rate=None,
            concurrency=wish.concurrency,
            input_tokens=str(wish.n_tokens or accuracy_of.STARTED_INPUT),
            output_tokens=str(wish.answer_tokens),
        )

    @contextmanager
    def opened(folder: Path) -> Iterator[Bench]:
        assert other is not None
        config = replace(other, out=str(folder / "against"))
        observer = make_observer(is_quiet=is_quiet)
        try:
            with bench(config, observer, what="against", greatest=greatest_of(config), budget_s=wish.budget_s) as found:
                yield found
        finally:
            observer.close()

    def work(at: Bench) -> msgspec.Struct:
        return accuracy_of.examine(at, wish if other is None else replace(wish, open_against=opened))

    for each in (config, *([] if other is None else [other])):
        experiment.check(each)
        if each.temperature:
            raise UsageError("answers are compared greedily, so a temperature has no place here", "drop temperature")
    greatest = greatest_of(config)
    return examine(probing.ACCURACY, config, greatest, wish.budget_s, format, work, what="accuracy", is_quiet=is_quiet)


def busiest_of(config: Experiment, concurrency: int | None) -> Experiment:
    """The load for which a server that we start is made where latency is asked for: so many at a time, and prompts
    some times longer than usual, as far as its model has room."""
    shape = experiment.shape_of(config)
    n_output = math.ceil(shape.outputs.mean)
    longest = latency_of.TIMES_LONGER * shape.inputs.mean
    if config.is_embedded:
        longest = min(longest, models.choose(config.model).context_tokens - n_output - latency_of.SPARE_TOKENS)
    is_longer = shape.inputs.kind != "file" and longest > shape.inputs.mean
    return replace(
        config,
        rate=None,
        concurrency=concurrency or latency_of.CONCURRENCY,
        input_tokens=str(int(longest)) if is_longer else config.input_tokens,
    )


def latency(config: Experiment, concurrency: int | None, budget_s: float, format: Format, *, is_quiet: bool) -> int:
    """Returns the exit code. Raises: as `examine`."""

    def work(at: Bench) -> msgspec.Struct:
        return latency_of.examine(at, budget_s, concurrency)

    greatest = busiest_of(config, concurrency)
    return examine(probing.LATENCY, config, greatest, budget_s, format, work, what="latency", is_quiet=is_quiet)


def limits(config: Experiment, budget_s: float, format: Format, *, is_quiet: bool) -> int:
    """Returns the exit code. Raises: as `examine`."""

    def work(at: Bench) -> msgspec.Struct:
        return limits_of.examine(at, budget_s, seed=config.plan_seed)

    greatest = longest_of(config, limits_of.STARTED_CONTEXT)
    return examine(probing.LIMITS, config, greatest, budget_s, format, work, what="limits", is_quiet=is_quiet)
