# SPDX-License-Identifier: Apache-2.0
"""What an engine tells of itself while it works: where its metrics are, and what they are called in one vocabulary.

Rule 1: names that differ between versions are data: several ways to one gauge, the first that a page has is taken.
Rule 2: what a page does not have is absent, never zero.
Rule 3: a gauge that begins with `n_`, or ends in `_sum_s`, only grows, until the server is started anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from inferometer.engines import prometheus
from inferometer.engines.prometheus import MetricsError, Page

# The vocabulary: canonical name -> what it means. A histogram NAME becomes n_NAME, NAME_sum_s and n_NAME_le_BOUND.
GAUGES: Mapping[str, str] = {
    "requests_running": "requests being worked on",
    "requests_waiting": "requests the server has taken and not begun",
    "kv_used_ratio": "share of the KV cache in use; of several, the fullest",
    "n_preemptions": "times a running request was put back to make room",
    "n_prompt_tokens": "prompt tokens, cached ones included",
    "n_output_tokens": "tokens generated",
    "n_prefix_queried_tokens": "prompt tokens looked up in the prefix cache",
    "n_prefix_hit_tokens": "prompt tokens found there",
}
HISTOGRAMS: Mapping[str, str] = {
    "ttft": "from a request's arrival at the server to its first token",
    "tpot": "time per output token after the first, one observation per request",
    "queue": "time a request waited in the server before it was begun",
}

Sum = tuple[str, ...]  # names of an engine's metrics whose values are added up
Ways = tuple[Sum, ...]  # of different versions; the first of which a page has all


@dataclass(frozen=True, slots=True)
class Gauges:
    """Where one engine's metrics are, and what it calls them.

    `names`, `histograms`: keys as in GAUGES and HISTOGRAMS; values as the page writes them (of a histogram without
    `_bucket`), in seconds. `remedy`: how the metrics are switched on; it stands in the report where there are none.
    `counts_at_end`: counters move only when a request ends. `read`: for a page that is no Prometheus text.
    """

    path: str
    names: Mapping[str, Ways]
    histograms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    remedy: str = ""
    counts_at_end: bool = False
    read: Callable[[str, Collection[str]], Page] = prometheus.read


def series_wanted(gauges: Gauges) -> frozenset[str]:
    """All names to look for in a page."""
    plain = {name for ways in gauges.names.values() for way in ways for name in way}
    parts = {
        name + end for ways in gauges.histograms.values() for name in ways for end in ("_bucket", "_sum", "_count")
    }
    return frozenset(plain | parts)


def canonical(gauges: Gauges, text: str) -> dict[str, float]:
    """A page in our vocabulary. Raises: MetricsError if it is none of this engine's."""
    page = gauges.read(text, series_wanted(gauges))
    found: dict[str, float] = {}
    for name, ways in gauges.names.items():
        way = next((way for way in ways if all(part in page for part in way)), None)
        if way is not None:
            found[name] = sum(_folded(name, [series.value for series in page[part]]) for part in way)
    for name, names in gauges.histograms.items():
        known = next((known for known in names if f"{known}_bucket" in page), None)
        if known is not None:
            found |= _histogram(name, page, known)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _folded(name: str, values: list[float]) -> float:
    """One value of all label sets (replicas, models, sources): of shares the largest, else the sum."""
    return max(values) if name.endswith("_ratio") else sum(values)


def _histogram(name: str, page: Page, known: str) -> dict[str, float]:
    """Buckets, count and sum, over all label sets."""
    buckets: dict[float, float] = {}
    for series in page[f"{known}_bucket"]:
        try:
            bound_s = float(series.labels["le"])
        except (KeyError, ValueError) as error:
            raise MetricsError(f"a bucket of {known} without a bound") from error
        buckets[bound_s] = buckets.get(bound_s, 0.0) + series.value
    found = {f"n_{name}_le_{bound_s:g}": n for bound_s, n in sorted(buckets.items()) if math.isfinite(bound_s)}
    found[f"n_{name}"] = sum(series.value for series in page.get(f"{known}_count", ())) or buckets.get(math.inf, 0.0)
    if f"{known}_sum" in page:
        found[f"{name}_sum_s"] = sum(series.value for series in page[f"{known}_sum"])
    return found
