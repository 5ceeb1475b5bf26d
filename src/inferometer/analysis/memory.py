# SPDX-License-Identifier: Apache-2.0
"""What `explain memory` found of a running engine: predicted beside told beside measured, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from inferometer.analysis.finding import Row
from inferometer.analysis.number import Number, number_of
from inferometer.stats import Estimate, Missing, exact
from inferometer.stats.trials import geometric_mean

FILE = "memory.json"
SCHEMA = "inferometer/explain-memory/1"
WITHIN_RATIO = 0.02  # of the engine's own figure: what a predicted size is promised to be


class Cache(msgspec.Struct, frozen=True):
    """The room for keys and values. `error`: predicted over told, less 1. `slots`: parts of equal size that it is
    divided into for good, None if sequences get blocks of it. `source`: where the engine says so, "" if it does not.
    `format_known_from`: how the number format is known."""

    n_tokens: int | None = None
    slots: int | None = None
    block_tokens: int | None = None
    format: str = ""
    format_known_from: str = ""
    bytes_per_token: int | None = None
    predicted_bytes: float | None = None
    told_bytes: float | None = None
    error: Number = number_of(Missing("", 0, "ratio"))
    source: str = ""


class Weights(msgspec.Struct, frozen=True):
    """Bytes; `copied`: of those, a second copy that the engine made in an order that suits the hardware."""

    predicted: int | None = None
    told: float | None = None
    copied: float | None = None
    other: float | None = None


class Round(msgspec.Struct, frozen=True):
    """Output tokens per second with one request in flight, and with many, measured one after the other."""

    one: Number
    many: Number


class Load(msgspec.Struct, frozen=True):
    """The long run under many. `held_*`: tokens in the cache as the client can tell; `kv_used`: the most that the
    server's gauge showed; `per_request`: preemptions per request; `failed`: share of requests that failed. `latency_s`:
    of a request, on average; `inputs`, `outputs`: the lengths that were sent, as for --input-tokens and
    --output-tokens."""

    concurrency: int
    held_mean: Number
    held_most: Number
    tokens_per_request: Number
    kv_used: Number
    waiting: Number
    running: Number
    preemptions: Number
    per_request: Number
    failed: Number
    latency_s: float | None = None
    inputs: str = ""
    outputs: str = ""


class Taken(msgspec.Struct, frozen=True):
    """Memory of its processes (Pss) before the load and after it; of GPUs the most used, None without; `growth`: of
    private memory, per request; `machine_bytes`: what there is."""

    before_bytes: float | None = None
    after_bytes: float | None = None
    gpu_bytes: float | None = None
    growth: Number = number_of(Missing("", 0, "B/request"))
    growth_bytes: float | None = None
    growth_per_s: float | None = None
    machine_bytes: float | None = None

    @property
    def hours_left(self) -> float | None:
        """Until the machine's memory is full, if it goes on like this."""
        if not self.growth_per_s or self.growth_per_s <= 0 or not self.machine_bytes or self.after_bytes is None:
            return None
        return max(self.machine_bytes - self.after_bytes, 0.0) / self.growth_per_s / 3600


class MemoryExamination(msgspec.Struct, frozen=True):
    """`model`: its name; `described`: where its description was read, "" and `not_described` says why there is none.
    `gain`: throughput with many in flight over that with one, geometric mean over rounds."""

    model: str
    described: str
    not_described: str
    cache: Cache
    weights: Weights
    rounds: list[Round]
    gain: Number
    load: Load
    taken: Taken
    row: Row
    seconds: float
    created: str
    stopped: str = ""
    engine: dict[str, Any] = {}
    plan: dict[str, Any] = {}
    host: dict[str, Any] = {}
    versions: dict[str, Any] = {}
    schema: str = SCHEMA
    context_tokens: int | None = None  # of one request, at most

    @property
    def is_as_predicted(self) -> bool:
        return self.cache.error.value is not None and abs(self.cache.error.value) <= WITHIN_RATIO

    @property
    def in_room(self) -> int | None:
        """Requests like those of the load, each grown to its end, that the room holds if it is given out in blocks."""
        return n_in_room(self.load, self.cache)

    @property
    def if_static(self) -> int | None:
        """Requests that it would hold in slots, each with room for the longest that is taken."""
        if not self.context_tokens or not self.cache.n_tokens:
            return None
        return self.cache.n_tokens // self.context_tokens


def error_of(predicted: float | None, told: float | None) -> Estimate | Missing:
    """Predicted over told, less 1: of two sizes, so there is no interval."""
    if predicted is None:
        return Missing("nothing was predicted", 0, "ratio")
    if not told:
        return Missing("the engine does not say how large its cache is", 0, "ratio")
    return exact(predicted / told - 1, n=1, unit="ratio", method="predicted over the engine's own figure, less 1")


def gain_of(rounds: Sequence[Round]) -> Estimate | Missing:
    """Throughput with many over that with one: each round is a pair, measured minutes apart at most."""
    pairs = [(each.one.value, each.many.value) for each in rounds]
    ratios = [many / one for one, many in pairs if one and many]
    if len(ratios) < 2:
        return Missing(f"needs 2 rounds that carry a throughput, has {len(ratios)}", len(ratios), "times")
    return geometric_mean(np.array(ratios), unit="times", statistic="the ratio of throughputs")


def used_share(load: Load, cache: Cache) -> Estimate | Missing:
    """Of the room, the share that held a token on average, as the client can tell."""
    held = load.held_mean.figure
    if isinstance(held, Missing):
        return Missing(held.reason, held.n, "ratio")
    if not cache.n_tokens:
        return Missing("the engine does not say how many tokens its cache has room for", 0, "ratio")
    share, lo, hi = (value / cache.n_tokens for value in (held.value, held.lo, held.hi))
    return Estimate(share, lo, hi, held.level, held.n, "ratio", f"{held.method}, over the room for tokens")


def n_in_room(load: Load, cache: Cache) -> int | None:
    """How many requests like these the room holds, each grown to its end, if it is given out in blocks."""
    size = load.tokens_per_request.value
    if not size or not cache.n_tokens:
        return None
    block = cache.block_tokens or 1
    return int(cache.n_tokens // (-(-size // block) * block))
