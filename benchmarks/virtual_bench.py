# SPDX-License-Identifier: Apache-2.0
"""A bench in virtual time: what `explain scale` asks of a server, asked of an emulated engine without sockets.

A second producer of the same records: the examination, its analysis and its findings are those of the command, whole.
Closed and open loops, prompts that begin alike, threads that are too few. What a socket adds is a constant.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from inferometer.config import Experiment
from inferometer.emulate.batch import Batch, Sequence
from inferometer.emulate.defects import change_batch, n_threads
from inferometer.emulate.emulation import Setting
from inferometer.emulate.prefixes import PrefixCache, chain
from inferometer.engines import vllm
from inferometer.engines.engine import Engine
from inferometer.kinds import Outcome, Phase
from inferometer.plan.schedule import open_loop, parse_arrivals
from inferometer.records import SAMPLE, Trace, empty_requests
from inferometer.units import NS_PER_S

WAY_NS = 60_000  # from the client to the engine, and back
GAUGES_EVERY_NS = NS_PER_S // 4
OVERHEAD_S = 1.0  # of a run


@dataclass
class _Row:
    t_due_ns: int
    n_input: int
    n_output: int
    sequence: Sequence | None = None


@dataclass(frozen=True)
class VirtualRun:
    """What is left of a run: its records."""

    path: Path
    records: Trace

    def trace(self) -> Trace:
        return self.records


@dataclass(frozen=True)
class _Facts:
    context_tokens: int

    def longest_prompt(self, n_output: int) -> int:
        return self.context_tokens - n_output


@dataclass
class VirtualBench:
    """As `probes.bench.Bench`, as far as the examination of scale asks for it."""

    setting: Setting
    has_prefix_cache: bool = True
    tells: bool = True
    config: Experiment = field(default_factory=Experiment)
    is_ours: bool = True
    n_requests: int = 0
    t_ns: int = 0
    folder: Path = Path("virtual")
    engine: Engine = vllm.ENGINE

    def __post_init__(self) -> None:
        setting = self.setting
        self.facts = _Facts(setting.context)
        self.points = SimpleNamespace(subject=SimpleNamespace(start=None))  # as one that others started
        self.batch = Batch(
            setting.law,
            n_slots=setting.slots,
            kv_tokens=setting.kv_tokens,
            prefixes=PrefixCache(setting.kv_tokens if self.has_prefix_cache else 0),
            seed=setting.seed,
        )
        change_batch(self.batch, setting)
        self.n_threads = n_threads(setting, None)
        self._rng = np.random.default_rng(setting.seed)
        self._n_words = 0

    def used_s(self) -> float:
        return self.t_ns / NS_PER_S

    def say(self, text: str) -> None:
        pass

    def take(
        self,
        word: str,
        *,
        window_s: float,
        warmup_s: float = 0.0,
        concurrency: int | None = None,
        rate: float | None = None,
        arrivals: str = "poisson",
        input_tokens: str = "128",
        shared_prefix: int = 0,
    ) -> VirtualRun:
        end_ns = round((warmup_s + window_s) * NS_PER_S)
        due: list[int]
        if rate is not None:
            (stages,) = open_loop(rate, parse_arrivals(arrivals), seed=self.n_requests, for_s=window_s).trials
            due = [] if stages[0].due_ns is None else stages[0].due_ns.tolist()
        else:
            due = [round(i * 0.1 * NS_PER_S / (concurrency or 1)) for i in range(concurrency or 1)]
        driven = _Driven(self, due, end_ns, is_closed=rate is None, n_input=int(input_tokens), n_shared=shared_prefix)
        rows = driven.go()
        self.n_requests += len(rows)
        self.t_ns += driven.t_ns - driven.t_start_ns + round(OVERHEAD_S * NS_PER_S)
        plan = {"mode": "closed" if rate is None else "open", "is_streamed": True, "concurrency": concurrency}
        return VirtualRun(self.folder / word, _trace(rows, driven, plan, warmup_s, window_s, tells=self.tells))

    def outputs(self) -> int:
        return int(self._rng.integers(32, 65))

    def blocks(self, n_input: int, n_shared: int) -> tuple[int, ...]:
        """Words that nobody had before, after those that all have."""
        self._n_words += n_input
        own = range(self._n_words + 1_000_000, self._n_words + 1_000_000 + n_input - n_shared)
        return chain((*range(n_shared), *own))


class _Driven:
    """One run on its way, in the engine's own virtual time."""

    def __init__(
        self, bench: VirtualBench, due: list[int], end_ns: int, *, is_closed: bool, n_input: int, n_shared: int
    ) -> None:
        self.bench, self.is_closed, self.n_input, self.n_shared = bench, is_closed, n_input, n_shared
        self.t_start_ns = self.t_ns = bench.t_ns
        self.end_ns = self.t_start_ns + end_ns
        self.due = [self.t_start_ns + t for t in due]
        heapq.heapify(self.due)
        self.rows: list[_Row] = []
        self.unheard: deque[_Row] = deque()
        self.running: dict[Sequence, _Row] = {}
        self.samples: list[tuple[int, str, str, float]] = []
        self.n_preempted = 0

    def go(self) -> list[_Row]:
        t_gauges_ns = self.t_ns
        while True:
            self._arrive()
            iteration = self.bench.batch.begin(self.t_ns)
            if iteration is None:
                if not self.due or self.due[0] >= self.end_ns:
                    return self.rows
                self.t_ns = max(self.t_ns + 1, self.due[0] + WAY_NS)
                continue
            self.n_preempted += len(iteration.preempted)
            while t_gauges_ns <= self.t_ns:
                self._note(t_gauges_ns)
                t_gauges_ns += GAUGES_EVERY_NS
            self.t_ns = iteration.t_end_ns
            for sequence in self.bench.batch.complete(iteration):
                self.running.pop(sequence)
                if self.is_closed:
                    heapq.heappush(self.due, self.t_ns + 2 * WAY_NS)

    def _arrive(self) -> None:
        while self.due and self.due[0] + WAY_NS <= self.t_ns and self.due[0] < self.end_ns:
            self.rows.append(_Row(heapq.heappop(self.due), self.n_input, self.bench.outputs()))
            self.unheard.append(self.rows[-1])
        n_most = self.bench.n_threads
        while self.unheard and (n_most is None or len(self.running) < n_most):
            row = self.unheard.popleft()
            blocks = self.bench.blocks(row.n_input, self.n_shared)
            row.sequence = Sequence(row.n_input, row.n_output, max(row.t_due_ns + WAY_NS, 0), blocks=blocks)
            self.running[row.sequence] = row
            self.bench.batch.arrive(row.sequence)

    def _note(self, t_ns: int) -> None:
        batch = self.bench.batch
        for gauge, value in (
            ("n_scrapes", 1.0),
            ("n_scrape_failures", 0.0),
            ("requests_running", float(len(batch.running))),
            ("requests_waiting", float(len(batch.waiting))),
            ("kv_used_ratio", batch.n_kept_tokens / batch.kv_tokens),
            ("n_preemptions", float(self.n_preempted)),
        ):
            self.samples.append((t_ns - self.t_start_ns, "server", gauge, value))


def _trace(
    rows: list[_Row], driven: _Driven, plan: dict[str, Any], warmup_s: float, window_s: float, *, tells: bool
) -> Trace:
    requests = empty_requests(len(rows))
    for one, row in zip(requests, rows, strict=True):
        assert row.sequence is not None
        one["t_due_ns"] = row.t_due_ns - driven.t_start_ns
        one["t_sent_ns"] = one["t_due_ns"] + 20_000
        one["t_head_ns"] = one["t_sent_ns"] + 2 * WAY_NS
        one["t_first_content_ns"] = row.sequence.t_first_ns - driven.t_start_ns + WAY_NS
        one["t_last_content_ns"] = one["t_end_ns"] = row.sequence.t_last_ns - driven.t_start_ns + WAY_NS
        one["n_prompt_tokens"] = one["n_prompt_tokens_asked"] = row.n_input
        one["n_output_tokens"] = one["n_output_tokens_asked"] = row.n_output
        one["n_cached_tokens"] = row.sequence.n_cached_tokens
    requests["outcome"], requests["status"] = Outcome.OK, 200
    requests["phase"] = np.where(requests["t_due_ns"] < warmup_s * NS_PER_S, Phase.WARMUP, Phase.MAIN)
    ends_ns = [round(t * NS_PER_S) for t in (warmup_s, warmup_s + window_s)]
    window = {"trial": 0, "t_start_ns": ends_ns[0], "t_end_ns": ends_ns[1]}
    samples = np.array(driven.samples if tells else [], SAMPLE)
    return Trace(requests, samples=samples, meta={"plan": plan, "windows": [window]})
