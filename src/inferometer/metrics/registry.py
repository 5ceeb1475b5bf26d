# SPDX-License-Identifier: Apache-2.0
"""The registry of metrics: `@metric` turns a function of a trace into a named quantity with a unit.

Rule 1: a metric is one function; its name in every output is the function's with the unit appended: `ttft_s`.
Rule 2: values stay aligned with their rows: NaN says "not defined for this row", and is never replaced by 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

Better = Literal["lower", "higher", "none"]
Per = Literal["request", "chunk", "run"]
Over = Literal["successes", "sent"]
Depends = Literal["due", "prompt", "answer"]
Function = TypeVar("Function", bound=Callable[..., Any])

_SUFFIX = {
    "s": "_s",
    "s/token": "_s",
    "1/s": "_per_s",
    "tokens/s": "_tokens_per_s",
    "1/1000 tokens": "_per_1000_tokens",
    "ratio": "_ratio",
    "requests": "_requests",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One quantity.

    `fn`: per request and per chunk `fn(trace) -> float64[n_requests | n_chunks]`; per run `fn(trial) -> Estimate |
    Missing`. `needs`: what an answer must have for it to be defined. `is_headline`: its verdict is the run's.
    `counts_failures`: percentiles are given a second time, `p99_with_failures`, with failed requests as the worst.
    `over`: which requests the statistics cover, the successes or all that were sent. `is_largest`: the value per run is
    the largest seen, so that of several trials is the largest of theirs. `depends`: what it is another number with: the
    instant a request was due, the length of its prompt, the length of its answer.
    """

    name: str
    unit: str
    better: Better
    per: Per
    fn: Callable[..., Any]
    doc: str
    needs: str
    is_headline: bool
    counts_failures: bool
    over: Over
    is_largest: bool
    depends: tuple[Depends, ...]


METRICS: dict[str, Metric] = {}  # by name, in the order of definition; filled by the decorator at import


def metric(
    *,
    unit: str,
    better: Better,
    per: Per,
    needs: str = "an answer",
    is_headline: bool = False,
    counts_failures: bool = False,
    over: Over = "successes",
    is_largest: bool = False,
    depends: tuple[Depends, ...] = (),
) -> Callable[[Function], Function]:
    """Register a function as a metric; the function itself stays as it is."""

    def register(fn: Function) -> Function:
        name = fn.__name__ + _SUFFIX[unit]
        assert name not in METRICS, f"two metrics are called {name}"
        doc = " ".join((fn.__doc__ or "").split())
        METRICS[name] = Metric(
            name, unit, better, per, fn, doc, needs, is_headline, counts_failures, over, is_largest, depends
        )
        return fn

    return register


def depending_on(what: Depends) -> tuple[str, ...]:
    """Names of the metrics that are other numbers when this is not what it should be."""
    return tuple(name for name, metric in METRICS.items() if what in metric.depends)


def base_name(metric: Metric) -> str:
    """The name without its unit, as people write it in limits: `ttft`."""
    return metric.name.removesuffix(_SUFFIX[metric.unit])
