# SPDX-License-Identifier: Apache-2.0
"""Run folders: made once, never overwritten, and readable after a kill at any byte."""

from __future__ import annotations

import json

import numpy as np
import pytest

from inferometer.errors import FormatError, RunError, UsageError
from inferometer.kinds import Outcome, Phase
from inferometer.metrics.summary import summarize
from inferometer.plan.plan import Plan, save
from inferometer.plan.request import Request
from inferometer.plan.schedule import Schedule, Stage
from inferometer.recorder import Writer
from inferometer.records import SCHEMA_VERSION, TABLES
from inferometer.report.json import to_dict
from inferometer.run_folder import Run, write_atomically

MS = 1_000_000
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENTS = (
    b'data: {"choices":[{"index":0,"delta":{"content":" a"},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":" b"},"finish_reason":"length"}]}\n\n',
    b"data: [DONE]\n\n",
)
ANSWER = (HEAD, *(b"%x\r\n%b\r\n" % (len(event), event) for event in EVENTS), b"0\r\n\r\n")


def record(path):
    """Two requests of two tokens each, one after the other, each frame a block of its own."""
    recorder = Writer(path)
    for i in range(2):
        at = i * 100 * MS
        recorder.due(i, 0, Phase.MAIN, at)
        recorder.flush()
        recorder.sent(i, 1, 0, at + MS)
        recorder.flush()
        for k, data in enumerate(ANSWER):
            recorder.read(i, at + (10 + k) * MS, at + (10 + k) * MS + 20_000, len(data), data)
            recorder.flush()
        recorder.end(i, Outcome.OK, at + 14 * MS)
        recorder.note(at + 14 * MS, {"note": "samples", "source": "client", "gauges": [["cpu_s", 0.1 * i]]})
        recorder.flush()
    recorder.close()


@pytest.fixture
def run(tmp_path):
    """A run that was killed right after its last block."""
    run = Run.create(str(tmp_path / "run"), "x")
    requests = tuple(Request(i, f"words {i}", 2, 2) for i in range(2))
    schedule = Schedule("closed", "closed loop, 1 in flight", ((Stage(concurrency=1, n_requests=2),),), concurrency=1)
    save(Plan(requests, schedule, 0, "d" * 64, "nothing"), run.path / "plan.jsonl")
    run.write_manifest(
        {"schema": 1, "state": "running", "dialect": "chat", "plan": schedule.facts(), "clock": {"origin_ns": 0}}
    )
    record(run.path / "recorder.bin")
    return run


# -- making and opening -----------------------------------------------------------------------------------------------


def test_a_run_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [Run.create(None, "127.0.0.1:8000/a b").path for _ in range(3)]
    assert len(set(names)) == 3
    assert all(path.is_dir() and path.parent.name == "inferometer-runs" for path in names)
    assert all("127.0.0.1-8000-a-b" in path.name for path in names)


def test_parents_are_made_too(tmp_path):
    assert Run.create(str(tmp_path / "a" / "b" / "c"), "x").path.is_dir()


def test_an_existing_folder_is_never_taken(tmp_path):
    with pytest.raises(UsageError, match="exists already"):
        Run.create(str(tmp_path), "x")


def test_where_no_folder_can_be_the_reason_is_given(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot make the folder"):
        Run.create(str(tmp_path / "file" / "run"), "x")


def test_what_is_no_run_is_not_opened(tmp_path, run):
    with pytest.raises(UsageError, match="there is no folder"):
        Run.open(str(tmp_path / "nowhere"))
    with pytest.raises(FormatError, match="is not a run folder"):
        Run.open(str(tmp_path))
    run.write_manifest({"schema": SCHEMA_VERSION + 1, "state": "finished"})
    with pytest.raises(FormatError, match=f"newer than {SCHEMA_VERSION}"):
        Run.open(str(run.path))
    (run.path / "manifest.json").write_text('{"schema": 1')
    with pytest.raises(FormatError, match=r"manifest\.json is damaged"):
        Run.open(str(run.path))


def test_a_file_is_written_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"first")
    write_atomically(path, b"second")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"second"
    with pytest.raises(RunError, match="cannot write"):
        write_atomically(tmp_path / "nowhere" / "file", b"")


# -- a run that was killed --------------------------------------------------------------------------------------------


def test_a_killed_run_is_decoded_when_it_is_read_and_marked(run):
    trace = run.trace()
    assert trace.requests["outcome"].tolist() == [Outcome.OK, Outcome.OK]
    assert trace.requests["n_output_tokens_asked"].tolist() == [2, 2]
    assert trace.meta["is_cut_off"] is True
    assert trace.meta["n_torn_bytes"] == 0
    assert trace.meta["windows"] == [{"trial": 0, "t_start_ns": 0, "t_end_ns": 114 * MS}]
    assert all((run.path / f"{name}.parquet").exists() for name in TABLES)


def test_windows_that_were_noted_are_kept(run):
    (run.path / "recorder.bin").unlink()
    recorder = Writer(run.path / "recorder.bin")
    for trial in range(2):
        recorder.due(trial, trial, Phase.MAIN, trial * 100 * MS)
        recorder.flush()
        if trial == 0:
            window = {"trial": 0, "t_start_ns": 0, "t_end_ns": 50 * MS}
            recorder.note(60 * MS, {"note": "window", "window": window})
    recorder.close()
    assert run.trace().meta["windows"] == [window, {"trial": 1, "t_start_ns": 100 * MS, "t_end_ns": 100 * MS}]


def test_a_file_cut_at_any_byte_gives_a_report(run):
    whole = (run.path / "recorder.bin").read_bytes()
    n_seen = {}
    for cut in range(0, len(whole), 7):
        (run.path / "recorder.bin").write_bytes(whole[:cut])
        requests = run.decode().requests
        assert set(requests["outcome"].tolist()) <= {Outcome.OK, Outcome.CENSORED, Outcome.NOT_SENT}
        n_seen[cut] = len(requests)
    assert list(n_seen.values()) == sorted(n_seen.values())
    assert set(n_seen.values()) == {0, 1, 2}
    for cut in list(n_seen)[:: len(n_seen) // 5]:
        (run.path / "recorder.bin").write_bytes(whole[:cut])
        document = to_dict(summarize(run.trace()))
        assert document["is_cut_off"] is True
        assert document["counts"]["planned"] == n_seen[cut]


@pytest.mark.parametrize("name", ["recorder.bin", "plan.jsonl"])
def test_a_run_killed_before_its_first_request_says_so(run, name):
    (run.path / name).unlink()
    with pytest.raises((RunError, FormatError), match=r"ended before the first request|cannot read"):
        run.trace()


def test_a_failed_start_says_why(run):
    (run.path / "recorder.bin").unlink()
    (run.path / "engine.log").write_text("boom")
    run.write_manifest({"schema": 1, "state": "failed", "stop_reason": "the server ended before it answered"})
    with pytest.raises(RunError, match="holds no measurement: the server ended before it answered") as caught:
        run.trace()
    assert "engine.log" in caught.value.remedy


# -- a run that ended -------------------------------------------------------------------------------------------------


def test_a_finished_run_is_read_from_its_tables(run):
    run.write_tables()
    run.write_manifest(run.manifest() | {"state": "finished", "windows": []})
    (run.path / "recorder.bin").write_bytes(b"damaged since")
    trace = run.trace()
    assert "is_cut_off" not in trace.meta
    assert len(trace.chunks) == 6


def test_tables_can_be_made_again_from_the_recorder(run):
    run.write_manifest(run.manifest() | {"state": "finished", "windows": []})
    run.write_tables()
    before = {name: (run.path / f"{name}.parquet").read_bytes() for name in TABLES}
    for name in TABLES:
        (run.path / f"{name}.parquet").unlink()
    trace = run.trace()
    assert {name: (run.path / f"{name}.parquet").read_bytes() for name in TABLES} == before
    assert np.array_equal(trace.requests, run.decode().requests)


def test_the_manifest_is_json_for_people(run):
    text = (run.path / "manifest.json").read_text()
    assert text.count("\n") > 5
    assert json.loads(text) == run.manifest()
