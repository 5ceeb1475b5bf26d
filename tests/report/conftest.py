# SPDX-License-Identifier: Apache-2.0
"""Summaries written by hand: every metric is there, missing unless given, so that a report shows what a test says."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferometer.analysis.compare import HEADLINE, Comparison, rows_of
from inferometer.analysis.side import Member, Quantity, Side
from inferometer.metrics import METRICS
from inferometer.metrics.estimates import ByTrial
from inferometer.metrics.reason import Reason
from inferometer.metrics.slo import WITH_FAILURES, parse_limits
from inferometer.metrics.summary import InFlight, LimitResults, Summary
from inferometer.metrics.verdict import Verdict, judge_metric
from inferometer.records import Trace
from inferometer.stats import LEVEL, Estimate, Missing

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "metrics")]

from traces import open_loop  # noqa: E402

INF = math.inf
TRIALS = [0.0310, 0.0311, 0.0309, 0.0312, 0.0310]
FACTORS = ([1.08, 1.081, 1.079, 1.08, 1.082], [0.9, 1.3, 1.05, 1.2, 0.95], [1.001, 0.999, 1, 1.002, 1], [0.9] * 5)
MakeSummary = Callable[..., Summary]
RANK = "type 7 over requests; binomial rank interval"
DEPENDENT = f"{RANK}, dependent: worth 212 of 491"
T = "mean over requests; t interval"
SHARE = "share of requests; Wilson interval"

PLAN = {
    "mode": "closed",
    "law": "closed loop, 4 in flight",
    "concurrency": 4,
    "rate_per_s": None,
    "n_trials": 1,
    "duration_s": 40.0,
    "n_warmup": 8,
    "input_tokens": "128",
    "output_tokens": "64",
    "is_streamed": True,
    "shared_prefix": 0,
    "seed": 0,
    "digest": "3f786850e387550f",
}
ENGINE = {
    "name": "llamacpp",
    "title": "llama.cpp",
    "version": "2026.10",
    "model": "inferometer-tiny",
    "url": "http://127.0.0.1:41233",
}


def row(n: int, unit: str, of: str = "requests", **statistics: tuple[float, float, float]) -> dict[str, Estimate]:
    """Statistics of one metric: name -> (value, lo, hi)."""
    return {
        name: Estimate(*bounds, LEVEL, n, unit, (T if name == "mean" else DEPENDENT).replace("requests", of))
        for name, bounds in statistics.items()
    }


def run(value: float, lo: float, hi: float, unit: str, n: int = 491) -> dict[str, Estimate]:
    """The value of a metric per run."""
    return {"value": Estimate(value, lo, hi, LEVEL, n, unit, "ratio over slices; t interval over 20 batches of time")}


def scaled(statistics: Mapping[str, Estimate | Missing], factor: float) -> dict[str, Estimate | Missing]:
    """The same distribution, slower or faster."""
    return {
        name: number
        if isinstance(number, Missing)
        else Estimate(
            number.value * factor, number.lo * factor, number.hi * factor, LEVEL, number.n, number.unit, number.method
        )
        for name, number in statistics.items()
    }


USUAL: dict[str, dict[str, Any]] = {
    "ttft_s": row(
        491,
        "s",
        mean=(0.0199, 0.0195, 0.0203),
        p50=(0.0194, 0.0190, 0.0200),
        p95=(0.0281, 0.0267, 0.0287),
        p99=(0.0311, 0.0298, 0.0348),
    ),
    "tpot_s": row(
        491,
        "s/token",
        mean=(0.00599, 0.00598, 0.00600),
        p50=(0.00599, 0.00598, 0.00601),
        p95=(0.00621, 0.00619, 0.00624),
        p99=(0.00629, 0.00627, 0.00641),
    ),
    "gap_s": row(
        30_933,
        "s",
        "chunks",
        mean=(0.00599, 0.00598, 0.00600),
        p50=(0.00593, 0.00591, 0.00594),
        p95=(0.00788, 0.00784, 0.00792),
        p99=(0.00883, 0.00878, 0.00888),
    ),
    "e2e_s": row(
        491,
        "s",
        mean=(0.3972, 0.3963, 0.3981),
        p50=(0.397, 0.396, 0.398),
        p95=(0.414, 0.412, 0.416),
        p99=(0.420, 0.417, 0.425),
    ),
    "underrun_s": row(491, "s", p95=(0.0, 0.0, 0.0)),
    "user_speed_tokens_per_s": row(491, "tokens/s", p50=(166.8, 166.4, 167.3)),
    "request_throughput_per_s": run(12.3, 12.1, 12.5, "1/s"),
    "output_throughput_tokens_per_s": run(784.0, 776.0, 792.0, "tokens/s"),
    "input_throughput_tokens_per_s": run(1_570.0, 1_551.0, 1_589.0, "tokens/s"),
    "in_flight_requests": run(3.99, 3.98, 4.00, "requests"),
    "little_law_ratio": run(1.002, 1.002, 1.002, "ratio"),
    "error_ratio": run(0.0, 0.0, 0.0075, "ratio"),
    "stalls_per_1000_tokens": run(0.0, 0.0, 0.0, "1/1000 tokens"),
    "longest_pause_s": run(0.0121, 0.0121, INF, "s"),
}
USUAL["ttft_sent_s"] = scaled(USUAL["ttft_s"], 0.995)

FIDELITY = {
    "lateness_p99_s": Estimate(0.000_094, 0.00009, 0.000_12, LEVEL, 491, "s", RANK),
    "read_lag_p99_s": Estimate(0.000_039_7, 0.000_039, 0.000_041, LEVEL, 31_424, "s", RANK),
    "kernel_stamped_ratio": Estimate(1.0, 1.0, 1.0, LEVEL, 31_424, "ratio", "share of reads"),
    "merged_ratio": Estimate(0.0031, 0.0031, 0.0031, LEVEL, 30_933, "ratio", "share of gaps"),
    "client_run_delay_ratio": Estimate(0.0004, 0.0004, 0.0004, LEVEL, 40, "ratio", "share of wall time"),
    "steal_ratio": Missing("was not sampled", 0, "ratio"),
}


def _counts(given: Mapping[str, int]) -> dict[str, int]:
    counts = {"planned": 491, "ok": 491, "failed": 0, "unfinished": 0, "warmup": 8, "trials": 1, "retried": 0}
    return counts | {"prompt_length_off": 0, "output_length_off": 0} | dict(given)


@pytest.fixture(scope="session")
def make_summary() -> MakeSummary:
    """`make_summary(metrics={...}, counts={...}, reasons=[...], slo="...", ...)`; what is not given is a usual run."""

    def make(
        *,
        level: str = "valid",
        reasons: tuple[Reason, ...] = (),
        metrics: Mapping[str, Any] = USUAL,
        counts: Mapping[str, int] | None = None,
        limits: LimitResults | None = None,
        **more: Any,
    ) -> Summary:
        verdict = Verdict(level, reasons)  # type: ignore[arg-type]
        found = {
            name: dict(metrics[name])
            if name in metrics
            else _nothing(metric.unit, "value" if metric.per == "run" else "p50")
            for name, metric in METRICS.items()
        }
        facts = {
            "fidelity": FIDELITY,
            "stamps": "kernel",
            "plan": PLAN,
            "engine": ENGINE,
            "host": {"n_cores": 2},
        } | more
        return Summary(
            verdict=verdict,
            counts=_counts(counts or {}),
            metrics=found,
            metric_verdicts={name: judge_metric(name, verdict) for name in METRICS},
            limits=limits or LimitResults(),
            in_flight=(InFlight(0, np.array([0.5, 1.5]), np.array([3.9, 4.0])),),
            windows=({"trial": 0, "t_start_s": 1.0, "t_end_s": 41.0, "t_steady_s": 1.0},),
            **facts,
        )

    return make


def _nothing(unit: str, statistic: str) -> dict[str, Missing]:
    return {statistic: Missing("was not looked at", 0, unit)}


@pytest.fixture
def usual() -> dict[str, dict[str, Any]]:
    """Metrics of a usual run, to be changed."""
    return {name: dict(statistics) for name, statistics in USUAL.items()}


@pytest.fixture
def suspect(make_summary: MakeSummary, usual: dict[str, dict[str, Any]]) -> Summary:
    """An open loop with failures, limits of both kinds, doubts, and a hostile model name."""
    for name in ("ttft_s", "e2e_s"):
        usual[name] |= {
            "p50_with_failures": usual[name]["p50"],
            "p95_with_failures": usual[name]["p95"],
            "p99_with_failures": Estimate(INF, usual[name]["p99"].lo, INF, LEVEL, 494, "s", DEPENDENT),
        }
    usual |= {
        "error_ratio": run(3 / 494, 0.0021, 0.0177, "ratio", 494),
        "offered_per_s": run(12.5, 12.5, 12.5, "1/s", 494),
        "delivered_per_s": run(12.4, 12.4, 12.4, "1/s", 494),
        "attainment_ratio": run(0.87, 0.837, 0.897, "ratio", 494),
        "goodput_per_s": run(10.7, 10.5, 10.9, "1/s", 430),
        "stalls_per_1000_tokens": run(0.032, 0.01, 0.09, "1/1000 tokens"),
    }
    limits = parse_limits("ttft<25ms,tpot<50ms,ttft_p99<500ms,e2e_p95<420ms")
    results = LimitResults(
        tuple(
            (limit, Estimate(value, value - 0.03, value + 0.02, LEVEL, 494, "ratio", SHARE))
            for limit, value in zip(limits.per_request, (0.87, 0.97), strict=True)
        ),
        tuple(
            _result(limit, observed, result)
            for limit, observed, result in zip(
                limits.per_run,
                (usual["ttft_s"]["p99_with_failures"], usual["e2e_s"]["p95"]),
                ("undecided", "pass"),
                strict=True,
            )
        ),
    )
    reasons = (
        Reason(
            "late_sends",
            "suspect",
            "requests were sent up to 31.2 ms late: ttft_s p99 is 14 % higher than from sent",
            "leave the client a core of its own, lower the load, or measure longer answers",
            ("ttft_s",),
        ),
        Reason(
            "merged_reads",
            "suspect",
            "31 % of the gaps lie within one read: gap p50 is understated, p90 and up overstated",
            "if the engine sends tokens one by one, lower the load or leave the client a core of its own",
            ("gap_s", "gap_token_s"),
        ),
    )
    plan = PLAN | {
        "mode": "open",
        "law": "poisson, 12.5 requests/s",
        "rate_per_s": 12.5,
        "notes": ["one prompt is long"],
    }
    return make_summary(
        level="suspect",
        reasons=reasons,
        metrics=usual,
        counts={"planned": 494, "ok": 491, "failed": 3, "stalled": 1, "reset": 2, "output_length_off": 4},
        limits=results,
        plan=plan,
        engine=ENGINE | {"model": "org/evil\x1b[31m`|<b>\n@model"},
    )


def _result(limit: Any, observed: Estimate, result: Any) -> Any:
    from inferometer.metrics.slo import RunLimitResult

    return RunLimitResult(limit, observed, result, None if result == "undecided" else result == "pass")


@pytest.fixture(scope="session")
def open_trace() -> Trace:
    """400 answers of an open loop with a queue, their prompts of different lengths."""
    trace = open_loop(400)
    trace.requests["n_prompt_tokens"] = np.random.default_rng(1).integers(16, 256, 400)
    return trace


@pytest.fixture(scope="session")
def compared(make_summary: MakeSummary) -> Comparison:
    """Worse, undecided, the same, better, and one that cannot be told; the model's name is hostile."""
    engine = {
        "title": "llama.cpp",
        "version": "b1",
        "model": "org/evil\x1b[31m|<b>\n@model",
        "settings": {"threads": 2},
    }
    a: dict[Quantity, Any] = {quantity: np.array(TRIALS) for quantity in HEADLINE}
    b: dict[Quantity, Any] = {q: np.array(TRIALS) * f for q, f in zip(HEADLINE, FACTORS, strict=False)}
    b[HEADLINE[4]] = Missing("needs a window of 3 mean latencies, has 1.2", 0, "tokens/s")
    sides = []
    for letter, values in zip("AB", (a, b), strict=True):
        runs = tuple(
            Member(
                f"runs/{letter}/{i}",
                make_summary(engine=engine, by_trial=_one_trial(values, i)),
                {"created": f"{i}", "revision": "1f2e3d"},
            )
            for i in range(5)
        )
        sides.append(Side(f"side {letter}", runs))
    rows = rows_of([a, b], rng=np.random.default_rng(1), is_paired=False)
    ignored, notes = ("model: model a and b",), ("all of A was measured before B",)
    return Comparison(tuple(sides), rows, 0.05, False, 4, ignored, notes)


def _one_trial(values: Mapping[Quantity, Any], i: int) -> dict[str, ByTrial]:
    """What a run says of its only trial."""
    found: dict[str, dict[str, Estimate | Missing]] = {}
    for quantity, trials in values.items():
        number = trials if isinstance(trials, Missing) else row(491, quantity.of.unit, x=(trials[i],) * 3)["x"]
        statistics = found.setdefault(quantity.metric, {})
        statistics[quantity.statistic] = statistics[quantity.statistic + WITH_FAILURES] = number
    return {metric: ByTrial((statistics,), 491) for metric, statistics in found.items()}
