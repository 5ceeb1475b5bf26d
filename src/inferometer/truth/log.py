# SPDX-License-Identifier: Apache-2.0
"""The ground-truth server's log as arrays, and the error of a trace against it: measured minus true.

Rule 1: pure numpy; no socket, no clock.
Rule 2: the truth is the stamp right before the send that carried a chunk. The one after it is kept: between the two
lies what the truth itself does not know.
Rule 3: chunk i of a request is the i-th *token-bearing* one on both sides; what only one side has is counted, never
dropped silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from inferometer.errors import FormatError
from inferometer.kinds import TOKEN_BEARING, Phase
from inferometer.records import NEVER, Array, Trace
from inferometer.truth.script import leading_integer
from inferometer.truth.stamps import COLUMNS, FORMAT, VERSION, LogHeader, ScriptRecord
from inferometer.units import NS_PER_S

# One row per generation request, in order of arrival. Instants: CLOCK_MONOTONIC ns of the machine.
TRUTH_REQUEST = np.dtype(
    [
        ("id", "i8"),  # leading integer of the text; -1 if it has none
        ("x_request_id", "O"),  # as the client sent it, "" if it did not
        ("fault", "O"),  # what went wrong on purpose, by name; "none" if nothing did
        ("conn", "i8"),  # number of the connection, in order of acceptance
        ("t_arrival_ns", "i8"),  # right after the read that completed the request
        ("t_start_ns", "i8"),  # origin of what was prescribed
        ("t_gone_ns", "i8"),  # the client left before the end; NEVER if it did not
        ("n_sends", "i8"),  # sends prescribed
        ("n_sent", "i8"),  # sends done
        ("step_start", "i8"),  # offset of the first row in TRUTH_STEP
        ("n_steps", "i8"),  # steps that were sent
    ]
)

# One row per step that was sent (an event, a head, an end), ordered by request, then time.
TRUTH_STEP = np.dtype(
    [
        ("row", "i8"),  # of TRUTH_REQUEST
        ("kind", "i1"),  # ChunkKind, or HEAD, END, RAW of script.py
        ("n_tokens", "i4"),
        ("send_id", "i8"),  # steps of one send share it, and the stamps
        ("t_due_ns", "i8"),
        ("t_before_ns", "i8"),  # right before the send
        ("t_after_ns", "i8"),  # right after it
    ]
)


@dataclass(frozen=True, slots=True)
class TruthLog:
    """Shapes: requests TRUTH_REQUEST[n_requests]; steps TRUTH_STEP[n_steps].

    `meta`: n_retries, run_delay_ns, python, as in LogHeader.
    """

    requests: Array
    steps: Array
    meta: Mapping[str, Any]

    def of_run(self, nonce: str) -> TruthLog:
        """Only the requests of one run: those whose x-request-id ends in `-<nonce>`. Steps stay as they are."""
        is_ours = np.array([text.endswith(f"-{nonce}") for text in self.requests["x_request_id"]], dtype=bool)
        return TruthLog(self.requests[is_ours], self.steps, self.meta)

    def steps_of(self, i_request: int) -> Array:
        """Steps sent in answer to one row of `requests`."""
        request = self.requests[i_request]
        return self.steps[request["step_start"] : request["step_start"] + request["n_steps"]]

    def all_steps(self) -> Array:
        """Steps of all rows of `requests`, in their order."""
        parts = [self.steps_of(i) for i in range(len(self.requests))]
        return np.concatenate(parts) if parts else np.zeros(0, TRUTH_STEP)


def read_log(path: Path) -> TruthLog:
    """Raises: FormatError if the file is not a log, is damaged, or was written by a newer version."""
    try:
        return parse_log(path.read_bytes())
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def parse_log(data: bytes) -> TruthLog:
    """The log out of the bytes of a file or of GET /truth/log.

    Raises: FormatError.
    """
    line, _, rest = data.partition(b"\n")
    try:
        header = msgspec.json.decode(line, type=LogHeader)
    except msgspec.DecodeError as error:
        raise FormatError(f"not a log of the ground-truth server: {error}") from error
    if header.format != FORMAT or header.version > VERSION:
        raise FormatError(f"log format {header.format} {header.version}, this version reads {FORMAT} {VERSION}")
    n_columns, n_requests, n_sends = len(COLUMNS), header.n_requests, header.n_sends
    if len(rest) != 8 * (n_requests * n_columns + 2 * n_sends):
        raise FormatError("the log is cut off")
    numbers = np.frombuffer(rest, "<i8")
    table = numbers[: n_requests * n_columns].reshape(n_requests, n_columns)
    before_ns, after_ns = numbers[n_requests * n_columns :].reshape(2, n_sends)
    columns = dict(zip(COLUMNS, table.T, strict=True))
    meta = {"n_retries": header.n_retries, "run_delay_ns": header.run_delay_ns, "python": header.python}
    faults = header.faults or ["none"] * n_requests
    return _expand(columns, header.ids, faults, header.scripts, before_ns, after_ns, meta)


def _expand(
    columns: Mapping[str, Array],
    ids: list[str],
    faults: list[str],
    scripts: list[ScriptRecord],
    before_ns: Array,
    after_ns: Array,
    meta: Mapping[str, Any],
) -> TruthLog:
    """Rows per step out of scripts and stamps per send; only what was sent."""
    tables = [_Script(script) for script in scripts]
    requests = np.zeros(len(ids), TRUTH_REQUEST)
    for name in ("conn", "t_arrival_ns", "t_start_ns", "t_gone_ns", "n_sends", "n_sent"):
        requests[name] = columns[name]
    requests["x_request_id"] = ids
    requests["fault"] = faults
    requests["id"] = [leading_integer(text) for text in ids]
    parts = []
    for row, i_script in enumerate(columns["script"]):
        script = tables[i_script]
        n_steps = int(np.searchsorted(script.send, requests["n_sent"][row]))
        steps = np.zeros(n_steps, TRUTH_STEP)
        send = script.send[:n_steps]
        steps["row"] = row
        steps["kind"] = script.kind[:n_steps]
        steps["n_tokens"] = script.n_tokens[:n_steps]
        steps["send_id"] = columns["first_send"][row] + send
        steps["t_due_ns"] = requests["t_start_ns"][row] + script.offsets_ns[send]
        parts.append(steps)
    steps = np.concatenate(parts) if parts else np.zeros(0, TRUTH_STEP)
    steps["t_before_ns"] = before_ns[steps["send_id"]]
    steps["t_after_ns"] = after_ns[steps["send_id"]]
    requests["n_steps"] = [len(part) for part in parts]
    requests["step_start"] = np.cumsum(requests["n_steps"]) - requests["n_steps"]
    return TruthLog(requests, steps, meta)


class _Script:
    """The columns of one script as arrays."""

    def __init__(self, record: ScriptRecord) -> None:
        self.offsets_ns = np.array(record.offsets_ns, np.int64)
        self.send = np.array(record.step_send, np.int64)
        self.kind = np.array(record.step_kind, np.int8)
        self.n_tokens = np.array(record.step_n_tokens, np.int32)


@dataclass(frozen=True, slots=True)
class Spread:
    """How errors, or delays, are distributed. `mean_s` keeps the sign; the others are of the absolute value.

    NaN where n is 0. Percentiles: linear interpolation.
    """

    mean_s: float
    p50_s: float
    p99_s: float
    max_s: float
    n: int


def spread(values_ns: Array) -> Spread:
    if not len(values_ns):
        return Spread(np.nan, np.nan, np.nan, np.nan, 0)
    values_s = np.asarray(values_ns, np.float64) / NS_PER_S
    sizes = np.abs(values_s)
    p50, p99 = np.percentile(sizes, (50, 99))
    return Spread(float(values_s.mean()), float(p50), float(p99), float(sizes.max()), len(values_s))


@dataclass(frozen=True, slots=True)
class Lateness:
    """How well the server kept to its prescription, over the token-bearing steps of a log.

    `lateness`: send minus due. `width`: duration of a send, what the truth does not know about itself.
    `delivered_per_s`, `asked_per_s`: token-bearing chunks from the first to the last, as sent and as due.
    `run_delay_s`: how long the server stood ready without a core in all, NaN if not told; much of it means that the
    machine was busy, not that the server was at its end.
    """

    lateness: Spread
    width: Spread
    n_chunks: int
    delivered_per_s: float
    asked_per_s: float
    run_delay_s: float


def lateness(log: TruthLog) -> Lateness:
    steps = log.all_steps()
    steps = steps[np.isin(steps["kind"], TOKEN_BEARING)]
    return Lateness(
        spread(steps["t_before_ns"] - steps["t_due_ns"]),
        spread(steps["t_after_ns"] - steps["t_before_ns"]),
        len(steps),
        _rate_per_s(steps["t_before_ns"]),
        _rate_per_s(steps["t_due_ns"]),
        log.meta["run_delay_ns"] / NS_PER_S if log.meta["run_delay_ns"] != NEVER else float("nan"),
    )


def _rate_per_s(instants_ns: Array) -> float:
    if len(instants_ns) < 2:
        return float("nan")
    span_ns = int(instants_ns.max() - instants_ns.min())
    return (len(instants_ns) - 1) * NS_PER_S / span_ns if span_ns else float("inf")


@dataclass(frozen=True, slots=True)
class Errors:
    """Measured minus true, over the main-phase requests of a trace that the server knows.

    Shapes, int64 ns: ttft_ns[n requests with a first chunk on both sides], from sent: the stamp of the send cancels;
    gap_ns[n gaps], first request first; e2e_ns[n requests whose chunks are all there], at the last of them;
    sent_ns[n requests]: server's arrival minus client's sent, an upper bound for the error of the sent stamp.
    `n_requests`: matched; `n_unknown`: sent by the client, not in the log; `n_lost`, `n_extra`: token-bearing chunks
    that only the server, only the client has; `n_reads`: reads with token-bearing chunks; `n_merged`: with several.
    """

    ttft_ns: Array
    gap_ns: Array
    e2e_ns: Array
    sent_ns: Array
    n_requests: int
    n_unknown: int
    n_lost: int
    n_extra: int
    n_reads: int
    n_merged: int

    @property
    def ttft(self) -> Spread:
        return spread(self.ttft_ns)

    @property
    def gap(self) -> Spread:
        return spread(self.gap_ns)

    @property
    def e2e(self) -> Spread:
        return spread(self.e2e_ns)

    @property
    def merged_ratio(self) -> float:
        """Share of reads that held several token-bearing chunks; their gaps are unknown."""
        return self.n_merged / self.n_reads if self.n_reads else float("nan")


def compare(trace: Trace, log: TruthLog) -> Errors:
    """The error of a trace against the log of the server it was taken from, on one machine.

    Joins on the leading integer of x-request-id; of a request that came twice (a retry) the last arrival counts.
    `trace.meta["clock"]["origin_ns"]` (CLOCK_MONOTONIC) puts the server's stamps on the run's axis.
    """
    origin_ns = int(trace.meta["clock"]["origin_ns"])
    row_of = {int(i): row for row, i in enumerate(log.requests["id"])}
    ttft, gaps, e2e, sent = [], [], [], []
    n_unknown = n_lost = n_extra = n_reads = n_merged = 0
    requests = trace.requests[(trace.requests["phase"] == Phase.MAIN) & (trace.requests["t_sent_ns"] != NEVER)]
    for request in requests:
        row = row_of.get(int(request["id"]))
        if row is None:
            n_unknown += 1
            continue
        chunks = trace.chunks[request["chunk_start"] : request["chunk_start"] + request["n_chunks"]]
        chunks = chunks[np.isin(chunks["kind"], TOKEN_BEARING)]
        steps = log.steps_of(row)
        steps = steps[np.isin(steps["kind"], TOKEN_BEARING)]
        n_both = min(len(chunks), len(steps))
        n_lost += len(steps) - n_both
        n_extra += len(chunks) - n_both
        error_ns = chunks["t_recv_ns"][:n_both] - (steps["t_before_ns"][:n_both] - origin_ns)
        ttft.append(error_ns[:1])
        gaps.append(np.diff(error_ns))
        if len(chunks) == len(steps):
            e2e.append(error_ns[-1:])
        sent.append(int(log.requests["t_arrival_ns"][row]) - origin_ns - int(request["t_sent_ns"]))
        _, n_in_read = np.unique(chunks["read_id"], return_counts=True)
        n_reads += len(n_in_read)
        n_merged += int((n_in_read > 1).sum())
    return Errors(
        ttft_ns=_joined(ttft),
        gap_ns=_joined(gaps),
        e2e_ns=_joined(e2e),
        sent_ns=np.array(sent, np.int64),
        n_requests=len(sent),
        n_unknown=n_unknown,
        n_lost=n_lost,
        n_extra=n_extra,
        n_reads=n_reads,
        n_merged=n_merged,
    )


def _joined(parts: list[Array]) -> Array:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
