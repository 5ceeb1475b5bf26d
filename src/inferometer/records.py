# SPDX-License-Identifier: Apache-2.0
"""Records: what one run left behind, as columns. Everything printed is a pure function of these.

Rule 1: every planned request is exactly one row of REQUEST, whatever became of it.
Rule 2: instants are int64 ns on the run's monotonic axis; -1 (NEVER, NOT_TOLD) says "did not happen", "not told".
Rule 3: in memory enums are numbers, on disk words: pandas, polars and DuckDB read the tables as they stand.

Schema history (SCHEMA_VERSION is written into every manifest):
  1  first.
  2  requests: what the server said of its own time (server_ttft_ns, server_queue_ns, server_prefill_ns,
     server_decode_ns); samples: source `server`, its own gauges. Tables of 1 are read as if nothing had been told.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from inferometer.errors import FormatError, RunError
from inferometer.kinds import ChunkKind, Outcome, Phase

SCHEMA_VERSION = 2
NEVER = -1  # an instant that did not come
NOT_TOLD = -1  # a count nobody told us

_READ_BYTES = 32_000_000  # of columns that are read together: each query costs some milliseconds
_MERGE_MEMORY = "300MB"  # for making one file of the parts; DuckDB would take most of the machine's

Array = npt.NDArray[Any]

REQUEST = np.dtype(
    [
        ("id", "i4"),  # position in the plan, 0-based; unique in the run
        ("session", "i4"),
        ("turn", "i4"),
        ("trial", "i2"),  # repeat, 0-based
        ("attempt", "i1"),  # 1, or 2 after the one retry on a dead kept-alive connection
        ("worker", "i2"),
        ("conn", "i4"),  # connection number in the run, NEVER if none was opened
        ("phase", "i1"),  # Phase
        ("outcome", "i1"),  # Outcome
        ("status", "i2"),  # HTTP status, NEVER if no head came
        ("t_due_ns", "i8"),
        ("t_sent_ns", "i8"),  # stamp taken right before the first byte was handed to the socket
        ("t_head_ns", "i8"),  # status line and headers complete
        ("t_first_content_ns", "i8"),  # first token-bearing chunk
        ("t_first_answer_ns", "i8"),  # first answer (non-reasoning) chunk
        ("t_last_content_ns", "i8"),
        ("t_usage_ns", "i8"),  # last event that carried usage
        ("t_end_ns", "i8"),  # end of the answer, or the instant the request was given up
        ("n_prompt_tokens", "i4"),  # as the server counted, NOT_TOLD otherwise
        ("n_prompt_tokens_asked", "i4"),
        ("n_output_tokens", "i4"),  # usage; else the sum of per-event counts; NOT_TOLD otherwise
        ("n_output_tokens_asked", "i4"),
        ("n_cached_tokens", "i4"),  # prompt tokens taken from a prefix cache
        ("n_reasoning_tokens", "i4"),
        ("server_ttft_ns", "i8"),  # by the server's own clock, from the arrival of the request; NOT_TOLD otherwise
        ("server_queue_ns", "i8"),  # from its arrival until it was begun
        ("server_prefill_ns", "i8"),  # from its beginning to its first token
        ("server_decode_ns", "i8"),  # from its first token to its last
        ("n_reads", "i4"),
        ("n_bytes", "i8"),  # bytes of the answer as received, framing included
        ("chunk_start", "i8"),  # offset of the first row in CHUNK
        ("n_chunks", "i4"),
        ("finish", "U16"),  # the server's finish reason, "" if none
        ("error", "O"),  # one line of text, "" if none; secrets removed
    ]
)

CHUNK = np.dtype(
    [
        ("request_id", "i4"),
        ("kind", "i1"),  # ChunkKind
        ("n_tokens", "i2"),  # NOT_TOLD where the event does not say
        ("n_bytes", "i4"),  # UTF-8 bytes of its text
        ("read_id", "i4"),  # the read that completed the event; events of one read share stamps
        ("t_recv_ns", "i8"),  # kernel receive stamp (user-space stamp where there is none)
        ("t_read_ns", "i8"),  # user-space stamp right after the read
    ]
)

SAMPLE = np.dtype([("t_ns", "i8"), ("source", "O"), ("gauge", "O"), ("value", "f8")])

# What metrics read of a request. Without texts and bookkeeping a row is copied in a stroke, which a report does often.
_UNMEASURED = ("session", "turn", "status", "n_bytes", "chunk_start", "n_chunks", "finish", "error")
MEASURED = np.dtype([(name, REQUEST[name]) for name in REQUEST.names or () if name not in _UNMEASURED], align=True)

TABLES = {"requests": REQUEST, "chunks": CHUNK, "samples": SAMPLE}
_ENUMS: dict[str, type[IntEnum]] = {"phase": Phase, "outcome": Outcome, "kind": ChunkKind}


@dataclass(frozen=True, slots=True)
class Trace:
    """All records of a run (or of a simulation). `meta`: engine, model, host, plan and clock facts, JSON-like.

    Shapes: requests REQUEST[n_requests] ordered by id; chunks CHUNK[n_chunks] ordered by request, then time;
    samples SAMPLE[n_samples] ordered by time.
    """

    requests: Array
    chunks: Array = field(default_factory=lambda: np.zeros(0, CHUNK))
    samples: Array = field(default_factory=lambda: np.zeros(0, SAMPLE))
    meta: Mapping[str, Any] = field(default_factory=dict)

    def trials(self) -> list[int]:
        """Numbers of the repeats that have main-phase requests."""
        return [int(t) for t in np.unique(self.requests["trial"][self.requests["phase"] == Phase.MAIN])]


def measured(requests: Array) -> Array:
    """Rows of REQUEST as rows of MEASURED."""
    if requests.dtype == MEASURED:
        return requests
    rows = np.empty(len(requests), MEASURED)
    for name in MEASURED.names or ():
        rows[name] = requests[name]
    return rows


def empty_requests(n_requests: int) -> Array:
    """REQUEST rows in the state "nothing happened yet"."""
    rows = np.zeros(n_requests, REQUEST)
    for name in REQUEST.names or ():
        if name.startswith("t_") or name in _UNTOLD:
            rows[name] = NEVER
    rows["id"] = np.arange(n_requests)
    rows["attempt"] = 1
    rows["phase"] = Phase.MAIN
    rows["outcome"] = Outcome.NOT_SENT
    rows["error"] = ""
    return rows


SERVER_TIMES = ("server_ttft_ns", "server_queue_ns", "server_prefill_ns", "server_decode_ns")
_UNTOLD = (
    *("conn", "status", "n_prompt_tokens", "n_output_tokens", "n_cached_tokens", "n_reasoning_tokens"),
    *SERVER_TIMES,
)
_SINCE_2 = frozenset(SERVER_TIMES)  # columns that tables of schema 1 do not have


def write_table(rows: Array, path: Path) -> None:
    """One structured array to one Parquet file (zstd), enums as words. Written beside and renamed: never half there.

    Raises: RunError if it cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    with _explained(path), connected() as con:
        _copy_rows(con, rows, partial)
        partial.replace(path)


def write_parts(parts: Iterable[Array], path: Path) -> None:
    """The same for a table that comes in arrays, one after another: no more than one of them is in memory.

    Each is a Parquet file in a folder beside, until all are made into one.
    Raises: RunError if it cannot be written.
    """
    folder = path.with_name(path.name + ".parts")
    partial = path.with_name(path.name + ".partial")
    with _explained(path), connected() as con:
        shutil.rmtree(folder, ignore_errors=True)  # what a killed process left
        folder.mkdir()
        try:
            names = []
            for i, rows in enumerate(parts):
                names.append(str(folder / f"{i}.parquet"))
                _copy_rows(con, rows, Path(names[-1]))
            con.execute(f"SET memory_limit = '{_MERGE_MEMORY}'")
            _copy(con, f"FROM read_parquet([{', '.join(map(_sql_text, names))}])", partial)
            partial.replace(path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def connected() -> duckdb.DuckDBPyConnection:
    """DuckDB, in memory. Its bar of progress, shown after two seconds, would go to standard output: into the result."""
    con = duckdb.connect()
    con.execute("SET enable_progress_bar = false")
    return con


def _copy_rows(con: duckdb.DuckDBPyConnection, rows: Array, path: Path) -> None:
    names = rows.dtype.names or ()
    select = ", ".join(_as_words(name) if name in _ENUMS else f'"{name}"' for name in names)
    con.register("columns", {name: _plain(rows[name]) for name in names})
    _copy(con, f"SELECT {select} FROM columns", path)
    con.unregister("columns")


def _copy(con: duckdb.DuckDBPyConnection, select: str, path: Path) -> None:
    con.execute(f"COPY ({select}) TO {_sql_text(str(path))} (FORMAT parquet, COMPRESSION zstd)")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What went wrong on the way to `path`, in our words; nothing half written stays."""
    try:
        yield
    except RuntimeError as error:
        raise _unveiled(error) from error
    except (duckdb.Error, OSError) as error:
        path.with_name(path.name + ".partial").unlink(missing_ok=True)
        reason = str(error).splitlines()[0]
        raise RunError(
            f"cannot write {path}: {reason}", "free some space, then make the tables with `report`"
        ) from error


def read_table(path: Path, dtype: np.dtype[Any]) -> Array:
    """The inverse of `write_table`, of the columns that `dtype` has. A few columns at a time: beside the rows there are
    never more than these in memory.

    Columns that an older schema does not have are NOT_TOLD.
    Raises: FormatError if the file is not a Parquet table with these columns.
    """
    names = dtype.names or ()
    table = f"read_parquet({_sql_text(str(path))})"
    try:
        with connected() as con:
            [n_rows] = con.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,)
            rows = np.zeros(n_rows, dtype)
            written = {name for name, *_ in con.execute(f"DESCRIBE FROM {table}").fetchall()}
            missing = _SINCE_2 - written
            for name in missing.intersection(names):
                rows[name] = NOT_TOLD
            for group in _groups([name for name in names if name not in missing], dtype, n_rows):
                columns = ", ".join(_as_numbers(name) if name in _ENUMS else f'"{name}"' for name in group)
                found = con.execute(f"SELECT {columns} FROM {table}").fetchnumpy()
                for name in group:
                    rows[name] = found[name]
    except RuntimeError as error:
        raise _unveiled(error) from error
    except duckdb.Error as error:
        raise FormatError(f"{path} is not a readable table: {str(error).splitlines()[0]}") from error
    return rows


def _groups(names: Sequence[str], dtype: np.dtype[Any], n_rows: int) -> Iterator[list[str]]:
    """Columns to be read together: as many as fit into _READ_BYTES, but one at least."""
    group: list[str] = []
    for name in names:
        if group and n_rows * sum(dtype[each].itemsize for each in (*group, name)) > _READ_BYTES:
            yield group
            group = []
        group.append(name)
    if group:
        yield group


def _unveiled(error: RuntimeError) -> BaseException:
    """DuckDB says "Query interrupted" for a Ctrl-C that came while it worked; any other RuntimeError is what it is."""
    return KeyboardInterrupt() if "interrupted" in str(error).lower() else error


def _plain(column: Array) -> Array:
    """DuckDB takes text as object arrays and numbers as contiguous ones."""
    return column.astype(object) if column.dtype.kind in "UO" else np.ascontiguousarray(column)


def _words(name: str) -> str:
    members: Sequence[IntEnum] = list(_ENUMS[name])
    return "[" + ", ".join(f"'{member.name.lower()}'" for member in members) + "]"


def _as_words(name: str) -> str:
    return f'{_words(name)}["{name}" + 1] AS "{name}"'


def _as_numbers(name: str) -> str:
    return f'(list_position({_words(name)}, "{name}") - 1)::TINYINT AS "{name}"'


def _sql_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
