# SPDX-License-Identifier: Apache-2.0
"""Chunk rows of finished requests, out of memory: appended in the order of ending, read back in any other.

Rule: what is held in memory does not depend on how many rows there are. An hour at 20,000 chunks/s is 2.2 GB of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from inferometer.errors import RunError
from inferometer.records import CHUNK, Array

PART_ROWS = 1 << 18  # 8 MB
_MAX_HELD_BYTES = 8 << 20  # a short run needs no file at all


class Spill:
    """A file without a name in `folder` (None: where temporary files go); it is gone when this is, or the process."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        where = None if folder is None else str(folder)
        self._file = tempfile.SpooledTemporaryFile(_MAX_HELD_BYTES, dir=where)  # noqa: SIM115 - it lives as long as self
        self.n_rows = 0

    def append(self, rows: Array) -> int:
        """Where the rows begin. Raises: RunError when the disk refuses them."""
        start = self.n_rows
        if len(rows):
            with self._explained():
                self._file.write(rows.tobytes())
            self.n_rows += len(rows)
        return start

    def parts(self, spans: Iterable[tuple[int, int]]) -> Iterator[Array]:
        """The rows of (start, n_rows) spans in the order of the spans, about PART_ROWS at a time; at least one array.

        Nothing may be appended before the last part was taken. Raises: RunError when the disk fails.
        """
        pieces: list[bytes] = []
        n_rows = n_parts = 0
        for start, n in spans:
            if not n:
                continue
            with self._explained():
                self._file.seek(start * CHUNK.itemsize)
                pieces.append(self._file.read(n * CHUNK.itemsize))
            n_rows += n
            if n_rows >= PART_ROWS:
                yield np.frombuffer(b"".join(pieces), CHUNK)
                pieces, n_rows, n_parts = [], 0, n_parts + 1
        if pieces or not n_parts:
            yield np.frombuffer(b"".join(pieces), CHUNK)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = self._folder or tempfile.gettempdir()
            raise RunError(
                f"cannot keep decoded rows in {where}: {error.strerror}",
                "free some space, then make the tables with `report`",
            ) from error
