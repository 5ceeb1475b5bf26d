# SPDX-License-Identifier: Apache-2.0
"""What `explain` says: one row for each challenge of inference, and what was found wrong, with its cause and remedy.

Rule 1: a finding is made of what was measured; who makes it knows neither the engine's name nor that of any defect.
Rule 2: everything here stands in a file as it is (msgspec), and is printed as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

from inferometer.analysis.number import Number

Challenge = Literal["latency", "cost", "memory", "limits", "accuracy", "scale"]
CHALLENGES: tuple[Challenge, ...] = ("latency", "cost", "memory", "limits", "accuracy", "scale")

Level = Literal["wrong", "bad", "fair"]
LEVELS: tuple[Level, ...] = ("wrong", "bad", "fair")  # worst first


class Bound(msgspec.Struct, frozen=True):
    """What a figure is held against. `says`: what that is, in a few words; `source`: where it comes from."""

    value: float
    unit: str
    says: str
    source: str = ""


class Remedy(msgspec.Struct, frozen=True):
    """What would help. `change`: in words, with the engine's own flag where it has one; `settings`: the same as
    KNOB=VALUE words of --set, with which we can start it; none if that is not ours to do. `expected`: how much help,
    and `source`: from where that is known."""

    change: str
    settings: tuple[str, ...] = ()
    expected: str = ""
    source: str = ""


Fields: TypeAlias = dict[str, str | int]  # of an Experiment


class Trial(msgspec.Struct, frozen=True):
    """The load at which a finding was made, and what a remedy has to move there: `statistic` of `metric`. `fields`: of
    the load where they are not the examination's own, such as lengths; `latency_s`: that a request takes there, 0: not
    known."""

    metric: str
    statistic: str
    concurrency: int
    fields: Fields = {}
    latency_s: float = 0.0

    @property
    def load(self) -> str:
        fields = (f"{name.replace('_', ' ')} {value}" for name, value in self.fields.items())
        return ", ".join([f"{self.concurrency} in flight", *fields])


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it should be. `code`: stable, for machines; `claim`: one line with the numbers.

    `level`: "wrong": answers are lost, cut or false; "bad": beyond its bound; "fair": worth knowing.
    `cause`: what makes it so; `shown_by`: the gauge or probe that showed the cause. `trial`: None where no run of a
    load shows it: what a model answers, and how much it takes in, is examined anew.
    """

    code: str
    challenge: Challenge
    level: Level
    claim: str
    cause: str
    shown_by: str
    figure: Number
    bound: Bound | None = None
    remedy: Remedy | None = None
    trial: Trial | None = None


class Row(msgspec.Struct, frozen=True):
    """One challenge. `headline`: what the figure is; `not_measured`: what could not be, and why, one line each."""

    challenge: Challenge
    headline: str
    figure: Number
    bound: Bound | None = None
    findings: list[Finding] = []
    not_measured: list[str] = []
    seconds: float = 0.0
    n_requests: int = 0

    @property
    def level(self) -> Level | None:
        """Of the worst finding, None if there is none."""
        return min((finding.level for finding in self.findings), key=LEVELS.index, default=None)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """By level; within one, in the order they came."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def ranked(rows: Sequence[Row]) -> list[Row]:
    """By their worst finding, then by how many there are of that level; those without any in the usual order, last."""

    def rank(row: Row) -> tuple[int, int, int]:
        level = row.level
        if level is None:
            return len(LEVELS), 0, CHALLENGES.index(row.challenge)
        n_as_bad = sum(finding.level == level for finding in row.findings)
        return LEVELS.index(level), -n_as_bad, CHALLENGES.index(row.challenge)

    return sorted(rows, key=rank)
