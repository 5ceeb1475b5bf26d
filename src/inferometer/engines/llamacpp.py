# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's `llama-server`, also that inside `xllamacpp`. Checked with 0.5.0-dev; see tests/transcripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.engines.engine import (
    Call,
    DialectError,
    Engine,
    Identity,
    Messages,
    Tokens,
    document,
    first_model,
    whole_number,
)


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


ENGINE = Engine(
    name="llama.cpp",
    title="llama.cpp",
    recognise=_recognise,
    asks=("/props",),
    length_extras={"ignore_eos": True},
    count_extras={"timings_per_token": True},
    takes_token_ids=True,
    tokenize_text=_tokenize_text,
    tokenize_bare=_tokenize_bare,
    tokenize_chats=(_count_chat, _tokenize_chat),
    quirks=(
        "the status line is held back until the first token is ready",
        "a token that is no whole character yet sends no event",
        "a prompt that fits together with an output that does not is shortened without a word",
        "an unknown model name is served with the model that is loaded",
    ),
)
