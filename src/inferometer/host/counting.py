# SPDX-License-Identifier: Apache-2.0
"""Counting tokens as a server counts them: its tokenizer if it offers one, a file's, or what its answers say.

Rule 1: a counter is believed only after it agreed with the usage of a real answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from inferometer.clock import Clock
from inferometer.engines.engine import Call, Dialect, DialectError, Engine, Messages, Tokens
from inferometer.host.control import Control
from inferometer.host.probe import probe
from inferometer.plan.request import Request
from inferometer.units import NS_PER_S

SAMPLE_TEXT = "water river stone"


def tokenize(control: Control, call: Call) -> Tokens | None:
    """Make the call, and those it leads to; None if the server does not offer it."""
    step: Call | Tokens = call
    while isinstance(step, Call):
        reply = control.post(step.path, msgspec.json.encode(step.body))
        if reply.status != 200:
            return None
        try:
            step = step.read(reply.document)
        except DialectError:
            return None
    return step


class ServerCounter:
    """Asks the server's own tokenise routes; a `plan.words.TokenCounter`."""

    def __init__(self, control: Control, engine: Engine, model: str, *, is_chat: bool) -> None:
        self._control = control
        self._engine = engine
        self._model = model
        self._is_chat = is_chat
        self._i_way = 0
        self.source = "the server's tokenizer"
        self.cost_s = 0.0
        self.sends_requests = False

    def find_way(self) -> bool:
        """Whether the server can be asked; settles by which of its ways, and what a count costs."""
        n_ways = len(self._engine.tokenize_chats) if self._is_chat else 1
        for self._i_way in range(n_ways):
            if self.count(SAMPLE_TEXT) is not None:
                clock = Clock()
                self.count(SAMPLE_TEXT)
                self.cost_s = clock.now_ns() / NS_PER_S
                return True
        return False

    def count(self, prompt: str | Messages) -> int | None:
        """Raises: EngineError if the server went away."""
        tokens = self._tokens(prompt, self._i_way)
        return None if tokens is None else tokens.n_tokens

    def ids(self, prompt: str) -> tuple[int, ...]:
        """Token ids of the whole request, template included; empty where no way shows them."""
        n_ways = len(self._engine.tokenize_chats) if self._is_chat else 1
        for i_way in range(n_ways):
            tokens = self._tokens(prompt, i_way)
            if tokens is not None and tokens.ids:
                return tokens.ids
        return ()

    def pieces(self, text: str) -> Sequence[tuple[int, str]]:
        if self._engine.tokenize_bare is None:
            return ()
        tokens = tokenize(self._control, self._engine.tokenize_bare(self._model, text))
        if tokens is None or len(tokens.ids) != len(tokens.pieces):
            return ()
        return list(zip(tokens.ids, tokens.pieces, strict=True))

    def _tokens(self, prompt: str | Messages, i_way: int) -> Tokens | None:
        if self._is_chat:
            if i_way >= len(self._engine.tokenize_chats):
                return None
            messages = (("user", prompt),) if isinstance(prompt, str) else prompt
            return tokenize(self._control, self._engine.tokenize_chats[i_way](self._model, messages))
        if self._engine.tokenize_text is None or not isinstance(prompt, str):
            return None
        return tokenize(self._control, self._engine.tokenize_text(self._model, prompt))


class UsageCounter:
    """Sends the prompt, asks for one token and reads what the answer says of the prompt: exact, and slow."""

    def __init__(self, control: Control, dialect: Dialect, model: str, extras: Mapping[str, Any]) -> None:
        self._control = control
        self._dialect = dialect
        self._model = model
        # Only what the route cannot do without: forcing a length is no help with one token.
        self._extras = {name: value for name, value in extras.items() if value is None or name.startswith("max_")}
        self.source = "calibrated by the usage of answers"
        self.cost_s = 0.0  # as the last count took
        self.sends_requests = True

    def count(self, prompt: str | Messages) -> int | None:
        """None if the server refuses the request or does not tell. Raises: EngineError if it went away."""
        clock = Clock()
        text, messages = (prompt, None) if isinstance(prompt, str) else ("", prompt)
        request = Request(0, text, 0, 1, is_streamed=False, messages=messages)
        answer = probe(self._control, self._dialect, self._model, self._extras, request)
        self.cost_s = clock.now_ns() / NS_PER_S
        return answer.n_prompt_tokens if answer.status == 200 else None

    def pieces(self, text: str) -> Sequence[tuple[int, str]]:
        return ()


class NoCounter:
    """For servers that never tell how long a prompt is."""

    source = "nothing: the server tells no counts"
    cost_s = 0.0
    sends_requests = False

    def count(self, prompt: str | Messages) -> int | None:
        return None

    def pieces(self, text: str) -> Sequence[tuple[int, str]]:
        return ()
