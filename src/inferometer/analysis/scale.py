# SPDX-License-Identifier: Apache-2.0
"""How an engine scales: throughput over requests in flight, what overload does, what prefixes and long prompts change.

`ScaleExamination` is the file `scale.json` in its folder; the runs it was made of lie beside it.
Rule: a cause is named by what was measured or by what the server's own gauges say, never by who the server is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from inferometer.analysis import curve
from inferometer.analysis.curve import Law, Point
from inferometer.analysis.finding import Bound, Finding, Row
from inferometer.analysis.number import Number, number_of
from inferometer.analysis.overload import LEAST_KEPT, Overload, ratio_to
from inferometer.metrics.registry import METRICS
from inferometer.metrics.rows import is_counted, is_ok
from inferometer.metrics.tokens import indexed
from inferometer.records import Trace
from inferometer.stats import LEVEL, Estimate, FloatArray, Missing, mean_estimate, z_critical
from inferometer.stats.trials import MIN_UNPAIRED, ratio_of_trials
from inferometer.units import format_number

SCHEMA = "inferometer/scale/1"
FILE = "scale.json"
NEAR_BEST = 0.95  # of the most throughput: the least load that brings so much is the plateau's
LITTLE_GAIN = 0.10  # of throughput per doubling; less in two in a row, and higher loads are not worth their time here


class Prefix(msgspec.Struct, frozen=True):
    """Prompts of `n_tokens`, of which the first `n_shared` are the same in all, against prompts that share nothing,
    one at a time. `ttft`: ratio of the two; `cached`: share of the prompts that the server says it had."""

    n_tokens: int
    n_shared: int
    ttft: Number
    cached: Number


class Context(msgspec.Struct, frozen=True):
    """Prompts of `n_long` tokens against those of `n_short`. `ttft`, `tpot`: ratios, one request at a time;
    `prefill`: seconds per prompt token more; `throughput`: ratio of output tokens per second at the plateau's load."""

    n_short: int
    n_long: int
    ttft: Number
    tpot: Number
    prefill: Number
    throughput: Number


class ScaleExamination(msgspec.Struct, frozen=True):
    """`plateau`: most requests per second, reached with `plateau_load` in flight; `speedup`: that over one alone.
    `running`: most requests that the server said it was serving at once. `law` is None where `no_law` says why.
    `drift`: throughput of one alone after the surge over that before all of it.
    `ended`: why no higher load was tried; `stopped`: why the examination ended early, "": it did not."""

    row: Row
    points: list[Point]
    ended: str
    plateau: Number
    plateau_load: float
    speedup: Number
    running: float | None
    law: Law | None
    no_law: str
    overload: Overload | None
    prefix: Prefix | None
    context: Context | None
    seconds: float
    created: str
    engine: dict[str, Any]
    plan: dict[str, Any]
    host: dict[str, Any]
    versions: dict[str, Any]
    drift: Number | None = None
    stopped: str = ""
    schema: str = SCHEMA


@dataclass(frozen=True, slots=True)
class Samples:
    """Requests that waited for nobody. Shapes: float64[n] each. `n_prompt`: mean tokens of their prompts; `n_cached`:
    tokens that the server says it had, NaN where it does not."""

    ttft_s: FloatArray
    tpot_s: FloatArray
    n_prompt: float
    n_cached: FloatArray


def samples_of(trace: Trace) -> Samples:
    """Of the successes of a run."""
    trace = indexed(trace)
    mine = is_counted(trace.requests) & is_ok(trace.requests)
    rows = trace.requests[mine]
    told = rows["n_prompt_tokens"][rows["n_prompt_tokens"] > 0]
    lengths = told if len(told) else rows["n_prompt_tokens_asked"]
    return Samples(
        METRICS["ttft_s"].fn(trace)[mine],
        METRICS["tpot_s"].fn(trace)[mine],
        float(lengths.mean()) if len(lengths) else 0.0,
        np.where(rows["n_cached_tokens"] >= 0, rows["n_cached_tokens"], np.nan).astype(np.float64),
    )


def cached_of(samples: Samples) -> Estimate | Missing:
    """Share of the prompts that the server says it had computed before."""
    known = samples.n_cached[np.isfinite(samples.n_cached)]
    if not len(known) or not samples.n_prompt:
        return Missing("the server does not tell", 0, "ratio")
    return mean_estimate(known / samples.n_prompt, unit="ratio", of="requests with a shared beginning")


BOUND = Bound(
    LEAST_KEPT,
    "ratio",
    "an engine that is asked for too much keeps most of its throughput",
    "own choice; queues and refusals cost next to nothing",
)


def plateau_of(points: Sequence[Point]) -> tuple[Number, float]:
    """Most requests per second, and the least load that brings about as many."""
    known = [point for point in points if point.request_throughput.value and not curve.is_failing(point)]
    if not known:
        return number_of(Missing("no load has a throughput", 0, "1/s")), 0.0
    best = max(known, key=_throughput)
    first = next(point for point in known if _throughput(point) >= NEAR_BEST * _throughput(best))
    return best.request_throughput, first.load


def speedup_of(points: Sequence[Point], plateau: Number) -> Number:
    """The most over one request at a time."""
    alone = next((point.request_throughput for point in points if point.load == 1), None)
    figure = plateau.figure
    if alone is None or isinstance(figure, Missing):
        return number_of(Missing("needs a load of one and a plateau", 0, "ratio"))
    return number_of(ratio_to(figure, alone))


def gains(points: Sequence[Point]) -> list[float]:
    """By which share throughput rose with each load over the one before, per doubling; NaN where one has none."""
    found = []
    for before, after in pairwise(points):
        lower, upper = before.request_throughput.value, after.request_throughput.value
        is_known = bool(lower and upper) and after.load > before.load
        found.append((upper / lower) ** (1 / np.log2(after.load / before.load)) - 1 if is_known else np.nan)  # type: ignore[operator]
    return [float(gain) for gain in found]


def is_enough(points: Sequence[Point]) -> bool:
    """Two loads in a row brought so little that higher ones tell nothing new."""
    last = gains(points)[-2:]
    return len(last) == 2 and all(gain < LITTLE_GAIN for gain in last)


def is_saturated(points: Sequence[Point], running: float | None) -> bool:
    """The last load brought little over the one before, or more than the server ever served at once."""
    if not points:
        return False
    last = gains(points)[-1:]
    return bool(last and last[0] < LITTLE_GAIN) or (running is not None and running < points[-1].load)


def ratio_of_samples(a: FloatArray, b: FloatArray, *, of: str) -> Estimate | Missing:
    """b/a of requests that waited for nobody, so that each stands for itself. Shapes: float64[n_a], float64[n_b]."""
    a, b = (values[np.isfinite(values) & (values > 0)] for values in (a, b))
    if min(len(a), len(b)) < MIN_UNPAIRED:
        return Missing(f"needs {MIN_UNPAIRED} {of} each, has {len(a)} and {len(b)}", len(a) + len(b), "ratio")
    return ratio_of_trials(a, b, is_paired=False, rng=np.random.default_rng(0)).estimate


def prefill_of(short_s: FloatArray, long_s: FloatArray, n_tokens_more: float) -> Estimate | Missing:
    """Seconds that each further token of a prompt costs: difference of two means over the tokens between."""
    n = len(short_s) + len(long_s)
    if min(len(short_s), len(long_s)) < MIN_UNPAIRED or n_tokens_more <= 0:
        return Missing(f"needs {MIN_UNPAIRED} requests of each length", n, "s/token")
    value = (long_s.mean() - short_s.mean()) / n_tokens_more
    error = np.sqrt(sum(values.var(ddof=1) / len(values) for values in (short_s, long_s))) / n_tokens_more
    half = z_critical() * float(error)
    method = "difference of the mean times to first token over the difference of lengths; normal interval"
    return Estimate(float(value), float(value) - half, float(value) + half, LEVEL, n, "s/token", method)


def row_of(
    plateau: Number,
    load: float,
    overload: Overload | None,
    findings: list[Finding],
    not_measured: list[str],
    *,
    seconds: float,
    n_requests: int,
) -> Row:
    """The row of this challenge: what it keeps of its throughput when twice as much is asked for."""
    figure = overload.kept if overload is not None else number_of(Missing("no overload was tried", 0, "ratio"))
    most = f"{format_number(plateau.value)} requests/s at most, from {load:g} in flight on" if plateau.value else ""
    return Row(
        "scale",
        "; ".join([part for part in (most, _OVERLOADED[overload.word] if overload is not None else "") if part])
        or "no load has a throughput",
        figure,
        BOUND if overload is not None else None,
        findings,
        not_measured,
        seconds,
        n_requests,
    )


_OVERLOADED = {
    "bears": "twice that is borne",
    "queues": "twice that is queued",
    "sheds": "twice that is turned away",
    "fails": "twice that ends in errors",
    "collapses": "twice that makes it slower",
}


def _throughput(point: Point) -> float:
    return point.request_throughput.value or 0.0
