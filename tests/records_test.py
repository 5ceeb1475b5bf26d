# SPDX-License-Identifier: Apache-2.0
"""Records: a table that was written comes back as it was, and is plain Parquet for everybody else."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from inferometer.errors import FormatError
from inferometer.kinds import ChunkKind, Outcome, Phase
from inferometer.records import (
    CHUNK,
    NEVER,
    NOT_TOLD,
    REQUEST,
    SAMPLE,
    SERVER_TIMES,
    TABLES,
    Trace,
    empty_requests,
    read_table,
    write_table,
)


def one_of_each():
    """A row per outcome; every column holds a number of its own."""
    rows = empty_requests(len(Outcome))
    for i, outcome in enumerate(Outcome):
        rows["outcome"][i] = outcome
        rows["phase"][i] = list(Phase)[i % 2]
    for k, name in enumerate(name for name in REQUEST.names if name.startswith("t_")):
        rows[name] = np.arange(len(rows)) * 10**12 + k - 5
    rows["finish"][0] = "length"
    rows["error"][1] = 'it said "no", Größe 你好 🙂, a\tb'
    return rows


def one_chunk_of_each():
    chunks = np.zeros(len(ChunkKind), CHUNK)
    chunks["kind"] = list(ChunkKind)
    chunks["n_tokens"] = np.arange(len(chunks)) - 1
    chunks["t_recv_ns"] = 2**62
    return chunks


SOME = {
    "requests": one_of_each(),
    "chunks": one_chunk_of_each(),
    "samples": np.array([(5, "client", "cpu_s", 0.1), (-3, "clock", "offset_ns", 1.7e18)], SAMPLE),
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("n_rows", [0, None])
def test_a_table_comes_back_as_it_was(tmp_path, table, n_rows):
    rows = SOME[table][:n_rows]
    write_table(rows, tmp_path / "it's a table.parquet")
    again = read_table(tmp_path / "it's a table.parquet", TABLES[table])
    assert again.dtype == rows.dtype
    assert again.tolist() == rows.tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["it's a table.parquet"], "nothing half written is left"


def test_every_enum_is_a_word_on_disk(tmp_path):
    write_table(SOME["requests"], tmp_path / "requests.parquet")
    write_table(SOME["chunks"], tmp_path / "chunks.parquet")
    with duckdb.connect() as con:
        outcomes = con.execute(f"SELECT outcome FROM '{tmp_path}/requests.parquet' ORDER BY id").fetchall()
        kinds = con.execute(f"SELECT kind FROM '{tmp_path}/chunks.parquet' ORDER BY n_tokens").fetchall()
    assert [row[0] for row in outcomes] == [outcome.name.lower() for outcome in Outcome]
    assert [row[0] for row in kinds] == [kind.name.lower() for kind in ChunkKind]


def test_a_table_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "requests.parquet"
    write_table(SOME["requests"], path)
    write_table(SOME["requests"][:2], path)
    assert len(read_table(path, REQUEST)) == 2


def test_a_file_that_is_no_table_is_refused_by_name(tmp_path):
    path = tmp_path / "requests.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(FormatError, match=r"requests\.parquet is not a readable table"):
        read_table(path, REQUEST)
    with pytest.raises(FormatError, match=r"nowhere\.parquet"):
        read_table(tmp_path / "nowhere.parquet", REQUEST)


def test_a_table_without_the_columns_is_refused(tmp_path):
    write_table(SOME["samples"], tmp_path / "samples.parquet")
    with pytest.raises(FormatError, match="samples"):
        read_table(tmp_path / "samples.parquet", CHUNK)


def test_a_fresh_row_says_that_nothing_happened():
    row = empty_requests(3)[2]
    assert (row["id"], row["attempt"], row["outcome"], row["phase"]) == (2, 1, Outcome.NOT_SENT, Phase.MAIN)
    assert all(row[name] == NEVER for name in REQUEST.names if name.startswith("t_"))
    assert all(row[name] == NEVER for name in ("status", "conn", "n_prompt_tokens", "n_output_tokens"))
    assert (row["error"], row["finish"], row["n_chunks"]) == ("", "", 0)


def test_trials_are_those_with_main_requests():
    requests = empty_requests(3)
    requests["trial"] = [0, 1, 2]
    requests["phase"][1] = Phase.WARMUP
    assert Trace(requests).trials() == [0, 2]


def test_a_table_of_schema_1_is_read_as_if_the_server_had_told_nothing(tmp_path):
    names = [name for name in REQUEST.names if name not in SERVER_TIMES]
    write_table(SOME["requests"][names], tmp_path / "requests.parquet")
    again = read_table(tmp_path / "requests.parquet", REQUEST)
    assert again[names].tolist() == SOME["requests"][names].tolist()
    assert {int(value) for name in SERVER_TIMES for value in again[name]} == {NOT_TOLD}
