# SPDX-License-Identifier: Apache-2.0
"""Streams as files: `kept/<target>.<kind>[.open].<digest>`, nothing in them but their bytes.

Kept are those that ever failed, and those that a coverage-guided run chose because no other goes the same way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from fuzz.streams import Stream

FOLDER = Path(__file__).parent / "kept"
_DIGITS = 12


def save(folder: Path, stream: Stream) -> Path:
    """Write it under a name of its own; the same stream has the same name."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(stream.data).hexdigest()[:_DIGITS]
    path = folder / f"{stream.target}.{stream.kind}{'' if stream.is_closed else '.open'}.{digest}"
    path.write_bytes(stream.data)
    return path


def load(path: Path) -> Stream:
    target, kind, *marks, _ = path.name.split(".")
    return Stream(target, kind, path.read_bytes(), is_closed="open" not in marks)


def kept(folder: Path = FOLDER) -> Iterator[tuple[str, Stream]]:
    """(name, stream) of all in a folder."""
    for path in sorted(folder.iterdir()):
        yield path.name, load(path)
