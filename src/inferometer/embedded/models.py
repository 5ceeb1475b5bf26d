# SPDX-License-Identifier: Apache-2.0
"""Which models the embedded engine has, what they are called, and which of them is the default.

Rule 1: a name says what is served, down to the number format: what is measured by default can be asked for by name.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inferometer.embedded import TRAINED_FAMILY, cache, model_name, trained_model
from inferometer.embedded.tiny_model import Shape
from inferometer.errors import UsageError

DEFAULT_MODEL = "trained"


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """`name`: for people; `served`: over HTTP and in reports; `context_tokens`: prompt and answer together, at most;
    `ensure`: the file's path, written now if need be."""

    name: str
    served: str
    context_tokens: int
    ensure: Callable[[], Path]


def models() -> tuple[EmbeddedModel, ...]:
    """Those that this installation can serve; the default comes first."""
    found = [EmbeddedModel("random", model_name(), Shape().n_context, cache.ensure_model)]
    if (facts := trained_model.facts()) is not None:
        for name, file_type in trained_model.FILE_TYPES.items():
            stem = f"{TRAINED_FAMILY}-v{facts.version}-{file_type.lower()}"
            write = partial(trained_model.write_model, file_type=file_type)
            found.append(EmbeddedModel(name, stem, facts.context_tokens, partial(cache.ensure, stem, write)))
    return tuple(sorted(found, key=lambda model: model.name != DEFAULT_MODEL))


def choose(name: str | None = None) -> EmbeddedModel:
    """By short name or by the name it is served under; the default if none is given.

    Raises: UsageError if there is no such model.
    """
    known = {key: model for model in models() for key in (model.name, model.served)}
    wanted = DEFAULT_MODEL if name is None else name
    if wanted in known:
        return known[wanted]
    close = difflib.get_close_matches(wanted, known, n=1)
    raise UsageError(
        f"the embedded engine has no model {wanted!r}; it has {', '.join(model.name for model in models())}",
        f"did you mean {close[0]}?" if close else "choose one of those with --model, or leave --model out",
    )
