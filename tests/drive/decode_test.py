# SPDX-License-Identifier: Apache-2.0
"""From recorder files written by hand to tables: every request is one row, whatever became of it."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.drive.answer import Answer
from inferometer.drive.decode import Asked, decode, facts_of
from inferometer.engines.openai import CHAT
from inferometer.errors import FormatError, RunError
from inferometer.kinds import ChunkKind, Outcome, Phase
from inferometer.recorder import Writer
from inferometer.records import NEVER, NOT_TOLD, SERVER_TIMES

MS = 1_000_000
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CLOSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text, finish="null"):
    return b'data: {"choices":[{"delta":{"content":"%b"},"finish_reason":%b}]}\n\n' % (text.encode(), finish.encode())


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"
END = b"0\r\n\r\n"
FIRST, SECOND = chunk(event(" a")), chunk(event(" b", '"length"'))


@pytest.fixture
def record(tmp_path):
    """`record(write)`: what becomes of the frames that `write(recorder)` writes, two tokens being asked of each."""

    def run(write, n_output_tokens=2, is_obeyed=False):
        recorder = Writer(tmp_path / "recorder.bin")
        write(recorder)
        recorder.close()
        return decode([tmp_path / "recorder.bin"], CHAT, Asked([5], [n_output_tokens], is_obeyed))

    return run


def reads(recorder, request_id, *datas, t_ms=10):
    """One read a millisecond; the kernel's stamp is 20 us before ours."""
    for i, data in enumerate(datas):
        t_ns = (t_ms + i) * MS
        recorder.read(request_id, t_ns, t_ns + 20_000, len(data), data)


def begin(recorder, request_id=0, t_ms=0, conn=0):
    recorder.due(request_id, 0, Phase.MAIN, t_ms * MS)
    recorder.sent(request_id, 1, conn, (t_ms + 1) * MS)


def outcome_of(decoded, i=0):
    return Outcome(decoded.requests["outcome"][i])


@pytest.mark.parametrize(("is_obeyed", "counts"), [(False, [NOT_TOLD, NOT_TOLD, 2]), (True, [3, NOT_TOLD, 2])])
def test_an_answer_that_nobody_counts_is_as_long_as_asked_if_the_server_obeys(record, is_obeyed, counts):
    def write(recorder):
        early = chunk(event(" b", '"stop"'))
        for request_id, rest in enumerate((SECOND, early, SECOND + chunk(USAGE))):
            begin(recorder, request_id, t_ms=20 * request_id)
            reads(recorder, request_id, HEAD, FIRST, rest, chunk(DONE) + END, t_ms=20 * request_id + 5)
            recorder.end(request_id, Outcome.OK, (20 * request_id + 13) * MS)

    decoded = record(write, n_output_tokens=3, is_obeyed=is_obeyed)
    assert decoded.requests["n_output_tokens"].tolist() == counts
    assert decoded.requests["outcome"].tolist() == [Outcome.OK] * 3


def test_a_good_answer_fills_every_column(record):
    def write(recorder):
        recorder.due(0, 3, Phase.WARMUP, 0)
        recorder.sent(0, 1, 8, MS)
        reads(recorder, 0, HEAD, FIRST, SECOND + chunk(USAGE), chunk(DONE) + END)
        recorder.end(0, Outcome.OK, 13 * MS)

    decoded = record(write)
    row, n_bytes = decoded.requests[0], len(HEAD + FIRST + SECOND + chunk(USAGE) + chunk(DONE) + END)
    expected = {
        "id": 0,
        "trial": 3,
        "attempt": 1,
        "conn": 8,
        "phase": Phase.WARMUP,
        "outcome": Outcome.OK,
        "status": 200,
        "t_due_ns": 0,
        "t_sent_ns": MS,
        "t_head_ns": 10 * MS,
        "t_first_content_ns": 11 * MS,
        "t_first_answer_ns": 11 * MS,
        "t_last_content_ns": 12 * MS,
        "t_usage_ns": 12 * MS,
        "t_end_ns": 13 * MS,
        "n_prompt_tokens": 5,
        "n_prompt_tokens_asked": 5,
        "n_output_tokens": 2,
        "n_output_tokens_asked": 2,
        "n_cached_tokens": NOT_TOLD,
        "n_reads": 4,
        "n_bytes": n_bytes,
        "chunk_start": 0,
        "n_chunks": 4,
        "finish": "length",
        "error": "",
    }
    assert {name: row[name] for name in expected} == expected
    kinds = [ChunkKind.CONTENT, ChunkKind.CONTENT, ChunkKind.USAGE, ChunkKind.DONE]
    assert decoded.chunks["kind"].tolist() == kinds
    assert decoded.chunks["t_recv_ns"].tolist() == [11 * MS, 12 * MS, 12 * MS, 13 * MS]
    assert (decoded.chunks["t_read_ns"] - decoded.chunks["t_recv_ns"]).tolist() == [20_000] * 4
    assert decoded.chunks["read_id"].tolist() == [1, 2, 2, 3]


def test_requests_that_interleave_keep_their_reads_apart(record):
    def write(recorder):
        for i in range(3):
            begin(recorder, i, conn=i)
        for k, data in enumerate((HEAD, FIRST, SECOND, chunk(DONE) + END)):
            for i in (2, 0, 1):
                reads(recorder, i, data, t_ms=10 * (k + 1) + i)
        for i in range(3):
            recorder.end(i, Outcome.OK, (40 + i) * MS)

    decoded = record(write)
    assert decoded.requests["id"].tolist() == [0, 1, 2]
    assert decoded.requests["chunk_start"].tolist() == [0, 3, 6]
    assert decoded.chunks["request_id"].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert decoded.requests["t_first_content_ns"].tolist() == [20 * MS, 21 * MS, 22 * MS]
    reads_of_chunks = set(zip(decoded.chunks["read_id"].tolist(), decoded.chunks["t_read_ns"].tolist(), strict=True))
    assert len(reads_of_chunks) == len({read_id for read_id, _ in reads_of_chunks}) == 9, "a number is one read"


def test_ids_that_go_past_the_pool_wrap_around(record):
    def write(recorder):
        for i in range(3):
            begin(recorder, i)

    decoded = record(write)
    assert decoded.requests["n_prompt_tokens_asked"].tolist() == [5, 5, 5]


def test_a_retry_starts_afresh(record):
    def write(recorder):
        begin(recorder, conn=3)
        recorder.sent(0, 2, 4, 6 * MS)
        reads(recorder, 0, HEAD + FIRST + SECOND, chunk(DONE) + END)
        recorder.end(0, Outcome.OK, 11 * MS)

    row = record(write).requests[0]
    assert (row["attempt"], row["conn"], row["t_sent_ns"], row["outcome"]) == (2, 4, 6 * MS, Outcome.OK)
    assert (row["t_due_ns"], row["n_reads"]) == (0, 2), "it is due when it was due"


def test_bytes_held_back_belong_to_the_read_before(record):
    """While bytes may be the beginning of a secret they wait; a frame of no bytes read brings them at the end."""
    body = HEAD + FIRST + SECOND + chunk(DONE) + END
    cut = len(body) - 30

    def write(recorder):
        begin(recorder)
        recorder.read(0, 10 * MS, 10 * MS, len(body), body[:cut])
        recorder.read(0, 10 * MS, 10 * MS, 0, body[cut:])
        recorder.end(0, Outcome.OK, 10 * MS)

    decoded = record(write)
    row = decoded.requests[0]
    assert (row["outcome"], row["n_reads"], row["n_bytes"]) == (Outcome.OK, 1, len(body))
    assert decoded.chunks["read_id"].tolist() == [0, 0, 0]


def test_bytes_held_back_and_brought_by_the_next_read(record):
    body = HEAD + FIRST + SECOND + chunk(DONE) + END
    cut = body.index(b'" b"')  # held back in mid-event

    def write(recorder):
        begin(recorder)
        recorder.read(0, 10 * MS, 10 * MS, cut + 9, body[:cut])
        recorder.read(0, 15 * MS, 15 * MS, len(body) - cut - 9, body[cut:])
        recorder.end(0, Outcome.OK, 15 * MS)

    decoded = record(write)
    assert outcome_of(decoded) is Outcome.OK
    assert decoded.chunks["t_recv_ns"].tolist() == [10 * MS, 15 * MS, 15 * MS]


def test_a_request_without_an_end_is_censored_with_what_it_had(record):
    def write(recorder):
        begin(recorder)
        reads(recorder, 0, HEAD, FIRST)

    decoded = record(write)
    row = decoded.requests[0]
    assert (row["outcome"], row["t_end_ns"]) == (Outcome.CENSORED, NEVER)
    assert (row["t_first_content_ns"], row["n_chunks"], row["status"]) == (11 * MS, 1, 200)
    assert "still open" in row["error"]


def test_a_request_that_never_left_is_a_row(record):
    def write(recorder):
        recorder.due(0, 0, Phase.MAIN, 5 * MS)  # the records end here
        recorder.due(1, 0, Phase.MAIN, 6 * MS)
        recorder.end(1, Outcome.NOT_SENT, 6 * MS, "no connection could be opened: Too many open files")

    decoded = record(write)
    assert [Outcome(o) for o in decoded.requests["outcome"]] == [Outcome.NOT_SENT] * 2
    assert decoded.requests["t_sent_ns"].tolist() == [NEVER] * 2
    assert decoded.requests["t_due_ns"].tolist() == [5 * MS, 6 * MS]
    assert "Too many open files" in decoded.requests["error"][1]


@pytest.mark.parametrize("outcome", [Outcome.STALLED, Outcome.DEADLINE, Outcome.CANCELLED, Outcome.RESET, Outcome.TLS])
def test_the_transports_word_stands_with_its_reason(record, outcome):
    def write(recorder):
        begin(recorder)
        reads(recorder, 0, HEAD, FIRST)
        recorder.end(0, outcome, 30 * MS, "silent for 2 s")

    decoded = record(write)
    row = decoded.requests[0]
    assert (row["outcome"], row["error"], row["t_end_ns"]) == (outcome, "silent for 2 s", 30 * MS)
    assert row["t_last_content_ns"] == 11 * MS


def test_the_bytes_have_the_last_word_on_what_was_transported_well(record):
    def write(recorder):
        begin(recorder, 0)
        reads(recorder, 0, HEAD + FIRST + END)  # no finish reason
        recorder.end(0, Outcome.OK, 10 * MS)
        begin(recorder, 1)
        reads(recorder, 1, b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy")
        recorder.end(1, Outcome.OK, 10 * MS)
        begin(recorder, 2)
        reads(recorder, 2, HEAD + chunk(b'data: {"error":{"message":"died"}}\n\n') + END)
        recorder.end(2, Outcome.OK, 10 * MS)

    decoded = record(write)
    assert [Outcome(o).name for o in decoded.requests["outcome"]] == ["TRUNCATED", "HTTP_STATUS", "ENGINE_ERROR"]
    assert decoded.requests["error"][1:].tolist() == ["HTTP 503: busy", "died"]


@pytest.mark.parametrize(("n_asked", "outcome"), [(2, Outcome.OK), (3, Outcome.TRUNCATED)])
def test_an_end_marker_without_a_finish_reason_needs_the_length_asked_for(record, n_asked, outcome):
    def write(recorder):
        begin(recorder)
        reads(recorder, 0, HEAD + FIRST + chunk(event(" b")) + chunk(USAGE) + chunk(DONE) + END)
        recorder.end(0, Outcome.OK, 10 * MS)

    assert outcome_of(record(write, n_asked)) is outcome


@pytest.mark.parametrize("outcome", [Outcome.TRUNCATED, Outcome.RESET])
def test_an_answer_that_is_all_there_is_good_however_the_connection_ended(record, outcome):
    def write(recorder):
        begin(recorder)
        reads(recorder, 0, HEAD + FIRST + SECOND + chunk(DONE))
        recorder.end(0, outcome, 10 * MS, "Connection reset by peer")

    assert outcome_of(record(write)) is Outcome.OK


def test_an_error_event_explains_a_connection_that_was_cut(record):
    def write(recorder):
        begin(recorder)
        reads(recorder, 0, HEAD + FIRST + chunk(b'data: {"error":{"message":"out of memory"}}\n\n'))
        recorder.end(0, Outcome.RESET, 10 * MS, "Connection reset by peer")

    decoded = record(write)
    assert outcome_of(decoded) is Outcome.ENGINE_ERROR
    assert decoded.requests["error"][0] == "out of memory"


def test_a_body_that_the_end_of_the_connection_ends(record):
    def write(recorder):
        begin(recorder)
        reads(recorder, 0, CLOSE_HEAD, event(" a"), event(" b", '"stop"'), DONE)
        recorder.end(0, Outcome.OK, 13 * MS)

    decoded = record(write)
    assert outcome_of(decoded) is Outcome.OK
    assert decoded.requests["finish"][0] == "stop"
    assert decoded.chunks["t_recv_ns"].tolist() == [11 * MS, 12 * MS, 13 * MS]


def test_a_stream_under_another_content_type(record):
    def write(recorder):
        begin(recorder)
        reads(recorder, 0, HEAD.replace(b"text/event-stream", b"application/json"), FIRST, SECOND + chunk(DONE) + END)
        recorder.end(0, Outcome.OK, 12 * MS)

    row = record(write).requests[0]
    assert (row["outcome"], row["t_first_content_ns"]) == (Outcome.OK, 11 * MS)


def test_an_answer_in_one_piece_has_no_first_token(record):
    body = b'{"choices":[{"message":{"content":"x y"},"finish_reason":"stop"}],"usage":{"completion_tokens":2}}'

    def write(recorder):
        begin(recorder)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        reads(recorder, 0, head, body[:9], body[9:])
        recorder.end(0, Outcome.OK, 12 * MS)

    row = record(write).requests[0]
    assert (row["outcome"], row["n_output_tokens"]) == (Outcome.OK, 2)
    assert (row["t_first_content_ns"], row["t_last_content_ns"]) == (NEVER, 12 * MS)


def test_reasoning_is_a_first_token_but_not_a_first_answer(record):
    def write(recorder):
        begin(recorder)
        thought = b'data: {"choices":[{"delta":{"reasoning_content":"hm"},"finish_reason":null}]}\n\n'
        reads(recorder, 0, HEAD, chunk(thought), SECOND + chunk(DONE) + END)
        recorder.end(0, Outcome.OK, 12 * MS)

    row = record(write).requests[0]
    assert (row["t_first_content_ns"], row["t_first_answer_ns"]) == (11 * MS, 12 * MS)


# -- without content --------------------------------------------------------------------------------------------------


def test_facts_that_were_kept_give_the_rows_that_the_bytes_would_have_given(record, tmp_path):
    datas = (HEAD, FIRST, SECOND + chunk(USAGE), chunk(DONE) + END)

    def with_content(recorder):
        begin(recorder)
        reads(recorder, 0, *datas)
        recorder.end(0, Outcome.OK, 13 * MS)

    full = record(with_content)
    (tmp_path / "recorder.bin").unlink()

    def without_content(recorder):
        begin(recorder)
        for i, data in enumerate(datas):
            recorder.read(0, (10 + i) * MS, (10 + i) * MS + 20_000, len(data), b"")
        recorder.end(0, Outcome.OK, 13 * MS)
        answer = Answer(CHAT)
        for i, data in enumerate(datas):
            answer.feed(data, i)
        recorder.note(14 * MS, facts_of(answer, 0))

    bare = record(without_content)
    assert np.array_equal(bare.requests, full.requests)
    assert np.array_equal(bare.chunks, full.chunks)
    assert b'" a"' not in (tmp_path / "recorder.bin").read_bytes()


def test_an_answer_whose_facts_the_kill_took_is_unknown_not_failed(record):
    def write(recorder):
        begin(recorder)
        recorder.read(0, 10 * MS, 10 * MS, 500, b"")
        recorder.end(0, Outcome.OK, 10 * MS)

    row = record(write).requests[0]
    assert (row["outcome"], row["n_bytes"]) == (Outcome.CENSORED, 500)


def test_a_finish_reason_that_could_be_content_is_not_kept():
    answer = Answer(CHAT)
    answer.feed(HEAD + chunk(event(" a", '"because he said so"')) + END, 0)
    assert facts_of(answer, 0)["finish"] == "unknown"


# -- notes ------------------------------------------------------------------------------------------------------------


def test_samples_become_a_table_and_other_notes_stay_notes(record):
    def write(recorder):
        recorder.note(5, {"note": "samples", "source": "client", "gauges": [["cpu_s", 0.5], ["n_reads", 7.0]]})
        recorder.note(6, {"note": "clock step", "step_ns": 12})

    decoded = record(write)
    assert decoded.samples.tolist() == [(5, "client", "cpu_s", 0.5), (5, "client", "n_reads", 7.0)]
    assert [note.fact["note"] for note in decoded.notes] == ["clock step"]
    assert len(decoded.requests) == len(decoded.chunks) == 0


# -- several files ----------------------------------------------------------------------------------------------------


def answered(recorder, request_id, t_ms, n_tokens=2):
    begin(recorder, request_id, t_ms)
    reads(recorder, request_id, HEAD, *[FIRST] * (n_tokens - 1), SECOND + chunk(DONE) + END, t_ms=t_ms + 10)
    recorder.end(request_id, Outcome.OK, (t_ms + 10 + n_tokens) * MS)


@pytest.fixture
def record_all(tmp_path):
    """`record_all(write, write, ...)`: the paths of one file per writer."""

    def run(*writers):
        paths = []
        for i, write in enumerate(writers):
            paths.append(tmp_path / f"{i}.bin")
            recorder = Writer(paths[-1])
            write(recorder)
            recorder.close()
        return paths

    return run


def decode_all(paths):
    return decode(paths, CHAT, Asked([5], [2]))


def test_files_of_several_workers_are_one_run(record_all):
    def of_leader(recorder):
        recorder.note(50 * MS, {"note": "window", "window": {}})
        recorder.note(30 * MS, {"note": "samples", "source": "host", "gauges": [["n_cores", 2.0]]})

    def of_first(recorder):
        recorder.note(40 * MS, {"note": "samples", "source": "client-1", "gauges": [["cpu_s", 0.5]]})
        recorder.note(45 * MS, {"note": "clock step", "step_ns": 12})
        for request_id in (4, 0, 2):
            answered(recorder, request_id, 100 * request_id, n_tokens=2 + request_id)

    def of_second(recorder):
        recorder.note(20 * MS, {"note": "samples", "source": "client-2", "gauges": [["cpu_s", 0.7]]})
        for request_id in (1, 3):
            answered(recorder, request_id, 100 * request_id)

    decoded = decode_all(record_all(of_leader, of_first, of_second))
    requests, chunks = decoded.requests, decoded.chunks
    assert requests["id"].tolist() == [0, 1, 2, 3, 4]
    assert requests["worker"].tolist() == [1, 2, 1, 2, 1]
    assert chunks["request_id"].tolist() == np.repeat(requests["id"], requests["n_chunks"]).tolist()
    assert requests["chunk_start"].tolist() == [0, 3, 6, 11, 14]
    assert requests["n_chunks"].tolist() == [3, 3, 5, 3, 7]
    for row in requests:
        mine = chunks[row["chunk_start"] : row["chunk_start"] + row["n_chunks"]]
        assert mine["t_recv_ns"].tolist() == sorted(mine["t_recv_ns"].tolist())
        assert mine["t_recv_ns"][0] == row["t_first_content_ns"] == (100 * row["id"] + 11) * MS
    assert len(np.unique(chunks["read_id"])) == len(np.unique(chunks["t_recv_ns"])), "a number is one read of the run"
    assert decoded.samples["t_ns"].tolist() == [20 * MS, 30 * MS, 40 * MS]
    assert [note.fact["note"] for note in decoded.notes] == ["clock step", "window"]


def test_one_torn_file_takes_nothing_from_the_others(record_all):
    def of_first(recorder):
        answered(recorder, 0, 0)
        recorder.flush()
        answered(recorder, 2, 200)

    def of_second(recorder):
        answered(recorder, 1, 100)

    paths = record_all(of_first, of_second)
    paths[0].write_bytes(paths[0].read_bytes()[:-9])
    decoded = decode_all(paths)
    assert decoded.requests["id"].tolist() == [0, 1]
    assert [Outcome(outcome) for outcome in decoded.requests["outcome"]] == [Outcome.OK, Outcome.OK]
    assert decoded.tail.n_blocks == 2
    assert decoded.tail.n_torn_bytes > 0


def test_the_same_request_in_two_files_is_refused(record_all):
    paths = record_all(lambda recorder: answered(recorder, 0, 0), lambda recorder: answered(recorder, 0, 50))
    with pytest.raises(FormatError, match="request 0 stands in two"):
        decode_all(paths)


def test_no_file_is_a_run_without_requests():
    decoded = decode_all([])
    assert (len(decoded.requests), len(decoded.chunks), len(decoded.samples)) == (0, 0, 0)


# -- memory -----------------------------------------------------------------------------------------------------------


def test_a_request_that_is_over_leaves_memory(record, monkeypatch):
    """No Answer, which holds what is not yet packed, outlives the END frame of its request."""
    n_alive, most = 0, 0

    class Counted(Answer):
        __slots__ = ()

        def __init__(self, dialect):
            nonlocal n_alive, most
            n_alive += 1
            most = max(most, n_alive)
            super().__init__(dialect)

        def __del__(self):
            nonlocal n_alive
            n_alive -= 1

    monkeypatch.setattr("inferometer.drive.decode.Answer", Counted)

    def write(recorder):
        for i in range(300):
            answered(recorder, i, 20 * i)

    decoded = record(write)
    assert len(decoded.requests) == 300
    assert most <= 2, "of 300: the one at hand and the one before it"
    assert n_alive == 0


def test_chunks_come_back_in_parts_that_keep_their_order(record, monkeypatch):
    monkeypatch.setattr("inferometer.drive.spill.PART_ROWS", 10)
    monkeypatch.setattr("inferometer.drive.spill._MAX_HELD_BYTES", 100)

    def write(recorder):
        for i in (3, 1, 4, 0, 2):
            answered(recorder, i, 100 * i, n_tokens=3 + i)

    decoded = record(write)
    parts = list(decoded.chunk_parts())
    assert [len(part) for part in parts] == [15, 15], "a part ends with the request that fills it"
    whole = np.concatenate(parts)
    assert whole["request_id"].tolist() == np.repeat(range(5), [4, 5, 6, 7, 8]).tolist()
    assert np.array_equal(whole, decoded.chunks), "and can be had again"


def test_a_full_disk_is_said_with_its_remedy(record, monkeypatch):
    class Full:
        def __init__(self, *args, **more):
            pass

        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile", Full)
    with pytest.raises(RunError, match="No space left on device") as caught:
        record(lambda recorder: answered(recorder, 0, 0))
    assert "free some space" in caught.value.remedy


# -- frames out of place ----------------------------------------------------------------------------------------------


def test_what_comes_after_the_end_of_a_request_is_not_of_its_answer(record):
    def write(recorder):
        begin(recorder)
        reads(recorder, 0, HEAD, FIRST)
        recorder.end(0, Outcome.DEADLINE, 20 * MS, "not finished after 1 s")
        reads(recorder, 0, SECOND + chunk(DONE) + END, t_ms=30)
        recorder.end(0, Outcome.OK, 31 * MS)

    decoded = record(write)
    row = decoded.requests[0]
    assert (row["outcome"], row["n_reads"], row["n_chunks"]) == (Outcome.DEADLINE, 2, 1)
    assert row["t_end_ns"] == 20 * MS


def test_facts_may_come_long_after_the_end(record):
    """Without content answers are decoded in slack; meanwhile others begin and end."""
    datas = (HEAD, FIRST, SECOND + chunk(DONE) + END)
    answer = Answer(CHAT)
    for i, data in enumerate(datas):
        answer.feed(data, i)

    def bare(recorder, request_id, t_ms):
        begin(recorder, request_id, t_ms)
        for i, data in enumerate(datas):
            recorder.read(request_id, (t_ms + i) * MS, (t_ms + i) * MS, len(data), b"")
        recorder.end(request_id, Outcome.OK, (t_ms + 5) * MS)

    def write(recorder):
        bare(recorder, 0, 10)
        bare(recorder, 1, 100)
        recorder.note(200 * MS, facts_of(answer, 1))
        recorder.note(300 * MS, facts_of(answer, 0))
        recorder.note(300 * MS, facts_of(answer, 0))

    decoded = record(write)
    assert [Outcome(outcome) for outcome in decoded.requests["outcome"]] == [Outcome.OK] * 2
    assert decoded.requests["t_first_content_ns"].tolist() == [11 * MS, 101 * MS]
    assert decoded.requests["n_chunks"].tolist() == [3, 3]


METRICS = b'"metrics":{"time_to_first_token_ms":19.5,"queue_time_ms":0.25,"generation_time_ms":36.0}'
TIMINGS = b'"timings":{"cache_n":1,"prompt_n":4,"prompt_ms":12.5,"predicted_n":2,"predicted_ms":3.25}'
ODD = b'"metrics":["nothing of ours"]'
IMPOSSIBLE = b'"timings":{"prompt_ms":-1,"predicted_ms":1e300}'


@pytest.mark.parametrize("keeps_content", [True, False])
@pytest.mark.parametrize(
    ("told", "times_ns"),
    [
        (METRICS, [19_500_000, 250_000, NOT_TOLD, 36_000_000]),
        (TIMINGS, [NOT_TOLD, NOT_TOLD, 12_500_000, 3_250_000]),
        (ODD, [NOT_TOLD] * 4),
        (IMPOSSIBLE, [NOT_TOLD] * 4),
    ],
)
def test_the_servers_own_times_are_columns(record, told, times_ns, keeps_content):
    end = USAGE.replace(b"}}\n", b"}," + told + b"}\n")

    def write(recorder):
        begin(recorder)
        datas = (HEAD, FIRST, SECOND, chunk(end) + chunk(DONE) + END)
        if keeps_content:
            reads(recorder, 0, *datas)
        else:
            answer = Answer(CHAT)
            for i, data in enumerate(datas):
                answer.feed(data, i)
                recorder.read(0, (10 + i) * MS, (10 + i) * MS, len(data), b"")
        recorder.end(0, Outcome.OK, 20 * MS)
        if not keeps_content:
            recorder.note(21 * MS, facts_of(answer, 0))

    decoded = record(write)
    assert outcome_of(decoded) is Outcome.OK
    assert [decoded.requests[name][0] for name in SERVER_TIMES] == times_ns
