# SPDX-License-Identifier: Apache-2.0
"""Several processes driving one plan against the ground-truth server: the rows are those of one process."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import pytest

from inferometer.clock import Clock
from inferometer.drive.arrivals import Window
from inferometer.drive.connection import Target
from inferometer.drive.decode import Asked, Decoded, decode
from inferometer.drive.loop import Options
from inferometer.engines.openai import CHAT
from inferometer.host.launch import free_port
from inferometer.host.sample import ClientSampler
from inferometer.kinds import Outcome, Phase
from inferometer.measurement import Job, Measured
from inferometer.plan.request import Request
from inferometer.plan.schedule import Schedule, Stage, open_loop, parse_arrivals
from inferometer.recorder import Writer, all_paths
from inferometer.records import Trace
from inferometer.truth.launch import TruthServer
from inferometer.truth.log import TruthLog, compare
from inferometer.units import NS_PER_MS, NS_PER_S
from inferometer.wire.http1 import encode_request
from inferometer.workers import Crew, merged

QUICK = {"ttft_ms": 20, "gap_ms": 2}
LONG = {"ttft_ms": 20, "gap_ms": 200}


@dataclass(frozen=True)
class Driven:
    decoded: Decoded
    measured: Measured
    log: TruthLog | None
    trace: Trace
    files: list[bytes]

    @property
    def rows(self):
        return self.decoded.requests


def payload(request_id: int, truth: dict[str, Any]) -> bytes:
    encoded = CHAT.encode(Request(request_id, "hello there", 2, 10), "m", {"truth": truth})
    fields = [("host", "truth"), ("content-type", "application/json"), ("x-request-id", f"{request_id}-t")]
    return encode_request("POST", encoded.path, fields, encoded.body)


def crew_at(path, port, trials, n_workers, *, truth=QUICK, n_pool=40, observer=None, mode="closed", **options):
    clock, recorder = Clock(), Writer(path)
    target = Target(socket.AF_INET, ("127.0.0.1", port), "127.0.0.1")
    payloads = [payload(i, truth) for i in range(n_pool)]
    wanted = Options(timeout_ns=10 * NS_PER_S, stall_timeout_ns=5 * NS_PER_S, **options)
    schedule = Schedule(mode, "test", trials)
    job = Job(target, payloads, schedule, CHAT, recorder, clock, wanted, observer=observer)
    crew = Crew(job, n_workers=n_workers, client_sampler=ClientSampler)
    measured = crew.run()
    recorder.close()
    return measured, clock.origin_ns


@pytest.fixture
def drive(tmp_path):
    """drive(trials, n_workers, ...) -> Driven."""

    def run(trials, n_workers, **more) -> Driven:
        path = tmp_path / "recorder.bin"
        with TruthServer() as server:
            measured, origin_ns = crew_at(path, server.port, trials, n_workers, **more)
            log = server.stop()
        decoded = decode(all_paths(path), CHAT, Asked([2], [10]))
        trace = Trace(decoded.requests, decoded.chunks, decoded.samples, {"clock": {"origin_ns": origin_ns}})
        return Driven(decoded, measured, log, trace, [file.read_bytes() for file in all_paths(path)])

    return run


class Watcher:
    """An observer that does something once, when so many requests are in flight."""

    wants_latencies = True

    def __init__(self, act, n_in_flight=1):
        self._act, self._n_in_flight = act, n_in_flight
        self.latest: list[tuple[float, float]] = []
        self.n_done = 0

    def say(self, text):
        raise AssertionError("nothing is to be said while driving")

    def on_progress(self, progress):
        self.latest += progress.latest
        self.n_done = progress.n_done
        if progress.n_in_flight >= self._n_in_flight and self._act is not None:
            act, self._act = self._act, None
            act()


def workers():
    """Pids of the forks of this process, in the order of their numbers."""
    own = psutil.Process()
    return sorted(child.pid for child in own.children() if child.cmdline() == own.cmdline())


def assert_dealt(rows, n_workers):
    """Each id once, each worker its own, and no connection of two workers under one number."""
    assert rows["id"].tolist() == list(range(len(rows)))
    assert (rows["worker"] == rows["id"] % n_workers + 1).all()
    owners = {(int(row["conn"]), int(row["worker"])) for row in rows}
    assert len({conn for conn, _ in owners}) == len(owners)


@pytest.mark.parametrize(
    ("stage", "n_workers"),
    [
        (Stage(concurrency=3, n_requests=11, n_warmup=3), 2),
        (Stage(due_ns=np.zeros(5, np.int64)), 2),
        (Stage(due_ns=np.arange(7) * 5 * NS_PER_MS, n_warmup=2), 3),
        (Stage(due_ns=np.zeros(2, np.int64)), 3),
    ],
    ids=["closed", "burst", "open", "fewer requests than workers"],
)
def test_the_rows_of_all_workers_are_the_plan(drive, stage, n_workers):
    driven = drive(((stage,),), n_workers)
    rows = driven.rows
    assert len(rows) == stage.n_planned
    assert_dealt(rows, n_workers)
    assert (rows["outcome"] == Outcome.OK).all()
    assert (rows["phase"] == Phase.WARMUP).sum() == stage.n_warmup
    assert (rows["n_chunks"] > 10).all()
    errors = compare(driven.trace, driven.log)
    n_main = len(rows) - stage.n_warmup
    assert (errors.n_requests, errors.n_unknown, errors.n_lost, errors.n_extra) == (n_main, 0, 0, 0)
    assert errors.e2e_ns.min() >= -5_000, "before the server sent it"
    assert driven.measured.stop_reason == ""
    assert driven.measured.stamps == "kernel"
    read_ids = driven.decoded.chunks["read_id"]
    assert len(np.unique(read_ids)) == len(
        np.unique(np.stack([read_ids, driven.decoded.chunks["t_recv_ns"]]), axis=1).T
    )


def test_the_instants_of_an_open_loop_are_those_of_one_worker(drive):
    schedule = open_loop(300, parse_arrivals("gamma:2"), seed=5, n_requests=31, n_warmup=4)
    driven = drive(schedule.trials, 2, mode="open")
    due_ns = schedule.trials[0][0].due_ns
    assert (driven.rows["t_due_ns"] - driven.rows["t_due_ns"][0]).tolist() == (due_ns - due_ns[0]).tolist()
    (window,) = driven.measured.windows
    assert (window.t_start_ns, window.t_end_ns) == (driven.rows["t_due_ns"][4], driven.rows["t_due_ns"][-1])


def test_slots_open_in_turn(drive):
    driven = drive(((Stage(concurrency=4, n_requests=4),),), 2, stagger_ns=7 * NS_PER_MS)
    assert np.diff(driven.rows["t_due_ns"]).tolist() == [7 * NS_PER_MS] * 3


def test_a_trial_begins_when_all_workers_have_ended_the_last(drive):
    trials = (
        (
            Stage(concurrency=2, duration_ns=30 * NS_PER_MS, warmup_ns=30 * NS_PER_MS),
            Stage(due_ns=np.zeros(5, np.int64)),
        ),
    ) * 2
    driven = drive(trials, 2)
    rows = driven.rows
    first, second = rows[rows["trial"] == 0], rows[rows["trial"] == 1]
    assert first["t_end_ns"].max() <= second["t_due_ns"].min()
    for trial in (first, second):
        burst = trial[trial["phase"] == Phase.MAIN]
        assert len(burst) == 5
        assert len(np.unique(burst["t_due_ns"])) == 1, "one instant for all workers"
        assert trial[trial["phase"] == Phase.WARMUP]["t_end_ns"].max() <= burst["t_due_ns"].min()
    assert len(np.unique(rows["id"])) == len(rows)
    assert [window.trial for window in driven.measured.windows] == [0, 1]


def test_without_content_the_chunks_are_there_and_no_word_is(drive):
    driven = drive(((Stage(concurrency=2, n_requests=6),),), 2, keeps_content=False)
    assert (driven.rows["outcome"] == Outcome.OK).all()
    assert (driven.rows["n_output_tokens"] == 10).all()
    assert not any(b"choices" in file for file in driven.files)


def test_every_worker_samples_itself(drive):
    samples = drive(((Stage(concurrency=2, n_requests=4),),), 2).decoded.samples
    for source in ("client-1", "client-2"):
        gauges = set(samples["gauge"][samples["source"] == source])
        assert {"cpu_s", "n_reads", "pass_max_s", "in_flight"} <= gauges
    assert "offset_change_ns" in samples["gauge"][samples["source"] == "clock"]


def test_what_is_told_is_the_sum_and_has_latencies(drive):
    watcher = Watcher(None)
    drive(((Stage(concurrency=4, n_requests=120),),), 2, observer=watcher)
    assert 10 < watcher.n_done <= 120
    assert all(ttft_s >= 0.02 and tpot_s >= 0 for ttft_s, tpot_s in watcher.latest), watcher.latest
    assert watcher.latest


def test_a_killed_worker_ends_the_run_and_nothing_is_lost(drive):
    """Streams of two seconds, one due every 10 ms: at the kill some are open, and more become due until all stop."""
    stage = Stage(due_ns=np.arange(400) * 10 * NS_PER_MS)
    watcher = Watcher(lambda: os.kill(workers()[0], signal.SIGKILL), n_in_flight=40)
    driven = drive(((stage,),), 2, truth=LONG, observer=watcher, mode="open")
    measured, rows = driven.measured, driven.rows
    assert measured.stop_reason == "worker 1 of 2 was killed by SIGKILL"
    assert measured.is_own_fault
    assert not measured.is_interrupted
    dead, alive = rows[rows["id"] % 2 == 0], rows[rows["id"] % 2 == 1]
    n_due = int(dead["id"].max()) + 1  # when the leader saw it; the other worker went on for some milliseconds
    assert set(range(n_due)) <= set(rows["id"].tolist()), "every request that became due is a row"
    assert set(dead["outcome"].tolist()) <= {Outcome.CENSORED, Outcome.NOT_SENT, Outcome.OK}
    assert (dead["outcome"] == Outcome.CENSORED).sum() >= 10
    assert (dead["n_reads"] > 0).any(), "what it had written is there"
    assert set(alive["outcome"].tolist()) <= {Outcome.CANCELLED, Outcome.OK}
    assert workers() == []


def test_one_interrupt_ends_all_workers_gently(drive):
    watcher = Watcher(lambda: os.kill(os.getpid(), signal.SIGINT), n_in_flight=4)
    driven = drive(((Stage(concurrency=4, duration_ns=60 * NS_PER_S),),), 2, truth=LONG, observer=watcher)
    assert (driven.measured.stop_reason, driven.measured.is_interrupted) == ("stopped by the user", True)
    assert not driven.measured.is_own_fault
    assert (driven.rows["outcome"] == Outcome.CANCELLED).sum() == 4
    assert set(driven.rows["worker"].tolist()) == {1, 2}


def test_nothing_but_failures_stops_all(tmp_path):
    path = tmp_path / "recorder.bin"
    measured, _ = crew_at(path, free_port(), ((Stage(concurrency=2, n_requests=2_000),),), 2)
    rows = decode(all_paths(path), CHAT, Asked([2], [10])).requests
    assert "requests in a row failed" in measured.stop_reason
    assert not measured.is_own_fault
    assert len(rows) < 200
    assert (rows["outcome"] == Outcome.REFUSED).all()


def test_windows_of_a_closed_loop_are_merged_to_where_every_worker_measured():
    parts = [Window(0, 10, 50), Window(0, 12, 47)]
    assert merged(parts, Stage(concurrency=2)) == Window(0, 12, 47)
    assert merged(parts, Stage(due_ns=np.zeros(2, np.int64))) == Window(0, 10, 50)
    assert merged([Window(0, 10, 20), Window(0, 30, 40)], Stage(concurrency=2)) == Window(0, 10, 40)
