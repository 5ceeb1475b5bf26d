# SPDX-License-Identifier: Apache-2.0
"""Safetensors files, read and written with numpy: 8 bytes of header length, a JSON header, then the numbers.

Rule 1: only what our weights need, F16 and F32; anything else in a file is an error, never a guess.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float16] | npt.NDArray[np.float32]

_TYPES: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}


def read_weights(path: Path) -> dict[str, Weights]:
    """Arrays by name. Raises: ValueError if the file is not one, or cut off; OSError."""
    data = path.read_bytes()
    try:
        (n_header,) = struct.unpack_from("<Q", data)
        header: dict[str, Any] = json.loads(data[8 : 8 + n_header])
        body = memoryview(data)[8 + n_header :]
        return {name: _array(body, entry) for name, entry in header.items() if name != "__metadata__"}
    except (struct.error, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no safetensors file of F16 and F32 ({type(error).__name__}: {error})") from error


def _array(body: memoryview, entry: Mapping[str, Any]) -> Weights:
    begin, end = entry["data_offsets"]
    numbers: Weights = np.frombuffer(body[begin:end], _TYPES[entry["dtype"]])
    return numbers.reshape(entry["shape"])


def write_weights(path: Path, weights: Mapping[str, Weights]) -> None:
    """In order of name; the same arrays give the same bytes."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}  # Hugging Face's loader wants to be told
    parts, offset = [], 0
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        parts.append(array.tobytes())
        end = offset + len(parts[-1])
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers lie aligned
    path.write_bytes(b"".join([struct.pack("<Q", len(text)), text, *parts]))
