# SPDX-License-Identifier: Apache-2.0
"""An emulated engine under a closed loop in virtual time: the records of a run of minutes, in a second.

The batch and its law are those of `inferometer emulate`; what a socket and two processes add is drawn: how late a token
is read, and how long a request is on its way.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from inferometer.analysis.latency import LatencyExamination
from inferometer.analysis.latency_examined import ALONE, Measured, again, examined, in_flight
from inferometer.emulate.batch import Batch, Sequence
from inferometer.emulate.defects import change_batch, n_threads
from inferometer.emulate.emulation import Setting
from inferometer.emulate.prefixes import PrefixCache
from inferometer.kinds import ChunkKind, Outcome, Phase
from inferometer.records import CHUNK, SAMPLE, Trace, empty_requests
from inferometer.units import NS_PER_S

NS_PER_US = 1_000
GAUGES_EVERY_NS = NS_PER_S


@dataclass
class Engine:
    """An engine to be driven, with the defects of its setting. `tells`: which of its own times a request is told.

    `t_ns`: where its virtual time stands; loads come one after another, as in an examination.
    """

    setting: Setting
    tells: str = "queue and prefill"
    late_us: float = 60.0
    t_ns: int = 0
    n_threads: int | None = None
    batch: Batch = field(init=False)

    def __post_init__(self) -> None:
        setting = self.setting
        self.batch = Batch(
            setting.law,
            n_slots=setting.slots,
            kv_tokens=setting.kv_tokens,
            prefixes=PrefixCache(0),
            seed=setting.seed,
        )
        change_batch(self.batch, setting)
        self.n_threads = n_threads(setting, self.n_threads)


def examine(
    engine: Engine, concurrency: int, *, longest: int, short_s: float = 4.0, long_s: float = 40.0, n_turns: int = 1
) -> LatencyExamination:
    """The runs of `inferometer explain latency`, in virtual time. `n_turns`: of all loads but the explained one."""
    runs: list[Measured] = []

    def take(name: str, n: int, window_s: float, lengths: tuple[int, int] | None = None) -> None:
        begun_s = engine.t_ns / NS_PER_S
        trace = closed_loop(engine, n, window_s=window_s, n_inputs=lengths or (128, 128), seed=engine.setting.seed)
        inputs = f"uniform:{lengths[0]}-{lengths[1]}" if lengths is not None else ""
        runs.append(Measured(name, n, begun_s, name, trace, inputs))

    half = concurrency // 2
    around = [
        ("alone, short", 1, short_s, (16, 16)),
        (ALONE, 1, short_s, None),
        ("alone, long", 1, short_s, (longest, longest)),
        (in_flight(half), half, 2 * short_s, None),
        (in_flight(2 * concurrency), 2 * concurrency, 2 * short_s, None),
        (f"{in_flight(4)}, mixed", 4, 2 * short_s, (16, longest)),
    ]
    n_before = (n_turns + 1) // 2
    for i in range(n_before):
        for name, *load in around:
            take(again(name, i), *load)
    take(in_flight(concurrency), concurrency, long_s)
    for i in range(n_before, max(n_turns, 2)):
        for name, *load in around if n_turns > 1 else around[1:2]:
            take(again(name, i), *load)
    n_slots = engine.setting.slots if engine.tells == "prefill" else None
    return examined(runs, concurrency=concurrency, n_slots=n_slots, connect_s=np.full(20, 5e-5), relief={})


@dataclass
class _Row:
    """A request on its way."""

    t_due_ns: int
    n_input: int
    n_output: int
    t_heard_ns: int = 0
    is_late: bool = False  # no thread was free when it came
    sequence: Sequence | None = None
    t_tokens_ns: list[int] = field(default_factory=list)


def closed_loop(
    engine: Engine,
    concurrency: int,
    *,
    window_s: float,
    warmup_s: float = 1.0,
    n_inputs: tuple[int, int] = (128, 128),
    n_outputs: tuple[int, int] = (32, 64),
    seed: int = 0,
) -> Trace:
    """So many users who ask again at once, until time is up. Lengths are uniform."""
    rng = np.random.default_rng((seed, concurrency, n_inputs[1]))
    t_start_ns = engine.t_ns
    t_end_ns = t_start_ns + round((warmup_s + window_s) * NS_PER_S)
    way_ns = round(engine.late_us * NS_PER_US)
    rows: list[_Row] = []
    due = [(t_start_ns + round(i * 0.1 * NS_PER_S / concurrency), i) for i in range(concurrency)]
    heapq.heapify(due)
    unheard: deque[_Row] = deque()
    running: dict[Sequence, _Row] = {}
    samples: list[tuple[int, str, str, float]] = []
    t_ns, t_gauges_ns = t_start_ns, t_start_ns

    def hear(t_ns: int) -> None:
        while unheard and (engine.n_threads is None or len(running) < engine.n_threads):
            row = unheard.popleft()
            row.t_heard_ns = t_ns if row.is_late else row.t_due_ns + way_ns
            row.sequence = Sequence(row.n_input, row.n_output, row.t_heard_ns)
            running[row.sequence] = row
            engine.batch.arrive(row.sequence)
        for row in unheard:
            row.is_late = True

    while True:
        while due and due[0][0] + way_ns <= t_ns and due[0][0] < t_end_ns:
            t_due_ns, _ = heapq.heappop(due)
            lengths = (int(rng.integers(lo, hi + 1)) for lo, hi in (n_inputs, n_outputs))
            rows.append(_Row(t_due_ns, *lengths))
            unheard.append(rows[-1])
        hear(t_ns)
        iteration = engine.batch.begin(t_ns)
        if iteration is None:
            coming = [t for t, _ in due if t < t_end_ns]
            if not coming and not unheard:
                break
            t_ns = max(t_ns + 1, min([t + way_ns for t in coming], default=t_ns), 0)
            continue
        while t_gauges_ns <= t_ns:
            for gauge, value in (
                ("n_scrapes", 1.0),
                ("requests_running", len(engine.batch.running)),
                ("requests_waiting", len(engine.batch.waiting)),
            ):
                samples.append((t_gauges_ns - t_start_ns, "server", gauge, float(value)))
            t_gauges_ns += GAUGES_EVERY_NS
        t_ns = iteration.t_end_ns
        for sequence in iteration.producing:
            running[sequence].t_tokens_ns.append(t_ns)
        for sequence in engine.batch.complete(iteration):
            running.pop(sequence)
            heapq.heappush(due, (t_ns + way_ns, len(rows)))
    engine.t_ns = t_ns + NS_PER_S
    return _trace(engine, rows, samples, rng, t_start_ns, warmup_s, window_s, concurrency)


def _trace(
    engine: Engine,
    rows: list[_Row],
    samples: list[tuple[int, str, str, float]],
    rng: np.random.Generator,
    t_start_ns: int,
    warmup_s: float,
    window_s: float,
    concurrency: int,
) -> Trace:
    requests = empty_requests(len(rows))
    chunks = np.zeros(sum(len(row.t_tokens_ns) for row in rows), CHUNK)
    late_ns = np.round(rng.gamma(4.0, engine.late_us / 4, len(chunks)) * NS_PER_US).astype(np.int64)
    at = 0
    for i, row in enumerate(rows):
        assert row.sequence is not None
        n = len(row.t_tokens_ns)
        t_read_ns = np.maximum.accumulate(np.array(row.t_tokens_ns) - t_start_ns + late_ns[at : at + n])
        chunks["request_id"][at : at + n] = i
        chunks["t_recv_ns"][at : at + n] = chunks["t_read_ns"][at : at + n] = t_read_ns
        one = requests[i]
        one["t_due_ns"] = row.t_due_ns - t_start_ns
        one["t_sent_ns"] = one["t_due_ns"] + 20 * NS_PER_US
        one["t_first_content_ns"], one["t_last_content_ns"] = t_read_ns[0], t_read_ns[-1]
        one["t_end_ns"] = t_read_ns[-1]
        one["n_prompt_tokens"] = one["n_prompt_tokens_asked"] = row.n_input
        one["n_output_tokens"] = one["n_output_tokens_asked"] = row.n_output
        one["chunk_start"], one["n_chunks"], one["conn"] = at, n, i
        if "prefill" in engine.tells:
            one["server_prefill_ns"] = row.sequence.t_first_ns - row.sequence.t_admitted_ns
        if "queue" in engine.tells:
            one["server_queue_ns"] = row.sequence.t_admitted_ns - row.sequence.t_arrival_ns
            one["server_ttft_ns"] = row.sequence.t_first_ns - row.sequence.t_arrival_ns
        at += n
    chunks["kind"], chunks["n_tokens"], chunks["read_id"] = ChunkKind.CONTENT, 1, np.arange(len(chunks))
    requests["outcome"], requests["status"] = Outcome.OK, 200
    requests["phase"] = np.where(requests["t_due_ns"] < warmup_s * NS_PER_S, Phase.WARMUP, Phase.MAIN)
    ends_ns = [round(t * NS_PER_S) for t in (warmup_s, warmup_s + window_s)]
    window = {"trial": 0, "t_start_ns": ends_ns[0], "t_end_ns": ends_ns[1]}
    meta = {"plan": {"mode": "closed", "is_streamed": True, "concurrency": concurrency}, "windows": [window]}
    return Trace(requests, chunks, np.array(samples, SAMPLE), meta)
