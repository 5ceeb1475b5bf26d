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

from inferometer.embedded import TRAINED_FAMILY, cache, hugging_face, model_name, trained_model
from inferometer.embedded.tiny_model import Shape
from inferometer.errors import UsageError

DEFAULT_MODEL = "trained"


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """`name`: for people; `served`: over HTTP and in reports; `context_tokens`: prompt and answer together, at most;
    `ensure`: its path, written now if need be; `pattern`: of its name in the cache folder."""

    name: str
    served: str
    context_tokens: int
    ensure: Callable[[], Path]
    pattern: str

    def cached(self) -> Path | None:
        """Its path, if it was written before; not looked into."""
        return next(iter(sorted(cache.cache_folder().glob(self.pattern))), None)


def models() -> tuple[EmbeddedModel, ...]:
    """Those that this installation can serve; the default comes first."""
    random = model_name()
    found = [EmbeddedModel("random", random, Shape().n_context, cache.ensure_model, f"{random}-*.gguf")]
    if (facts := trained_model.facts()) is not None:
        for name, file_type in trained_model.FILE_TYPES.items():
            stem = f"{TRAINED_FAMILY}-v{facts.version}-{file_type.lower()}"
            ensure = partial(cache.ensure, stem, partial(trained_model.write_model, file_type=file_type))
            found.append(EmbeddedModel(name, stem, facts.context_tokens, ensure, f"{stem}-*.gguf"))
    return tuple(sorted(found, key=lambda model: model.name != DEFAULT_MODEL))


def folder_models() -> tuple[EmbeddedModel, ...]:
    """Those that there are as a folder in the Hugging Face layout, for other engines: the weights as trained (F16)."""
    if (facts := trained_model.facts()) is None:
        return ()
    served = f"{TRAINED_FAMILY}-v{facts.version}-f16"
    pattern = hugging_face.folder_name(facts)
    return tuple(
        EmbeddedModel(name, served, facts.context_tokens, hugging_face.ensure_folder, pattern)
        for name in ("trained", "trained-f16")
    )


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
