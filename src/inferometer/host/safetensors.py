# SPDX-License-Identifier: Apache-2.0
"""The headers of a folder's safetensors files: name, shape, type and bytes of every tensor, no weight read.

Layout: 8 bytes with the length of a JSON header, the header, the numbers.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from inferometer.errors import UsageError
from inferometer.model.stored import Tensor

_MOST_HEADER_BYTES = 100_000_000  # the format's own limit


def read_headers(folder: Path) -> list[Tensor]:
    """Of all files in it, empty if there are none. Raises: UsageError for a damaged one; OSError."""
    return [tensor for path in sorted(folder.glob("*.safetensors")) for tensor in _header(path)]


def _header(path: Path) -> list[Tensor]:
    try:
        with path.open("rb") as file:
            (n_bytes,) = struct.unpack("<Q", file.read(8))
            if n_bytes > _MOST_HEADER_BYTES:
                raise ValueError(f"its header claims to be {n_bytes:,} bytes long")
            header: dict[str, Any] = json.loads(file.read(n_bytes))
        return [_tensor(name, entry) for name, entry in header.items() if name != "__metadata__"]
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no safetensors file: {error}", "is it whole?") from error


def _tensor(name: str, entry: dict[str, Any]) -> Tensor:
    begin, end = entry["data_offsets"]
    return Tensor(name, tuple(int(size) for size in entry["shape"]), str(entry["dtype"]), int(end) - int(begin))
