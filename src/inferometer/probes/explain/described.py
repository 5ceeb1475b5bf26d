# SPDX-License-Identifier: Apache-2.0
"""The model that a server serves, described from its files or by its name, so that sizes and costs can be predicted.

Rule: nothing is fetched for it: what is neither on this machine nor in the package's table is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inferometer.embedded import models
from inferometer.engines.engine import document, first_model
from inferometer.errors import EngineError, UsageError
from inferometer.host.description import Description, describe, known_models
from inferometer.probes.bench import Bench
from inferometer.run_folder import ENGINE_LOG


@dataclass(frozen=True, slots=True)
class Described:
    """`it`: None, and `why_not` says why."""

    it: Description | None
    why_not: str = ""


def answers_of(bench: Bench) -> dict[str, Any]:
    """Control path -> JSON, of the paths that tell this engine apart, where they answer."""
    found: dict[str, Any] = {}
    for path in ("/v1/models", *bench.engine.asks):
        try:
            reply = bench.control.get(path)
        except EngineError:  # it does not have it; what it would have told is then not known
            continue
        if reply.status == 200 and reply.document is not None:
            found[path] = reply.document
    return found


def log_of(bench: Bench) -> str:
    """What the engine has printed so far, if it was started here and its output is kept."""
    path = bench.folder / ENGINE_LOG
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def described(bench: Bench, answers: Mapping[str, Any], given: Description | None) -> Described:
    """By what was given; the file that the server was started with, or names; its name in the table."""
    if given is not None:
        return Described(given)
    start, model = bench.points.subject.start, bench.facts.model
    if start is not None and start.model.path is not None:
        return _of_path(str(start.model.path), model)
    if bench.config.is_embedded:
        chosen = models.choose(bench.config.model)
        return _of_path(str(chosen.ensure()), chosen.served)
    for named in (document(answers, "/props").get("model_path"), first_model(answers).get("root")):
        if isinstance(named, str) and Path(named).is_absolute() and Path(named).exists():
            return _of_path(named, model)
    known = {name.lower() for pair in known_models() for name in pair}
    if model.lower() in known:
        return _of_path(model, model)
    return Described(None, f"the model {model!r} is neither a file on this machine nor a known name: give --model-file")


def _of_path(given: str, name: str) -> Described:
    try:
        return Described(replace(describe(given), name=name))
    except UsageError as error:
        return Described(None, str(error))
