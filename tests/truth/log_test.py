# SPDX-License-Identifier: Apache-2.0
"""The log there and back, and errors on traces written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.errors import FormatError
from inferometer.kinds import ChunkKind, Outcome, Phase
from inferometer.records import CHUNK, Trace, empty_requests
from inferometer.truth.log import Spread, TruthLog, compare, lateness, leading_integer, parse_log, read_log, spread
from inferometer.truth.script import END, HEAD, Script, Step
from inferometer.truth.stamps import Stamps

US = 1_000
MS = 1_000_000
ORIGIN_NS = 5_000 * MS  # the run's origin on the server's clock

# Head and role at once, three chunks at 10, 20, 30 ms (the last with the end marker in the same send).
SCRIPT = Script(
    (
        Step(0, b"head", HEAD),
        Step(0, b"role", ChunkKind.ROLE),
        Step(10 * MS, b"a", ChunkKind.CONTENT, 1),
        Step(20 * MS, b"b", ChunkKind.CONTENT, 2),
        Step(30 * MS, b"c", ChunkKind.CONTENT, 1),
        Step(30 * MS, b"done", ChunkKind.DONE),
        Step(30 * MS, b"0", END),
    )
)


def log_of(*requests, n_sent=4, late_ns=2 * US):
    """A log of SCRIPT per (id text, arrival on the run's axis), each send late by `late_ns` and 4 us long."""
    stamps = Stamps()
    for text, t_arrival_ns in requests:
        t_start_ns = ORIGIN_NS + t_arrival_ns
        row, first = stamps.open_request(text, 0, SCRIPT, t_start_ns, t_start_ns)
        for i, offset_ns in enumerate(SCRIPT.offsets_ns[:n_sent]):
            stamps.before_ns[first + i] = t_start_ns + offset_ns + late_ns
            stamps.after_ns[first + i] = t_start_ns + offset_ns + late_ns + 4 * US
        stamps.note_progress(row, n_sent)
    return parse_log(stamps.to_bytes())


def trace_of(*requests):
    """A trace of requests (id, t_sent_ns, [(kind, read_id, t_recv_ns), ...])."""
    rows = empty_requests(len(requests))
    chunks = []
    for row, (request_id, t_sent_ns, received) in zip(rows, requests, strict=True):
        row["id"], row["t_sent_ns"], row["outcome"] = request_id, t_sent_ns, Outcome.OK
        row["chunk_start"], row["n_chunks"] = len(chunks), len(received)
        chunks += [(request_id, kind, -1, 5, read_id, t_ns, t_ns) for kind, read_id, t_ns in received]
    return Trace(rows, np.array(chunks, CHUNK), meta={"clock": {"origin_ns": ORIGIN_NS}})


def received(arrival_ns, *errors_ns, read_ids=(1, 2, 3)):
    """What a client got of SCRIPT when each chunk was stamped so much after the send."""
    chunks = [(ChunkKind.ROLE, 0, arrival_ns + 3 * US)]
    for i, (error_ns, read_id) in enumerate(zip(errors_ns, read_ids, strict=False)):
        chunks.append((ChunkKind.CONTENT, read_id, arrival_ns + (10 + 10 * i) * MS + 2 * US + error_ns))
    return [*chunks, (ChunkKind.DONE, read_ids[-1], arrival_ns + 30 * MS + 9 * US)]


def test_the_log_tells_every_step_with_the_stamps_of_its_send():
    log = log_of(("0-abc", 1 * MS), ("1-abc", 2 * MS))
    assert list(log.requests["id"]) == [0, 1]
    assert list(log.requests["n_steps"]) == [7, 7]
    steps = log.steps_of(1)
    assert list(steps["kind"]) == [step.kind for step in SCRIPT.steps]
    assert list(steps["n_tokens"]) == [0, 0, 1, 2, 1, 0, 0]
    start_ns = ORIGIN_NS + 2 * MS
    assert list(steps["t_due_ns"] - start_ns) == [0, 0, 10 * MS, 20 * MS, 30 * MS, 30 * MS, 30 * MS]
    assert set(steps["t_before_ns"] - steps["t_due_ns"]) == {2 * US}
    assert set(steps["t_after_ns"] - steps["t_before_ns"]) == {4 * US}
    assert len(set(steps["send_id"])) == 4
    assert set(log.steps_of(0)["send_id"]).isdisjoint(steps["send_id"])


def test_steps_that_were_not_sent_are_not_there():
    log = log_of(("0-abc", 0), n_sent=2)
    assert (log.requests["n_sends"][0], log.requests["n_sent"][0]) == (4, 2)
    assert list(log.steps_of(0)["kind"]) == [HEAD, ChunkKind.ROLE, ChunkKind.CONTENT]


def test_a_saved_log_is_whole_and_reads_back(tmp_path):
    stamps = Stamps()
    stamps.open_request("7-x", 3, SCRIPT, 1, 2)
    stamps.save(tmp_path / "log")
    log = read_log(tmp_path / "log")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert (log.requests["x_request_id"][0], log.requests["conn"][0], log.requests["t_gone_ns"][0]) == ("7-x", 3, -1)
    assert (log.requests["t_arrival_ns"][0], log.requests["t_start_ns"][0]) == (1, 2)


def test_an_empty_log():
    log = parse_log(Stamps().to_bytes())
    assert (len(log.requests), len(log.steps)) == (0, 0)
    assert np.isnan(lateness(log).delivered_per_s)
    assert compare(trace_of((0, 0, [])), log).n_unknown == 1


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: d + b"x", lambda d: b"x" + d, lambda d: b"",
                                    lambda d: d.replace(b'"version":2', b'"version":9')])  # fmt: skip
def test_what_is_not_a_log_is_refused(tmp_path, damage):
    path = tmp_path / "log"
    path.write_bytes(damage(Stamps().to_bytes()))
    with pytest.raises(FormatError, match=str(path)):
        read_log(path)


def test_a_log_of_the_first_format_tells_of_no_faults():
    stamps = Stamps()
    stamps.open_request("7-x", 3, SCRIPT, 1, 2, "reset")
    new = stamps.to_bytes()
    assert parse_log(new).requests["fault"].tolist() == ["reset"]
    old = new.replace(b'"version":2', b'"version":1').replace(b',"faults":["reset"]', b"")
    assert old != new
    assert parse_log(old).requests["fault"].tolist() == ["none"]


@pytest.mark.parametrize(
    ("text", "number"), [("12-abc", 12), ("0-", 0), ("7", 7), ("", -1), ("abc-1", -1), ("²-x", -1)]
)
def test_leading_integer(text, number):
    assert leading_integer(text) == number


def test_requests_of_one_run():
    log = log_of(("0-abc", 0), ("0-def", 50 * MS), ("1-def", 60 * MS))
    ours = log.of_run("def")
    assert list(ours.requests["x_request_id"]) == ["0-def", "1-def"]
    assert ours.all_steps()["row"].tolist() == [1] * 7 + [2] * 7
    assert (ours.steps_of(0)["t_due_ns"] >= ORIGIN_NS + 50 * MS).all()


def test_lateness_is_of_token_bearing_sends():
    kept = lateness(log_of(("0-x", 0), late_ns=7 * US))
    assert kept.n_chunks == 3
    assert kept.lateness.p50_s == pytest.approx(7e-6)
    assert kept.width.max_s == pytest.approx(4e-6)
    assert kept.delivered_per_s == pytest.approx(100)
    assert kept.asked_per_s == pytest.approx(100)


def test_errors_are_measured_minus_sent_on_the_runs_axis():
    log = log_of(("0-x", 1 * MS), ("1-x", 2 * MS))
    trace = trace_of(
        (0, 900 * US, received(1 * MS, 3 * US, 5 * US, 4 * US)),
        (1, 1980 * US, received(2 * MS, 8 * US, 8 * US, 2 * US)),
    )
    errors = compare(trace, log)
    assert errors.ttft_ns.tolist() == [3 * US, 8 * US]
    assert errors.gap_ns.tolist() == [2 * US, -1 * US, 0, -6 * US]
    assert errors.e2e_ns.tolist() == [4 * US, 2 * US]
    assert errors.sent_ns.tolist() == [100 * US, 20 * US]
    assert (errors.n_requests, errors.n_unknown, errors.n_lost, errors.n_extra) == (2, 0, 0, 0)
    assert (errors.n_reads, errors.n_merged) == (6, 0)
    assert errors.gap == Spread(pytest.approx(-1.25e-6), pytest.approx(1.5e-6), pytest.approx(5.88e-6), 6e-6, 4)


def test_merged_reads_are_counted_once():
    errors = compare(trace_of((0, 0, received(0, 1, 2, 3, read_ids=(1, 2, 2)))), log_of(("0-x", 0)))
    assert (errors.n_reads, errors.n_merged, errors.merged_ratio) == (2, 1, 0.5)


def test_chunks_that_only_one_side_has_are_counted_and_the_rest_is_compared():
    log = log_of(("0-x", 0), ("1-x", 0))
    short, long = received(0, 1, 2), [*received(0, 1, 2, 3), (ChunkKind.CONTENT, 9, 31 * MS)]
    errors = compare(trace_of((0, 0, short), (1, 0, long)), log)
    assert (errors.n_lost, errors.n_extra) == (1, 1)
    assert (len(errors.ttft_ns), len(errors.gap_ns), len(errors.e2e_ns)) == (2, 3, 0)


def test_requests_the_server_never_saw_and_those_never_sent():
    trace = trace_of((0, 0, received(0, 1, 1, 1)), (5, 0, []), (6, -1, []))
    errors = compare(trace, log_of(("0-x", 0)))
    assert (errors.n_requests, errors.n_unknown) == (1, 1)


def test_warmup_is_left_out():
    trace = trace_of((0, 0, received(0, 1, 1, 1)), (1, 0, received(0, 1, 1, 1)))
    trace.requests["phase"][0] = Phase.WARMUP
    assert compare(trace, log_of(("0-x", 0), ("1-x", 0))).n_requests == 1


def test_of_a_request_that_came_twice_the_last_counts():
    log = log_of(("0-x", 0), ("0-x", 40 * MS))
    errors = compare(trace_of((0, 0, received(40 * MS, 6 * US, 6 * US, 6 * US))), log)
    assert errors.ttft_ns.tolist() == [6 * US]


def test_shifting_both_clocks_changes_nothing():
    log = log_of(("0-x", 1 * MS))
    trace = trace_of((0, 0, received(1 * MS, 3 * US, 5 * US, 4 * US)))
    shifted = TruthLog(log.requests.copy(), log.steps.copy(), log.meta)
    for name in ("t_before_ns", "t_after_ns", "t_due_ns"):
        shifted.steps[name] += 777 * MS
    moved = Trace(trace.requests, trace.chunks, meta={"clock": {"origin_ns": ORIGIN_NS + 777 * MS}})
    assert compare(moved, shifted).gap_ns.tolist() == compare(trace, log).gap_ns.tolist()
    assert compare(moved, shifted).ttft_ns.tolist() == compare(trace, log).ttft_ns.tolist()


def test_a_spread_of_nothing_is_not_a_number():
    nothing = spread(np.zeros(0, np.int64))
    assert nothing.n == 0
    assert np.isnan([nothing.mean_s, nothing.p50_s, nothing.p99_s, nothing.max_s]).all()
