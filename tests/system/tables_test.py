# SPDX-License-Identifier: Apache-2.0
"""The Parquet tables as a stranger finds them: plain types, words for enums, one row per request."""

from __future__ import annotations

import duckdb
import pytest

from inferometer.kinds import ChunkKind, Outcome, Phase
from inferometer.records import TABLES


@pytest.fixture(scope="module")
def folder(module_shell, truth, tmp_path_factory):
    url = truth(ttft_ms=20, gap_ms=2, reasoning_chunks=2, finish="own").url
    done = module_shell("run", url, "--requests", "6", "--warmup", "1", "--output-tokens", "5", "--out", "run")
    assert done.exit_code in (0, 4), done.stderr
    return module_shell.folder / "run"


def ask(folder, question):
    """The answer of DuckDB, in the folder of the tables."""
    with duckdb.connect() as con:
        return con.execute(question.replace("FROM ", f"FROM '{folder}/").replace(".parquet", ".parquet'")).fetchall()


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_those_of_the_schema_with_plain_types(folder, table):
    described = ask(folder, f"DESCRIBE SELECT * FROM {table}.parquet")
    assert [row[0] for row in described] == list(TABLES[table].names)
    assert {row[1] for row in described} <= {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DOUBLE", "VARCHAR"}
    for name, kind, *_ in described:
        is_text = name in ("outcome", "phase", "kind", "finish", "error", "source", "gauge")
        assert (kind == "VARCHAR") == is_text, name


def test_enums_are_words(folder):
    assert ask(folder, "SELECT DISTINCT phase FROM requests.parquet ORDER BY phase") == [("main",), ("warmup",)]
    assert ask(folder, "SELECT DISTINCT outcome FROM requests.parquet") == [("ok",)]
    kinds = {row[0] for row in ask(folder, "SELECT DISTINCT kind FROM chunks.parquet")}
    assert kinds == {"role", "reasoning", "content", "empty", "usage", "done"}
    assert kinds <= {kind.name.lower() for kind in ChunkKind}
    assert {phase.name.lower() for phase in Phase} == {"warmup", "main"}
    assert "ok" in {outcome.name.lower() for outcome in Outcome}


def test_time_to_first_token_can_be_asked_for_in_one_line(folder):
    question = "SELECT median(t_first_content_ns - t_due_ns) / 1e9 FROM requests.parquet WHERE phase = 'main'"
    assert ask(folder, question)[0][0] >= 0.020


def test_chunks_join_to_their_requests(folder):
    with duckdb.connect() as con:
        found = con.execute(
            f"""
            SELECT r.id, count(*), min(c.t_recv_ns) FILTER (kind = 'content') = any_value(r.t_first_answer_ns),
                   max(c.t_recv_ns) FILTER (kind = 'content') = any_value(r.t_last_content_ns), any_value(r.n_chunks)
            FROM '{folder}/requests.parquet' r JOIN '{folder}/chunks.parquet' c ON c.request_id = r.id
            GROUP BY r.id ORDER BY r.id
            """
        ).fetchall()
    assert [row[0] for row in found] == list(range(7))
    assert all(n == n_chunks and is_first and is_last for _, n, is_first, is_last, n_chunks in found)


def test_samples_tell_what_the_measurement_cost(folder):
    gauges = {tuple(row) for row in ask(folder, "SELECT DISTINCT source, gauge FROM samples.parquet")}
    assert {("client", "cpu_s"), ("client", "n_reads"), ("host", "cpu_busy_s")} <= gauges
    assert "clock" in {source for source, _ in gauges}


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_other_readers(folder, library):
    module = pytest.importorskip(library)
    if library == "pandas":
        pytest.importorskip("pyarrow")
    frame = module.read_parquet(folder / "requests.parquet")
    assert frame["outcome"].to_list() == ["ok"] * 7
