# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's `llama-server`, also that inside `xllamacpp`. Checked with 0.5.0-dev; see tests/transcripts.

Its own route is `/completion`: every event tells how many tokens there are so far, so that a token held back for being
no whole character is counted with the event that brings it. The last event has `stop` and all counts; no [DONE].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from inferometer.engines.body import encoded
from inferometer.engines.cache_told import CacheTold, Sources
from inferometer.engines.decoding import beside, growth, is_told, parser, possible, times
from inferometer.engines.engine import (
    Call,
    Delta,
    Dialect,
    DialectError,
    Encoded,
    Engine,
    Identity,
    Messages,
    Reset,
    Speech,
    Tokens,
    Usage,
    document,
    first_model,
    whole_number,
)
from inferometer.engines.error_text import error_text
from inferometer.engines.gauges import Gauges
from inferometer.engines.llamacpp_log import read_log
from inferometer.engines.openai import CHAT, COMPLETIONS
from inferometer.engines.profiles import llamacpp as profile
from inferometer.kinds import ChunkKind
from inferometer.plan.request import Request

COMPLETION_PATH = "/completion"

# --- who is it -----------------------------------------------------------------------------------------------------


def _recognise(answers: Mapping[str, Any]) -> Identity | None:
    props, model = document(answers, "/props"), first_model(answers)
    evidence = []
    if "build_info" in props:
        evidence.append(f"/props names the build {props['build_info']}")
    if model.get("owned_by") == "llamacpp":
        evidence.append("/v1/models says owned_by llamacpp")
    if not evidence:
        return None
    defaults, meta = props.get("default_generation_settings"), model.get("meta")
    slot_context = defaults.get("n_ctx") if isinstance(defaults, Mapping) else None
    model_context = meta.get("n_ctx") if isinstance(meta, Mapping) else None
    return Identity(
        evidence=tuple(evidence),
        version=str(props.get("build_info", "")),
        context_tokens=whole_number(slot_context) or whole_number(model_context),
        n_slots=whole_number(props.get("total_slots")),
    )


def _cache_told(sources: Sources) -> CacheTold | None:
    """Its log has sizes; its control plane only how many tokens each slot may have."""
    if (logged := read_log(sources.log)) is not None:
        return logged
    props = document(sources.answers, "/props")
    defaults, n_slots = props.get("default_generation_settings"), whole_number(props.get("total_slots"))
    n_each = whole_number(defaults.get("n_ctx")) if isinstance(defaults, Mapping) else None
    if n_slots is None or n_each is None:
        return None
    return CacheTold("/props, if each slot has a cache of its own", n_tokens=n_slots * n_each, slots=n_slots)


# --- tokenizer -----------------------------------------------------------------------------------------------------


def _tokenize_text(model: str, text: str) -> Call:
    # The completion route itself adds the beginning-of-text token and reads special tokens in the text.
    return Call("/tokenize", {"content": text, "add_special": True, "parse_special": True}, _read_tokens)


def _tokenize_bare(model: str, text: str) -> Call:
    return Call("/tokenize", {"content": text, "with_pieces": True}, _read_tokens)


def _count_chat(model: str, messages: Messages) -> Call:
    return Call("/v1/chat/completions/input_tokens", {"messages": _as_dicts(messages)}, _read_count)


def _tokenize_chat(model: str, messages: Messages) -> Call:
    return Call("/apply-template", {"messages": _as_dicts(messages)}, _read_prompt)


def _as_dicts(messages: Messages) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in messages]


def _read_prompt(answer: Any) -> Call:
    match answer:
        case {"prompt": str(prompt)}:
            return _tokenize_text("", prompt)
        case _:
            raise DialectError("/apply-template gave no prompt")


def _read_count(answer: Any) -> Tokens:
    match answer:
        case {"input_tokens": int(n_tokens)}:
            return Tokens(n_tokens)
        case _:
            raise DialectError("/v1/chat/completions/input_tokens gave no count")


def _read_tokens(answer: Any) -> Tokens:
    match answer:
        case {"tokens": [{"id": int()}, *_] as tokens}:
            return Tokens(len(tokens), tuple(token["id"] for token in tokens), tuple(map(_piece, tokens)))
        case {"tokens": list(ids)}:
            return Tokens(len(ids), tuple(ids))
        case _:
            raise DialectError("/tokenize gave no tokens")


def _piece(token: Mapping[str, Any]) -> str:
    """A piece that is no UTF-8 by itself comes as a list of bytes; it is no word of ours."""
    piece = token.get("piece")
    return piece if isinstance(piece, str) else "\N{REPLACEMENT CHARACTER}"


# --- /completion ---------------------------------------------------------------------------------------------------


def _encode(request: Request, model: str, extras: Mapping[str, Any]) -> Encoded:
    """Raises: ValueError for messages, which need the chat route."""
    if request.messages is not None:
        raise ValueError("/completion takes a prompt, not messages")
    body: dict[str, Any] = {"model": model, "prompt": request.prompt, "n_predict": request.max_output_tokens}
    body["temperature"] = request.sampling.temperature
    if request.sampling.seed is not None:
        body["seed"] = request.sampling.seed
    body["stream"] = request.is_streamed
    return encoded(COMPLETION_PATH, body, request, extras)


class _Timings(Struct):
    cache_n: int | None = None  # prompt tokens taken from the slot's cache
    prompt_ms: float | None = None  # waiting for the slot is not in it
    predicted_ms: float | None = None


class _Event(Struct, gc=False):
    content: str | UnsetType = UNSET
    stop: bool = False
    stop_type: str | None = None  # limit, eos or word
    tokens_predicted: int | None = None  # so far
    tokens_evaluated: int | None = None  # the prompt, cached or not
    timings: _Timings | None = None
    error: Any = None


_parse = parser(_Event, "an answer of /completion")


def _decode(state: int, event_type: str, data: bytes) -> tuple[int, list[Delta]]:
    """`state`: tokens told of so far."""
    if (other := beside(event_type, data)) is not None:
        return state, other
    event = _parse(data)
    if is_told(event.error):
        return state, [Delta(ChunkKind.ERROR, error_text(data))]
    if event.content is UNSET:
        raise DialectError("an event of /completion with no content and no error")
    state, n_tokens = growth(state, event.tokens_predicted)
    if event.content or n_tokens:
        kind = ChunkKind.CONTENT
    else:  # the progress of the prompt, or the end
        kind, n_tokens = (ChunkKind.EMPTY if event.stop else ChunkKind.ROLE), None
    if not event.stop:
        return state, [Delta(kind, event.content, n_tokens)]
    told = event.timings or _Timings()
    usage = Usage(possible(event.tokens_evaluated), possible(event.tokens_predicted), possible(told.cache_n))
    spent = times(prefill_ms=told.prompt_ms, decode_ms=told.predicted_ms)
    return state, [Delta(kind, event.content, n_tokens, event.stop_type, usage, spent), Delta(ChunkKind.DONE)]


def _decode_body(body: bytes) -> list[Delta]:
    if not body.strip():
        raise DialectError("the answer is empty")
    return _decode(0, "message", body)[1]


COMPLETION = Dialect(
    name="llamacpp-completion",
    path=COMPLETION_PATH,
    streams_as="text/event-stream",
    encode=_encode,
    start=lambda: 0,
    decode=_decode,
    decode_body=_decode_body,
    error_text=error_text,
)

_LENGTH = {"ignore_eos": True}
_COUNT = {"timings_per_token": True}
# Neither histograms nor the KV cache are told. A version without a count of cached tokens does not tell its prompts'
# either: what it counts are those it computed.
_PROMPT = ("llamacpp:prompt_tokens_total", "llamacpp:prompt_tokens_cached_total")
_GAUGES = Gauges(
    path="/metrics",
    names={
        "requests_running": (("llamacpp:requests_processing",),),
        "requests_waiting": (("llamacpp:requests_deferred",),),
        "kv_used_ratio": (("llamacpp:kv_cache_usage_ratio",),),  # of 2024
        "n_prompt_tokens": (_PROMPT,),
        "n_output_tokens": (("llamacpp:tokens_predicted_total",),),
        "n_prefix_queried_tokens": (_PROMPT,),
        "n_prefix_hit_tokens": (("llamacpp:prompt_tokens_cached_total",),),
    },
    remedy="start llama-server with --metrics",
    counts_at_end=True,
)
ENGINE = Engine(
    name="llama.cpp",
    title="llama.cpp",
    recognise=_recognise,
    speaks={
        "chat": Speech(CHAT, _LENGTH, _COUNT),
        "completions": Speech(COMPLETIONS, _LENGTH, _COUNT, takes_token_ids=True),
        "native": Speech(COMPLETION, _LENGTH, takes_token_ids=True),
    },
    asks=("/props",),
    tokenize_text=_tokenize_text,
    tokenize_bare=_tokenize_bare,
    tokenize_chats=(_count_chat, _tokenize_chat),
    gauges=_GAUGES,
    reset=Reset("/slots/{slot}?action=erase", "start llama-server with --slot-save-path"),
    cache_told=_cache_told,
    cache_format="fp16",
    quirks=(
        "the status line is held back until the first token is ready",
        "a token that is no whole character yet sends no event",
        "a prompt that fits together with an output that does not is shortened without a word",
        "an unknown model name is served with the model that is loaded",
        "with a unified KV cache that runs full, answers end with an error event under status 200",
        "a waiting request holds an HTTP thread: with too few, requests queue where nobody counts them",
        "unknown body fields are ignored without a word",
    ),
    launch=profile.LAUNCH,
    facts=profile.FACTS,
)
