# SPDX-License-Identifier: Apache-2.0
"""Traces written by hand, and traces of a made-up server in closed and open loop. All instants in nanoseconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from inferometer.kinds import TOKEN_BEARING, ChunkKind, Outcome, Phase
from inferometer.records import CHUNK, NEVER, NOT_TOLD, SAMPLE, Trace, empty_requests
from inferometer.units import NS_PER_MS as MS
from inferometer.units import NS_PER_S as S

ROLE, CONTENT, REASONING, TOOL, USAGE = (
    ChunkKind.ROLE,
    ChunkKind.CONTENT,
    ChunkKind.REASONING,
    ChunkKind.TOOL,
    ChunkKind.USAGE,
)


@dataclass(frozen=True)
class Row:
    """One request as a test wrote it: columns that differ from "nothing happened", and its chunks."""

    columns: dict[str, Any]
    chunks: list[tuple[int, ChunkKind, int, int]] = field(default_factory=list)  # t, kind, n_tokens, read (or -1)


def request(
    *,
    due: int = 0,
    sent: int | None = None,
    chunks: Sequence[tuple[Any, ...]] = (),
    end: int | None = None,
    tokens: int | None = None,
    outcome: Outcome = Outcome.OK,
    **columns: Any,
) -> Row:
    """A request; `chunks` are (t, kind[, n_tokens[, read]]), `tokens` is what usage says (default: as the chunks)."""
    full = [(*chunk, *(NOT_TOLD, NEVER)[len(chunk) - 2 :]) for chunk in chunks]
    bearing = [t for t, kind, *_ in full if kind in TOKEN_BEARING]
    answer = [t for t, kind, *_ in full if kind in (CONTENT, TOOL)]
    usage = [t for t, kind, *_ in full if kind is USAGE]
    told = [n for _, kind, n, _ in full if kind in TOKEN_BEARING]
    counted = sum(told) if told and min(told) >= 0 else len(bearing) or NOT_TOLD
    sent = due if sent is None else sent
    row = {
        "t_due_ns": due,
        "t_sent_ns": sent,
        "t_head_ns": full[0][0] if full else NEVER,
        "t_first_content_ns": bearing[0] if bearing else NEVER,
        "t_first_answer_ns": answer[0] if answer else NEVER,
        "t_last_content_ns": bearing[-1] if bearing else NEVER,
        "t_usage_ns": usage[-1] if usage else NEVER,
        "t_end_ns": end if end is not None else full[-1][0] if full else NEVER,
        "n_output_tokens": counted if tokens is None else tokens,
        "outcome": outcome,
        "status": 200,
    }
    return Row(row | columns, full)


def failed(outcome: Outcome = Outcome.RESET, **columns: Any) -> Row:
    """A request that ended badly before anything came."""
    return request(outcome=outcome, **columns)


def make_trace(
    *rows: Row, samples: Iterable[tuple[int, str, str, float]] = (), plan: dict[str, Any] | None = None, **meta: Any
) -> Trace:
    """Rows in the order of their ids."""
    requests = empty_requests(len(rows))
    chunks = []
    for i, row in enumerate(rows):
        for name, value in row.columns.items():
            requests[i][name] = value
        requests[i]["chunk_start"], requests[i]["n_chunks"] = len(chunks), len(row.chunks)
        for t_ns, kind, n_tokens, read in row.chunks:
            chunks.append((i, kind, n_tokens, 4, len(chunks) if read == NEVER else read, t_ns, t_ns))
    return Trace(
        requests,
        np.array(chunks, CHUNK) if chunks else np.zeros(0, CHUNK),
        np.array(list(samples), SAMPLE),
        {"plan": {"mode": "closed", **(plan or {})}, **meta},
    )


def awkward() -> Row:
    """Role chunk at once, first content at 300 ms, 20 chunks of 2 tokens every 40 ms, usage 250 ms after."""
    content = [(300 * MS + 40 * MS * i, CONTENT) for i in range(20)]
    return request(chunks=[(1 * MS, ROLE), *content, (1310 * MS, USAGE)], tokens=40)


def stream(
    *, due: int, ttft: int = 20 * MS, gap: int = 4 * MS, n: int = 10, sent: int | None = None, **columns: Any
) -> Row:
    """n chunks of one token each; `ttft` counts from due."""
    return request(due=due, sent=sent, chunks=[(due + ttft + gap * i, CONTENT) for i in range(n)], **columns)


def closed_loop(
    n_requests: int = 400, *, slots: int = 4, lateness: int = 50_000, seed: int = 1, **changes: Any
) -> Trace:
    """A healthy closed loop: `slots` users, independent service times, every stamp in place. Half a minute at most.

    `changes`: columns of the requests that differ (a value or an array); `meta`, `plan`, `samples` as in make_trace.
    """
    rng = np.random.default_rng(seed)
    free = np.zeros(slots, np.int64)
    rows = []
    for _ in range(n_requests):
        slot = int(free.argmin())
        due = int(free[slot])
        sent = due + lateness
        ttft = int(20 * MS + rng.exponential(4 * MS))
        gaps = (4 * MS + rng.exponential(MS / 2, 9)).astype(int)
        stamps = [sent + ttft, *(sent + ttft + np.cumsum(gaps)).tolist()]
        rows.append(request(due=due, sent=sent, chunks=[(t, CONTENT) for t in stamps], end=stamps[-1] + MS))
        free[slot] = stamps[-1] + MS
    return _finished(rows, "closed", changes)


def open_loop(
    n_requests: int = 400,
    *,
    rate_per_s: float = 20.0,
    service: int = 30 * MS,
    n_servers: int = 4,
    seed: int = 1,
    **changes: Any,
) -> Trace:
    """Poisson arrivals at a queue with `n_servers`; each request is served for about `service`, plus 9 gaps of 4 ms."""
    rng = np.random.default_rng(seed)
    dues = np.cumsum(rng.exponential(S / rate_per_s, n_requests)).astype(np.int64)
    free = np.zeros(n_servers, np.int64)
    rows = []
    for due in dues.tolist():
        server = int(free.argmin())
        first = max(due, int(free[server])) + int(service * rng.uniform(0.7, 1.3))
        stamps = [first + 4 * MS * i for i in range(10)]
        free[server] = stamps[-1]
        rows.append(request(due=due, sent=due + 20_000, chunks=[(t, CONTENT) for t in stamps], end=stamps[-1]))
    return _finished(rows, "open", changes)


def _finished(rows: list[Row], mode: str, changes: dict[str, Any]) -> Trace:
    plan = {"mode": mode, "is_streamed": True, "n_trials": 1, **changes.pop("plan", {})}
    trace = make_trace(*rows, plan=plan, samples=changes.pop("samples", ()), stamps="kernel", **changes.pop("meta", {}))
    trace.chunks["t_read_ns"] += 30_000
    for name, value in changes.items():
        trace.requests[name] = value
    return trace


def gauges(span: int, **rises: float) -> list[tuple[int, str, str, float]]:
    """Samples at the beginning and the end of a run in which cumulative gauges rose: `client_gc_pause_s=0.1`."""
    found = []
    for name, rise in rises.items():
        source, _, gauge = name.partition("_")
        found += [(0, source, gauge, 0.0), (span, source, gauge, rise)]
    return sorted(found)


def span_of(trace: Trace) -> int:
    """From the first due to the last due, as a window without a record has it."""
    return int(np.ptp(trace.requests["t_due_ns"][trace.requests["phase"] == Phase.MAIN]))
