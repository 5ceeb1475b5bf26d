# SPDX-License-Identifier: Apache-2.0
"""The OpenAI routes as engines have them: one reader for requests, one writer for answers, and what differs as data.

Rule 1: a field that an engine does not know is passed over without a word, as all of them do.
Rule 2: an event bears tokens for the log if it has text or shows token ids: nothing else can be seen by a client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import msgspec

from inferometer.emulate import tokens
from inferometer.emulate.answer import LEAD_NS, Moment, Part, done, sse
from inferometer.emulate.spoken import Event, Spoken
from inferometer.kinds import ChunkKind

CHAT_PATH, COMPLETIONS_PATH = "/v1/chat/completions", "/v1/completions"
CREATED = 1_700_000_000
_ID = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


# --- requests ------------------------------------------------------------------------------------------------------


class _Part(msgspec.Struct):
    text: str = ""


class Message(msgspec.Struct):
    role: str = "user"
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        content = self.content or ""
        return content if isinstance(content, str) else "".join(part.text for part in content)


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False
    continuous_usage_stats: bool = False


class Body(msgspec.Struct):
    """The fields that one engine or another knows."""

    model: str = ""
    messages: list[Message] | None = None
    prompt: str | list[int | str] | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    ignore_eos: bool = False
    min_tokens: int = 0
    min_new_tokens: int | None = None
    n: int | None = 1
    return_token_ids: bool = False
    timings_per_token: bool = False
    detokenize: bool = True


_BODY = msgspec.json.Decoder(Body)


class Asked(NamedTuple):
    """A request to one of the two routes, counted."""

    body: Body
    is_chat: bool
    words: tuple[object, ...]
    n_prompt_tokens: int

    @property
    def n_most(self) -> int | None:
        given = self.body.max_completion_tokens
        return self.body.max_tokens if given is None else given

    @property
    def wants_usage(self) -> bool:
        return self.body.stream_options is not None and self.body.stream_options.include_usage

    @property
    def wants_running_usage(self) -> bool:
        return self.wants_usage and bool(self.body.stream_options and self.body.stream_options.continuous_usage_stats)


def read(data: bytes, *, is_chat: bool) -> Asked:
    """Raises: msgspec.DecodeError."""
    body = _BODY.decode(data)
    if body.n not in (None, 1):
        raise msgspec.ValidationError("several answers to one request are not emulated")
    if is_chat:
        if body.messages is None:
            raise msgspec.ValidationError("field required: messages")
        return counted(body, tokens.chat_text((one.role, one.text) for one in body.messages), is_chat=True)
    if body.prompt is None:
        raise msgspec.ValidationError("field required: prompt")
    if isinstance(body.prompt, list) and not all(isinstance(token, int) for token in body.prompt):
        if len(body.prompt) > 1:
            raise msgspec.ValidationError("several prompts in one request are not emulated")
        return counted(body, str(body.prompt[0]), is_chat=False)
    return counted(body, body.prompt, is_chat=False)


def counted(body: Body, prompt: str | list[int | str], *, is_chat: bool) -> Asked:
    """An empty prompt is one token: a model must begin with something."""
    words = tuple(prompt.split()) if isinstance(prompt, str) else tuple(prompt)
    n_tokens = tokens.count(prompt) if isinstance(prompt, str) else len(prompt)
    return Asked(body, is_chat, words, max(1, n_tokens))


# --- answers -------------------------------------------------------------------------------------------------------


def plain_usage(moment: Moment) -> dict[str, Any]:
    n_prompt, n_output = moment.n_prompt_tokens, moment.n_done_tokens
    return {"prompt_tokens": n_prompt, "total_tokens": n_prompt + n_output, "completion_tokens": n_output}


def cached_usage(moment: Moment) -> dict[str, Any]:
    """Also tells what came from the prefix cache."""
    return plain_usage(moment) | {"prompt_tokens_details": {"cached_tokens": moment.n_cached_tokens}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What differs between engines, per route.

    `role`: the first event of a chat is a role alone, with the content "" or null or without one; or there is none, or
    every delta repeats it. `finish`: the reason stands in the last token's event, or in one of its own after it, with
    `unfinished` before. `usage_at`: in an event of its own if asked for, or in the last event, asked or not.
    `ids`: key of token ids in a choice, on request. `timings`: llama.cpp's, in the last event and on request in all.
    """

    role: Literal["none", "empty", "null", "alone", "every"] = "none"
    finish: Literal["inside", "own"] = "inside"
    unfinished: str | None = None
    reasons: tuple[str, str] = ("stop", "length")  # ended by itself, by its length
    usage: Callable[[Moment], dict[str, Any]] = plain_usage
    usage_at: Literal["asked", "last"] = "asked"
    has_running_usage: bool = False
    has_null_usage: bool = False
    ids: str = ""
    timings: Callable[[Moment], dict[str, Any]] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    role_end: bytes = b"\n\n"
    id: str | None = None


def parts(asked: Asked, spoken: Spoken, shape: Shape, model: str) -> list[Part]:
    """A stream, or the body of an answer in one piece."""
    if not asked.body.stream:
        return [_whole(asked, spoken, shape, model)]
    made = _Made(asked, shape, model)
    found = []
    first = spoken.events[0].n_done
    if asked.is_chat and shape.role not in ("none", "every"):
        found.append(made.role(first))
    for i, event in enumerate(spoken.events):
        found.append(made.event(event, spoken if i == len(spoken.events) - 1 else None))
    n_done = spoken.n_output_tokens
    if shape.finish == "own":
        found.append(made.finish(spoken))
    if shape.usage_at == "asked" and asked.wants_usage:
        found.append(made.usage(n_done))
    return [*found, done(n_done)]


class _Made:
    """Events of one answer."""

    def __init__(self, asked: Asked, shape: Shape, model: str) -> None:
        self._asked, self._shape = asked, shape
        self._wants_ids = bool(shape.ids) and asked.body.return_token_ids
        self._is_running = shape.has_running_usage and asked.wants_running_usage
        self._has_timings = shape.timings is not None and asked.body.timings_per_token
        self._common = _envelope(asked, shape, model, is_whole=False)
        self._encoded: dict[tuple[str, str | None, tuple[int, ...]], bytes] = {}  # an answer repeats its words

    def role(self, n_done: int) -> Part:
        contents: dict[str, dict[str, Any]] = {"empty": {"content": ""}, "null": {"content": None}}
        content = contents.get(self._shape.role, {})
        choice = {"index": 0, "delta": {"role": "assistant", **content}, "finish_reason": None}

        def write(moment: Moment) -> bytes:
            data = sse(self._told([choice], moment._replace(n_done_tokens=0)))
            return data.removesuffix(b"\n\n") + self._shape.role_end

        return Part(n_done, write, ChunkKind.ROLE, 0, LEAD_NS)

    def event(self, event: Event, last: Spoken | None) -> Part:
        """`last`: the answer, if this is its last event."""
        shape = self._shape
        text = tokens.text_of([token for token in event.tokens if token[0] != tokens.END_ID])
        finish = shape.unfinished
        if last is not None and shape.finish == "inside":
            finish = shape.reasons[last.is_cut]
        kind = ChunkKind.CONTENT if text or self._wants_ids else ChunkKind.EMPTY
        ids = tuple(event.ids) if self._wants_ids else ()
        if last is None and not self._is_running and not self._has_timings:
            return Part(event.n_done, partial(self._plain, text, finish, ids), kind, event.n_tokens)
        choice = self._choice(text, finish, ids)
        ends = last is not None and shape.finish == "inside" and shape.usage_at == "last"
        return self._part(event.n_done, choice, kind, event.n_tokens, ends=ends)

    def _choice(self, text: str, finish: str | None, ids: tuple[int, ...]) -> dict[str, Any]:
        choice = _choice(self._asked, text, finish, has_role=self._shape.role == "every")
        return choice | {self._shape.ids: ids} if self._wants_ids else choice

    def _plain(self, text: str, finish: str | None, ids: tuple[int, ...], _: Moment) -> bytes:
        """An event that tells nothing of the moment."""
        key = (text, finish, ids)
        if key not in self._encoded:
            self._encoded[key] = sse(self._told([self._choice(text, finish, ids)], _NOBODY))
        return self._encoded[key]

    def finish(self, spoken: Spoken) -> Part:
        choice = _choice(self._asked, None, self._shape.reasons[spoken.is_cut], has_role=False)
        is_last = self._shape.usage_at == "last" or not self._asked.wants_usage
        return self._part(
            spoken.n_output_tokens, choice, ChunkKind.EMPTY, 0, ends=self._shape.usage_at == "last", is_last=is_last
        )

    def usage(self, n_done: int) -> Part:
        def write(moment: Moment) -> bytes:
            value = {**self._common, "choices": [], "usage": self._shape.usage(moment)}
            return sse(value | self._timings(moment))

        return Part(n_done, write, ChunkKind.USAGE)

    def _part(
        self, n_done: int, choice: dict[str, Any], kind: ChunkKind, n_tokens: int, *, ends: bool, is_last: bool = False
    ) -> Part:
        def write(moment: Moment) -> bytes:
            value = self._told([choice], moment, has_usage=ends)
            if self._has_timings or is_last:
                value |= self._timings(moment)
            return sse(value)

        return Part(n_done, write, kind, n_tokens)

    def _told(self, choices: list[Any], moment: Moment, *, has_usage: bool = False) -> dict[str, Any]:
        value = {**self._common, "choices": choices}
        if has_usage or self._is_running:
            value["usage"] = self._shape.usage(moment)
        elif self._shape.has_null_usage:
            value["usage"] = None
        return value

    def _timings(self, moment: Moment) -> dict[str, Any]:
        return {} if self._shape.timings is None else {"timings": self._shape.timings(moment)}


_NOBODY = Moment(0, 0, 0, 0, 0, 0, 0)  # for events that tell nothing of the moment


def _envelope(asked: Asked, shape: Shape, model: str, *, is_whole: bool) -> dict[str, Any]:
    if asked.is_chat:
        prefix, kind = "chatcmpl-", "chat.completion" if is_whole else "chat.completion.chunk"
    else:
        prefix, kind = "cmpl-", "text_completion"
    identity = prefix + _ID if shape.id is None else shape.id
    return {"id": identity, "object": kind, "created": CREATED, "model": model, **shape.extra}


def _choice(asked: Asked, text: str | None, finish: str | None, *, has_role: bool) -> dict[str, Any]:
    """`text` None: the event of a finish reason alone."""
    choice: dict[str, Any] = {"index": 0}
    if asked.is_chat:
        delta: dict[str, Any] = {"role": "assistant"} if has_role else {}
        choice["delta"] = delta if text is None else delta | {"content": text}
    else:
        choice["text"] = text or ""
    return choice | {"logprobs": None, "finish_reason": finish}


def _whole(asked: Asked, spoken: Spoken, shape: Shape, model: str) -> Part:
    text = tokens.text_of([token for token in spoken.tokens if token[0] != tokens.END_ID])
    choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": shape.reasons[spoken.is_cut]}
    choice |= {"message": {"role": "assistant", "content": text}} if asked.is_chat else {"text": text}
    if shape.ids and asked.body.return_token_ids:
        choice[shape.ids] = tokens.ids_of(spoken.tokens)

    def write(moment: Moment) -> bytes:
        value = {**_envelope(asked, shape, model, is_whole=True), "choices": [choice], "usage": shape.usage(moment)}
        if shape.timings is not None:
            value["timings"] = shape.timings(moment)
        return msgspec.json.encode(value)

    return Part(spoken.n_output_tokens, write, ChunkKind.CONTENT, spoken.n_output_tokens)


# --- the list of models --------------------------------------------------------------------------------------------


def model_list(model: str, owner: str, **more: Any) -> dict[str, Any]:
    entry = {"id": model, "object": "model", "created": CREATED, "owned_by": owner, **more}
    return {"object": "list", "data": [entry]}
