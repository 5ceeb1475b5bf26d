# SPDX-License-Identifier: Apache-2.0
"""What an emulated engine counts of itself, and how it is written for whoever scrapes it.

Rule 1: counted when an iteration ends, out of the engine's own instants: its TTFT is from arrival to first token.
Rule 2: names belong to the engines; here are only numbers and the text format of Prometheus.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from inferometer.emulate.batch import Iteration
from inferometer.emulate.batch import Sequence as Served
from inferometer.units import NS_PER_S

SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
GAP_SECONDS = (
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
    20.0,
    40.0,
    80.0,
)
TOKENS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0)


class Histogram:
    """Counts per bucket, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def n(self) -> int:
        return sum(self.counts)

    def as_dict(self) -> dict[str, object]:
        return {"bounds": self.bounds, "counts": self.counts, "sum": self.sum, "n": self.n}

    def from_bound(self, bound: float) -> Histogram:
        """The same with all smaller buckets in one."""
        i = bisect_left(self.bounds, bound)
        coarse = Histogram(self.bounds[i:])
        coarse.counts = [sum(self.counts[: i + 1]), *self.counts[i + 1 :]]
        coarse.sum = self.sum
        return coarse


@dataclass(slots=True)
class Gauges:
    """Since the start. `*_at_end`: moved only when a request ends, as some engines count."""

    n_iterations: int = 0
    n_sequence_iterations: int = 0  # sequences that took part, summed over iterations
    n_prompt_tokens: int = 0  # computed: cached ones excluded
    n_cached_tokens: int = 0
    n_queried_tokens: int = 0
    n_output_tokens: int = 0
    n_prompt_tokens_at_end: int = 0
    n_cached_tokens_at_end: int = 0
    n_output_tokens_at_end: int = 0
    prefill_s_at_end: float = 0.0
    decode_s_at_end: float = 0.0
    n_tokens_most: int = 0
    n_preempted: int = 0
    n_requests: int = 0
    n_stopped: int = 0
    n_cut: int = 0
    n_failed: int = 0
    n_left: int = 0
    ttft_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    gap_s: Histogram = field(default_factory=lambda: Histogram(GAP_SECONDS))
    tpot_s: Histogram = field(default_factory=lambda: Histogram(GAP_SECONDS))
    e2e_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    queue_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    prefill_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    decode_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    prompt_tokens: Histogram = field(default_factory=lambda: Histogram(TOKENS))
    output_tokens: Histogram = field(default_factory=lambda: Histogram(TOKENS))
    iteration_s: Histogram = field(default_factory=lambda: Histogram(GAP_SECONDS))

    def note_iteration(self, iteration: Iteration) -> None:
        """Before its tokens are added to the sequences."""
        self.n_iterations += 1
        self.n_sequence_iterations += len(iteration.producing)
        self.n_prompt_tokens += iteration.n_prefill_tokens
        self.n_output_tokens += len(iteration.producing)
        self.n_preempted += len(iteration.preempted)
        self.n_failed += len(iteration.exhausted)
        self.iteration_s.add((iteration.t_end_ns - iteration.t_start_ns) / NS_PER_S)
        for sequence in iteration.producing:
            if sequence.n_done_tokens:
                self.gap_s.add((iteration.t_end_ns - sequence.t_last_ns) / NS_PER_S)
            else:
                self.ttft_s.add((iteration.t_end_ns - sequence.t_arrival_ns) / NS_PER_S)
                self.queue_s.add((sequence.t_admitted_ns - sequence.t_arrival_ns) / NS_PER_S)
                self.prefill_s.add((iteration.t_end_ns - sequence.t_admitted_ns) / NS_PER_S)
                self.n_queried_tokens += sequence.n_prompt_tokens
                self.n_cached_tokens += sequence.n_cached_tokens

    def note_end(self, sequence: Served, *, is_cut: bool) -> None:
        """A request has had its last token."""
        self.n_stopped += not is_cut
        self.n_cut += is_cut
        decode_s = (sequence.t_last_ns - sequence.t_first_ns) / NS_PER_S
        self.decode_s.add(decode_s)
        self.e2e_s.add((sequence.t_last_ns - sequence.t_arrival_ns) / NS_PER_S)
        if sequence.n_done_tokens > 1:
            self.tpot_s.add(decode_s / (sequence.n_done_tokens - 1))
        self.prompt_tokens.add(sequence.n_prompt_tokens)
        self.output_tokens.add(sequence.n_done_tokens)
        self.n_prompt_tokens_at_end += sequence.n_prompt_tokens - sequence.n_cached_tokens
        self.n_cached_tokens_at_end += sequence.n_cached_tokens
        self.n_output_tokens_at_end += sequence.n_done_tokens
        self.prefill_s_at_end += (sequence.t_first_ns - sequence.t_admitted_ns) / NS_PER_S
        self.decode_s_at_end += decode_s
        self.n_tokens_most = max(self.n_tokens_most, sequence.n_prompt_tokens + sequence.n_done_tokens)


# --- the text format of Prometheus ---------------------------------------------------------------------------------

Labels = Mapping[str, str]


def counter(name: str, value: float, labels: Labels | None = None) -> list[str]:
    return [f"# TYPE {name} counter", _sample(name, value, labels)]


def gauge(name: str, value: float, labels: Labels | None = None) -> list[str]:
    return [f"# TYPE {name} gauge", _sample(name, value, labels)]


def histogram(name: str, histogram: Histogram, labels: Labels | None = None) -> list[str]:
    lines = [f"# TYPE {name} histogram"]
    n_below = 0
    for bound, n in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        n_below += n
        lines.append(_sample(f"{name}_bucket", n_below, {**(labels or {}), "le": bound}))
    return [*lines, _sample(f"{name}_sum", histogram.sum, labels), _sample(f"{name}_count", histogram.n, labels)]


def text(metrics: Iterable[list[str]]) -> bytes:
    return "\n".join([*(line for lines in metrics for line in lines), ""]).encode()


def _sample(name: str, value: float, labels: Labels | None) -> str:
    told = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels)) if labels else ""
    return f"{name}{{{told}}} {value}" if told else f"{name} {value}"
