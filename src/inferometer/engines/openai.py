# SPDX-License-Identifier: Apache-2.0
"""The OpenAI protocol, chat and completions, as the engines really speak it.

Rule 1: one decoder for both routes; they differ in what is asked, and in where an answer keeps its text.
Rule 2: unknown fields are ignored, unknown shapes are not: an event with nothing we know in it raises DialectError.
Rule 3: tokens of an event are told by its token ids, or by the growth of a running count since the last event that
    bore any. A count that stands in some events only, or stands still, is no running count. Where it has grown once
    more with the finish reason, the last tokens never became text; they are tokens all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from inferometer.engines.body import encoded
from inferometer.engines.decoding import (
    COUNT_UNKNOWN,
    MAX_CHUNK_TOKENS,
    beside,
    is_told,
    parser,
    possible,
    times,
)
from inferometer.engines.engine import Delta, Dialect, DialectError, Encoded, Timings, Usage
from inferometer.engines.error_text import error_text
from inferometer.kinds import ChunkKind
from inferometer.plan.request import Request

CHAT_PATH = "/v1/chat/completions"
COMPLETIONS_PATH = "/v1/completions"


# --- requests ------------------------------------------------------------------------------------------------------


def _encode_chat(request: Request, model: str, extras: Mapping[str, Any]) -> Encoded:
    """Raises: ValueError for token ids, which a chat does not take."""
    if request.messages is None and not isinstance(request.prompt, str):
        raise ValueError("a chat takes text, not token ids")
    turns = request.messages if request.messages is not None else (("user", request.prompt),)
    messages = [{"role": role, "content": content} for role, content in turns]
    return _encode(CHAT_PATH, {"model": model, "messages": messages}, request, extras)


def _encode_completion(request: Request, model: str, extras: Mapping[str, Any]) -> Encoded:
    """Raises: ValueError for messages, which need the chat route."""
    if request.messages is not None:
        raise ValueError("a completion takes a prompt, not messages")
    return _encode(COMPLETIONS_PATH, {"model": model, "prompt": request.prompt}, request, extras)


def _encode(path: str, body: dict[str, Any], request: Request, extras: Mapping[str, Any]) -> Encoded:
    # Newer OpenAI models want `max_completion_tokens` instead; the extras can say so, every engine takes this one.
    body["max_tokens"] = request.max_output_tokens
    body["temperature"] = request.sampling.temperature
    if request.sampling.seed is not None:
        body["seed"] = request.sampling.seed
    if request.is_streamed:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    else:
        extras = {name: value for name, value in extras.items() if name != "stream_options"}
    return encoded(path, body, request, extras)


# --- answers -------------------------------------------------------------------------------------------------------


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(Struct):
    function: _Function | None = None


class _Message(Struct, gc=False):
    """The `delta` of an event, or the `message` of an answer in one piece."""

    role: str | None = None
    content: str | None = None
    reasoning: str | None = None  # vLLM's word
    reasoning_content: str | None = None  # everybody else's
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(Struct, gc=False):
    delta: _Message | None = None
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None
    token_ids: list[int] | None = None  # vLLM and TensorRT-LLM, on request
    output_ids: list[int] | None = None  # LMDeploy, on request


class _Details(Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _Timings(Struct):
    """llama.cpp's own counts and times; `prompt_n` leaves out what came from its cache. Waiting for a slot is in none
    of the times."""

    cache_n: int | None = None
    prompt_n: int | None = None
    predicted_n: int | None = None
    prompt_ms: float | None = None
    predicted_ms: float | None = None


class _Event(Struct, gc=False):
    choices: list[_Choice] | UnsetType | None = UNSET
    usage: _Usage | None = None
    timings: _Timings | None = None
    metrics: Any = None  # vLLM with --enable-per-request-metrics; of others it may be anything
    error: Any = None
    object: Any = None
    message: Any = None


_parse = parser(_Event, "an OpenAI answer")
_CONTENT = ChunkKind.CONTENT  # looked up once: an enum member takes as long to find as a Delta to make


def start() -> int:
    """As Dialect.start. State: output tokens told of so far, up to the last event that bore any; or COUNT_UNKNOWN."""
    return 0


def decode(state: int, event_type: str, data: bytes) -> tuple[int, list[Delta]]:
    """As Dialect.decode."""
    if (data[:1] != b"{" or event_type != "message") and (other := beside(event_type, data)) is not None:
        return state, other
    event = _parse(data)
    if text := _plain_text(event):
        return COUNT_UNKNOWN, [Delta(_CONTENT, text)]
    if _is_error(event):
        return state, [Delta(ChunkKind.ERROR, error_text(data))]
    return _deltas(state, event)


def _plain_text(event: _Event) -> str | None:
    """The text of an event that holds one choice with text and nothing else: nearly all of a stream, so made short."""
    choices = event.choices
    if not choices or len(choices) > 1 or event.usage is not None or event.timings is not None:
        return None
    if event.error is not None:
        return None
    choice = choices[0]
    if choice.finish_reason or choice.token_ids or choice.output_ids:
        return None
    message = choice.delta
    if message is None:
        return None if choice.message else choice.text
    if message.reasoning or message.reasoning_content or message.tool_calls or choice.text:
        return None
    return message.content


def decode_body(body: bytes) -> list[Delta]:
    """As Dialect.decode_body."""
    if not body.strip():
        raise DialectError("the answer is empty")
    event = _parse(body)
    if _is_error(event):
        return [Delta(ChunkKind.ERROR, error_text(body))]
    _, deltas = _deltas(start(), event)
    return [*deltas, Delta(ChunkKind.DONE)]  # the end of the body is its end marker


def _is_error(event: _Event) -> bool:
    """`{"error": ...}`, or the flat `{"object": "error", "message": ...}`."""
    if is_told(event.error):
        return True
    return event.choices is UNSET and (event.object == "error" or isinstance(event.message, str))


def _deltas(state: int, event: _Event) -> tuple[int, list[Delta]]:
    if not event.choices:
        if event.choices is UNSET and event.usage is None and event.timings is None:
            raise DialectError("an event with no choices, no usage and no error")
        usage = _usage(event)
        kind = ChunkKind.EMPTY if usage is None else ChunkKind.USAGE
        return state, [Delta(kind, usage=usage, timings=_times(event))]
    said: list[tuple[ChunkKind, str, str | None]] = []
    ids = None
    for choice in event.choices:
        _collect(choice, said)
        if told := choice.token_ids or choice.output_ids:
            ids = len(told) + (ids or 0)
    usage = _usage(event) if event.usage is not None or event.timings is not None else None
    n_bearing = sum(kind in _BEARING for kind, _, _ in said)
    if not n_bearing and (ids or _is_tail(state, said, usage)):  # tokens without text: not yet, or never
        said[0] = (ChunkKind.CONTENT, "", said[0][2])
        n_bearing = 1
    state, n_tokens = _count(state, ids, usage, n_bearing)
    last, spent = len(said) - 1, _times(event)
    return state, [
        Delta(
            kind,
            text,
            n_tokens if kind in _BEARING else None,
            finish,
            usage if i == last else None,
            spent if i == last else None,
        )
        for i, (kind, text, finish) in enumerate(said)
    ]


_BEARING = frozenset({ChunkKind.CONTENT, ChunkKind.REASONING, ChunkKind.TOOL})


def _collect(choice: _Choice, said: list[tuple[ChunkKind, str, str | None]]) -> None:
    """Append what one choice said, at least one entry; its finish reason stands in the last."""
    finish = choice.finish_reason or None  # TGI writes "" until the end
    message = choice.delta or choice.message
    n_before = len(said)
    if message is not None:
        if thought := message.reasoning or message.reasoning_content:
            said.append((ChunkKind.REASONING, thought, None))
        if content := message.content or message.refusal:
            said.append((ChunkKind.CONTENT, content, None))
        for call in message.tool_calls or ():
            if call.function and (text := (call.function.name or "") + (call.function.arguments or "")):
                said.append((ChunkKind.TOOL, text, None))
    if choice.text:
        said.append((ChunkKind.CONTENT, choice.text, None))
    if len(said) == n_before:
        is_role = message is not None and message.role is not None and finish is None
        said.append((ChunkKind.ROLE if is_role else ChunkKind.EMPTY, "", finish))
    elif finish:
        kind, text, _ = said[-1]
        said[-1] = (kind, text, finish)


def _is_tail(state: int, said: list[tuple[ChunkKind, str, str | None]], usage: Usage | None) -> bool:
    """Whether an event that ends an answer of counted tokens, and has no text, counts more of them."""
    running = usage.n_output_tokens if usage is not None else None
    return state > 0 and running is not None and running > state and len(said) == 1 and said[0][2] is not None


def _count(state: int, ids: int | None, usage: Usage | None, n_bearing: int) -> tuple[int, int | None]:
    """The state after this event, and how many tokens each of its bearing parts held (None: cannot tell)."""
    if not n_bearing:
        return state, None
    running = usage.n_output_tokens if usage is not None else None
    if ids:
        n_tokens = ids
        state = running if running is not None else COUNT_UNKNOWN if state == COUNT_UNKNOWN else state + ids
    elif running is None or state == COUNT_UNKNOWN or running <= state:
        return COUNT_UNKNOWN, None
    else:
        n_tokens = running - state
        state = running
    return state, n_tokens if n_bearing == 1 and n_tokens <= MAX_CHUNK_TOKENS else None


def _usage(event: _Event) -> Usage | None:
    told, timings = event.usage, event.timings
    if told is None and timings is None:
        return None
    n_prompt = n_output = n_cached = n_reasoning = None
    if timings is not None:
        n_cached, n_output = timings.cache_n, timings.predicted_n
        n_prompt = None if timings.prompt_n is None else timings.prompt_n + (n_cached or 0)
    if told is not None:
        n_prompt = n_prompt if told.prompt_tokens is None else told.prompt_tokens
        n_output = n_output if told.completion_tokens is None else told.completion_tokens
        if told.prompt_tokens_details is not None and told.prompt_tokens_details.cached_tokens is not None:
            n_cached = told.prompt_tokens_details.cached_tokens
        if told.completion_tokens_details is not None:
            n_reasoning = told.completion_tokens_details.reasoning_tokens
    return Usage(possible(n_prompt), possible(n_output), possible(n_cached), possible(n_reasoning))


def _times(event: _Event) -> Timings | None:
    """What the server says of its own time: vLLM in `metrics`, llama.cpp in `timings`."""
    if isinstance(told := event.metrics, Mapping):
        return times(
            ttft_ms=_number(told.get("time_to_first_token_ms")),
            queue_ms=_number(told.get("queue_time_ms")),
            decode_ms=_number(told.get("generation_time_ms")),  # from the first token to the last
        )
    if (timings := event.timings) is not None:
        return times(prefill_ms=timings.prompt_ms, decode_ms=timings.predicted_ms)
    return None


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) else None


CHAT = Dialect(
    name="chat",
    path=CHAT_PATH,
    streams_as="text/event-stream",
    encode=_encode_chat,
    start=start,
    decode=decode,
    decode_body=decode_body,
    error_text=error_text,
    is_chat=True,
)
COMPLETIONS = Dialect(
    name="completions",
    path=COMPLETIONS_PATH,
    streams_as="text/event-stream",
    encode=_encode_completion,
    start=start,
    decode=decode,
    decode_body=decode_body,
    error_text=error_text,
)
