# SPDX-License-Identifier: Apache-2.0
"""A sweep: throughput against latency over a ladder of loads, what is wrong with each point, and the law through them.

`Sweep` is the file `sweep.json` in a sweep's folder; the points are run folders beside it. Pure: summaries in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, Literal

import msgspec
import numpy as np

from inferometer.analysis.number import Number, number_of
from inferometer.metrics.summary import Summary
from inferometer.stats import Estimate, FloatArray, Missing, z_critical
from inferometer.stats.usl import UslFit, fit_usl, usl

SCHEMA = "inferometer/sweep/1"
FILE = "sweep.json"
Kind = Literal["concurrency", "rate"]

MIN_GAIN = 0.03  # of throughput per doubling; less in two doublings in a row is saturation
MAX_ERRORS = 0.01  # share of failed requests from which on a server is past what it bears
MAX_HALF_WIDTH = 0.05  # of throughput, as a share: a point that is wider was too short
FULL = 0.95  # share of the cache for keys and values from which on it is what is missing
REQUESTS_PER_SLOT, MIN_LATENCIES = 10, 3  # that a point must hold
_LEAST_ERROR = 0.01  # relative; an interval that happens to be narrower must not outweigh all other points


class Point(msgspec.Struct, frozen=True):
    """A run. `short`: why it was not long enough; `limit`: why it lies at or beyond what the server bears; "": not.
    `resource`: what its own gauges say there is too little of, "" where they do not tell."""

    load: float
    folder: str
    request_throughput: Number
    output_throughput: Number
    in_flight: Number
    ttft_p50: Number
    ttft_p99: Number
    tpot_p50: Number
    e2e_mean: Number
    attainment: Number
    error: Number
    verdict: str
    reasons: list[str]
    short: str = ""
    limit: str = ""
    resource: str = ""
    is_repeat: bool = False


class Law(msgspec.Struct, frozen=True):
    """The Universal Scalability Law through the points; see stats/usl.py."""

    gamma: Number
    alpha: Number
    beta: Number
    peak_load: Number
    peak_throughput: Number
    knee_load: Number
    r2: float
    residuals: list[float]
    is_two_regimes: bool


class Sweep(msgspec.Struct, frozen=True):
    """`loads`: all that were asked for or come to by `auto`. `stopped`: why it ended before them, "": it did not.
    `law` is None where `no_law` says why. `drift`: throughput of the first load again over the first time."""

    kind: Kind
    is_auto: bool
    loads: list[float]
    points: list[Point]
    slo: str
    seconds: float
    created: str
    engine: dict[str, Any]
    plan: dict[str, Any]
    host: dict[str, Any]
    versions: dict[str, Any]
    stopped: str = ""
    law: Law | None = None
    no_law: str = ""
    drift: Number | None = None
    schema: str = SCHEMA

    @property
    def once(self) -> list[Point]:
        """The points in ascending order of load, without the first one again."""
        return [point for point in self.points if not point.is_repeat]

    @property
    def busiest(self) -> Point | None:
        """The one that answered most, of those that can be used."""
        usable = [point for point in self.once if point.verdict != "invalid" and point.request_throughput.value]
        return max(usable, key=lambda point: point.request_throughput.value or 0.0, default=None)

    @property
    def sustained(self) -> Point | None:
        """The highest load of an open loop that the server bore, and all lower ones with it, as valid runs show."""
        borne = list(takewhile(lambda point: not point.limit and point.verdict != "invalid", self.once))
        return borne[-1] if borne else None

    @property
    def beyond(self) -> Point | None:
        """The first load of which it was not seen to be borne: it was too much, or its run is invalid."""
        return next((point for point in self.once if point.limit or point.verdict == "invalid"), None)

    @property
    def is_drifting(self) -> bool:
        """The first load came out differently at the end: the points do not belong together."""
        told = None if self.drift is None else self.drift.figure
        return isinstance(told, Estimate) and not told.lo <= 1 <= told.hi


def point_of(summary: Summary, load: float, folder: str, *, kind: Kind, is_repeat: bool = False) -> Point:
    """What one run says of one load."""
    metrics = summary.metrics
    reasons = summary.verdict.reasons
    growing = next((reason.text for reason in reasons if reason.code == "queue_growing"), "")
    errors = metrics["error_ratio"]["value"]
    is_failing = isinstance(errors, Estimate) and errors.value > MAX_ERRORS
    return Point(
        load=load,
        folder=folder,
        request_throughput=number_of(metrics["request_throughput_per_s"]["value"]),
        output_throughput=number_of(metrics["output_throughput_tokens_per_s"]["value"]),
        in_flight=number_of(metrics["in_flight_requests"]["value"]),
        ttft_p50=number_of(metrics["ttft_s"]["p50"]),
        ttft_p99=number_of(metrics["ttft_s"]["p99"]),
        tpot_p50=number_of(metrics["tpot_s"]["p50"]),
        e2e_mean=number_of(metrics["e2e_s"]["mean"]),
        attainment=number_of(metrics["attainment_ratio"]["value"]),
        error=number_of(errors),
        verdict=summary.verdict.level,
        reasons=list(dict.fromkeys(reason.code for reason in reasons)),
        short=_short(summary, load, kind),
        limit=f"{errors.value:.0%} of the requests failed" if is_failing and isinstance(errors, Estimate) else growing,
        resource=resource_of(summary.server, [reason.code for reason in reasons]),
        is_repeat=is_repeat,
    )


def resource_of(server: Mapping[str, Estimate | Missing], codes: Sequence[str]) -> str:
    """What there is too little of at a load that is too much, by the server's gauges; "" where they do not tell."""
    if "late_sends" in codes:
        return "the client: it sent late"
    waiting, used = server.get("server_requests_waiting_max"), server.get("server_kv_used_max_ratio")
    if not isinstance(waiting, Estimate):
        return ""
    if waiting.value <= 0:
        return "compute or bandwidth: nobody waits"
    if isinstance(used, Estimate) and used.value >= FULL:
        return "memory: the cache is full while requests wait"
    return "slots or batch size: requests wait" + (" while the cache has room" if isinstance(used, Estimate) else "")


def _short(summary: Summary, load: float, kind: Kind) -> str:
    """Why a point does not carry its numbers; "" if it does."""
    n_ok, e2e = summary.counts["ok"], summary.metrics["e2e_s"]["mean"]
    n_needed = math.ceil(REQUESTS_PER_SLOT * load) if kind == "concurrency" else 0
    if n_ok < n_needed:
        return f"{n_ok} requests, needs {n_needed}"
    span_s = sum(window["t_end_s"] - window["t_start_s"] for window in summary.windows)
    if isinstance(e2e, Estimate) and span_s < MIN_LATENCIES * e2e.value:
        return f"{span_s:.1f} s, needs {MIN_LATENCIES} mean latencies of {e2e.value:.1f} s"
    throughput = summary.metrics["request_throughput_per_s"]["value"]
    if isinstance(throughput, Missing):
        return throughput.reason
    half = _half_width(number_of(throughput))
    if half > MAX_HALF_WIDTH:
        return f"throughput is known to +-{100 * half:.0f} % only" if math.isfinite(half) else "no interval"
    return ""


def is_failing(point: Point) -> bool:
    """So many requests failed that more load makes no sense."""
    return point.error.value is not None and point.error.value > MAX_ERRORS


def gain_per_doubling(before: Point, after: Point) -> float:
    """By which share throughput rose, as if the load had been doubled; NaN where one of them is not known so well."""
    lower, upper = before.request_throughput.value, after.request_throughput.value
    is_known = max(_half_width(point.request_throughput) for point in (before, after)) <= MAX_HALF_WIDTH
    if not lower or not upper or not is_known or after.load <= before.load:
        return math.nan
    return float((upper / lower) ** (1 / math.log2(after.load / before.load)) - 1)


def _half_width(number: Number) -> float:
    """Of the interval, as a share of the value; infinite where there is none."""
    if not number.value or number.lo is None or number.hi is None:
        return math.inf
    return (number.hi - number.lo) / 2 / number.value


def is_saturated(points: Sequence[Point]) -> bool:
    """Closed loop: two doublings in a row brought next to nothing."""
    gains = [gain_per_doubling(a, b) for a, b in zip(points[-3:], points[-2:], strict=False)]
    return len(gains) == 2 and all(gain < MIN_GAIN for gain in gains)


def marked(points: Sequence[Point]) -> list[Point]:
    """Points of a closed loop that bring next to nothing over the load before say so."""
    told = list(points)
    for i in range(1, len(points)):
        gain = gain_per_doubling(points[i - 1], points[i])
        if gain < MIN_GAIN and not points[i].limit:
            text = f"throughput {'gains' if gain >= 0 else 'loses'} {100 * abs(gain):.1f} % per doubling"
            told[i] = msgspec.structs.replace(points[i], limit=text)
    return told


def law_of(points: Sequence[Point]) -> Law | Missing:
    """The law through the valid points of a closed loop, weighted by how well each throughput is known."""
    known = [(point.load, point.request_throughput) for point in points if point.verdict != "invalid"]
    n_invalid = len(points) - len(known)
    known = [(load, number) for load, number in known if number.value]
    loads = np.array([load for load, _ in known])
    throughputs = np.array([number.value for _, number in known], dtype=np.float64)
    errors = np.array([_standard_error(number) for _, number in known])
    if not len(loads):
        return Missing("needs points with a throughput, has none", 0, "1/s")
    fit = fit_usl(loads, throughputs, errors, unit="1/s")
    if isinstance(fit, Missing):
        return Missing(f"{fit.reason}; {n_invalid} more are invalid" if n_invalid else fit.reason, fit.n, fit.unit)
    return _law(fit)


def _standard_error(number: Number) -> float:
    value = number.value or 0.0
    if number.lo is None or number.hi is None:
        return 0.2 * value  # no interval: of little weight
    return math.hypot(_LEAST_ERROR * value, (number.hi - number.lo) / 2 / z_critical(number.level))


def throughputs_by_law(law: Law, loads: FloatArray) -> FloatArray:
    """What the fitted law says of any loads. Shapes: loads float64[n]. Returns: float64[n]."""
    gamma, alpha, beta = (number.value or 0.0 for number in (law.gamma, law.alpha, law.beta))
    return np.array([usl(load, gamma, alpha, beta) for load in loads.tolist()])


def _law(fit: UslFit) -> Law:
    return Law(
        number_of(fit.gamma),
        number_of(fit.alpha),
        number_of(fit.beta),
        number_of(fit.peak_load),
        number_of(fit.peak_throughput),
        number_of(fit.knee_load),
        fit.r2,
        list(fit.residuals),
        fit.is_two_regimes,
    )


def drift_of(first: Point, again: Point) -> Number | None:
    """Throughput at the end over that at the beginning, at the same load; None where one of them has none."""
    before, after = first.request_throughput, again.request_throughput
    if not before.value or not after.value:
        return None
    ratio = after.value / before.value
    relative = [_standard_error(number) / (number.value or 1.0) for number in (before, after)]
    half = z_critical() * math.hypot(*relative) * ratio
    method = "ratio of two throughputs; normal interval from both of theirs"
    return number_of(Estimate(ratio, ratio - half, ratio + half, before.level, 2, "ratio", method))
