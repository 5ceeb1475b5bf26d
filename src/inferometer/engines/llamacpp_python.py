# SPDX-License-Identifier: Apache-2.0
"""llama-cpp-python's server (`python -m llama_cpp.server`). Checked with 0.3.36; see tests/transcripts.

Its routes were seen; the title of its OpenAPI document is from its source (llama_cpp/server/app.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.engines.engine import (
    OUTPUT_TOKENS_ASKED,
    Call,
    DialectError,
    Engine,
    Identity,
    Speech,
    Tokens,
    document,
)
from inferometer.engines.openai import CHAT, COMPLETIONS
from inferometer.engines.profiles import llamacpp_python as profile

_TITLE = "llama.cpp Python API"  # what its OpenAPI document is called, after a picture of a llama
_ROUTE = "/extras/tokenize/count"  # one that nobody else has


def _recognise(answers: Mapping[str, Any]) -> Identity | None:
    api = document(answers, "/openapi.json")
    info, routes = document(api, "info"), document(api, "paths")
    title, version = info.get("title"), info.get("version")
    evidence = []
    if isinstance(title, str) and _TITLE in title:
        evidence.append(f"/openapi.json is titled {_TITLE}")
    if _ROUTE in routes:
        evidence.append(f"/openapi.json lists {_ROUTE}")
    if not evidence:
        return None
    notes = ("llama-cpp-python does not tell its context length, and serves one request at a time",)
    return Identity(tuple(evidence), version if isinstance(version, str) else "", n_slots=1, notes=notes)


def _tokenize_text(model: str, text: str) -> Call:
    return Call("/extras/tokenize", {"model": model, "input": text}, _read_tokens)


def _read_tokens(answer: Any) -> Tokens:
    match answer:
        case {"tokens": list(ids)}:
            return Tokens(len(ids), tuple(ids))
        case _:
            raise DialectError("/extras/tokenize gave no tokens")


_LENGTH = {"min_tokens": OUTPUT_TOKENS_ASKED}
ENGINE = Engine(
    name="llama-cpp-python",
    title="llama-cpp-python",
    recognise=_recognise,
    speaks={"chat": Speech(CHAT, _LENGTH), "completions": Speech(COMPLETIONS, _LENGTH)},
    asks=("/openapi.json",),
    tokenize_text=_tokenize_text,
    quirks=(
        "one request at a time: all others wait",
        "unless started with --interrupt_requests False, a new request cuts the running stream, with status 200",
        "no usage in any stream, whether asked for or not",
        "a streamed prompt that is too long gets status 200 and an empty stream",
        "an answer whose last tokens are no whole character may be longer than asked",
        "a request that is not streamed runs to its end, also when its client has left",
        "a prompt of token ids is refused with status 500",
    ),
    launch=profile.LAUNCH,
    facts=profile.FACTS,
)
