# SPDX-License-Identifier: Apache-2.0
"""Room on a disk that is kept for last words."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from inferometer.errors import UsageError

RESERVE_BYTES = 1 << 20  # a manifest is a few kilobytes, the tables of a short run some hundred
_NAME = "reserve.partial"


def refuse_unwritable(folder: Path) -> None:
    """Raises: UsageError if `folder`, which is not there yet, could not be made."""
    parent = next((parent for parent in folder.absolute().parents if os.path.lexists(parent)), Path("/"))
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        why = "is not a folder that we may write to" if parent.is_dir() else "is not a folder"
        raise UsageError(f"cannot make the folder {folder}: {parent} {why}", "choose another with --out")


@contextmanager
def reserve(folder: Path) -> Iterator[Callable[[], None]]:
    """Hold some space in `folder` until the function that this yields is called, or the block is left.

    A run that fills the disk can then still say so in its manifest. Without the space there is nothing to hold; the
    recorder says so soon enough.
    """
    path = folder / _NAME
    with contextlib.suppress(OSError), path.open("xb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        else:
            file.write(b"\0" * RESERVE_BYTES)

    def release() -> None:
        path.unlink(missing_ok=True)

    try:
        yield release
    finally:
        release()
