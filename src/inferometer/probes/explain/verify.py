# SPDX-License-Identifier: Apache-2.0
"""`--verify`: the server as it was examined against the same with a remedy's settings, started anew, in turns.

Rule 1: what is compared is one figure under one load, chosen before the first round; so there is nothing to pick from.
That load is the one at which the fault was found, never one at which the remedy looks best: see finding.Trial.
Rule 2: each turn is a start of its own: what differs from start to start is in the interval.
Rule 3: that it cannot be told, or that the server does not start like that, is an answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from inferometer.analysis.compare import TooFew, compare
from inferometer.analysis.explanation import Verdict, Verified
from inferometer.analysis.finding import Finding, Trial
from inferometer.analysis.number import Number, number_of
from inferometer.analysis.side import Member, Quantity, Side
from inferometer.config import Experiment, Warmup
from inferometer.drive.progress import Observer
from inferometer.errors import EngineError, RunError, UsageError
from inferometer.experiment.rounds import rounds
from inferometer.stats import Missing
from inferometer.stats.trials import n_to_resolve

FOLDER = "verify"
N_ROUNDS = n_to_resolve(1, is_paired=False)  # as few as can decide one comparison
WINDOW_S, WARMUP_S = 6.0, 2.0  # at least
LATENCIES, WARMUP_LATENCIES = 10, 2  # of a request, at least: it begins in waves, and its steady part needs three
_SPARE = 3  # rounds that may be measured again, if one was spoiled
_VERDICTS: dict[str, Verdict] = {"better": "helped", "worse": "hurt", "same": "changed nothing"}
_NOTHING = number_of(Missing("was not measured", 0, "ratio"))


@dataclass(frozen=True, slots=True)
class Known:
    """How the server was examined: `engine`, `model` and all its `settings`, so that it can be started the same."""

    engine: str
    model: str | None
    settings: tuple[str, ...]


def verify(
    finding: Finding,
    trial: Trial,
    known: Known,
    config: Experiment,
    folder: Path,
    observer_of: Callable[[str], Observer],
) -> Verified:
    """Raises: Cancelled if the user stopped it."""
    settings = finding.remedy.settings if finding.remedy is not None else ()
    before = replace(
        config,
        engine=known.engine,
        model=known.model,
        settings=known.settings,
        url=None,
        rate=None,
        requests=None,
        concurrency=trial.concurrency,
        for_s=max(WINDOW_S, LATENCIES * trial.latency_s),
        warmup=Warmup(duration_s=max(WARMUP_S, WARMUP_LATENCIES * trial.latency_s)),
        **cast(dict[str, Any], trial.fields),
    )
    after = replace(before, settings=with_settings(known.settings, settings))
    try:
        sides = _measured((before, after), folder / FOLDER, observer_of)
    except (EngineError, RunError, UsageError) as error:
        return _untold(finding, settings, trial, str(error))
    return _compared(finding, settings, trial, sides, folder)


def with_settings(given: Sequence[str], changed: Sequence[str]) -> tuple[str, ...]:
    """The given ones, those that are changed put in their places."""
    values = dict(each.split("=", 1) for each in given) | dict(each.split("=", 1) for each in changed)
    return tuple(f"{name}={value}" for name, value in values.items())


def _measured(
    configs: tuple[Experiment, Experiment], folder: Path, observer_of: Callable[[str], Observer]
) -> tuple[Side, Side]:
    """As many rounds as one comparison needs, those that were spoiled measured again while there are spare ones."""
    kept: tuple[list[Member], list[Member]] = ([], [])
    turns = rounds(
        configs,
        folder,
        N_ROUNDS,
        n_spare=_SPARE,
        rng=np.random.default_rng(secrets.randbits(64)),
        name=folder.parent.name,
        observer_of=observer_of,
    )
    for each in turns:
        members = [Member.of(str(run.path), run.trace()) for run in each.runs]
        if all(member.summary.counts["ok"] for member in members):
            for side, member in zip(kept, members, strict=True):
                side.append(member)
        if len(kept[0]) == N_ROUNDS:
            break
    return Side("as examined", tuple(kept[0])), Side("with the remedy", tuple(kept[1]))


def _compared(
    finding: Finding, settings: tuple[str, ...], trial: Trial, sides: tuple[Side, Side], folder: Path
) -> Verified:
    quantity = Quantity(trial.metric, trial.statistic)
    found = compare(sides, [quantity], rng=np.random.default_rng(0))
    if isinstance(found, TooFew):
        reason = f"{min(found.n_trials)} rounds came out well, {found.n_needed} are needed"
        return _untold(finding, settings, trial, reason)
    (row,) = found.rows
    return Verified(
        code=finding.code,
        challenge=finding.challenge,
        settings=settings,
        quantity=quantity.name,
        load=trial.load,
        before=number_of(row.a),
        after=number_of(row.b),
        ratio=number_of(row.ratio),
        verdict=_VERDICTS.get(row.verdict, "undecided"),
        n_rounds=sides[0].n_trials,
        n_to_settle=row.n_to_settle if row.verdict == "undecided" else None,
        problem=row.ratio.reason if isinstance(row.ratio, Missing) else "",
        folder=str((folder / FOLDER).relative_to(folder)),
    )


def _untold(finding: Finding, settings: tuple[str, ...], trial: Trial, reason: str) -> Verified:
    nothing: Number = _NOTHING
    return Verified(
        code=finding.code,
        challenge=finding.challenge,
        settings=settings,
        quantity=Quantity(trial.metric, trial.statistic).name,
        load=trial.load,
        before=nothing,
        after=nothing,
        ratio=nothing,
        verdict="undecided",
        n_rounds=0,
        problem=reason,
    )
