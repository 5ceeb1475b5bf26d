# SPDX-License-Identifier: Apache-2.0
"""Who a server is and which of its models is meant, out of the documents of its control plane.

Rule: no engine is named here; what tells engines apart is in engines/, and is passed in.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.engines.engine import Engine, Identity
from inferometer.errors import EngineError, UsageError
from inferometer.host.control import Control, Reply, normalise_url

_N_SHOWN = 10
_MAX_UNANSWERED = 2  # questions that a server may leave hanging before no more are asked


def models_of(url: str, reply: Reply, said: str, *, has_key: bool) -> list[Mapping[str, Any]]:
    """The entries of /v1/models; none if the server has no such list. `said`: the words of an error answer."""
    if reply.status == 200:
        match reply.document:
            case {"data": list(entries)}:
                return [entry for entry in entries if isinstance(entry, Mapping) and isinstance(entry.get("id"), str)]
            case {"data": None}:  # Ollama without any
                return []
            case _:
                raise EngineError(
                    f"{url} is not an OpenAI-compatible server: /v1/models gave "
                    f"{reply.content_type or 'no JSON'}, and no list of models",
                    "give the address under which /v1/chat/completions is served",
                )
    if reply.status in (404, 405, 501) or (reply.status == 400 and not reply.body):  # the last: Triton
        return []
    answered = f"HTTP {reply.status}: {said}" if said else f"HTTP {reply.status}"
    if reply.status in (401, 403):
        remedy = "check the key" if has_key else "give the key by --api-key-env NAME (the variable's name, not the key)"
        raise EngineError(f"{url} wants a key ({answered})", remedy)
    if 300 <= reply.status < 400:
        target = _target(reply.location)
        raise EngineError(
            f"{url} redirects{f' to {target}' if target else ''}, and redirects are not followed",
            f"give the address itself{f': {target}' if target else ''}",
        )
    if reply.status == 400 and "HTTPS" in said:
        raise EngineError(f"{url} speaks TLS ({answered})", "write https:// in place of http://")
    if reply.status == 503:
        raise EngineError(f"{url} is not ready ({answered})", "wait until its model is loaded")
    raise EngineError(f"{url}: GET /v1/models answered {answered}", "is it the right address?")


def _target(location: str) -> str:
    """Where a redirect leads, without anything that may be secret; "" if that cannot be said."""
    bare = location.partition("?")[0].partition("#")[0]
    try:
        return normalise_url(bare)
    except UsageError:
        return "" if "@" in bare else bare[:200]


def choose(entries: Sequence[Mapping[str, Any]], model: str | None) -> tuple[str, Mapping[str, Any]]:
    """The model's name and its entry in the list.

    Raises: UsageError if there are several and none was named, or the one named is not there.
    """
    by_name = {entry["id"]: entry for entry in entries}
    for entry in entries:
        aliases = entry.get("aliases")
        by_name |= {alias: entry for alias in aliases if isinstance(alias, str)} if isinstance(aliases, list) else {}
    names = [entry["id"] for entry in entries]
    shown = ", ".join(names[:_N_SHOWN]) + (f" and {len(names) - _N_SHOWN} more" if len(names) > _N_SHOWN else "")
    if model is None:
        if not names:
            raise UsageError("the server does not list its models", "name the one to measure with --model")
        if len(names) > 1:
            raise UsageError(f"the server has {len(names)} models: {shown}", "choose one with --model")
        return names[0], entries[0]
    if names and model not in by_name:
        close = difflib.get_close_matches(model, by_name, n=1)
        remedy = f"did you mean {close[0]}?" if close else "choose one of those with --model"
        raise UsageError(f"the server has no model {model!r}; it has {shown}", remedy)
    return model, by_name.get(model, {})


def recognise(control: Control, engines: Sequence[Engine], entry: Mapping[str, Any]) -> tuple[Engine, Identity]:
    """The first engine that knows itself in the answers of the control paths."""
    answers: dict[str, Any] = {"/v1/models": {"data": [entry]}}
    n_unanswered = 0
    for engine in engines:
        for path in engine.asks:
            if path not in answers and n_unanswered < _MAX_UNANSWERED:
                try:
                    reply = control.get(path)
                    answers[path] = reply.document if reply.status == 200 else None
                except EngineError:  # it hangs on a strange path: it just does not have it
                    answers[path] = None
                    n_unanswered += 1
        identity = engine.recognise(answers)
        if identity is not None:
            return engine, identity
    raise ValueError("the last of the engines must take any server")
