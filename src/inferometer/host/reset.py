# SPDX-License-Identifier: Apache-2.0
"""Telling a server to forget the prompts that it has seen, by its engine's own route.

Rule: what was not done is said with the server's own words, never taken for done.
"""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.engines.engine import Engine
from inferometer.errors import EngineError
from inferometer.host.control import Control

_WITHIN_S = 10.0
_MAX_SAID = 200


@dataclass(frozen=True, slots=True)
class Emptied:
    """`by`: the request that did it, "" if it was not done; `not_emptied`: why not, and what to do about it."""

    by: str = ""
    not_emptied: str = ""


def empty(control: Control, engine: Engine, n_slots: int | None) -> Emptied:
    """Have it done. `n_slots`: of the server, as far as it tells them."""
    reset = engine.reset
    if reset is None:
        return Emptied(not_emptied=f"no way to empty the caches of {engine.title} is known")
    paths = [reset.path]
    if "{slot}" in reset.path:
        if n_slots is None:
            return Emptied(not_emptied="the server does not tell how many slots it has")
        paths = [reset.path.replace("{slot}", str(slot)) for slot in range(n_slots)]
    for path in paths:
        try:
            reply = control.post(path, b"{}", _WITHIN_S)
        except EngineError as error:
            return Emptied(not_emptied=str(error))
        if reply.status != 200 or not reset.is_done(reply.document):
            said = next(iter(engine.speaks.values())).dialect.error_text(reply.body)[:_MAX_SAID]
            answer = f"POST {path} answered HTTP {reply.status}{f': {said}' if said else ''}"
            return Emptied(not_emptied=f"{answer}; {reset.remedy}")
    return Emptied(by=f"POST {reset.path}")
