# SPDX-License-Identifier: Apache-2.0
"""The driving loop against the ground-truth server: rows, outcomes and causality. How true the stamps are is measured
in benchmarks and by `inferometer self-test`, never in a timed test."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.drive.loop import Options
from inferometer.kinds import TOKEN_BEARING, ChunkKind, Outcome, Phase
from inferometer.plan.schedule import Stage
from inferometer.records import NEVER
from inferometer.truth.log import compare
from inferometer.units import NS_PER_MS

QUICK = {"ttft_ms": 20, "gap_ms": 2}


def outcomes(driven):
    return [Outcome(o).name for o in driven.requests["outcome"]]


def test_every_stream_is_a_row_with_all_its_chunks_and_causal_stamps(drive):
    driven = drive([QUICK] * 8)
    rows = driven.requests
    assert outcomes(driven) == ["OK"] * 8
    assert rows["n_output_tokens"].tolist() == [10] * 8
    assert rows["finish"].tolist() == ["length"] * 8
    for earlier, later in (
        ("t_due_ns", "t_sent_ns"),
        ("t_sent_ns", "t_head_ns"),
        ("t_head_ns", "t_first_content_ns"),
        ("t_first_content_ns", "t_last_content_ns"),
        ("t_last_content_ns", "t_usage_ns"),
        ("t_usage_ns", "t_end_ns"),
    ):
        assert (rows[earlier] <= rows[later]).all(), (earlier, later)
    chunks = driven.decoded.chunks
    assert np.isin(chunks["kind"], TOKEN_BEARING).sum() == 80
    assert (chunks["t_recv_ns"] <= chunks["t_read_ns"]).all()


def test_no_chunk_is_stamped_before_the_server_sent_it(drive):
    driven = drive([QUICK] * 8)
    errors = compare(driven.trace, driven.log)
    assert (errors.n_requests, errors.n_unknown, errors.n_lost, errors.n_extra) == (8, 0, 0, 0)
    assert (errors.sent_ns > 0).all()
    # CLOCK_REALTIME is mapped to the monotonic axis within its bracket of 5 us.
    assert errors.e2e_ns.min() >= -5_000


def test_kernel_stamps_are_used_where_there_are_any(drive):
    driven = drive([QUICK] * 4)
    assert driven.measured.stamps == "kernel"
    assert driven.measured.n_kernel_stamped == driven.measured.n_reads


def test_connections_are_reused(drive):
    driven = drive([QUICK] * 6, Stage(concurrency=2, n_requests=6))
    assert set(driven.requests["conn"].tolist()) == {0, 1}


def test_open_loop_sends_at_the_planned_instants_in_order(drive):
    due_ns = np.array([0, 5, 5, 30, 60]) * NS_PER_MS
    driven = drive([QUICK] * 5, Stage(due_ns=due_ns, n_warmup=1))
    rows = driven.requests
    assert np.diff(rows["t_due_ns"]).tolist() == np.diff(due_ns).tolist()
    assert (rows["t_sent_ns"] >= rows["t_due_ns"]).all()
    assert rows["phase"].tolist() == [Phase.WARMUP] + [Phase.MAIN] * 4


def test_where_nothing_hangs_on_an_end_reads_gather_and_their_stamps_stay_the_kernels(drive):
    n_streams, gap_ns = 128, 60 * NS_PER_MS
    due_ns = np.arange(n_streams) * gap_ns // n_streams  # a chunk every half a millisecond
    driven = drive([{"ttft_ms": 200, "gap_ms": 60}] * n_streams, Stage(due_ns=due_ns))
    chunks = driven.decoded.chunks
    # The first reads of new connections come without a stamp, and end the rest for a while.
    late = chunks[chunks["t_recv_ns"] > chunks["t_recv_ns"].min() + 400 * NS_PER_MS]
    assert np.median(late["t_read_ns"] - late["t_recv_ns"]) > 0.1 * NS_PER_MS
    assert driven.measured.n_kernel_stamped == driven.measured.n_reads
    errors = compare(driven.trace, driven.log)
    assert (errors.n_lost, errors.n_extra) == (0, 0)


def test_closed_loop_is_due_when_its_predecessor_ended(drive):
    driven = drive([QUICK] * 3, Stage(concurrency=1, n_requests=3))
    rows = driven.requests
    assert rows["t_due_ns"][1:].tolist() == rows["t_end_ns"][:-1].tolist()


def test_requests_past_the_pool_wrap_around_with_ids_of_their_own(drive):
    driven = drive([QUICK] * 2, Stage(concurrency=2, n_requests=5))
    assert driven.requests["id"].tolist() == [0, 1, 2, 3, 4]
    assert outcomes(driven) == ["OK"] * 5


@pytest.mark.parametrize(
    ("truth", "outcome", "words"),
    [
        ({"status": 503, "body": '{"error": {"message": "overloaded"}}'}, "HTTP_STATUS", "503: overloaded"),
        ({"status": 307}, "HTTP_STATUS", "307"),
        ({"fault": "reset_before_head"}, "RESET", ""),
        ({"fault": "reset", "fault_at": 3}, "RESET", ""),
        ({"fault": "truncate", "fault_at": 3}, "TRUNCATED", ""),
        ({"fault": "end_early", "fault_at": 3}, "TRUNCATED", "without a finish reason"),
        ({"fault": "error_event", "fault_at": 3}, "ENGINE_ERROR", ""),
        ({"fault": "named_error_event", "fault_at": 3}, "ENGINE_ERROR", ""),
        ({"fault": "bad_chunk_size", "fault_at": 3}, "PROTOCOL", "size"),
        ({"fault": "bad_json", "fault_at": 3}, "PROTOCOL", "JSON"),
        ({"fault": "empty"}, "TRUNCATED", "no token"),
        ({"fault": "not_http"}, "PROTOCOL", "HTTP/1.1"),
        ({"fault": "not_streamed"}, "OK", ""),
    ],
    ids=lambda value: value.get("fault", value.get("status")) if isinstance(value, dict) else None,
)
def test_a_fault_is_one_outcome_and_leaves_its_neighbours_alone(drive, truth, outcome, words):
    driven = drive([QUICK, QUICK | truth, QUICK])
    assert outcomes(driven) == ["OK", outcome, "OK"]
    assert words in driven.requests["error"][1]


def test_a_silent_request_is_stalled_and_a_slow_one_meets_its_deadline(drive):
    options = Options(timeout_ns=600 * NS_PER_MS, stall_timeout_ns=200 * NS_PER_MS)
    stalls = QUICK | {"fault": "stall", "fault_at": 3, "fault_ms": 5000}
    endless = QUICK | {"n_chunks": 2_000}
    driven = drive([QUICK, stalls, endless, QUICK | {"fault": "never_answers"}], options=options)
    assert outcomes(driven) == ["OK", "STALLED", "DEADLINE", "STALLED"]
    rows = driven.requests
    assert rows["n_chunks"][1] >= 3, "what came before the silence is kept"
    assert (rows["t_end_ns"][1:] > rows["t_sent_ns"][1:]).all()


def test_a_kept_alive_connection_that_died_is_replaced_once_and_marked(drive):
    dies = QUICK | {"fault": "drop_reuse"}
    driven = drive([dies, QUICK, QUICK], Stage(concurrency=1, n_requests=3))
    assert outcomes(driven) == ["OK", "OK", "OK"]
    assert driven.requests["attempt"].tolist() == [1, 2, 1]


def test_nothing_but_failures_ends_the_run_early_with_the_servers_words(drive):
    sick = {"status": 500, "body": '{"error": {"message": "out of memory"}}'}
    driven = drive([sick] * 40, Stage(concurrency=2, n_requests=40))
    assert "in a row failed" in driven.measured.stop_reason
    assert len(driven.requests) < 40
    assert "out of memory" in driven.requests["error"][0]


@pytest.mark.parametrize("keeps_content", [True, False])
def test_nothing_but_worthless_answers_ends_the_run_early_too(drive, keeps_content):
    worthless = QUICK | {"fault": "error_event"}
    options = Options(keeps_content=keeps_content)
    driven = drive([worthless] * 200, Stage(concurrency=2, n_requests=200), options=options)
    assert "in a row failed" in driven.measured.stop_reason
    assert len(driven.requests) < 40


def test_a_single_good_answer_among_the_first_keeps_the_run_going(drive):
    worthless = QUICK | {"fault": "error_event"}
    driven = drive([worthless] * 5 + [QUICK] + [worthless] * 24, Stage(concurrency=1, n_requests=30))
    assert not driven.measured.stop_reason
    assert len(driven.requests) == 30


def test_the_awkward_stream_is_measured_by_its_content(drive):
    awkward = {
        "ttft_ms": 300,
        "gap_ms": 40,
        "n_chunks": 20,
        "tokens_per_chunk": 2,
        "usage": "own",
        "usage_delay_ms": 250,
        "finish": "own",
    }
    driven = drive([awkward])
    row, chunks = driven.requests[0], driven.decoded.chunks
    assert row["n_output_tokens"] == 40
    assert chunks["kind"][0] == ChunkKind.ROLE
    assert row["t_first_content_ns"] == chunks["t_recv_ns"][chunks["kind"] == ChunkKind.CONTENT][0]
    # Never earlier than prescribed, and as far apart as the server's own log says.
    steps = driven.log.steps_of(0)
    true_ns = steps["t_before_ns"][np.isin(steps["kind"], TOKEN_BEARING)]
    assert row["t_first_content_ns"] - row["t_sent_ns"] >= 300 * NS_PER_MS
    assert row["t_last_content_ns"] - row["t_first_content_ns"] == pytest.approx(
        true_ns[-1] - true_ns[0], abs=30 * NS_PER_MS
    )
    usage_ns = steps["t_before_ns"][steps["kind"] == ChunkKind.USAGE][0]
    assert row["t_usage_ns"] - row["t_last_content_ns"] == pytest.approx(usage_ns - true_ns[-1], abs=30 * NS_PER_MS)


def test_without_content_nothing_of_it_is_on_disk_and_the_numbers_are_the_same(drive, tmp_path):
    options = Options(timeout_ns=5_000 * NS_PER_MS, stall_timeout_ns=2_000 * NS_PER_MS, keeps_content=False)
    driven = drive([QUICK, QUICK | {"fault": "error_event", "fault_at": 3}], options=options)
    assert outcomes(driven) == ["OK", "ENGINE_ERROR"]
    assert driven.requests["n_output_tokens"][0] == 10
    assert np.isin(driven.decoded.chunks["kind"], TOKEN_BEARING).sum() == 13
    assert b"choices" not in driven.recorder_bytes
    assert b"delta" not in driven.recorder_bytes


def test_a_key_that_the_server_echoes_never_reaches_the_disk(drive):
    key = "sk-very-secret-0123456789"
    driven = drive(
        [QUICK, {"fault": "echo_authorization"}],
        headers=[("authorization", f"Bearer {key}")],
        secrets=(key.encode(),),
    )
    assert outcomes(driven)[1] == "HTTP_STATUS"
    assert key.encode() not in driven.recorder_bytes
    assert key not in driven.requests["error"][1]


def test_windows_of_counts_run_from_the_first_due_to_the_last(drive):
    driven = drive([QUICK] * 4, Stage(concurrency=1, n_requests=4, n_warmup=1))
    window = driven.measured.windows[0]
    assert window.t_start_ns == driven.requests["t_due_ns"][1]
    assert window.t_end_ns == driven.requests["t_due_ns"][3]
    assert driven.requests["t_end_ns"][3] != NEVER


def test_a_server_that_is_gone_is_refused_rows_and_an_early_end(drive_nowhere):
    driven = drive_nowhere(n_requests=30)
    assert set(outcomes(driven)) == {"REFUSED"}
    assert "in a row failed" in driven.measured.stop_reason
    assert (driven.requests["t_sent_ns"] == NEVER).all()
