# SPDX-License-Identifier: Apache-2.0
"""Where the models lie between runs: written on first use, checked on each, written anew when damaged.

Rule 1: a file is either whole or not there: written beside under another name, then renamed. Two processes at once
both write, and the later rename wins with the same bytes.
Rule 2: the name carries version, what kind it is and a digest, so that a file proves itself (hashing takes some 10 ms).
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from inferometer.embedded import DEFAULT_SEED, model_name
from inferometer.embedded.tiny_model import Shape, write_model
from inferometer.errors import EngineError

_N_DIGEST_CHARACTERS = 16  # 64 bits: enough to notice damage, which is all this is for


def ensure_model(seed: int = DEFAULT_SEED, *, folder: Path | None = None, shape: Shape | None = None) -> Path:
    """Path of a whole file of random weights. Files of another `shape` want another `folder`.

    Raises: EngineError if the packages to make it are missing or the folder cannot be written.
    """
    return ensure(model_name(seed), lambda path: write_model(path, seed, shape), folder=folder)


def ensure(stem: str, write: Callable[[Path], None], *, folder: Path | None = None) -> Path:
    """Path of a whole model file whose name begins with `stem`, written now by `write` if need be.

    Raises: EngineError if the folder cannot be written, and what `write` raises.
    """
    folder = cache_folder() if folder is None else folder
    for path in sorted(folder.glob(f"{stem}-*.gguf")):
        if path.stem == f"{stem}-{_digest(path)}":
            return path
    try:
        return _make(folder, stem, write)
    except OSError as error:
        raise EngineError(
            f"cannot write the embedded model to {folder}: {error.strerror or error}",
            "free some 50 MB there, or point XDG_CACHE_HOME to a folder that can be written",
        ) from error


def cache_folder() -> Path:
    """The user's cache folder for this project, by the custom of the platform; not created."""
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "inferometer" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "inferometer"
    told = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    return (Path(told) if os.path.isabs(told) else Path.home() / ".cache") / "inferometer"


def _make(folder: Path, stem: str, write: Callable[[Path], None]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{stem}-", suffix=".partial", dir=folder)
    os.close(handle)
    partial = Path(name)
    try:
        write(partial)
        path = folder / f"{stem}-{_digest(partial)}.gguf"
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_N_DIGEST_CHARACTERS]
