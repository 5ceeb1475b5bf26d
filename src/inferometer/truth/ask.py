# SPDX-License-Identifier: Apache-2.0
"""Requests as the ground-truth server reads them: bytes in, a request or nothing yet out.

Rule 1: no socket here; the loop appends what it received to a buffer and asks whether a request is complete.
Rule 2: what is wrong with a request is a `BadRequest` with the status to answer; anything else that is raised is a bug.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from inferometer.truth import events
from inferometer.truth.script import Ask, Prescription

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 256 * 1024 * 1024

APIS = {"/v1/chat/completions": events.CHAT, "/v1/completions": events.COMPLETIONS}


class BadRequest(Exception):
    """The request cannot be served. `str(error)` is one line for the error body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class HttpRequest(NamedTuple):
    """One complete request. Header names are lower-case; of repeated headers the last one counts."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers.get("x-request-id", "")

    @property
    def keeps_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


class HttpHead(NamedTuple):
    """Request line and headers, read as soon as they are complete. `n_bytes`: their length, blank line included."""

    method: str
    path: str
    headers: dict[str, str]
    n_bytes: int
    n_body_bytes: int


def read_head(inbox: bytearray) -> HttpHead | None:
    """The head at the beginning of the buffer; None until it is complete.

    Raises: BadRequest (400, 413, 431, 501).
    """
    end = inbox.find(b"\r\n\r\n")
    if end < 0:
        if len(inbox) > MAX_HEAD_BYTES:
            raise BadRequest(431, "request head too large")
        return None
    lines = inbox[:end].decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest(400, "not an HTTP/1 request line")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise BadRequest(501, "requests need a content-length")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(400, "bad content-length")
    if int(length) > MAX_BODY_BYTES:
        raise BadRequest(413, "request body too large")
    return HttpHead(parts[0], parts[1].partition("?")[0], headers, end + 4, int(length))


def take_request(head: HttpHead, inbox: bytearray) -> HttpRequest | None:
    """Remove one whole request from the buffer; None until its body is complete."""
    end = head.n_bytes + head.n_body_bytes
    if len(inbox) < end:
        return None
    body = bytes(inbox[head.n_bytes : end])
    del inbox[:end]
    return HttpRequest(head.method, head.path, head.headers, body)


class _Part(msgspec.Struct):
    text: str = ""


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Body(msgspec.Struct):
    """The fields of a generation request that matter here; all others are passed over unread."""

    messages: list[_Message] = []
    prompt: str | list[int | str | list[int]] = ""
    stream: bool = False
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream_options: _StreamOptions | None = None
    truth: msgspec.Raw = msgspec.Raw(b"")


_BODY = msgspec.json.Decoder(_Body)


class Generation(NamedTuple):
    """A generation request, understood. `truth`: its own prescription as JSON text, empty if it has none."""

    ask: Ask
    truth: bytes


def read_generation(request: HttpRequest) -> Generation:
    """What a POST to one of `APIS` asks for.

    Raises: BadRequest (400) if the body is not JSON of the right shape.
    """
    try:
        body = _BODY.decode(request.body)
    except msgspec.DecodeError as error:
        raise BadRequest(400, f"request body: {error}") from error
    n_tokens = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    ask = Ask(
        api=APIS[request.path],
        is_streamed=body.stream,
        n_output_tokens=n_tokens,
        n_prompt_tokens=sum(_n_message_tokens(message) for message in body.messages) + _n_prompt_tokens(body.prompt),
        wants_usage=body.stream_options is not None and body.stream_options.include_usage,
        keeps_alive=request.keeps_alive,
    )
    return Generation(ask, bytes(body.truth))


def _n_message_tokens(message: _Message) -> int:
    if message.content is None:
        return 0
    if isinstance(message.content, str):
        return count_words(message.content)
    return sum(count_words(part.text) for part in message.content)


def _n_prompt_tokens(prompt: str | list[int | str | list[int]]) -> int:
    """Token ids count as they are, text by its words."""
    if isinstance(prompt, str):
        return count_words(prompt)
    return sum(
        1 if isinstance(part, int) else count_words(part) if isinstance(part, str) else len(part) for part in prompt
    )


def count_words(text: str) -> int:
    """This server's tokenizer: a token is a word."""
    return len(text.split())


def read_prescription(truth: bytes, defaults: Prescription) -> Prescription:
    """The server's defaults with the request's own fields put over them.

    Raises: BadRequest (400) for unknown fields and values out of range.
    """
    try:
        fields = msgspec.json.decode(truth, type=dict[str, Any])
        return msgspec.convert(msgspec.structs.asdict(defaults) | fields, Prescription)
    except msgspec.DecodeError as error:
        raise BadRequest(400, f"truth: {error}") from error
