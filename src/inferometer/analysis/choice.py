# SPDX-License-Identifier: Apache-2.0
"""What a choice came to: the file `choice.json` in its folder, beside the runs that it is made of.

    Choice
      answer, verdict, preferred       the paragraph, and what it comes to
      candidates                       one per engine and configuration that was measured: figures, ratio, facts, score
      left_out                         those that were not, and why
      places                           where the answer might be another: load, lengths, limits; `flips_to` where it is
      turns                            every turn that was taken, with the folders of its runs

Rule: plain values. Estimates are `Number`s (value, lo, hi, n, unit, or why it is missing); names of candidates are what
one refers to another by. A page or a screen needs nothing else.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from inferometer.analysis.number import Number

SCHEMA = "inferometer/choice/1"
FILE = "choice.json"

Verdict = Literal["prefer", "same", "cannot tell", "none"]
Kind = Literal["started", "running", "elsewhere"]
LoadKind = Literal["rate", "concurrency"]
PlaceKind = Literal["load", "lengths", "limits"]
State = Literal["preferred", "same", "worse", "open", "misses", "failed"]


class Fact(msgspec.Struct, frozen=True):
    """What no stopwatch sees. `topic`: hugging face, hardware, licence, upkeep, ...; `known`: seen, source or
    documentation."""

    topic: str
    text: str
    known: str


class Answers(msgspec.Struct, frozen=True):
    """Greedy answers to the same prompts, one at a time. `same`: share that is identical, to the letter, with those of
    the preferred one; `alike`: mean share of an answer up to the first letter that differs; `n`: prompts.
    `own`: the share that was identical in a second turn of the same candidate, None: there was none."""

    n: int
    same: float
    alike: float
    own: float | None


class Part(msgspec.Struct, frozen=True):
    """One of the things weighed. `value`: as measured; `share`: of the best candidate's, 1 is the best."""

    name: str
    weight: float
    value: Number
    share: float | None


class Candidate(msgspec.Struct, frozen=True):
    """An engine with its configuration, as it was measured.

    `kind`: started here, running already (a URL), or measured elsewhere (a run). `target`: how to get it again.
    `state`: against the preferred one; "open": cannot be told; "misses": no load within the limits; "failed": it ended.
    `why`: the state in words. `ratio`: of the deciding figure to that of the preferred one, with the interval that
    holds however often it was looked at; `load`: at which its figures are, the best one within the limits.
    `dropped_after`: rounds, 0: it was not. `more_rounds`: that would settle it in 9 of 10 such choices.
    `cost`: of 1,000 requests, in the unit of the price. `score`: weighed geometric mean of `parts`, None: nothing but
    the goodput was asked for. `points`: shares on which the part "ease" rests.
    """

    name: str
    kind: Kind
    target: str
    engine: str
    version: str
    model: str
    settings: dict[str, str]
    n_devices: int
    price_per_h: float | None
    state: State
    why: str
    n_rounds: int
    dropped_after: int
    load: float | None
    goodput: Number
    per_device: Number
    cost: Number
    attainment: Number
    ttft_p50: Number
    ttft_p99: Number
    tpot_p50: Number
    e2e_p50: Number
    output_throughput: Number
    memory: Number
    start: Number
    ratio: Number
    more_rounds: int | None
    answers: Answers | None
    score: float | None
    parts: list[Part]
    points: dict[str, float]
    facts: list[Fact]
    notes: list[str]


class LeftOut(msgspec.Struct, frozen=True):
    """What was not tried, why, and what would change that."""

    name: str
    reason: str
    remedy: str


class Cell(msgspec.Struct, frozen=True):
    """A candidate at a place. `ratio`: of its goodput to that of the preferred one; `word`: how it stands to it there.
    `share`: of its requests within the limits of the place."""

    candidate: str
    n_rounds: int
    goodput: Number
    share: float | None
    ratio: Number
    word: Literal["preferred", "better", "worse", "same", "open"]


class Place(msgspec.Struct, frozen=True):
    """Where the answer might be another one: at one load, with other lengths, within other limits.

    `load`: None, each at its best. `flips_to`: the candidate that was shown to be better there, "" if none was.
    """

    kind: PlaceKind
    title: str
    workload: str
    load: float | None
    slo: str
    cells: list[Cell]
    flips_to: str


class Workload(msgspec.Struct, frozen=True):
    """What is asked of all candidates; the first one of a choice decides."""

    name: str
    input_tokens: str
    output_tokens: str
    shared_prefix: int
    source: str


class PointRow(msgspec.Struct, frozen=True):
    """One run. `share` of its `n` requests were within the limits; `reasons` that make it invalid."""

    workload: str
    load: float
    folder: str
    goodput_per_s: float
    share: float | None
    n: int
    reasons: list[str]


class TurnRow(msgspec.Struct, frozen=True):
    """One turn of one candidate: started, measured at every load, stopped. `round`: 0 for what was measured elsewhere.
    `failed`: what ended it."""

    candidate: str
    round: int
    start_s: float | None
    memory_bytes: float | None
    seconds: float
    points: list[PointRow]
    failed: str


class Choice(msgspec.Struct, frozen=True):
    """`answer`: the paragraph. `figure`: what decides, in words; `weights`: of what, as shares of 1.
    `confidence`: that the answer is right; and that all flips are. `tolerance`: of a ratio, that is the same to you.
    `slo` by `attainment` of the requests, from `preset`. `more_s`: budget beside this one that would settle it.
    `again`: the command; `stopped`: why no further round was taken."""

    verdict: Verdict
    preferred: str
    answer: str
    figure: str
    weights: dict[str, float]
    workloads: list[Workload]
    kind: LoadKind
    loads: list[float]
    slo: str
    preset: str
    source: str
    attainment: float
    confidence: float
    tolerance: float
    candidates: list[Candidate]
    left_out: list[LeftOut]
    places: list[Place]
    turns: list[TurnRow]
    n_rounds: int
    window_s: float
    warmup_s: float
    budget_s: float
    seconds: float
    more_s: float | None
    stopped: str
    again: str
    notes: list[str]
    created: str
    host: dict[str, Any]
    versions: dict[str, Any]
    schema: str = SCHEMA
