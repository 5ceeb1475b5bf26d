# SPDX-License-Identifier: Apache-2.0
"""Answers that go wrong on purpose: every fault is a change to the steps of a good answer.

Rule 1: a fault on events (`EVENT_FAULTS`) changes the stream inside intact HTTP; a fault on the wire (`WIRE_FAULTS`)
changes bytes or the end of the connection; a few (`ANSWERS`) replace the answer altogether.
Rule 2: pure; the server executes what comes out as it does any other script.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from inferometer.kinds import TOKEN_BEARING, ChunkKind
from inferometer.truth import events
from inferometer.truth.script import (
    END,
    HEAD,
    RAW,
    Ask,
    Ending,
    Prescription,
    Script,
    Step,
    answer,
    event_steps,
    head,
    streamed,
    transfer_chunk,
    whole_steps,
    will_keep,
)
from inferometer.units import NS_PER_MS

Steps = list[Step]
MESSAGE = "the ground-truth server was asked to fail"
BLOCK_BYTES = 65_536  # what is too big or never ends goes out in sends of this size
BLOCK_EVERY_NS = NS_PER_MS // 10  # so far apart that other answers find their turn in between


def script(prescription: Prescription, ask: Ask, variant: int = 0) -> Script:
    """The whole answer to one request. The single entry to this package's pure half."""
    if prescription.status != 200:
        return _status(prescription, ask)
    if prescription.fault in ANSWERS:
        return ANSWERS[prescription.fault](prescription, ask)
    if ask.is_streamed and prescription.fault != "not_streamed":
        body = event_steps(prescription, ask, variant)
        if prescription.fault in EVENT_FAULTS:
            body = EVENT_FAULTS[prescription.fault](prescription, ask, body)
        steps = streamed(prescription, ask, body)
    else:
        steps = whole_steps(prescription, ask, variant)
    ending = Ending.KEEP if will_keep(prescription, ask) else Ending.CLOSE
    if prescription.fault in WIRE_FAULTS and (ask.is_streamed or prescription.fault not in STREAM_FAULTS):
        steps, ending = WIRE_FAULTS[prescription.fault](prescription, steps, ending)
    return Script(tuple(steps), ending)


# Faults inside intact HTTP


def _end_early(prescription: Prescription, ask: Ask, body: Steps) -> Steps:
    """The body ends cleanly in mid-answer: no finish reason, no usage, no end marker."""
    return body[: _cut(prescription, body)]


def _stall(prescription: Prescription, ask: Ask, body: Steps) -> Steps:
    """Silence for `fault_ms` after `fault_at` chunks; then the stream goes on as if nothing had been."""
    i = _cut(prescription, body)
    late_ns = round(prescription.fault_ms * NS_PER_MS)
    return body[:i] + [step._replace(offset_ns=step.offset_ns + late_ns) for step in body[i:]]


def _error_event(prescription: Prescription, ask: Ask, body: Steps) -> Steps:
    """An error object instead of the rest, then the end marker: what engines do when a request dies in mid-stream."""
    i = _cut(prescription, body)
    offset_ns = _offset_at(body, i)
    style = events.Style(ask.api, prescription.line_end, prescription.space)
    error = events.error_event(style, MESSAGE, is_named=prescription.fault == "named_error_event")
    steps = [*body[:i], Step(offset_ns, error, ChunkKind.ERROR)]
    if prescription.done:
        steps.append(Step(offset_ns, events.done_event(style), ChunkKind.DONE))
    return steps


def _bad_json(prescription: Prescription, ask: Ask, body: Steps) -> Steps:
    """One event whose data is cut JSON; the stream goes on."""
    i = _cut(prescription, body)
    return [*body[:i], Step(_offset_at(body, i), b'data: {"choices": [{\n\n', RAW), *body[i:]]


def _empty(prescription: Prescription, ask: Ask, body: Steps) -> Steps:
    """A 200 stream without a single event."""
    return []


EVENT_FAULTS: dict[str, Callable[[Prescription, Ask, Steps], Steps]] = {
    "end_early": _end_early,
    "stall": _stall,
    "error_event": _error_event,
    "named_error_event": _error_event,
    "bad_json": _bad_json,
    "empty": _empty,
}


# Faults on the wire


def _truncate(prescription: Prescription, steps: Steps, ending: Ending) -> tuple[Steps, Ending]:
    """The connection is closed in mid-body, as by a proxy that gave up."""
    return steps[: _cut(prescription, steps)], Ending.CLOSE


def _reset(prescription: Prescription, steps: Steps, ending: Ending) -> tuple[Steps, Ending]:
    """The connection is reset in mid-body, a millisecond after the last chunk: a reset overtakes unread bytes."""
    kept = steps[: _cut(prescription, steps)]
    offset_ns = kept[-1].offset_ns if kept else 0
    return [*kept, Step(offset_ns + NS_PER_MS, b"", END)], Ending.RESET


def _bad_chunk_size(prescription: Prescription, steps: Steps, ending: Ending) -> tuple[Steps, Ending]:
    """A chunk size that is no hexadecimal number."""
    i = _cut(prescription, steps)
    return [*steps[:i], Step(_offset_at(steps, i), b"zz\r\n", RAW)], Ending.CLOSE


def _wrong_chunk_size(prescription: Prescription, steps: Steps, ending: Ending) -> tuple[Steps, Ending]:
    """One event in a chunk that says it is a byte shorter; the stream goes on."""
    i = _struck(prescription, steps)
    size, line_end, rest = steps[i].data.partition(b"\r\n")
    wrong = steps[i]._replace(data=b"%x%b%b" % (int(size, 16) - 1, line_end, rest))
    return [*steps[:i], wrong, *steps[i + 1 :]], ending


def _wrong_type(prescription: Prescription, steps: Steps, ending: Ending) -> tuple[Steps, Ending]:
    """A good stream under a content type that is not a stream's."""
    data = steps[0].data.replace(b"text/event-stream; charset=utf-8", b"application/json")
    return [steps[0]._replace(data=data), *steps[1:]], ending


def _big_event(prescription: Prescription, steps: Steps, ending: Ending) -> tuple[Steps, Ending]:
    """One event of `fault_bytes`, all of it text; then the stream goes on."""
    i = _cut(prescription, steps)
    pieces = [b'data: {"choices":[{"index":0,"delta":{"content":"', b"x" * BLOCK_BYTES, b'"}}]}\n\n']
    if prescription.framing == "chunked":
        pieces = [transfer_chunk(piece) for piece in pieces]
    begin, block, end = pieces
    datas = [begin, *[block] * (prescription.fault_bytes // BLOCK_BYTES), end]
    offset_ns = _offset_at(steps, i)
    event = [Step(offset_ns + k * BLOCK_EVERY_NS, data, RAW) for k, data in enumerate(datas)]
    late_ns = event[-1].offset_ns - offset_ns
    return [*steps[:i], *event, *[step._replace(offset_ns=step.offset_ns + late_ns) for step in steps[i:]]], ending


def _flood(prescription: Prescription, steps: Steps, ending: Ending) -> tuple[Steps, Ending]:
    """The stream does not end: its last event comes for ever, by the hundred every `gap_ms`, or as fast as it can."""
    kept = steps[: _struck(prescription, steps) + 1]
    last = kept[-1]
    block = last.data * max(1, BLOCK_BYTES // len(last.data))
    period_ns = max(1, round(prescription.gap_ms * NS_PER_MS))
    return [*kept, Step(last.offset_ns + period_ns, block, RAW)], Ending.REPEAT


def _held_open(prescription: Prescription, steps: Steps, ending: Ending) -> tuple[Steps, Ending]:
    """All events come, the end marker too; the HTTP message is not ended, and the connection stays open."""
    return [step for step in steps if step.kind != END], Ending.HOLD


def _never_ends(prescription: Prescription, steps: Steps, ending: Ending) -> tuple[Steps, Ending]:
    """All tokens come, then nothing: no finish, no usage, no end, and the connection stays open."""
    n_chunks = sum(step.kind in TOKEN_BEARING for step in steps)
    return steps[: _index_after(steps, n_chunks)], Ending.HOLD


def _idle_close(prescription: Prescription, steps: Steps, ending: Ending) -> tuple[Steps, Ending]:
    """The kept-alive connection is closed `fault_ms` after the answer; a request that crosses the close is lost."""
    offset_ns = steps[-1].offset_ns + max(1, round(prescription.fault_ms * NS_PER_MS))
    return [*steps, Step(offset_ns, b"", END)], Ending.IDLE_CLOSE


def _drop_reuse(prescription: Prescription, steps: Steps, ending: Ending) -> tuple[Steps, Ending]:
    """The same race, made certain: the next request on this connection is met by a close."""
    return steps, Ending.DROP_NEXT


WIRE_FAULTS: dict[str, Callable[[Prescription, Steps, Ending], tuple[Steps, Ending]]] = {
    "truncate": _truncate,
    "reset": _reset,
    "bad_chunk_size": _bad_chunk_size,
    "wrong_chunk_size": _wrong_chunk_size,
    "wrong_type": _wrong_type,
    "big_event": _big_event,
    "flood": _flood,
    "held_open": _held_open,
    "never_ends": _never_ends,
    "idle_close": _idle_close,
    "drop_reuse": _drop_reuse,
}


STREAM_FAULTS = {"bad_chunk_size", "wrong_chunk_size", "big_event", "flood"}  # an answer in one piece is left good

# Answers of another kind


def _status(prescription: Prescription, ask: Ask) -> Script:
    """An error answer with the prescribed status and body, due at `ttft_ms`."""
    status = prescription.status
    default, content_type = _error_page(status, prescription.body_type)
    retry_after_s = prescription.retry_after_s
    return answer(
        status,
        default if prescription.body is None else prescription.body.encode(),
        content_type=content_type,
        more=[] if retry_after_s is None else [("retry-after", str(retry_after_s))],
        offset_ns=round(prescription.ttft_ms * NS_PER_MS),
        keeps_alive=ask.keeps_alive,
    )


def _error_page(status: int, body_type: str) -> tuple[bytes, str]:
    """The body of an error answer as an engine sends it, or a proxy, or neither; and its content type."""
    if body_type == "html":
        title = f"{status} {MESSAGE}"
        page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><hr>nginx</body></html>\n"
        return page.encode(), "text/html"
    if body_type == "empty":
        return b"", "text/plain"
    return msgspec.json.encode(events.error_body(MESSAGE, status)), "application/json"


def _reset_before_head(prescription: Prescription, ask: Ask) -> Script:
    return Script((Step(round(prescription.ttft_ms * NS_PER_MS), b"", END),), Ending.RESET)


def _reset_in_head(prescription: Prescription, ask: Ask) -> Script:
    """Half a head, and a millisecond later a reset."""
    whole = head(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")], keeps_alive=True)
    offset_ns = round(prescription.ttft_ms * NS_PER_MS)
    steps = (Step(offset_ns, whole[: len(whole) // 2], RAW), Step(offset_ns + NS_PER_MS, b"", END))
    return Script(steps, Ending.RESET)


def _big_head(prescription: Prescription, ask: Ask) -> Script:
    """Headers of `fault_bytes`; nothing after them."""
    offset_ns = round(prescription.ttft_ms * NS_PER_MS)
    line = b"x-filler: %b\r\n" % (b"x" * BLOCK_BYTES)
    datas = [b"HTTP/1.1 200 OK\r\n", *[line] * (prescription.fault_bytes // BLOCK_BYTES)]
    steps = [Step(offset_ns + k * BLOCK_EVERY_NS, data, RAW) for k, data in enumerate(datas)]
    return Script(tuple(steps), Ending.CLOSE)


def _html_page(prescription: Prescription, ask: Ask) -> Script:
    """A web page with status 200: some gateway's front door instead of the API."""
    page = b"<!doctype html><html><head><title>Welcome</title></head><body>Sign in</body></html>\n"
    offset_ns = round(prescription.ttft_ms * NS_PER_MS)
    return answer(200, page, content_type="text/html", offset_ns=offset_ns, keeps_alive=ask.keeps_alive)


def _never_answers(prescription: Prescription, ask: Ask) -> Script:
    return Script((Step(0, b"", END),), Ending.HOLD)


def _not_http(prescription: Prescription, ask: Ask) -> Script:
    return Script((Step(round(prescription.ttft_ms * NS_PER_MS), b"SSH-2.0-OpenSSH_9.9\r\n", RAW),), Ending.CLOSE)


def _echo_authorization(prescription: Prescription, ask: Ask) -> Script:
    """A 401 that quotes the credentials, cut in the middle of them: two sends `gap_ms` apart, two transfer chunks."""
    message = f"invalid credentials: {ask.authorization}"
    body = msgspec.json.encode(events.error_body(message, 401))
    cut = body.index(b"credentials: ") + len(b"credentials: ") + len(ask.authorization.encode()) // 2
    headers = [("content-type", "application/json")]
    parts = [body[:cut], body[cut:]]
    if prescription.framing == "chunked":
        headers.append(("transfer-encoding", "chunked"))
        parts = [transfer_chunk(parts[0]), transfer_chunk(parts[1]) + b"0\r\n\r\n"]
    elif prescription.framing == "length":
        headers.append(("content-length", str(len(body))))
    keeps_alive = will_keep(prescription, ask)
    first_ns = round(prescription.ttft_ms * NS_PER_MS)
    second_ns = first_ns + max(1, round(prescription.gap_ms * NS_PER_MS))
    steps = (
        Step(first_ns, head(401, headers, keeps_alive=keeps_alive), HEAD),
        Step(first_ns, parts[0], RAW),
        Step(second_ns, parts[1], RAW),
    )
    return Script(steps, Ending.KEEP if keeps_alive else Ending.CLOSE)


ANSWERS: dict[str, Callable[[Prescription, Ask], Script]] = {
    "reset_before_head": _reset_before_head,
    "reset_in_head": _reset_in_head,
    "big_head": _big_head,
    "html_page": _html_page,
    "never_answers": _never_answers,
    "not_http": _not_http,
    "echo_authorization": _echo_authorization,
}


# Where a fault strikes


def _cut(prescription: Prescription, steps: Steps) -> int:
    """Index of the first step after `fault_at` token-bearing chunks."""
    return _index_after(steps, prescription.fault_at)


def _struck(prescription: Prescription, steps: Steps) -> int:
    """Index of the token-bearing chunk number `fault_at`, the first if that is 0."""
    return _index_after(steps, max(1, prescription.fault_at)) - 1


def _index_after(steps: Steps, n_chunks: int) -> int:
    """Index of the step after the n-th token-bearing chunk; with n = 0 that of the first such chunk."""
    places = [i for i, step in enumerate(steps) if step.kind in TOKEN_BEARING]
    if n_chunks == 0:
        return places[0]
    return places[min(n_chunks, len(places)) - 1] + 1


def _offset_at(steps: Steps, i: int) -> int:
    """When something put in place of step i is due."""
    return steps[min(i, len(steps) - 1)].offset_ns
