# SPDX-License-Identifier: Apache-2.0
"""One answer from its bytes: what it held, which read completed what, and what it amounts to."""

from __future__ import annotations

import json

import pytest

from inferometer.drive.answer import MAX_BODY_BYTES, Answer
from inferometer.engines.openai import CHAT
from inferometer.kinds import ChunkKind as K
from inferometer.kinds import Outcome

STREAM = "text/event-stream"


def head(content_type=STREAM, status=200, framing="transfer-encoding: chunked"):
    return f"HTTP/1.1 {status} Word\r\ncontent-type: {content_type}\r\n{framing}\r\n\r\n".encode()


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text=None, finish=None, usage=None, **delta):
    """One event as the text of an SSE stream."""
    delta |= {} if text is None else {"content": text}
    body = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(body | ({} if usage is None else {"usage": usage})).encode() + b"\n\n"


def usage(n_output, n_prompt=7):
    counts = {"prompt_tokens": n_prompt, "completion_tokens": n_output}
    return b"data: " + json.dumps({"choices": [], "usage": counts}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
END = b"0\r\n\r\n"
GOOD = [head(), chunk(event(role="assistant")), chunk(event(" a")), chunk(event(" b", "length")), chunk(DONE) + END]


def read(*reads, is_closed=False):
    """An answer after these reads."""
    answer = Answer(CHAT)
    for i, data in enumerate(reads):
        answer.feed(data, i)
    if is_closed:
        answer.close(len(reads) - 1)
    return answer


def test_a_stream_is_one_row_per_event_with_the_read_that_completed_it():
    answer = read(*GOOD)
    assert answer.kinds.tolist() == [K.ROLE, K.CONTENT, K.CONTENT, K.DONE]
    assert answer.read_ids.tolist() == [1, 2, 3, 4]
    assert answer.n_bytes.tolist() == [0, 2, 2, 0]
    assert (answer.status, answer.head_read, answer.finish) == (200, 0, "length")
    assert answer.is_complete
    assert answer.is_streamed
    assert answer.outcome(2) == (Outcome.OK, "")


@pytest.mark.parametrize("n_bytes", [1, 2, 7, 50])
def test_however_it_is_cut_it_means_the_same(n_bytes):
    whole = b"".join(GOOD)
    answer = read(*[whole[at : at + n_bytes] for at in range(0, len(whole), n_bytes)])
    assert answer.kinds.tolist() == [K.ROLE, K.CONTENT, K.CONTENT, K.DONE]
    assert answer.read_ids.tolist() == sorted(answer.read_ids)
    # An event belongs to the read that brought its last byte: the blank line.
    ends = [whole.index(event(" a")) + len(event(" a")), whole.index(DONE) + len(DONE)]
    assert [answer.read_ids[1], answer.read_ids[3]] == [(end - 1) // n_bytes for end in ends]
    assert answer.outcome(2) == (Outcome.OK, "")


def test_events_that_come_together_share_a_read():
    answer = read(head() + chunk(event(" a") + event(" b")), chunk(event(" c", "stop") + usage(3) + DONE) + END)
    assert answer.kinds.tolist() == [K.CONTENT, K.CONTENT, K.CONTENT, K.USAGE, K.DONE]
    assert answer.read_ids.tolist() == [0, 0, 1, 1, 1]
    assert (answer.usage.n_prompt_tokens, answer.usage.n_output_tokens, answer.usage_read) == (7, 3, 1)


def test_usage_in_pieces_is_put_together_the_later_count_wins():
    early = event(" a", usage={"prompt_tokens": 7, "completion_tokens": 1})
    late = event(" b", "stop", usage={"completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}})
    answer = read(head() + chunk(early), chunk(late), chunk(DONE) + END)
    assert (answer.usage.n_prompt_tokens, answer.usage.n_output_tokens, answer.usage.n_cached_tokens) == (7, 2, 4)
    assert answer.usage_read == 1


def test_tokens_are_counted_by_usage_else_by_events_that_all_tell():
    assert read(head() + chunk(event(" a")) + chunk(usage(5))).n_output_tokens == 5
    assert read(head() + chunk(event(" a"))).n_output_tokens is None
    assert read(head()).n_output_tokens is None


def test_pings_are_rows_and_no_tokens():
    answer = read(head() + chunk(b": ping\n\n"), chunk(event(" a", "stop") + DONE) + END)
    assert answer.kinds.tolist() == [K.PING, K.CONTENT, K.DONE]
    assert answer.outcome(1) == (Outcome.OK, "")


# -- other ways to answer ---------------------------------------------------------------------------------------------


def test_an_answer_in_one_piece_to_a_streamed_request():
    whole = {"choices": [{"message": {"content": "all of it"}, "finish_reason": "stop"}]}
    body = json.dumps(whole | {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}).encode()
    answer = read(head("application/json", framing=f"content-length: {len(body)}"), body[:20], body[20:])
    assert not answer.is_streamed
    assert answer.kinds.tolist() == [K.CONTENT, K.DONE]
    assert answer.read_ids.tolist() == [2, 2]
    assert answer.n_output_tokens == 4
    assert answer.outcome(9) == (Outcome.OK, "")


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/x-ndjson"])
def test_a_stream_under_another_content_type_is_a_stream(content_type):
    answer = read(head(content_type), *GOOD[1:])
    assert answer.is_streamed
    assert answer.kinds.tolist() == [K.ROLE, K.CONTENT, K.CONTENT, K.DONE]
    assert answer.outcome(2) == (Outcome.OK, "")


def test_a_body_that_ends_with_the_connection():
    reads = [head(framing="connection: close"), event(" a"), event(" b", "stop"), DONE]
    assert not read(*reads).is_complete
    answer = read(*reads, is_closed=True)
    assert answer.is_complete
    assert answer.outcome(2) == (Outcome.OK, "")


def test_a_last_event_without_its_blank_line_is_an_event():
    answer = read(head(framing="connection: close"), event(" a") + event(" b", "stop").rstrip(), is_closed=True)
    assert answer.kinds.tolist() == [K.CONTENT, K.CONTENT]
    assert answer.outcome(2) == (Outcome.OK, "")


# -- what it amounts to -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "n_asked", "outcome", "words"),
    [
        (event(" a", "stop") + DONE, 1, Outcome.OK, ""),
        (event(" a", "stop"), 1, Outcome.OK, ""),
        (event(" a") + usage(1) + DONE, 1, Outcome.OK, ""),
        (event(" a") + usage(1) + DONE, 2, Outcome.TRUNCATED, "without a finish reason"),
        (event(" a") + usage(1), 1, Outcome.TRUNCATED, "without a finish reason"),
        (event(" a") + DONE, 1, Outcome.TRUNCATED, "without a finish reason"),
        (event(role="assistant") + DONE, 1, Outcome.TRUNCATED, "no token"),
        (event(role="assistant") + event(finish="stop") + DONE, 1, Outcome.TRUNCATED, "no token"),
        (event(finish="length") + usage(3) + DONE, 3, Outcome.OK, ""),  # tokens without text
        (b"", 1, Outcome.TRUNCATED, "no token"),
        (
            event(" a") + b'data: {"error": {"message": "out of memory"}}\n\n' + DONE,
            1,
            Outcome.ENGINE_ERROR,
            "out of m",
        ),
        (event(" a", "stop") + b'event: error\ndata: {"message": "late"}\n\n' + DONE, 1, Outcome.ENGINE_ERROR, "late"),
        (event(" a") + b"data: {\n\n", 1, Outcome.PROTOCOL, "JSON"),
        (event(" a") + b"data: []\n\n", 1, Outcome.PROTOCOL, "shape"),
    ],
)
def test_outcomes_of_a_complete_stream(events, n_asked, outcome, words):
    answer = read(head() + (chunk(events) if events else b"") + END)
    found, reason = answer.outcome(n_asked)
    assert found is outcome
    assert words in reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (503, b'{"error": {"message": "loading model"}}', "HTTP 503: loading model"),
        (307, b"", "HTTP 307"),
        (404, b"<html><title>404 Not Found</title></html>", "HTTP 404: 404 Not Found"),
        (500, b"\xff\xfe broken", "HTTP 500"),
    ],
)
def test_an_error_status_is_told_in_the_servers_words(status, body, reason):
    answer = read(head("text/whatever", status, f"content-length: {len(body)}") + body)
    found, told = answer.outcome(1)
    assert found is Outcome.HTTP_STATUS
    assert told.startswith(reason)


def test_error_words_are_cut_to_a_length():
    body = json.dumps({"error": {"message": "x" * 5000}}).encode()
    answer = read(head("application/json", 400, f"content-length: {len(body)}") + body)
    assert len(answer.outcome(1)[1]) < 400


def test_after_a_fault_the_rest_is_ignored():
    answer = read(head() + b"zz\r\n", *GOOD[1:], is_closed=True)
    assert answer.kinds.tolist() == []
    assert answer.outcome(1)[0] is Outcome.PROTOCOL


def test_what_came_before_a_fault_is_kept():
    answer = read(*GOOD[:3], b"zz\r\n")
    assert answer.kinds.tolist() == [K.ROLE, K.CONTENT]
    assert answer.outcome(1)[0] is Outcome.PROTOCOL


def test_a_body_without_end_is_bounded():
    answer = read(head("application/json", framing="connection: close"))
    for i in range(MAX_BODY_BYTES // (1 << 20) + 2):
        answer.feed(b" " * (1 << 20), i + 1)
    assert "longer than 64 MiB" in answer.fault


def test_half_a_surrogate_is_a_chunk_and_no_crash():
    answer = read(head() + chunk(rb'data: {"choices":[{"delta":{"content":"\ud83d"}}]}' + b"\n\n"))
    assert answer.kinds.tolist() == [K.CONTENT]
    assert answer.n_bytes.tolist() == [3]
