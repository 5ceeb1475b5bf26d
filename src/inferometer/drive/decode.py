# SPDX-License-Identifier: Apache-2.0
"""From flight recorder files to the tables REQUEST, CHUNK and SAMPLE.

Rule 1: one forward pass over the frames of each file, whatever ended the run; a request without an END frame becomes
CENSORED (or NOT_SENT), never an absence.
Rule 2: what the transport saw and what the bytes mean are combined here, and only here, into the outcome of a row.
Rule 3: memory does not grow with the length of the run, but for its request rows: with its END frame a request becomes
one row of REQUEST, and its chunks leave for the spill.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from inferometer.drive.answer import Answer
from inferometer.drive.spill import Spill
from inferometer.engines.engine import Dialect, Timings, Usage
from inferometer.errors import FormatError
from inferometer.kinds import TOKEN_BEARING, ChunkKind, Outcome
from inferometer.recorder import Due, End, Note, Read, Sent, Tail, read_frames
from inferometer.records import CHUNK, NEVER, NOT_TOLD, SAMPLE, Array, empty_requests

_FINISH = re.compile(r"[A-Za-z_]{0,16}")  # the words servers use; anything else could be anything
_BY_LENGTH = "length"  # the finish reason of an answer that has all the tokens asked for
_IS_TOKEN = np.isin(np.arange(128), [int(kind) for kind in TOKEN_BEARING])
_IS_ANSWER = np.isin(np.arange(128), [int(ChunkKind.CONTENT), int(ChunkKind.TOOL)])


@dataclass(frozen=True, slots=True)
class Asked:
    """What the plan asked of request id i: token counts by position in the pool (ids past its end wrap around).

    is_obeyed: nobody counts the answers, but the server was seen to give exactly the length asked for; an answer that
    ended by its length is then taken to have it.
    """

    n_prompt_tokens: Sequence[int]
    n_output_tokens: Sequence[int]
    is_obeyed: bool = False


@dataclass(slots=True)
class Decoded:
    """The tables of a run, its rare notes in the order of time, and how its files ended (sums over the files)."""

    requests: Array
    samples: Array
    notes: list[Note]
    tail: Tail
    _spill: Spill
    _spans: list[tuple[int, int]]  # of each request in the spill

    def chunk_parts(self) -> Iterator[Array]:
        """CHUNK, ordered by request, then time, in arrays of bounded size; at least one."""
        return self._spill.parts(self._spans)

    @property
    def chunks(self) -> Array:
        """CHUNK as one array, for runs that are known to be short."""
        return np.concatenate(list(self.chunk_parts()))


@dataclass(slots=True)
class _Row:
    """One request while its frames come by. `reads`: number in the run, t_recv_ns, t_read_ns of each read in turn."""

    due: Due
    worker: int
    sent: Sent | None = None
    end: End | None = None
    answer: Answer | None = None
    kept: Mapping[str, Any] | None = None  # facts decoded during the run, where content was not kept
    reads: array[int] = field(default_factory=lambda: array("q"))
    n_reads: int = 0
    n_bytes: int = 0
    n_kept_bytes: int = 0

    def begin_attempt(self, sent: Sent, dialect: Dialect) -> None:
        self.sent, self.answer, self.reads = sent, Answer(dialect), array("q")
        self.n_reads = self.n_bytes = self.n_kept_bytes = 0

    @property
    def is_over(self) -> bool:
        """Nothing that is still to come belongs to it: it ended, and what its bytes said is known."""
        return self.end is not None and (not self.n_reads or self.n_kept_bytes > 0 or self.kept is not None)


def decode(paths: Sequence[Path], dialect: Dialect, asked: Asked) -> Decoded:
    """Read everything up to the last whole block of each file. `paths`: one file per worker, in their order.

    A request stands in one file only; what comes after its END frame is not of its answer.
    Raises: FormatError if one is not a recorder file, or two hold the same request; RunError if the disk is full.
    """
    pass_ = _Pass(dialect, asked, Spill(paths[0].parent if paths else None))
    for worker, path in enumerate(paths):
        pass_.over(path, worker)
    return pass_.decoded()


class _Pass:
    """What has been gathered from the files so far."""

    def __init__(self, dialect: Dialect, asked: Asked, spill: Spill) -> None:
        self._dialect = dialect
        self._asked = asked
        self._spill = spill
        self._tail = Tail()
        self._notes: list[Note] = []
        self._samples: list[tuple[int, str, str, float]] = []
        self._requests = empty_requests(1_024)  # the first _n_requests of them are filled; chunk_start: in the spill
        self._n_requests = 0
        self._n_reads = 0

    def over(self, path: Path, worker: int) -> None:
        """All frames of one file."""
        tail = Tail()
        rows: dict[int, _Row] = {}  # the requests that are not over
        n_reads = self._n_reads
        for frame in read_frames(path, tail):
            if isinstance(frame, Read):
                row = rows.get(frame.request_id)
                if row is None or row.answer is None:
                    continue
                n_bytes, data = frame.n_bytes, frame.data
                if n_bytes:  # otherwise held-back bytes of the read before
                    row.reads.extend((n_reads, frame.t_recv_ns, frame.t_read_ns))
                    n_reads += 1
                    row.n_reads += 1
                    row.n_bytes += n_bytes
                if data:
                    row.n_kept_bytes += len(data)
                    row.answer.feed(data, row.n_reads - 1)
            elif isinstance(frame, Due):
                rows[frame.request_id] = _Row(frame, worker)
            else:
                self._take(frame, rows)
        for row in rows.values():
            self._add(row)
        self._n_reads = n_reads
        self._tail.n_blocks += tail.n_blocks
        self._tail.n_torn_bytes += tail.n_torn_bytes

    def _take(self, frame: Sent | End | Note, rows: dict[int, _Row]) -> None:
        if isinstance(frame, Note):
            request_id = self._take_note(frame, rows)
        else:
            request_id = frame.request_id
        row = rows.get(request_id)
        if row is None:
            return
        if isinstance(frame, Sent):
            row.begin_attempt(frame, self._dialect)
        elif isinstance(frame, End):
            row.end = frame
            if row.answer is not None and frame.outcome == Outcome.OK:
                row.answer.close(row.n_reads - 1)
        if row.is_over:
            self._add(rows.pop(request_id))

    def _take_note(self, note: Note, rows: Mapping[int, _Row]) -> int:
        """The request it is about, NEVER if it is about none."""
        kind = note.fact.get("note")
        if kind == "samples":
            source = note.fact["source"]
            self._samples.extend((note.t_ns, source, gauge, value) for gauge, value in note.fact["gauges"])
        elif kind != "answer":
            self._notes.append(note)
        elif (request_id := note.fact["request_id"]) in rows:
            rows[request_id].kept = note.fact
            return int(request_id)
        return NEVER

    def _add(self, row: _Row) -> None:
        """The request as one row; its chunks into the spill."""
        if row.kept is not None and row.answer is not None:
            _restore(row.kept, row.answer)
        if self._n_requests == len(self._requests):
            self._requests = np.concatenate([self._requests, empty_requests(len(self._requests))])
        record = self._requests[self._n_requests]
        self._n_requests += 1
        request_id, asked = row.due.request_id, self._asked
        stamps = np.frombuffer(row.reads, np.int64).reshape(-1, 3)
        chunks = _chunk_rows(row.answer, stamps, request_id)
        record["id"], record["worker"] = request_id, row.worker
        record["n_prompt_tokens_asked"] = asked.n_prompt_tokens[request_id % len(asked.n_prompt_tokens)]
        record["n_output_tokens_asked"] = asked.n_output_tokens[request_id % len(asked.n_output_tokens)]
        record["chunk_start"], record["n_chunks"] = self._spill.append(chunks), len(chunks)
        _fill(record, row, stamps[:, 1], chunks)
        if asked.is_obeyed and record["n_output_tokens"] == NOT_TOLD and record["finish"] == _BY_LENGTH:
            record["n_output_tokens"] = record["n_output_tokens_asked"]

    def decoded(self) -> Decoded:
        """All of it, in the order of the tables."""
        requests = self._requests[: self._n_requests]
        requests = requests[np.argsort(requests["id"], kind="stable")]
        twice = requests["id"][1:][np.diff(requests["id"]) == 0]
        if len(twice):
            raise FormatError(f"request {twice[0]} stands in two of the recorder files, or twice in one")
        n_chunks = requests["n_chunks"].astype(np.int64)
        spans = list(zip(requests["chunk_start"].tolist(), n_chunks.tolist(), strict=True))
        requests["chunk_start"] = np.cumsum(n_chunks) - n_chunks
        samples = np.array(self._samples, SAMPLE)
        samples = samples[np.argsort(samples["t_ns"], kind="stable")]
        notes = sorted(self._notes, key=lambda note: note.t_ns)
        return Decoded(requests, samples, notes, self._tail, self._spill, spans)


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
        "timings": [getattr(answer.timings, name) for name in Timings.__struct_fields__],
        "head_read": answer.head_read,
        "usage_read": answer.usage_read,
        "is_complete": answer.is_complete,
        "is_done_seen": answer.is_done_seen,
        "is_streamed": answer.is_streamed,
        "engine_error": "an error whose words were not kept" if answer.engine_error else "",
        "fault": "the answer broke the protocol; its bytes were not kept" if answer.fault else "",
        "chunks": [column.tolist() for column in (answer.kinds, answer.n_tokens, answer.n_bytes, answer.read_ids)],
    }


def _restore(fact: Mapping[str, Any], answer: Answer) -> None:
    """Put kept facts back into an answer that saw no bytes."""
    answer.status, answer.finish, answer.usage = fact["status"], fact["finish"], Usage(*fact["usage"])
    answer.timings = Timings(*fact.get("timings", ()))  # schema 1 did not keep them
    answer.head_read, answer.usage_read = fact["head_read"], fact["usage_read"]
    answer.is_complete, answer.is_done_seen = fact["is_complete"], fact["is_done_seen"]
    answer.is_streamed = fact["is_streamed"]
    answer.engine_error, answer.fault = fact["engine_error"], fact["fault"]
    for column, values in zip(
        (answer.kinds, answer.n_tokens, answer.n_bytes, answer.read_ids), fact["chunks"], strict=True
    ):
        column.fromlist(values)


def _chunk_rows(answer: Answer | None, stamps: Array, request_id: int) -> Array:
    """Shapes: stamps int64[n_reads, 3] as in _Row.reads -> CHUNK[n_chunks]."""
    if answer is None or not answer.kinds:
        return np.zeros(0, CHUNK)
    chunks = np.zeros(len(answer.kinds), CHUNK)
    of_read = stamps[np.frombuffer(answer.read_ids, np.int32)]
    chunks["request_id"] = request_id
    chunks["kind"] = np.frombuffer(answer.kinds, np.int8)
    chunks["n_tokens"] = np.frombuffer(answer.n_tokens, np.int16)
    chunks["n_bytes"] = np.frombuffer(answer.n_bytes, np.int32)
    chunks["read_id"], chunks["t_recv_ns"], chunks["t_read_ns"] = of_read.T
    return chunks


def _fill(record: Any, row: _Row, t_recv_ns: Array, chunks: Array) -> None:
    """Shapes: t_recv_ns int64[n_reads]."""
    record["trial"], record["phase"], record["t_due_ns"] = row.due.trial, row.due.phase, row.due.t_due_ns
    record["n_reads"], record["n_bytes"] = row.n_reads, row.n_bytes
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
    record["t_head_ns"] = t_recv_ns[answer.head_read or 0]
    if answer.usage_read is not None:
        record["t_usage_ns"] = t_recv_ns[answer.usage_read]
    told = (
        answer.usage.n_prompt_tokens,
        answer.n_output_tokens,
        answer.usage.n_cached_tokens,
        answer.usage.n_reasoning_tokens,
    )
    names = ("n_prompt_tokens", "n_output_tokens", "n_cached_tokens", "n_reasoning_tokens")
    for name, value in zip(names, told, strict=True):
        record[name] = NOT_TOLD if value is None else value
    for name in Timings.__struct_fields__:
        if (told_ns := getattr(answer.timings, name)) is not None:
            record[f"server_{name}"] = told_ns
    if answer.is_streamed:
        record["t_first_content_ns"], record["t_last_content_ns"] = _first_and_last(chunks, _IS_TOKEN)
        record["t_first_answer_ns"], _ = _first_and_last(chunks, _IS_ANSWER)
    elif len(t_recv_ns):
        record["t_last_content_ns"] = t_recv_ns[-1]  # an answer in one piece is all there when its last byte is


def _first_and_last(chunks: Array, is_wanted: Array) -> tuple[int, int]:
    """Shapes: is_wanted bool[128], by kind."""
    stamps = chunks["t_recv_ns"][is_wanted[chunks["kind"]]]
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
