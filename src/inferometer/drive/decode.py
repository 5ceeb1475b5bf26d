# SPDX-License-Identifier: Apache-2.0
"""From a flight recorder file to the tables REQUEST, CHUNK and SAMPLE.

Rule 1: one forward pass over the frames, whatever ended the run; a request without an END frame becomes CENSORED (or
NOT_SENT), never an absence.
Rule 2: what the transport saw and what the bytes mean are combined here, and only here, into the outcome of a row.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from inferometer.drive.answer import Answer
from inferometer.engines.engine import Dialect, Usage
from inferometer.kinds import TOKEN_BEARING, ChunkKind, Outcome
from inferometer.recorder import Due, End, Note, Read, Sent, Tail, read_frames
from inferometer.records import CHUNK, NEVER, NOT_TOLD, SAMPLE, Array, empty_requests

_FINISH = re.compile(r"[A-Za-z_]{0,16}")  # the words servers use; anything else could be anything
_ANSWER_KINDS = (ChunkKind.CONTENT, ChunkKind.TOOL)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the plan asked of request id i: token counts by position in the pool (ids past its end wrap around)."""

    n_prompt_tokens: Sequence[int]
    n_output_tokens: Sequence[int]


@dataclass(slots=True)
class Decoded:
    """The tables of one recorder file, its rare notes, and how it ended."""

    requests: Array
    chunks: Array
    samples: Array
    notes: list[Note]
    tail: Tail


@dataclass(slots=True)
class _Row:
    """One request while its frames come by."""

    due: Due
    sent: Sent | None = None
    end: End | None = None
    answer: Answer | None = None
    kept: Mapping[str, Any] | None = None  # facts decoded during the run, where content was not kept
    read_ids: array[int] = field(default_factory=lambda: array("i"))  # of the run, whose reads are counted over all
    t_recv_ns: array[int] = field(default_factory=lambda: array("q"))
    t_read_ns: array[int] = field(default_factory=lambda: array("q"))
    n_bytes: int = 0


def decode(path: Path, dialect: Dialect, asked: Asked) -> Decoded:
    """Read everything up to the last whole block.

    Raises: FormatError if the file is not a recorder file.
    """
    rows: dict[int, _Row] = {}
    notes: list[Note] = []
    samples: list[tuple[int, str, str, float]] = []
    tail = Tail()
    n_reads = 0
    for frame in read_frames(path, tail):
        if isinstance(frame, Read):
            row = rows[frame.request_id]
            if frame.n_bytes:  # otherwise held-back bytes of the read before
                row.read_ids.append(n_reads)
                n_reads += 1
                row.t_recv_ns.append(frame.t_recv_ns)
                row.t_read_ns.append(frame.t_read_ns)
                row.n_bytes += frame.n_bytes
            if frame.data and row.answer is not None:
                row.answer.feed(frame.data, len(row.t_recv_ns) - 1)
        elif isinstance(frame, Due):
            rows[frame.request_id] = _Row(frame)
        elif isinstance(frame, Sent):
            row = rows[frame.request_id]
            row.sent, row.answer = frame, Answer(dialect)
            row.read_ids, row.t_recv_ns, row.t_read_ns, row.n_bytes = array("i"), array("q"), array("q"), 0
        elif isinstance(frame, End):
            row = rows[frame.request_id]
            row.end = frame
            if row.answer is not None and frame.outcome == Outcome.OK:
                row.answer.close(len(row.t_recv_ns) - 1)
        else:
            _take_note(frame, rows, notes, samples)
    requests, chunks = _tables(rows, asked)
    return Decoded(requests, chunks, np.array(samples, SAMPLE), notes, tail)


def _take_note(
    note: Note, rows: Mapping[int, _Row], notes: list[Note], samples: list[tuple[int, str, str, float]]
) -> None:
    kind = note.fact.get("note")
    if kind == "samples":
        source = note.fact["source"]
        samples.extend((note.t_ns, source, gauge, value) for gauge, value in note.fact["gauges"])
    elif kind == "answer":
        rows[note.fact["request_id"]].kept = note.fact
    else:
        notes.append(note)


def facts_of(answer: Answer, request_id: int) -> dict[str, Any]:
    """What is kept of an answer whose bytes are not: a note for the recorder, without a word of content."""
    return {
        "note": "answer",
        "request_id": request_id,
        "status": answer.status,
        "finish": answer.finish if _FINISH.fullmatch(answer.finish) else "unknown",
        "usage": [
            answer.usage.n_prompt_tokens,
            answer.usage.n_output_tokens,
            answer.usage.n_cached_tokens,
            answer.usage.n_reasoning_tokens,
        ],
        "head_read": answer.head_read,
        "usage_read": answer.usage_read,
        "is_complete": answer.is_complete,
        "is_done_seen": answer.is_done_seen,
        "is_streamed": answer.is_streamed,
        "engine_error": "an error whose words were not kept" if answer.engine_error else "",
        "fault": "the answer broke the protocol; its bytes were not kept" if answer.fault else "",
        "chunks": [answer.kinds, answer.n_tokens, answer.n_bytes, answer.read_ids],
    }


def _restore(fact: Mapping[str, Any], answer: Answer) -> None:
    """Put kept facts back into an answer that saw no bytes."""
    answer.status, answer.finish, answer.usage = fact["status"], fact["finish"], Usage(*fact["usage"])
    answer.head_read, answer.usage_read = fact["head_read"], fact["usage_read"]
    answer.is_complete, answer.is_done_seen = fact["is_complete"], fact["is_done_seen"]
    answer.is_streamed = fact["is_streamed"]
    answer.engine_error, answer.fault = fact["engine_error"], fact["fault"]
    answer.kinds, answer.n_tokens, answer.n_bytes, answer.read_ids = fact["chunks"]


def _tables(rows: Mapping[int, _Row], asked: Asked) -> tuple[Array, Array]:
    ids = sorted(rows)
    requests = empty_requests(len(ids))
    n_chunks = 0
    parts: list[Array] = []
    for i, request_id in enumerate(ids):
        row = rows[request_id]
        if row.kept is not None and row.answer is not None:
            _restore(row.kept, row.answer)
        chunks = _chunk_rows(row, request_id)
        record = requests[i]
        record["id"] = request_id
        record["n_prompt_tokens_asked"] = asked.n_prompt_tokens[request_id % len(asked.n_prompt_tokens)]
        record["n_output_tokens_asked"] = asked.n_output_tokens[request_id % len(asked.n_output_tokens)]
        record["chunk_start"] = n_chunks
        record["n_chunks"] = len(chunks)
        _fill(record, row, chunks)
        n_chunks += len(chunks)
        parts.append(chunks)
    return requests, np.concatenate(parts) if parts else np.zeros(0, CHUNK)


def _chunk_rows(row: _Row, request_id: int) -> Array:
    answer = row.answer
    if answer is None or not answer.kinds:
        return np.zeros(0, CHUNK)
    chunks = np.zeros(len(answer.kinds), CHUNK)
    reads = np.array(answer.read_ids)
    chunks["request_id"] = request_id
    chunks["kind"] = answer.kinds
    chunks["n_tokens"] = answer.n_tokens
    chunks["n_bytes"] = answer.n_bytes
    chunks["read_id"] = np.frombuffer(row.read_ids, np.int32)[reads]
    chunks["t_recv_ns"] = np.frombuffer(row.t_recv_ns, np.int64)[reads]
    chunks["t_read_ns"] = np.frombuffer(row.t_read_ns, np.int64)[reads]
    return chunks


def _fill(record: Any, row: _Row, chunks: Array) -> None:
    record["trial"], record["phase"], record["t_due_ns"] = row.due.trial, row.due.phase, row.due.t_due_ns
    record["n_reads"], record["n_bytes"] = len(row.t_recv_ns), row.n_bytes
    if row.sent is not None:
        record["attempt"], record["conn"], record["t_sent_ns"] = row.sent.attempt, row.sent.conn, row.sent.t_sent_ns
    record["outcome"], record["error"] = _outcome(row, int(record["n_output_tokens_asked"]))
    if row.end is not None:
        record["t_end_ns"] = row.end.t_end_ns
    answer = row.answer
    if answer is None or answer.status is None:
        return
    record["status"] = answer.status
    record["finish"] = answer.finish
    record["t_head_ns"] = row.t_recv_ns[answer.head_read or 0]
    if answer.usage_read is not None:
        record["t_usage_ns"] = row.t_recv_ns[answer.usage_read]
    told = (
        answer.usage.n_prompt_tokens,
        answer.n_output_tokens,
        answer.usage.n_cached_tokens,
        answer.usage.n_reasoning_tokens,
    )
    names = ("n_prompt_tokens", "n_output_tokens", "n_cached_tokens", "n_reasoning_tokens")
    for name, value in zip(names, told, strict=True):
        record[name] = NOT_TOLD if value is None else value
    if answer.is_streamed:
        record["t_first_content_ns"], record["t_last_content_ns"] = _first_and_last(chunks, TOKEN_BEARING)
        record["t_first_answer_ns"], _ = _first_and_last(chunks, _ANSWER_KINDS)
    elif len(row.t_recv_ns):
        record["t_last_content_ns"] = row.t_recv_ns[-1]  # an answer in one piece is all there when its last byte is


def _first_and_last(chunks: Array, kinds: Sequence[ChunkKind]) -> tuple[int, int]:
    stamps = chunks["t_recv_ns"][np.isin(chunks["kind"], kinds)]
    return (int(stamps[0]), int(stamps[-1])) if len(stamps) else (NEVER, NEVER)


def _outcome(row: _Row, n_output_tokens_asked: int) -> tuple[Outcome, str]:
    """The transport's word, refined by what the bytes say."""
    if row.end is None:
        return (Outcome.CENSORED, "still open when the records end") if row.sent else (Outcome.NOT_SENT, "")
    outcome = Outcome(row.end.outcome)
    answer = row.answer
    if answer is None:
        return outcome, row.end.error
    if outcome is Outcome.OK:
        if answer.status is None and row.kept is None:  # content is not kept, and the run was killed before it was read
            return Outcome.CENSORED, "it ended, but the records end before its answer was decoded"
        return answer.outcome(n_output_tokens_asked)
    if outcome in (Outcome.TRUNCATED, Outcome.RESET):
        if answer.finish and answer.is_done_seen and not answer.engine_error:
            return Outcome.OK, ""  # all of the answer came, only the HTTP message was not closed as it should
        if answer.engine_error:
            return Outcome.ENGINE_ERROR, answer.engine_error
    return outcome, row.end.error
