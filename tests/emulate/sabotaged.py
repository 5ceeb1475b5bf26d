# SPDX-License-Identifier: Apache-2.0
"""Adapters that are wrong on purpose, as a package would install them: what the emulated engines must find out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from inferometer.engines import lmdeploy, ollama, sglang, tgi, vllm
from inferometer.engines.engine import Delta, Engine
from inferometer.kinds import ChunkKind


def _speaking(engine: Engine, api: str, change: Any, **fields: Any) -> Engine:
    """The engine with one API whose deltas are changed."""
    speech = engine.speaks[api]
    right = speech.dialect

    def decode(state, event_type, data):
        state, deltas = right.decode(state, event_type, data)
        return state, change(deltas)

    dialect = replace(right, name=f"{right.name}-sabotaged", decode=decode, **fields)
    return replace(engine, name=f"{engine.name}-sabotaged", speaks={api: replace(speech, dialect=dialect)})


def _role_is_content(deltas: list[Delta]) -> list[Delta]:
    """The first event of a chat is taken for a token."""
    return [
        msgspec.structs.replace(delta, kind=ChunkKind.CONTENT) if delta.kind is ChunkKind.ROLE else delta
        for delta in deltas
    ]


def _wrong_usage(deltas: list[Delta]) -> list[Delta]:
    """The tokens of the answer are read from the field for those of the prompt."""
    found = []
    for delta in deltas:
        if delta.usage is not None and delta.usage.n_prompt_tokens is not None:
            usage = replace(delta.usage, n_output_tokens=delta.usage.n_prompt_tokens)
            delta = msgspec.structs.replace(delta, usage=usage)
        found.append(delta)
    return found


def _without_specials(deltas: list[Delta]) -> list[Delta]:
    """An event without text is taken for no token."""
    return [
        msgspec.structs.replace(delta, kind=ChunkKind.EMPTY, n_tokens=None)
        if delta.kind is ChunkKind.CONTENT and not delta.text
        else delta
        for delta in deltas
    ]


def _last_line_lost(deltas: list[Delta]) -> list[Delta]:
    """The last line of a stream, with its finish reason and counts, is passed over."""
    is_last = any(delta.kind is ChunkKind.DONE for delta in deltas)
    return [Delta(ChunkKind.EMPTY)] if is_last else deltas


def _chunks_are_tokens(deltas: list[Delta]) -> list[Delta]:
    """Usage is thrown away, and every event is counted as one token."""
    return [
        msgspec.structs.replace(delta, usage=None, n_tokens=1 if delta.kind is ChunkKind.CONTENT else None)
        for delta in deltas
    ]


def _no_length(engine: Engine, api: str) -> Engine:
    """The fields that force a length are left out."""
    speech = engine.speaks[api]
    return replace(engine, name=f"{engine.name}-sabotaged", speaks={api: replace(speech, length_extras={})})


ROLE_IS_CONTENT = _speaking(vllm.ENGINE, "chat", _role_is_content)
WRONG_USAGE = _speaking(vllm.ENGINE, "chat", _wrong_usage)
NO_LENGTH = _no_length(sglang.ENGINE, "native")
WITHOUT_SPECIALS = _speaking(tgi.ENGINE, "native", _without_specials)
LAST_LINE_LOST = _speaking(ollama.ENGINE, "native", _last_line_lost)
CHUNKS_ARE_TOKENS = _speaking(lmdeploy.ENGINE, "native", _chunks_are_tokens)
