# SPDX-License-Identifier: Apache-2.0
"""The header of a GGUF file: what the model is and how long its context, without loading it. Sans-IO but for one file.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Only scalars, texts and short lists of numbers (one
per layer) are kept; longer lists (the vocabulary) are skipped.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAGIC = b"GGUF"

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9
_MAX_ENTRIES = 100_000  # more is no header but damage
_MAX_TEXT_BYTES = 64 * 1024 * 1024
_SHORT_BYTES = 4096
_MAX_KEPT_ITEMS = 1024  # no model has as many layers
_MAX_TENSORS, _MAX_DIMENSIONS = 1_000_000, 4

Numbers = list[int | float | bool]


class NotGguf(Exception):
    """The file is none, or its header is damaged. `str(error)` says which."""


@dataclass(frozen=True, slots=True)
class Header:
    """`architecture`: llama, qwen3, ...; `context_tokens`: that it was trained for, None if it does not say."""

    version: int
    architecture: str
    context_tokens: int | None
    values: dict[str, int | float | bool | str]
    lists: dict[str, Numbers]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """`shape`: as ggml has it, the fastest first; `type`: ggml's number of its format."""

    name: str
    shape: tuple[int, ...]
    type: int


def read_header(path: Path) -> Header:
    """Raises: NotGguf; OSError."""
    with path.open("rb") as file:
        return _header(file)[0]


def read_tensors(path: Path) -> tuple[Header, list[TensorInfo]]:
    """The header, and what tensors follow. Raises: NotGguf; OSError."""
    with path.open("rb") as file:
        header, n_tensors = _header(file)
        if n_tensors > _MAX_TENSORS:
            raise NotGguf(f"it claims to have {n_tensors:,} tensors")
        try:
            return header, [_tensor(file) for _ in range(n_tensors)]
        except (struct.error, UnicodeDecodeError) as error:
            raise NotGguf("it is cut off or damaged") from error


def _header(file: BinaryIO) -> tuple[Header, int]:
    """With the number of tensors; the file stands where they begin."""
    if file.read(4) != MAGIC:
        raise NotGguf("it does not begin with GGUF")
    values: dict[str, int | float | bool | str] = {}
    lists: dict[str, Numbers] = {}
    try:
        version, n_tensors, n_values = _unpack(file, "IQQ")
        if n_values > _MAX_ENTRIES:
            raise NotGguf(f"it claims to have {n_values:,} entries")
        for _ in range(n_values):
            key = _text(file)
            (kind,) = _unpack(file, "I")
            value = _value(file, kind)
            if isinstance(value, list):
                lists[key] = value
            elif value is not None:
                values[key] = value
    except (struct.error, UnicodeDecodeError) as error:
        raise NotGguf("it is cut off or damaged") from error
    architecture = str(values.get("general.architecture", ""))
    context = values.get(f"{architecture}.context_length")
    header = Header(version, architecture, context if isinstance(context, int) else None, values, lists)
    return header, n_tensors


def _tensor(file: BinaryIO) -> TensorInfo:
    name = _text(file)
    (n_dimensions,) = _unpack(file, "I")
    if n_dimensions > _MAX_DIMENSIONS:
        raise NotGguf(f"its tensor {name} claims to have {n_dimensions} dimensions")
    *shape, kind, _ = _unpack(file, "Q" * n_dimensions + "IQ")
    return TensorInfo(name, tuple(shape), kind)


def _unpack(file: BinaryIO, kinds: str) -> tuple[int, ...]:
    layout = "<" + kinds
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _text(file: BinaryIO) -> str:
    (n_bytes,) = _unpack(file, "Q")
    if n_bytes > _MAX_TEXT_BYTES:
        raise NotGguf("it is cut off or damaged")
    data = file.read(n_bytes)
    if len(data) < n_bytes:
        raise NotGguf("it is cut off or damaged")
    return data.decode()


def _value(file: BinaryIO, kind: int) -> int | float | bool | str | Numbers | None:
    """None for a list that is not kept."""
    if kind in _SCALARS:
        (value,) = _unpack(file, _SCALARS[kind])
        return value
    if kind == _TEXT:
        return _text(file)
    if kind == _LIST:
        return _list(file)
    raise NotGguf(f"it has a value of the unknown type {kind}")


def _list(file: BinaryIO) -> Numbers | None:
    inner, n_items = _unpack(file, "IQ")
    if inner in _SCALARS:
        if 0 < n_items <= _MAX_KEPT_ITEMS:
            return list(_unpack(file, _SCALARS[inner] * n_items))
        file.seek(n_items * struct.calcsize("<" + _SCALARS[inner]), 1)
        return None
    if inner == _TEXT:
        _skip_texts(file, n_items)
        return None
    for _ in range(n_items):
        if _value(file, inner) is None and inner != _LIST:
            raise NotGguf("it is cut off or damaged")
    return None


def _skip_texts(file: BinaryIO, n_items: int) -> None:
    """A vocabulary: hundreds of thousands of short ones, which are read faster than sought past."""
    read, unpack = file.read, struct.Struct("<Q").unpack
    for _ in range(n_items):
        (n_bytes,) = unpack(read(8))
        if n_bytes < _SHORT_BYTES:
            read(n_bytes)
        else:
            file.seek(n_bytes, 1)
