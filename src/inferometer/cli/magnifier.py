# SPDX-License-Identifier: Apache-2.0
"""Collects what a run folder holds about single requests, for `show`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from inferometer.engines.registry import dialects
from inferometer.errors import UsageError
from inferometer.kinds import Phase
from inferometer.plan.plan import Plan
from inferometer.recorder import Read, Sent, read_frames
from inferometer.records import NEVER, Array, Trace
from inferometer.report.waterfall import Sending, waterfall
from inferometer.run_folder import RECORDER, Run

Reads = list[tuple[int, int, bytes]]


def waterfalls(
    run: Run, *, n_slowest: int, ids: Sequence[int] | None, width: int, max_reads: int | None
) -> Iterator[str]:
    """One text per request, the slowest first.

    Raises: UsageError if an id is not of this run.
    """
    trace = run.trace()
    plan = run.plan()
    rows = _slowest(trace.requests, n_slowest) if ids is None else _by_id(trace.requests, ids)
    reads = _reads_of(run, set(rows["id"].tolist()))
    for row in rows:
        chunks = trace.chunks[row["chunk_start"] : row["chunk_start"] + row["n_chunks"]]
        sending = _sending(trace, plan, int(row["id"]))
        yield waterfall(row, chunks, reads[int(row["id"])], sending, width=width, max_reads=max_reads)


def _slowest(requests: Array, n: int) -> Array:
    """By latency from due; those that never ended before all others."""
    main: Array = requests[requests["phase"] == Phase.MAIN]
    last_ns = np.where(main["t_last_content_ns"] != NEVER, main["t_last_content_ns"], main["t_end_ns"])
    latency_ns = np.where(last_ns != NEVER, last_ns - main["t_due_ns"], np.iinfo(np.int64).max)
    slowest: Array = main[np.argsort(-latency_ns, kind="stable")[:n]]
    return slowest


def _by_id(requests: Array, ids: Sequence[int]) -> Array:
    known = {int(request_id): i for i, request_id in enumerate(requests["id"])}
    missing = [request_id for request_id in ids if request_id not in known]
    if missing:
        raise UsageError(f"this run has no request {missing[0]}", f"ids go from 0 to {len(requests) - 1}")
    rows: Array = requests[[known[request_id] for request_id in ids]]
    return rows


def _reads_of(run: Run, ids: set[int]) -> dict[int, Reads]:
    """The reads of the last attempt of each request."""
    reads: dict[int, Reads] = {request_id: [] for request_id in ids}
    for frame in read_frames(run.path / RECORDER):
        if isinstance(frame, Read) and frame.request_id in ids:
            kept = reads[frame.request_id]
            if frame.n_bytes or not kept:
                kept.append((frame.t_recv_ns, frame.t_read_ns, frame.data))
            else:  # bytes that were held back while they might have been the beginning of a secret
                kept[-1] = (*kept[-1][:2], kept[-1][2] + frame.data)
        elif isinstance(frame, Sent) and frame.request_id in ids:
            reads[frame.request_id].clear()
    return reads


def _sending(trace: Trace, plan: Plan, request_id: int) -> Sending:
    """The request as it was sent, made again from the plan."""
    wire: dict[str, Any] = trace.meta["wire"]
    dialect = dialects()[trace.meta["dialect"]]
    body, path = None, dialect.path.replace("{model}", wire["model"])
    if wire["keeps_content"]:
        encoded = dialect.encode(plan.requests[request_id % len(plan.requests)], wire["model"], wire["extras"])
        body, path = encoded.body, encoded.path
    return Sending(
        url=wire["url"].rstrip("/") + path,
        headers=tuple((name, value) for name, value in wire["headers"]),
        body=body,
        key_name=wire["key_name"],
        is_insecure=wire["is_insecure"],
    )
